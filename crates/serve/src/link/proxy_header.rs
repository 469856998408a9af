//! Hears for whom a proxy has connected, before keys are agreed on and before the first request.

use std::{future::poll_fn, io, net::SocketAddr, os::fd::AsFd, pin::pin, sync::atomic::Ordering, task::Poll};

use tokio::io::Interest;

use super::{Disconnected, Link};
use crate::{
    clients::proxy_header::{self, BYTES_MAX, Header},
    options::ProxyHeader,
    timer::Phase,
};

/// Why a connection of a proxy does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyHeaderError {
    /// It said nothing that is understood, or left.
    Gone,
    /// Its client has as many connections as it may have.
    NoPlace,
}

impl From<Disconnected> for ProxyHeaderError {
    fn from(_: Disconnected) -> Self {
        Self::Gone
    }
}

impl Link {
    /// Whether a header may come first.
    pub(crate) fn may_be_announced(&self) -> bool {
        let clients = &self.worker.options.clients;
        clients.proxy_header != ProxyHeader::Off && clients.trusted.contains(self.client.address.ip())
    }

    /// Takes the header, if one may come: from then on the client is whom it names. Nothing behind it is received.
    pub(crate) async fn take_proxy_header(&mut self) -> Result<(), ProxyHeaderError> {
        if !self.may_be_announced() {
            return Ok(());
        }
        let is_required = self.worker.options.clients.proxy_header == ProxyHeader::Required;
        if is_required {
            self.enter(Phase::Head);
        }
        let client = match self.hear_proxy_header().await? {
            Header::Whole(len, client) => {
                self.skip(len)?;
                client
            }
            Header::Nothing if !is_required => None,
            Header::Nothing | Header::Malformed | Header::Partial => {
                self.worker.counters.malformed.fetch_add(1, Ordering::Relaxed);
                let client = self.client.address;
                tracing::debug!(%client, "a connection of a proxy does not begin with a header of the PROXY protocol");
                return Err(ProxyHeaderError::Gone);
            }
        };
        self.enter(Phase::Idle);
        let Some(client) = client else { return Ok(()) };
        self.client.address = SocketAddr::new(client.ip().to_canonical(), client.port());
        let worker = self.worker.clone();
        if let Some(census) = &worker.census {
            self.place = census.enter(client.ip());
            if self.place.is_none() {
                worker.counters.refused_client.fetch_add(1, Ordering::Relaxed);
                return Err(ProxyHeaderError::NoPlace);
            }
        }
        Ok(())
    }

    /// Looks at the first bytes until it is known what they are. They stay to be received, so that the socket tells of those that come after them only if
    /// each look that was not enough counts as a read that found nothing.
    async fn hear_proxy_header(&mut self) -> Result<Header, Disconnected> {
        let mut bytes = [0; BYTES_MAX];
        loop {
            let is_closed = self.first_bytes().await?;
            let look = self.socket.try_io(Interest::READABLE, || {
                let len = os::receive::peek(self.socket.as_fd(), &mut bytes)?;
                match proxy_header::read(&bytes[..len]) {
                    Header::Partial => Err(io::ErrorKind::WouldBlock.into()),
                    header => Ok(header),
                }
            });
            match look {
                Ok(header) => return Ok(header),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !is_closed => {
                    if self.phase() != Phase::Head {
                        self.enter(Phase::Head);
                    }
                }
                Err(_) => return Err(Disconnected::Left),
            }
        }
    }

    /// Until there is something to look at; whether nothing can follow it.
    async fn first_bytes(&self) -> Result<bool, Disconnected> {
        let mut ready = pin!(self.socket.ready(Interest::READABLE));
        poll_fn(|cx| match ready.as_mut().poll(cx) {
            Poll::Ready(Ok(ready)) => Poll::Ready(Ok(ready.is_read_closed())),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Disconnected::Left)),
            Poll::Pending if self.worker.is_draining() => Poll::Ready(Err(Disconnected::Cut)),
            Poll::Pending => self.interrupted().map_or(Poll::Pending, |gone| Poll::Ready(Err(gone))),
        })
        .await
    }

    /// Receives bytes that are there, to no end.
    fn skip(&mut self, mut len: usize) -> Result<(), Disconnected> {
        while len > 0 {
            match os::receive::discard(self.socket.as_fd(), len) {
                Ok(0) | Err(_) => return Err(Disconnected::Left),
                Ok(taken) => len -= taken,
            }
        }
        Ok(())
    }
}
