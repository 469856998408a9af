//! What comes out of the layers: the typed options of each library, and what the program itself needs.

use std::{net::SocketAddr, path::PathBuf};

use cache::options::UpstreamOptions;
use serve::access_log::Format;

/// How files come into the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// When they are asked for.
    Fetch,
    /// When they are asked for, and beforehand as the operator says.
    #[default]
    FetchAndPreload,
    /// Only beforehand.
    Preload,
}

impl Mode {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::FetchAndPreload => "fetch-and-preload",
            Self::Preload => "preload",
        }
    }
}

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How files come into the cache.
    pub mode: Mode,
    /// Where the admin interface listens.
    pub admin: SocketAddr,
    /// Where the access log goes; `-` is standard output, `None` no access log.
    pub access_log: Option<PathBuf>,
    /// How its lines look.
    pub access_log_format: Format,
    /// Where a self-signed certificate is kept, if one is needed.
    pub self_signed_dir: PathBuf,
    /// The downstream side.
    pub serve: serve::options::Options,
    /// The objects on disk.
    pub store: store::Options,
    /// The read-through side, with its upstreams.
    pub cache: cache::options::Options,
}

impl Default for Settings {
    /// The defaults: those of the libraries, and no upstream.
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            admin: SocketAddr::from(([127, 0, 0, 1], 8081)),
            access_log: None,
            access_log_format: Format::default(),
            self_signed_dir: "outpost-tls".into(),
            serve: serve::options::Options::default(),
            store: store::Options::new("outpost-cache"),
            cache: cache::options::Options::new(Vec::new()),
        }
    }
}

impl Settings {
    /// The upstreams.
    pub fn upstreams(&self) -> &[UpstreamOptions] {
        &self.cache.upstreams
    }
}
