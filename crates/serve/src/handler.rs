//! Who answers requests.

use std::{future::Future, net::SocketAddr, pin::Pin};

use crate::{interim::Interims, request::Request, response::Response, upload::Upload};

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
    Later(Waiting),
    /// Likewise, with interim answers that may come before it.
    Preceded(Interims, Waiting),
    /// Wants the request's body, which is read as fast as this takes it. An answer that is ready before the body's end ends the upload.
    Reads(Box<dyn FnOnce(Upload) -> Waiting + Send>),
}

/// An answer that is not there yet.
pub type Waiting = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: SocketAddr,
    /// Its connection; unique while the process lives.
    pub connection: u64,
    /// Whether it came over TLS.
    pub secure: bool,
}

impl Answer {
    /// Wraps a future.
    pub fn later(future: impl Future<Output = Response> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }

    /// Wraps what is to be done with the request's body.
    pub fn reads<F>(read: impl FnOnce(Upload) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        Self::Reads(Box::new(move |upload| Box::pin(read(upload))))
    }
}
