//! Holders and the refused of one object. Pure: the moment is an argument. The proxy asks it for each transfer, and so does a simulation of branches.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Instant,
};

/// The refused that are remembered per object; more get the position behind the last.
const WAITING_MAX: usize = 1024;

/// No place was free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// From 1.
    pub position: u64,
}

/// Holders and the refused of one object.
#[derive(Debug)]
pub struct Queue<Who> {
    holders: HashMap<Who, usize>,
    waiting: VecDeque<(Who, Instant)>,
}

impl<Who> Default for Queue<Who> {
    fn default() -> Self {
        Self { holders: HashMap::new(), waiting: VecDeque::new() }
    }
}

impl<Who: Clone + Eq + Hash> Queue<Who> {
    /// Takes a place for a transfer. Who is refused is remembered until `expires`.
    ///
    /// # Errors
    /// No place is free, and `who` holds none.
    pub fn take(&mut self, who: &Who, places_max: usize, now: Instant, expires: Instant) -> Result<(), Refused> {
        if let Some(transfers) = self.holders.get_mut(who) {
            *transfers += 1;
            return Ok(());
        }
        if places_max == 0 || self.holders.len() < places_max {
            self.waiting.retain(|(waiting, until)| waiting != who && *until > now);
            self.holders.insert(who.clone(), 1);
            return Ok(());
        }
        self.waiting.retain(|(_, until)| *until > now);
        let position = match self.waiting.iter().position(|(waiting, _)| waiting == who) {
            Some(rank) => {
                self.waiting[rank].1 = expires;
                rank
            }
            None => {
                if self.waiting.len() < WAITING_MAX {
                    self.waiting.push_back((who.clone(), expires));
                    self.waiting.len() - 1
                } else {
                    self.waiting.len()
                }
            }
        };
        Err(Refused { position: position as u64 + 1 })
    }

    /// A transfer has ended; with the last of its holder the place is free.
    pub fn give_back(&mut self, who: &Who) {
        if let Some(transfers) = self.holders.get_mut(who) {
            *transfers -= 1;
            if *transfers == 0 {
                self.holders.remove(who);
            }
        }
    }

    /// Transfers now.
    pub fn transfers(&self) -> usize {
        self.holders.values().sum()
    }

    /// 0 if `who` would get a place now.
    pub fn position(&self, who: &Who, places_max: usize, now: Instant) -> u64 {
        if places_max == 0 || self.holders.len() < places_max || self.holders.contains_key(who) {
            return 0;
        }
        let mut waiting = self.waiting.iter().filter(|(_, until)| *until > now);
        let rank = waiting.clone().position(|(waiting, _)| waiting == who);
        rank.unwrap_or_else(|| waiting.by_ref().count()) as u64 + 1
    }
}
