//! Who answers requests.

use std::{future::Future, net::SocketAddr, pin::Pin};

use crate::{request::Request, response::Response};

/// The program behind a listener: proxy or origin.
pub trait Handler: Send + Sync + 'static {
    /// Answers at once, or says that it must wait. It must not block: a hit is answered from memory.
    fn answer(&self, request: &Request<'_>, client: &Client) -> Answer;
}

/// At once, or later. A future is dropped when the client leaves; it must own nothing that others wait for.
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for every hit")]
pub enum Answer {
    /// Nothing to wait for.
    Now(Response),
    /// Runs on the connection's reactor: it may wait but must not compute or block.
    Later(Pin<Box<dyn Future<Output = Response> + Send>>),
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: SocketAddr,
    /// Its connection; unique while the process lives.
    pub connection: u64,
}

impl Answer {
    /// Wraps a future.
    pub fn later(future: impl Future<Output = Response> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }
}
