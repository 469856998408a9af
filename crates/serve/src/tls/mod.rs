//! TLS towards clients: who this server is ([`identity`]), what it agrees to, and in `session` the bytes of one connection. Handshakes and
//! records are rustls with aws-lc-rs; this module decides nothing about requests and never sees a socket by itself.
//!
//! TLS 1.2 and 1.3, HTTP/1.1 by ALPN. Sessions are resumed by tickets, sealed with keys that only this process has and that rustls
//! replaces every six hours; so any worker can resume what another one began, and nothing is kept per client.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

pub mod identity;
pub(crate) mod kernel;
pub(crate) mod session;

pub use identity::{Identity, IdentityError};

/// What is offered by ALPN.
const PROTOCOLS: [&[u8]; 1] = [b"http/1.1"];

/// TLS of a downstream listener, typed and checked by `config`. Without an address nothing of it is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where TLS is spoken; port 0 for any.
    pub listen: Vec<SocketAddr>,
    /// PEM file of the certificate, with those between it and its root behind it.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// From the connection to the end of the handshake; then it is closed.
    pub handshake_timeout: Duration,
    /// Who makes the records.
    pub kernel: Kernel,
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

    /// Reads certificate and key.
    pub fn identity(&self) -> Result<Identity, IdentityError> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Identity::read(certificate, key),
            _ => Err(IdentityError::Missing),
        }
    }
}

/// What all TLS connections of a server share.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
    /// Whether sessions are handed to the kernel.
    kernel: bool,
}

impl Tls {
    /// Asks the kernel once where it is to make records.
    pub(crate) fn new(identity: Identity, kernel: Kernel) -> Result<Self, rustls::Error> {
        let kernel = kernel == Kernel::Auto && os::ktls::is_there();
        let current = Arc::new(Current(RwLock::new(identity.0)));
        let mut config = ServerConfig::builder_with_provider(identity::provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.enable_secret_extraction = kernel;
        Ok(Self { config: Arc::new(config), current, kernel })
    }

    /// New connections see this identity; those that are there stay as they are, and tickets stay good.
    pub(crate) fn replace(&self, identity: Identity) {
        *self.current.0.write() = identity.0;
    }

    pub(crate) fn session(&self) -> Result<session::Session, rustls::Error> {
        session::Session::new(self.config.clone(), self.kernel)
    }
}

/// The certificate of the moment.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}
