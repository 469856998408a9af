//! What comes out of the layers: the typed options of each library, and what the program itself needs.

use std::{net::SocketAddr, path::PathBuf};

use cache::options::{Mode, PreloadOptions, UpstreamOptions};
use protocol::schedule::Zone;
use serve::access_log::Format;

use crate::{admin::AdminAddress, belonging::Belonging};

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How files come into the cache; an upstream may have a mode of its own.
    pub mode: Mode,
    /// What is fetched beforehand; likewise.
    pub preload: PreloadOptions,
    /// By whose clocks all times of day are meant.
    pub zone: Zone,
    /// Where the admin interface listens.
    pub admin: AdminAddress,
    /// The file of the token that it asks for; `None`: it asks for none.
    pub admin_token_file: Option<PathBuf>,
    /// Where the access log goes; `-` is standard output, `None` no access log.
    pub access_log: Option<PathBuf>,
    /// How its lines look.
    pub access_log_format: Format,
    /// Where a self-signed certificate is kept, if one is needed.
    pub self_signed_dir: PathBuf,
    /// To which origin it belongs.
    pub belonging: Belonging,
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
            preload: PreloadOptions::default(),
            zone: Zone::named("local").unwrap_or_default(),
            admin: AdminAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 8081))),
            admin_token_file: None,
            access_log: None,
            access_log_format: Format::default(),
            self_signed_dir: "outpost-tls".into(),
            belonging: Belonging::default(),
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
