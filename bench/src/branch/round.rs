//! One file, asked of all agents at the same moment, and what came of it.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use protocol::digest::Digests;
use tokio::task::JoinSet;

use super::{
    ask,
    report::Outcome,
    site::{Proxied, Site},
};

/// What is asked for.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) digests: Digests,
}

/// A file on its way to all agents.
pub(crate) struct Round<'a> {
    file: &'a File,
    asks: JoinSet<(usize, io::Result<Instant>)>,
    /// What was used and had been carried when the clock began.
    before: Before,
}

struct Before {
    began: Instant,
    down: u64,
    up: u64,
    proxied: Vec<Proxied>,
    to_agents: u64,
    cpu: Duration,
}

impl File {
    /// Bytes that follow from a seed.
    pub(crate) fn new(number: u64, size: u64) -> Self {
        let mut numbers = protocol::patience::Spread::new(number);
        let mut bytes = vec![0; size as usize];
        for place in bytes.chunks_mut(8) {
            place.copy_from_slice(&numbers.number().to_le_bytes()[..place.len()]);
        }
        let digests = Digests::of(&bytes);
        // An ending that is shared as shipped.
        Self { name: format!("package-{number}.iso"), bytes, digests }
    }
}

impl Before {
    async fn now(site: &Site) -> Self {
        let cpu = site.used().iter().map(|used| used.cpu).sum();
        let (proxied, to_agents) = (site.proxied().await, site.down_to_agents());
        Self { began: Instant::now(), down: site.line.down(), up: site.line.up(), to_agents, proxied, cpu }
    }
}

impl<'a> Round<'a> {
    /// Everybody asks.
    pub(crate) async fn begin(site: &Site, file: &'a File) -> Self {
        let before = Before::now(site).await;
        let mut asks = JoinSet::new();
        for number in 0..site.agents() {
            let (agent, what) = (site.net.agent(number).0, format!("/{}", file.name));
            let md5 = file.digests.md5;
            asks.spawn_local(async move {
                let said = ask::fetch(agent, &what).await.and_then(|found| {
                    if found == md5 { Ok(Instant::now()) } else { Err(io::Error::other("it has another digest")) }
                });
                (number, said)
            });
        }
        Self { file, asks, before }
    }

    /// The clock begins now; what has crossed the line before counts all the same.
    pub(crate) fn restart_clock(&mut self) {
        self.before.began = Instant::now();
    }

    /// Bytes that the line has to have carried when so many hundredths of the file have crossed it.
    pub(crate) fn at_percent(&self, percent: u64) -> u64 {
        self.before.down + self.file.bytes.len() as u64 * percent / 100
    }

    /// Waits until everybody has it, at most until the limit.
    pub(crate) async fn end(mut self, site: &Site, limit: Duration) -> anyhow::Result<Outcome> {
        let deadline = self.before.began + limit;
        let mut took = Vec::new();
        while let Ok(Some(joined)) = tokio::time::timeout_at(deadline.into(), self.asks.join_next()).await {
            let (number, ended) = joined.context("a question to an agent was dropped")?;
            let ended =
                ended.with_context(|| format!("agent {number} does not have it:{}", site.said_by_agent(number)));
            took.push(ended?.saturating_duration_since(self.before.began));
        }
        let (ended_at, up) = (site.line.down(), site.line.up() - self.before.up);
        let to_agents = site.down_to_agents() - self.before.to_agents;
        let (used, proxied) = (site.used(), site.proxied().await);
        if took.len() < site.agents() {
            bail!("after {limit:?} only {} of {} agents have {}", took.len(), site.agents(), self.file.name);
        }
        took.sort_unstable();
        let cpu = used.iter().map(|used| used.cpu).sum::<Duration>().saturating_sub(self.before.cpu);
        let since = proxied.iter().zip(&self.before.proxied);
        let served = since.clone().map(|(now, before)| now.to_clients.saturating_sub(before.to_clients)).collect();
        let fetched = since.map(|(now, before)| now.from_upstream.saturating_sub(before.from_upstream)).sum();
        Ok(Outcome {
            size: self.file.bytes.len() as u64,
            took,
            down: ended_at - self.before.down,
            up,
            ended_at,
            after: 0,
            to_agents,
            served,
            fetched,
            cpu,
            resident: used.iter().map(|used| used.resident).max().unwrap_or(0),
            anonymous: used.iter().map(|used| used.anonymous).max().unwrap_or(0),
            wrong: self.wrong(site).await?,
        })
    }

    /// How many agents have something else than the file.
    async fn wrong(&self, site: &Site) -> anyhow::Result<usize> {
        let mut wrong = 0;
        for number in 0..site.agents() {
            let found = ask::digests(site.net.agent(number).0, &self.file.digests.md5).await;
            let found = found.with_context(|| format!("agent {number} does not give what it has"))?;
            wrong += usize::from(found != self.file.digests);
        }
        Ok(wrong)
    }
}
