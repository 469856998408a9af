//! The handler of the proxy.

use std::{io, sync::Arc};

use serve::{
    handler::{Answer, Client, Handler},
    request::Request,
};
use store::Store;

use crate::{
    options::Options,
    status::{Counters, FillStatus, UpstreamStatus},
};

/// The read-through cache; clones share it.
#[derive(Clone)]
pub struct Cache {}

impl Cache {
    /// Over a store, with fill tasks on `fetches` (a multi-thread runtime that serves no clients). Opens directories; an http upstream that cannot
    /// be reached is no error here.
    pub fn new(_options: Options, _store: Store, _fetches: tokio::runtime::Handle) -> io::Result<Self> {
        todo!()
    }

    /// Takes new options (after SIGHUP): limits at once, upstreams by name. What is running goes on.
    pub fn reconfigure(&self, _options: Options) -> io::Result<()> {
        todo!()
    }

    /// Live counters.
    pub fn counters(&self) -> &Arc<Counters> {
        todo!()
    }

    /// Fills in progress.
    pub fn fills(&self) -> Vec<FillStatus> {
        todo!()
    }

    /// The upstreams.
    pub fn upstreams(&self) -> Vec<UpstreamStatus> {
        todo!()
    }

    /// Transfers that hold a requester place now.
    pub fn requesters(&self) -> usize {
        todo!()
    }

    /// Forgets a path and removes its object; `false` if nothing was known of it.
    pub fn purge_path(&self, _path: &str) -> bool {
        todo!()
    }

    /// Stops fills in progress at their byte, so that the next start continues them.
    pub async fn close(&self) {
        todo!()
    }
}

impl Handler for Cache {
    fn answer(&self, _request: &Request<'_>, _client: &Client) -> Answer {
        todo!()
    }
}
