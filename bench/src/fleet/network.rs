//! Lines and cards, and the transfers on them: how fast each goes, and when it ends. Pure: the moment is an argument.
//!
//! Each direction of a card and of a line is a [`Pipe`]. A transfer goes through a few of them; each pipe gives each of its transfers the same share, and
//! a transfer goes as fast as the least of its shares. A share that a transfer cannot use, because another pipe holds it back, is not given to others:
//! no pipe ever carries more than it can, and where it is not full, real ones would be a little faster.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::events::{Moment, SECOND};

/// Pipes that a transfer goes through, at most: card, line, card.
const PATH_MAX: usize = 3;

/// A pipe by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pipe(u32);

/// A transfer by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow(u32);

/// All pipes and transfers.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pipes: Vec<State>,
    flows: Vec<Going>,
    free: Vec<u32>,
    /// When which transfer may have ended, and in which of its lives.
    ends: BinaryHeap<Reverse<(Moment, u32, u32)>>,
}

#[derive(Debug)]
struct State {
    /// Bytes in a nanosecond.
    rate: f64,
    flows: Vec<u32>,
    /// Bytes of transfers that have ended.
    carried: u64,
}

#[derive(Debug, Default)]
struct Going {
    /// Pipes, and its place in the list of each.
    path: [(u32, u32); PATH_MAX],
    hops: u8,
    bytes: u64,
    left: f64,
    /// Bytes in a nanosecond.
    rate: f64,
    since: Moment,
    /// The first moment for which it stands in the queue of ends.
    queued: Moment,
    /// Places are used again: which transfer of this place it is.
    life: u32,
}

impl Flow {
    /// A small number, and that of another transfer when this one has ended.
    pub(crate) fn place(self) -> usize {
        self.0 as usize
    }
}

impl Network {
    /// A pipe of so many bits per second.
    pub(crate) fn pipe(&mut self, bits_per_second: u64) -> Pipe {
        let rate = bits_per_second as f64 / 8.0 / SECOND as f64;
        self.pipes.push(State { rate, flows: Vec::new(), carried: 0 });
        Pipe(self.pipes.len() as u32 - 1)
    }

    /// Begins a transfer.
    pub(crate) fn begin(&mut self, path: &[Pipe], bytes: u64, now: Moment) -> Flow {
        let at = self.free.pop().unwrap_or_else(|| {
            self.flows.push(Going::default());
            self.flows.len() as u32 - 1
        });
        let life = self.flows[at as usize].life;
        let mut going = Going { bytes, left: bytes as f64, since: now, queued: Moment::MAX, life, ..Going::default() };
        for (hop, pipe) in path.iter().enumerate() {
            let flows = &mut self.pipes[pipe.0 as usize].flows;
            going.path[hop] = (pipe.0, flows.len() as u32);
            flows.push(at);
        }
        going.hops = path.len() as u8;
        self.flows[at as usize] = going;
        path.iter().for_each(|pipe| self.share(pipe.0, now));
        Flow(at)
    }

    /// Ends a transfer, whether all has come or not; answers how many bytes have.
    pub(crate) fn end(&mut self, flow: Flow, now: Moment) -> u64 {
        let going = &mut self.flows[flow.0 as usize];
        settle(going, now);
        // Ends are counted in whole nanoseconds: what is left of less than a byte has come.
        let came = going.bytes - (going.left.max(0.0) as u64).min(going.bytes);
        let (path, hops) = (going.path, usize::from(going.hops));
        (going.life, going.hops) = (going.life.wrapping_add(1), 0);
        for (pipe, place) in &path[..hops] {
            let state = &mut self.pipes[*pipe as usize];
            state.carried += came;
            state.flows.swap_remove(*place as usize);
            if let Some(moved) = state.flows.get(*place as usize) {
                let hops = &mut self.flows[*moved as usize].path;
                hops.iter_mut().filter(|hop| hop.0 == *pipe).for_each(|hop| hop.1 = *place);
            }
        }
        path[..hops].iter().for_each(|(pipe, _)| self.share(*pipe, now));
        self.free.push(flow.0);
        came
    }

    /// Ends all.
    pub(crate) fn end_all(&mut self, now: Moment) {
        let going = |at: &u32| self.flows[*at as usize].hops > 0;
        let all: Vec<u32> = (0..self.flows.len() as u32).filter(going).collect();
        all.into_iter().for_each(|flow| {
            self.end(Flow(flow), now);
        });
    }

    /// The first transfer of which all has come, and when; it is still to be ended.
    pub(crate) fn next_end(&mut self) -> Option<(Moment, Flow)> {
        while let Some(Reverse((at, flow, life))) = self.ends.peek().copied() {
            let going = &mut self.flows[flow as usize];
            let end = end_of(going);
            if going.life == life && going.hops > 0 && going.queued == at && end <= at {
                return Some((at, Flow(flow)));
            }
            self.ends.pop();
            // It has become slower since it was queued.
            if going.life == life && going.hops > 0 && going.queued == at {
                going.queued = end;
                self.ends.push(Reverse((end, flow, life)));
            }
        }
        None
    }

    /// Bytes that went through it, of transfers that have ended.
    pub(crate) fn carried(&self, pipe: Pipe) -> u64 {
        self.pipes[pipe.0 as usize].carried
    }

    /// How much of it is in use: 1 is all.
    #[cfg(test)]
    fn load(&self, pipe: Pipe) -> f64 {
        let state = &self.pipes[pipe.0 as usize];
        state.flows.iter().map(|flow| self.flows[*flow as usize].rate).sum::<f64>() / state.rate
    }

    /// Gives each transfer of a pipe its share anew.
    fn share(&mut self, pipe: u32, now: Moment) {
        for place in 0..self.pipes[pipe as usize].flows.len() {
            let flow = self.pipes[pipe as usize].flows[place];
            let going = &mut self.flows[flow as usize];
            let rate = going.path[..usize::from(going.hops)].iter().map(|(pipe, _)| {
                let state = &self.pipes[*pipe as usize];
                state.rate / state.flows.len() as f64
            });
            let rate = rate.fold(f64::MAX, f64::min);
            if rate == going.rate {
                continue;
            }
            settle(going, now);
            going.rate = rate;
            let end = end_of(going);
            if end < going.queued {
                going.queued = end;
                self.ends.push(Reverse((end, flow, going.life)));
            }
        }
    }
}

/// What has come until now has come.
fn settle(going: &mut Going, now: Moment) {
    going.left -= going.rate * (now - going.since) as f64;
    going.since = now;
}

fn end_of(going: &Going) -> Moment {
    // Of a rate that is not known yet the quotient is infinite, and the cast the last moment of all.
    going.since.saturating_add((going.left.max(0.0) / going.rate).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use protocol::patience::Spread;

    use super::*;

    const GIGABIT: u64 = 1_000_000_000;
    /// Bytes that a card carries in a second.
    const SECONDFUL: u64 = GIGABIT / 8;

    /// Ends all, and answers when each did, in seconds, in the order of their beginnings.
    fn ends(network: &mut Network, flows: &[Flow]) -> Vec<f64> {
        let mut ends = vec![0.0; flows.len()];
        while let Some((at, flow)) = network.next_end() {
            network.end(flow, at);
            let which = flows.iter().position(|known| *known == flow).unwrap();
            ends[which] = (at as f64 / SECOND as f64 * 1e6).round() / 1e6;
        }
        ends
    }

    #[test]
    fn one_transfer_has_the_card_and_two_share_it() {
        let mut network = Network::default();
        let (up, down, other) = (network.pipe(GIGABIT), network.pipe(GIGABIT), network.pipe(GIGABIT));
        let one = network.begin(&[up, down], 2 * SECONDFUL, 0);
        assert_eq!(ends(&mut network, &[one]), [2.0]);
        // Two of one card: half each, and when the short one has ended, all for the other.
        let short = network.begin(&[up, down], SECONDFUL, 0);
        let long = network.begin(&[up, other], 2 * SECONDFUL, 0);
        assert_eq!(ends(&mut network, &[short, long]), [2.0, 3.0]);
        // The second begins when half of the first has come.
        let first = network.begin(&[up, down], SECONDFUL, 0);
        let second = network.begin(&[up, other], SECONDFUL, SECOND / 2);
        assert_eq!(ends(&mut network, &[first, second]), [1.5, 2.0]);
        assert_eq!(network.carried(up), 7 * SECONDFUL);
    }

    #[test]
    fn a_line_between_cards_holds_back_and_both_directions_of_a_card_are_free() {
        let mut network = Network::default();
        let (line, up, down) = (network.pipe(GIGABIT / 10), network.pipe(GIGABIT), network.pipe(GIGABIT));
        let (back_up, back_down) = (network.pipe(GIGABIT), network.pipe(GIGABIT));
        let over = network.begin(&[up, line, down], SECONDFUL, 0);
        let back = network.begin(&[back_up, back_down], SECONDFUL, 0);
        assert_eq!(ends(&mut network, &[over, back]), [10.0, 1.0]);
    }

    #[test]
    fn a_chain_goes_as_fast_as_its_links() {
        // A gives to B and C, B to C: A's card is halved by two, C's card by two, so all three have half a card.
        let mut network = Network::default();
        let [a, b, to_b, to_c] = [(); 4].map(|()| network.pipe(GIGABIT));
        let flows = [
            network.begin(&[a, to_b], SECONDFUL, 0),
            network.begin(&[a, to_c], SECONDFUL, 0),
            network.begin(&[b, to_c], SECONDFUL, 0),
        ];
        assert_eq!((network.load(a), network.load(b), network.load(to_b), network.load(to_c)), (1.0, 0.5, 0.5, 1.0));
        assert_eq!(ends(&mut network, &flows), [2.0, 2.0, 2.0]);
    }

    #[test]
    fn what_is_ended_early_has_brought_what_came_until_then() {
        let mut network = Network::default();
        let (up, down) = (network.pipe(GIGABIT), network.pipe(GIGABIT));
        let flow = network.begin(&[up, down], SECONDFUL, 0);
        assert_eq!(network.end(flow, SECOND / 4), SECONDFUL / 4);
        assert_eq!((network.carried(up), network.next_end()), (SECONDFUL / 4, None));
    }

    #[test]
    fn no_card_is_ever_exceeded_and_no_byte_is_lost_or_won() {
        let (mut network, mut random) = (Network::default(), Spread::new(5));
        let pipes: Vec<Pipe> = (0..12).map(|number| network.pipe(GIGABIT / (1 + number % 3))).collect();
        let (mut now, mut sent, mut came, mut begun) = (0, 0, 0, 0);
        while begun < 2_000 || network.next_end().is_some() {
            let next = network.next_end();
            if begun < 2_000 && (next.is_none() || random.number().is_multiple_of(2)) {
                now = now.max(next.map_or(now, |(at, _)| now + (at - now) / 2));
                let (up, down) = (random.number() % 6, 6 + random.number() % 6);
                let bytes = 1 + random.number() % 10_000_000;
                network.begin(&[pipes[up as usize], pipes[down as usize]], bytes, now);
                (sent, begun) = (sent + bytes, begun + 1);
            } else if let Some((at, flow)) = next {
                assert!(at >= now, "time goes on");
                now = at;
                came += network.end(flow, now);
            }
            assert!(pipes.iter().all(|pipe| network.load(*pipe) <= 1.0 + 1e-9));
        }
        assert_eq!(came, sent);
        let carried = |pipes: &[Pipe]| pipes.iter().map(|pipe| network.carried(*pipe)).sum::<u64>();
        assert_eq!((carried(&pipes[..6]), carried(&pipes[6..])), (sent, sent));
    }
}
