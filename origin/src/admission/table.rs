//! Who is answered now, who waits, and who is refused: the table of the tiers. Pure: the time and the seed are arguments, and one who waits is
//! whatever the caller has to wake it by.
//!
//! | one arrives and | then it |
//! | --- | --- |
//! | a place is free (nobody waits then) | is admitted |
//! | every place is taken, its tier's queue has room | waits, for `wait_max` of its tier |
//! | every place is taken, its tier's queue is full | is refused |
//!
//! A place that becomes free goes to the first tier with somebody waiting that has less than what it is guaranteed; if there is none, to the first
//! tier with somebody waiting. So what a tier does not need is lent to the others, and with the next answers that end it has it back; and no tier
//! ever waits for another once it has less than its share. Within a tier who came first goes first.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use protocol::{patience::Spread, topology::Tier};

use super::{
    limits::{Limits, TIERS, index},
    returns::Returns,
};

/// The table.
#[derive(Debug)]
pub(super) struct Table<W> {
    limits: Limits,
    tiers: [Line<W>; TIERS],
    returns: Returns,
    /// The next to wait.
    ticket: u64,
}

/// One tier.
#[derive(Debug)]
struct Line<W> {
    running: usize,
    /// By their tickets, that is, in the order in which they came.
    waiting: BTreeMap<u64, Waiting<W>>,
}

#[derive(Debug)]
struct Waiting<W> {
    until: Instant,
    whom: W,
}

/// What becomes of one who arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Has a place.
    Admitted,
    /// Waits, until then at most.
    Waits {
        /// By which it can be taken out of the queue.
        ticket: u64,
        /// When it is refused.
        until: Instant,
    },
    /// Has neither, and is to come again after so many seconds.
    Refused(u64),
}

/// Somebody who waited and does so no more.
#[derive(Debug)]
pub(super) struct Told<W> {
    pub(super) tier: Tier,
    pub(super) whom: W,
    /// Has a place; else is to come again after so many seconds.
    pub(super) turn: Result<(), u64>,
}

/// How many of a tier there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
}

impl<W> Table<W> {
    pub(super) fn new(limits: Limits) -> Self {
        let tiers = std::array::from_fn(|_| Line { running: 0, waiting: BTreeMap::new() });
        Self { limits, tiers, returns: Returns::default(), ticket: 0 }
    }

    /// Whether one that arrives now is refused, and for how many seconds.
    pub(super) fn refuses(&mut self, tier: Tier, now: Instant, spread: &mut Spread) -> Option<u64> {
        let at = index(tier);
        let is_full = self.tiers[at].waiting.len() >= self.limits.tiers[at].waiting_max;
        (is_full && !self.has_room()).then(|| self.refuse(at, now, spread))
    }

    /// One arrives. If it has to wait, `whom` says by what it is told its turn.
    pub(super) fn arrive(
        &mut self,
        tier: Tier,
        now: Instant,
        spread: &mut Spread,
        whom: impl FnOnce() -> W,
    ) -> Arrival {
        let at = index(tier);
        if self.has_room() {
            self.tiers[at].running += 1;
            return Arrival::Admitted;
        }
        if let Some(retry_after) = self.refuses(tier, now, spread) {
            return Arrival::Refused(retry_after);
        }
        self.ticket += 1;
        let (ticket, until) = (self.ticket, now + self.limits.tiers[at].wait_max);
        self.tiers[at].waiting.insert(ticket, Waiting { until, whom: whom() });
        Arrival::Waits { ticket, until }
    }

    /// One that was admitted is done; answers who has its place now.
    pub(super) fn leave(&mut self, tier: Tier, took: Duration) -> Option<Told<W>> {
        let line = &mut self.tiers[index(tier)];
        line.running = line.running.saturating_sub(1);
        self.returns.answered(took);
        self.next()
    }

    /// One that waited has gone. Nothing, if its turn has come meanwhile.
    pub(super) fn abandon(&mut self, tier: Tier, ticket: u64) {
        self.tiers[index(tier)].waiting.remove(&ticket);
    }

    /// Those who have waited too long.
    pub(super) fn expire(&mut self, now: Instant, spread: &mut Spread) -> Vec<Told<W>> {
        let mut told = Vec::new();
        for tier in Tier::ALL {
            let at = index(tier);
            while let Some(first) = self.tiers[at].waiting.first_entry()
                && first.get().until <= now
            {
                let whom = first.remove().whom;
                told.push(Told { tier, whom, turn: Err(self.refuse(at, now, spread)) });
            }
        }
        told
    }

    /// Other limits; answers who is admitted by them. Nobody loses a place that it has, or its place in a queue.
    pub(super) fn set_limits(&mut self, limits: Limits) -> Vec<Told<W>> {
        self.limits = limits;
        std::iter::from_fn(|| self.next()).collect()
    }

    /// How many may be answered at once, now.
    pub(super) fn places(&self) -> usize {
        self.limits.places
    }

    /// How many of each tier are here.
    pub(super) fn present(&self) -> [Present; TIERS] {
        std::array::from_fn(|at| {
            let line = &self.tiers[at];
            Present { running: line.running, waiting: line.waiting.len() }
        })
    }

    fn has_room(&self) -> bool {
        self.tiers.iter().map(|line| line.running).sum::<usize>() < self.limits.places
    }

    /// Gives a free place to the one whose turn it is.
    fn next(&mut self) -> Option<Told<W>> {
        if !self.has_room() {
            return None;
        }
        let waits = |at: &usize| !self.tiers[*at].waiting.is_empty();
        let lacks = |at: &usize| waits(at) && self.tiers[*at].running < self.limits.tiers[*at].guaranteed;
        let at = (0..TIERS).find(lacks).or_else(|| (0..TIERS).find(waits))?;
        let line = &mut self.tiers[at];
        let (_, first) = line.waiting.pop_first()?;
        line.running += 1;
        Some(Told { tier: Tier::ALL[at], whom: first.whom, turn: Ok(()) })
    }

    fn refuse(&mut self, at: usize, now: Instant, spread: &mut Spread) -> u64 {
        let waiting = self.tiers[..=at].iter().map(|line| line.waiting.len()).sum();
        self.returns.refuse(at, waiting, self.limits.places, now, spread)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::limits::TierLimits, *};

    const ANSWER: Duration = Duration::from_millis(2);

    /// Three tiers that have two places each for certain, of eight, and queues for five.
    fn small() -> Limits {
        let wait_max = Duration::from_secs(1);
        let tiers = std::array::from_fn(|_| TierLimits { guaranteed: 2, waiting_max: 5, wait_max });
        Limits { places: 8, tiers }
    }

    /// A table, the time, and numbers to draw from.
    struct Scene {
        table: Table<u32>,
        now: Instant,
        spread: Spread,
        arrived: u32,
    }

    impl Scene {
        fn new(limits: Limits, seed: u64) -> Self {
            Self { table: Table::new(limits), now: Instant::now(), spread: Spread::new(seed), arrived: 0 }
        }

        fn arrive(&mut self, tier: Tier) -> Arrival {
            self.arrived += 1;
            let whom = self.arrived;
            self.table.arrive(tier, self.now, &mut self.spread, || whom)
        }

        fn leave(&mut self, tier: Tier) -> Option<(Tier, u32)> {
            let told = self.table.leave(tier, ANSWER)?;
            assert_eq!(told.turn, Ok(()));
            Some((told.tier, told.whom))
        }

        fn running(&self) -> [usize; TIERS] {
            self.table.present().map(|tier| tier.running)
        }

        fn waiting(&self) -> [usize; TIERS] {
            self.table.present().map(|tier| tier.waiting)
        }
    }

    #[test]
    fn what_nobody_needs_is_lent_and_comes_back_with_the_next_answer() {
        let mut scene = Scene::new(small(), 1);
        (0..8).for_each(|_| assert_eq!(scene.arrive(Tier::Client), Arrival::Admitted));
        (0..5).for_each(|_| assert!(matches!(scene.arrive(Tier::Client), Arrival::Waits { .. })));
        assert!(matches!(scene.arrive(Tier::Client), Arrival::Refused(1..)));
        for tier in [Tier::Constrained, Tier::Unconstrained, Tier::Unconstrained, Tier::Unconstrained] {
            assert!(matches!(scene.arrive(tier), Arrival::Waits { .. }));
        }
        // The fourteenth was refused; those after it are 15 to 18. The first tier is first, then each of the others has its share.
        let order: Vec<_> = (0..5).map(|_| scene.leave(Tier::Client).unwrap()).collect();
        let (upper, lower, client) = (Tier::Unconstrained, Tier::Constrained, Tier::Client);
        assert_eq!(order, [(upper, 16), (upper, 17), (lower, 15), (upper, 18), (client, 9)]);
    }

    #[test]
    fn a_lower_tier_has_its_share_while_those_above_it_wait() {
        let mut scene = Scene::new(small(), 1);
        (0..13).for_each(|_| _ = scene.arrive(Tier::Unconstrained));
        (0..5).for_each(|_| _ = scene.arrive(Tier::Client));
        let admitted: Vec<_> = (0..4).map(|_| scene.leave(Tier::Unconstrained).unwrap().0).collect();
        assert_eq!(admitted, [Tier::Client, Tier::Client, Tier::Unconstrained, Tier::Unconstrained]);
        // Its own answer that ends makes room for its next one, and for no other.
        assert_eq!(scene.leave(Tier::Client).unwrap().0, Tier::Client);
    }

    #[test]
    fn who_waits_too_long_is_refused_and_who_left_is_not_admitted() {
        let mut scene = Scene::new(small(), 1);
        (0..8).for_each(|_| _ = scene.arrive(Tier::Client));
        let Arrival::Waits { ticket, until } = scene.arrive(Tier::Client) else { panic!("all places are taken") };
        assert_eq!(until, scene.now + Duration::from_secs(1));
        scene.now += Duration::from_millis(600);
        let (_, _) = (scene.arrive(Tier::Client), scene.arrive(Tier::Constrained));
        assert!(scene.table.expire(scene.now, &mut scene.spread).is_empty());
        let late = scene.table.expire(until, &mut scene.spread);
        assert_eq!(late.iter().map(|told| (told.tier, told.whom)).collect::<Vec<_>>(), [(Tier::Client, 9)]);
        assert!(matches!(late[0].turn, Err(1..)));
        scene.table.abandon(Tier::Client, ticket);
        scene.table.abandon(Tier::Client, ticket + 1);
        assert_eq!(scene.waiting(), [0, 1, 0]);
        assert_eq!(scene.leave(Tier::Client), Some((Tier::Constrained, 11)));
        assert_eq!(scene.leave(Tier::Client), None);
    }

    #[test]
    fn other_limits_take_nothing_away() {
        let mut scene = Scene::new(small(), 1);
        (0..12).for_each(|_| _ = scene.arrive(Tier::Client));
        assert!(scene.table.set_limits(Limits { places: 6, ..small() }).is_empty());
        assert_eq!((scene.running(), scene.waiting()), ([0, 0, 8], [0, 0, 4]));
        assert_eq!((scene.leave(Tier::Client), scene.leave(Tier::Client)), (None, None));
        assert_eq!(scene.leave(Tier::Client), Some((Tier::Client, 9)));
        let admitted = scene.table.set_limits(Limits { places: 20, ..small() });
        assert_eq!((admitted.len(), scene.waiting()), (3, [0, 0, 0]));
    }

    /// What must hold whatever happens; `before` is how it was, and `told` who was admitted by that.
    fn check(scene: &Scene, limits: &Limits, before: &[Present; TIERS], told: Option<&Told<u32>>) {
        let present = scene.table.present();
        let running: usize = scene.running().iter().sum();
        assert!(running <= limits.places, "more run than there are places: {present:?}");
        let waiting: usize = scene.waiting().iter().sum();
        assert!(waiting == 0 || running == limits.places, "a place is free and somebody waits: {present:?}");
        for (tier, limits) in present.iter().zip(&limits.tiers) {
            assert!(tier.waiting <= limits.waiting_max, "{present:?}");
        }
        let Some(told) = told.filter(|told| told.turn.is_ok()) else { return };
        let lacked = |at: usize| before[at].waiting > 0 && before[at].running < limits.tiers[at].guaranteed;
        let at = index(told.tier);
        match (0..TIERS).find(|tier| lacked(*tier)) {
            Some(first) => assert_eq!(at, first, "a tier below its share was passed over: {before:?}"),
            None => assert!((0..at).all(|above| before[above].waiting == 0), "a tier was passed over: {before:?}"),
        }
    }

    #[test]
    fn no_order_of_events_breaks_a_rule() {
        for seed in 0..200 {
            let limits = if seed % 2 == 0 { small() } else { Limits::of(3 + seed as usize % 9) };
            simulate(&limits, seed);
        }
    }

    /// Thousands of questions of all tiers, in a rush that comes and goes.
    fn simulate(limits: &Limits, seed: u64) {
        let (mut scene, mut dice) = (Scene::new(limits.clone(), seed), Spread::new(seed + 1_000));
        let (mut running, mut waiting) = (Vec::<Tier>::new(), BTreeMap::<u64, (Tier, u32)>::new());
        let (mut last, mut counts) = ([0; TIERS], [0_u32; 4]);
        for step in 0..3_000 {
            let before = scene.table.present();
            let rushes = step / 500 % 2 == 0;
            scene.now += Duration::from_millis(dice.number() % 20);
            let told = match dice.number() % 10 {
                3..=7 if rushes => arrive(&mut scene, &mut dice, &mut running, &mut waiting, &mut counts),
                0 => arrive(&mut scene, &mut dice, &mut running, &mut waiting, &mut counts),
                1 if !waiting.is_empty() => {
                    let at = dice.number() as usize % waiting.len();
                    let ticket = *waiting.keys().nth(at).unwrap();
                    let (tier, _) = waiting.remove(&ticket).unwrap();
                    scene.table.abandon(tier, ticket);
                    counts[3] += 1;
                    None
                }
                2 => {
                    let late = scene.table.expire(scene.now, &mut scene.spread);
                    counts[2] += late.len() as u32;
                    let is_late = |whom: u32| late.iter().any(|told| told.whom == whom);
                    waiting.retain(|_, (_, whom)| !is_late(*whom));
                    None
                }
                _ if running.is_empty() => None,
                _ => {
                    let tier = running.swap_remove(dice.number() as usize % running.len());
                    let mut before = before;
                    before[index(tier)].running -= 1;
                    let told = scene.table.leave(tier, ANSWER);
                    check(&scene, limits, &before, told.as_ref());
                    told
                }
            };
            if let Some(told) = told {
                assert!(told.whom > last[index(told.tier)], "who came first goes first");
                last[index(told.tier)] = told.whom;
                waiting.retain(|_, (_, whom)| *whom != told.whom);
                running.push(told.tier);
                counts[1] += 1;
            }
            check(&scene, limits, &before, None);
            let tally = |tier: Tier| running.iter().filter(|of| **of == tier).count();
            assert_eq!(scene.running(), Tier::ALL.map(tally));
            assert_eq!(scene.waiting().iter().sum::<usize>(), waiting.len());
        }
        let [admitted, handed_on, refused, left] = counts;
        assert_eq!(scene.arrived, admitted + handed_on + refused + left + waiting.len() as u32, "somebody was lost");
        assert!(handed_on > 100 && left > 10, "{counts:?}: too little happened");
    }

    fn arrive(
        scene: &mut Scene,
        dice: &mut Spread,
        running: &mut Vec<Tier>,
        waiting: &mut BTreeMap<u64, (Tier, u32)>,
        counts: &mut [u32; 4],
    ) -> Option<Told<u32>> {
        let tier = Tier::ALL[dice.number() as usize % TIERS];
        match scene.arrive(tier) {
            Arrival::Admitted => {
                running.push(tier);
                counts[0] += 1;
            }
            Arrival::Waits { ticket, .. } => _ = waiting.insert(ticket, (tier, scene.arrived)),
            Arrival::Refused(seconds) => {
                assert!(seconds > 0);
                counts[2] += 1;
            }
        }
        None
    }
}
