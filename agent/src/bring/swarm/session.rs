//! Brings pieces until something else is to be done: acts on each step of the swarm, and takes what lands.

use std::time::{Duration, Instant};

use protocol::{
    digest::Digests,
    pieces::{Layout, Pieces},
};

use store::Reader;

use super::{
    arrivals::Arriving,
    asker::{Asker, Missed},
    party::{Landed, Party, Turn},
    piece::Gave,
    reread::{Reread, reread},
};
use crate::{
    bring::{
        blame::Blame,
        finder::now,
        task::{BringError, Task},
        told::Stage,
        trouble::SinkError,
    },
    decide::{
        chain::End,
        outcome::{Busy, Outcome},
        source::{Rank, Source},
        swarm::Step,
    },
};

/// Who is asked what he has answers or fails before then; our own line may have been opened by then.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Task {
    /// A list of sources came: whoever is in it may have pieces.
    pub(in crate::bring) fn meet(&mut self, sources: &[Source]) {
        if self.party.is_none() {
            self.party = self.party_of_it();
        }
        if let Some(party) = &mut self.party {
            party.asker.path = self.wanted.path().map(str::to_owned);
            party.root = self.wanted.pieces.or(party.root);
            party.swarm.put(sources.to_vec(), now());
        }
    }

    /// `None`: it is not for pieces.
    fn party_of_it(&self) -> Option<Party> {
        let arrivals = self.arrivals.clone()?;
        let (md5, size) = (self.wanted.identity.md5?, self.wanted.identity.size?);
        let path = self.wanted.path().map(str::to_owned);
        let (client, origins) = (self.finder.client.clone(), self.finder.as_sources());
        let asker = Asker { client, md5, layout: Layout::of(size), path, origins, arrivals };
        let is_known = self.by_digest || self.knows_proxies_word;
        is_known.then(|| Party::new(asker, self.wanted.pieces)).flatten()
    }

    /// Brings pieces until something else is to be done. What is on its way then stays so.
    pub(in crate::bring) async fn in_pieces(&mut self, blame: &mut Blame) -> Result<Turn, BringError> {
        let Some(mut party) = self.party.take() else { return Ok(Turn::Chain) };
        let turn = loop {
            let now = now();
            if self.chain.looks_again_at(now) <= now {
                break Turn::Chain;
            }
            if let Some(until) = self.finder.client.line().closed() {
                party.swarm.hold_servers(until.min(now + LOOK_AGAIN));
            }
            let step = party.swarm.next(&self.health.lock(), now);
            match step {
                Step::Have(place) => party.ask(place),
                Step::Take { source, piece } => {
                    if let Some(digests) = self.take(&mut party, source, piece, blame).await? {
                        break Turn::Here(digests);
                    }
                    if party.list.is_none() {
                        tracing::debug!(
                            what = self.wanted.text,
                            "it comes in one piece: no list of its pieces is to be had"
                        );
                        return Ok(Turn::Chain);
                    }
                }
                Step::Wait(until) => {
                    if !self.wait_for_pieces(&mut party, until, blame).await? {
                        return Ok(Turn::Chain);
                    }
                }
                Step::Plain(place) => {
                    party.slot = None;
                    break Turn::Plain(party.swarm.source(place).clone());
                }
                Step::Leave(_) if party.flights.is_empty() => {
                    party.slot = None;
                    break Turn::Chain;
                }
                // Somebody is being asked still.
                Step::Leave(_) => {
                    self.wait_for_pieces(&mut party, now + LOOK_AGAIN, blame).await?;
                }
                Step::Done => match self.finish(blame).await? {
                    Some(digests) => break Turn::Here(digests),
                    // What is here is of no use, though its pieces were right: who says so?
                    None => return Ok(Turn::Chain),
                },
            }
        };
        self.party = Some(party);
        Ok(turn)
    }

    /// Begins to bring a piece. `Some`: all is here by another way. Where the list is missing behind it, it is not for pieces.
    async fn take(
        &mut self,
        party: &mut Party,
        source: usize,
        piece: u32,
        blame: &mut Blame,
    ) -> Result<Option<Digests>, BringError> {
        if let (None, Some(slots)) = (&party.slot, &self.slots) {
            party.slot = slots.clone().acquire_owned().await.ok();
        }
        if let Some(list) = party.list.clone().filter(|_| party.is_compared) {
            party.fetch(source, piece, &list);
            return Ok(None);
        }
        party.swarm.cancelled(source, piece);
        if let Some(digests) = self.arrive(party).await? {
            return Ok(Some(digests));
        }
        let listed = party.arriving.as_ref().and_then(|arriving| arriving.arrival.list().cloned());
        let known = listed.or(party.list.take());
        party.list = match known {
            Some(list) => Some(list),
            None => {
                let sources: Vec<_> = party.swarm.sources().cloned().collect();
                party.asker.list(&sources, party.root).await
            }
        };
        if let Some(list) = party.list.clone()
            && !self.compare(party, &list, blame).await?
        {
            party.list = None;
        }
        Ok(None)
    }

    /// Before one download of all that is missing. `Some`: it is here.
    pub(in crate::bring) async fn arrive_in_one(&mut self) -> Result<Option<Digests>, SinkError> {
        let Some(mut party) = self.party.take() else { return Ok(None) };
        let arrived = self.arrive(&mut party).await;
        self.party = Some(party);
        arrived
    }

    /// A source was asked for all that is missing, and not all of it came.
    pub(in crate::bring) fn plain_ended(&mut self, source: &Source, outcome: &Outcome) {
        let Some(party) = &mut self.party else { return };
        party.plain_ended(source, outcome, now());
        if party.is_in_vain() {
            // What is known of what is here is over with it; who sent wrong bytes, the chain knows.
            let left = self.chain.sources().filter(|(_, gone)| *gone != Some(End::Wrong));
            let left: Vec<_> = left.map(|(source, _)| source.clone()).filter(|left| left.url != source.url).collect();
            self.party = None;
            self.meet(&left);
        }
    }

    /// Makes sure that there is somewhere to put it, where neighbours find it. `Some`: it is here.
    async fn arrive(&mut self, party: &mut Party) -> Result<Option<Digests>, SinkError> {
        let before = party.arriving.as_ref().is_some_and(|arriving| arriving.arrival.reader().failure().is_none());
        let identity = self.wanted.identity.clone();
        if let Some(digests) = self.sink.prepare(&identity).await? {
            return Ok(Some(digests));
        }
        if let Some(digests) = self.sink.know(&identity).await? {
            return Ok(Some(digests));
        }
        if let (false, Some(reader)) = (before, self.sink.reader()) {
            party.arriving = None;
            party.arriving = Some(self.begin_to_share(party, reader));
        }
        Ok(None)
    }

    fn begin_to_share(&self, party: &Party, reader: Reader) -> Arriving {
        let name = party.asker.path.clone();
        party.asker.arrivals.begin(party.asker.md5, party.asker.layout, name, reader)
    }

    /// Compares what is here with the list. `false`: it is wrong, and thrown away; whoever it came from, it comes by the chain now.
    async fn compare(&mut self, party: &mut Party, list: &Pieces, blame: &mut Blame) -> Result<bool, BringError> {
        let Some(arrival) = party.arriving.as_ref().map(|arriving| arriving.arrival.clone()) else { return Ok(false) };
        arrival.listed(list);
        if reread(&arrival, list, &arrival.unverified()).await == Reread::Right {
            arrival.here().ones().for_each(|piece| party.swarm.here(piece));
            party.is_compared = true;
            return Ok(true);
        }
        tracing::warn!(
            what = self.wanted.text,
            "what was here of a file is wrong; it is thrown away, and the file is begun anew"
        );
        self.sink.anew().await?;
        blame.anew();
        self.told.at(0);
        Ok(false)
    }

    /// Waits for what lands. `false`: pieces are of no use here.
    async fn wait_for_pieces(
        &mut self,
        party: &mut Party,
        until: Instant,
        blame: &mut Blame,
    ) -> Result<bool, BringError> {
        if party.swarm.is_idle() {
            // Who waits takes nobody's place.
            party.slot = None;
            if party.giving().is_none() {
                self.say_that_it_waits(until);
            }
            if self.deadline.is_some_and(|deadline| until.max(now()) > deadline) {
                return Err(BringError::TimedOut(self.told.now().trouble));
            }
        }
        let until = until.min(self.chain.looks_again_at(now()));
        let retry_now = self.retry_now.clone();
        let landed = tokio::select! {
            Some(landed) = party.flights.join_next() => landed.ok(),
            () = tokio::time::sleep_until(until.into()) => None,
            () = retry_now.notified() => {
                self.forgive();
                party.forgive();
                None
            }
        };
        match landed {
            Some(Landed::Had(place, had)) => {
                party.had(place, had, &mut self.health.lock(), now());
                Ok(true)
            }
            Some(Landed::Piece(place, piece, gave)) if party.landed(place, piece) => {
                self.took(party, place, piece, gave, blame).await
            }
            _ => Ok(true),
        }
    }

    async fn took(
        &mut self,
        party: &mut Party,
        place: usize,
        piece: u32,
        gave: Gave,
        blame: &mut Blame,
    ) -> Result<bool, BringError> {
        let source = party.swarm.source(place).clone();
        match gave {
            Gave::Piece(bytes) => {
                let (len, Some(list)) = (bytes.len() as u64, &party.list) else { return Ok(false) };
                self.sink.push_at(list.span(piece).start, bytes).await?;
                if let Some(arriving) = &party.arriving {
                    arriving.arrival.verified(piece);
                }
                party.swarm.took(place, piece, &mut self.health.lock());
                party.stop_needless();
                party.gave(place, now());
                blame.brought(&source.url);
                self.brought(&source, len);
                self.say_from_whom(party);
                Ok(true)
            }
            Gave::Wrong => {
                self.ban(party, place, piece, &source);
                Ok(!party.is_list_wrong())
            }
            Gave::Held => {
                party.swarm.cancelled(place, piece);
                Ok(true)
            }
            Gave::Not(missed) => {
                self.missed(party, place, piece, &source, missed);
                Ok(true)
            }
        }
    }

    fn ban(&mut self, party: &mut Party, place: usize, piece: u32, source: &Source) {
        tracing::warn!(
            source = source.name,
            url = source.url,
            piece,
            "a source sent a wrong piece; nothing is asked of it any more for this file"
        );
        party.swarm.wrong(place, piece, now());
        if let Some(place) = self.chain.place_of(&source.url) {
            self.chain.outcome(place, &Outcome::Wrong, &mut self.health.lock(), now());
        }
        self.told.ban(&source.name);
    }

    fn missed(&mut self, party: &mut Party, place: usize, piece: u32, source: &Source, missed: Missed) {
        tracing::debug!(source = source.name, piece, said = missed.said, "a piece did not come");
        let now = now();
        party.swarm.failed(place, piece, &missed.outcome, &mut self.health.lock(), now);
        party.swarm.peers(missed.peers, now);
        if let Outcome::Busy(busy, _) = missed.outcome
            && source.rank > Rank::Peer
        {
            // The chain looks around anew when the time is over that it said.
            if let Some(place) = self.chain.place_of(&source.url) {
                self.chain.outcome(place, &missed.outcome, &mut self.health.lock(), now);
            }
            if let Busy::Places(queue) = busy {
                self.told.queue(queue);
            }
        }
        self.told.say(|state| state.trouble = Some(format!("{}: {}", source.name, missed.said)));
    }

    fn say_from_whom(&self, party: &Party) {
        self.told.at(self.sink.taken());
        let here = party.swarm.all_here();
        if let Some((name, rank)) = party.giving() {
            self.told.receiving(&name, rank.map(Rank::name), (here.count(), here.len()));
        }
    }

    fn say_that_it_waits(&self, until: Instant) {
        let seconds = until.saturating_duration_since(now()).as_secs() + 1;
        self.told.say(|state| {
            state.stage = Stage::Waiting;
            (state.why, state.again_in) = (Some("pieces".into()), Some(seconds));
        });
    }

    /// All pieces are here: compares the whole. `None`: it is wrong, and gone.
    async fn finish(&mut self, blame: &mut Blame) -> Result<Option<Digests>, BringError> {
        self.told.stage(Stage::Verifying, None);
        match self.sink.finish().await {
            Ok(digests) => Ok(Some(digests)),
            Err(SinkError::Wrong(why)) => {
                tracing::warn!(
                    what = self.wanted.text,
                    why,
                    "the pieces of a file fit their list, and the file is wrong; it is begun anew, in one piece"
                );
                self.told.say(|state| state.trouble = Some(why));
                self.sink.anew().await?;
                blame.anew();
                self.told.at(0);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}
