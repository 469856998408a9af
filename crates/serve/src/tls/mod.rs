//! TLS towards clients: who this server is ([`identity`], [`identities`]), who clients are ([`clients`], by [`authorities`]), what is agreed to, and in `session` the
//! bytes of one connection. Handshakes and records are rustls with aws-lc-rs; this module decides nothing about requests and never sees a socket
//! by itself.
//!
//! TLS 1.2 and 1.3, and by ALPN what `PROTOCOLS` lists. Sessions are resumed by tickets, sealed with keys that only this process has and that
//! rustls replaces every six hours; so any worker can resume what another one began. A session is resumed only under the name that it was begun
//! with (rustls compares it, RFC 6066 section 3), and where certificates of clients are asked for, not beyond a reload: what was found out about
//! a client holds only as long as what it was compared with, and as its own certificate.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier, danger::ClientCertVerifier},
};

pub mod authorities;
pub mod clients;
pub mod identities;
pub mod identity;
pub(crate) mod kernel;
pub(crate) mod session;
pub mod validity;

use clients::Clients;
use identities::Identities;
pub use identity::{Identity, IdentityError};

/// What is offered by ALPN, the best first.
const PROTOCOLS: [&[u8]; 2] = [session::HTTP2, b"http/1.1"];

/// TLS of a downstream listener, typed and checked by `config`. Without an address nothing of it is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where TLS is spoken; port 0 for any.
    pub listen: Vec<SocketAddr>,
    /// PEM file of the certificate, with those between it and its root behind it.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// Further certificates, chosen by the name that a client asks for. The one above, or else the first of these, is for all others.
    pub more: Vec<Pair>,
    /// Certificates of clients.
    pub clients: Clients,
    /// Where nothing is served, and everybody is sent on to TLS; port 0 for any.
    pub redirect: Vec<SocketAddr>,
    /// The port that they are sent to; 0: that of the first address where TLS is spoken.
    pub redirect_port: u16,
    /// For how long clients that came over TLS are told to come over nothing else (HSTS); zero: they are not told.
    pub strict: Duration,
    /// From the connection to the end of the handshake; then it is closed.
    pub handshake_timeout: Duration,
    /// Who makes the records.
    pub kernel: Kernel,
}

/// A certificate and its key, in PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, with those between it and its root behind it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Whether the kernel makes records (kTLS), so that bodies leave by `sendfile`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernel {
    /// Never.
    #[default]
    Off,
    /// Where it can: it has the module, and TLS 1.3 with AES-GCM was agreed on. Never tried on a kernel that has it.
    Auto,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            certificate: None,
            key: None,
            more: Vec::new(),
            clients: Clients::default(),
            redirect: Vec::new(),
            redirect_port: 0,
            strict: Duration::ZERO,
            handshake_timeout: Duration::from_secs(10),
            kernel: Kernel::Off,
        }
    }
}

impl Options {
    /// Whether TLS is spoken at all.
    pub fn is_on(&self) -> bool {
        !self.listen.is_empty()
    }

    /// Reads every file that is named.
    pub fn read(&self) -> Result<Credentials, IdentityError> {
        let first = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some(Identity::read(certificate, key)?),
            (None, None) => None,
            _ => return Err(IdentityError::Missing),
        };
        let more = self.more.iter().map(|pair| Identity::read(&pair.certificate, &pair.key));
        let all = first.into_iter().map(Ok).chain(more).collect::<Result<_, _>>()?;
        let identities = Identities::new(all).ok_or(IdentityError::Missing)?;
        Ok(Credentials { identities, clients: self.clients.verifier()? })
    }
}

/// Who this server is, and who clients must be.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The server.
    pub identities: Identities,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// What all TLS connections of a server share.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    current: Arc<RwLock<Current>>,
    /// Whether sessions are handed to the kernel.
    kernel: bool,
    /// Whether HTTP/2 is offered.
    http2: bool,
}

/// What new connections see.
#[derive(Clone, Debug)]
struct Current {
    config: Arc<ServerConfig>,
    asks_clients: bool,
    identities: Arc<Identities>,
}

impl Tls {
    /// Asks the kernel once where it is to make records.
    pub(crate) fn new(credentials: Credentials, kernel: Kernel, http2: bool) -> Result<Self, rustls::Error> {
        let kernel = kernel == Kernel::Auto && os::ktls::is_there();
        let current = Current::new(credentials, kernel, http2, None)?;
        Ok(Self { current: Arc::new(RwLock::new(current)), kernel, http2 })
    }

    /// New connections see these credentials; those that are there stay as they are. Tickets stay good unless clients are, or were, asked who
    /// they are.
    pub(crate) fn replace(&self, credentials: Credentials) -> Result<(), rustls::Error> {
        let old = self.current.read().clone();
        let asks = old.asks_clients || credentials.clients.is_some();
        let tickets = (!asks).then(|| old.config.ticketer.clone());
        let new = Current::new(credentials, self.kernel, self.http2, tickets)?;
        *self.current.write() = new;
        Ok(())
    }

    /// What new connections see.
    pub(crate) fn identities(&self) -> Arc<Identities> {
        self.current.read().identities.clone()
    }

    pub(crate) fn session(&self) -> Result<session::Session, rustls::Error> {
        let config = self.current.read().config.clone();
        session::Session::new(config, self.kernel)
    }
}

impl Current {
    fn new(
        credentials: Credentials,
        kernel: bool,
        http2: bool,
        tickets: Option<Arc<dyn ProducesTickets>>,
    ) -> Result<Self, rustls::Error> {
        let Credentials { identities, clients } = credentials;
        let (asks_clients, identities) = (clients.is_some(), Arc::new(identities));
        let mut config = ServerConfig::builder_with_provider(identity::provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients.unwrap_or_else(WebPkiClientVerifier::no_client_auth))
            .with_cert_resolver(identities.clone());
        config.alpn_protocols = PROTOCOLS.iter().skip(usize::from(!http2)).map(|name| name.to_vec()).collect();
        config.ticketer = tickets.map_or_else(aws_lc_rs::Ticketer::new, Ok)?;
        // Tickets are all: nothing is kept here for a client.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.enable_secret_extraction = kernel;
        Ok(Self { config: Arc::new(config), asks_clients, identities })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(clients: Option<Arc<dyn ClientCertVerifier>>) -> Credentials {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let file = directory.path().join("both.pem");
        std::fs::write(&file, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
        let identities = Identities::new(vec![Identity::read(&file, &file).unwrap()]).unwrap();
        Credentials { identities, clients }
    }

    /// Some verifier; that it asks nobody does not matter here.
    fn asking() -> Credentials {
        credentials(Some(WebPkiClientVerifier::no_client_auth()))
    }

    #[test]
    fn tickets_outlive_a_reload_only_where_nobody_is_asked_who_they_are() {
        let nobody = || credentials(None);
        type Make<'a> = &'a dyn Fn() -> Credentials;
        for (before, after, stay) in [
            (&nobody as Make<'_>, &nobody as Make<'_>, true),
            (&nobody, &asking, false),
            (&asking, &asking, false),
            (&asking, &nobody, false),
        ] {
            let tls = Tls::new(before(), Kernel::Off, true).unwrap();
            let tickets = |tls: &Tls| tls.current.read().config.ticketer.clone();
            let ticket = tickets(&tls).encrypt(b"a session").unwrap();
            assert_eq!(tickets(&tls).decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
            tls.replace(after()).unwrap();
            assert_eq!(tickets(&tls).decrypt(&ticket).is_some(), stay);
        }
    }

    #[test]
    fn tickets_are_of_this_process_and_not_for_ever() {
        let (one, other) = [(); 2].map(|()| Tls::new(credentials(None), Kernel::Off, true).unwrap()).into();
        let tickets = |tls: &Tls| tls.current.read().config.ticketer.clone();
        let ticket = tickets(&one).encrypt(b"a session").unwrap();
        assert!(tickets(&other).decrypt(&ticket).is_none());
        // The key is replaced at half of it, and kept for opening as long again.
        assert!(tickets(&one).lifetime() <= 12 * 3600);
    }
}
