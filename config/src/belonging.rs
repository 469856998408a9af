//! `[origin]`: to which origin this proxy belongs, and as whom.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use cache::options::{Location, UpstreamOptions};

/// To which origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BelongsTo {
    /// That of the first upstream that is an Outpost, if there is one.
    #[default]
    First,
    /// None.
    None,
    /// That of an upstream.
    Upstream(String),
}

/// To which origin this proxy belongs, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belonging {
    /// To which.
    pub to: BelongsTo,
    /// Unlike all others; empty: the host's name.
    pub name: String,
    /// With what it enrols.
    pub token_file: Option<PathBuf>,
    /// Where its credential and the last configuration that was delivered are kept.
    pub state_dir: PathBuf,
    /// Where others of the branch reach it; empty: it is found out.
    pub advertise: String,
    /// Between two reports; zero: as the origin says.
    pub report_every: Duration,
}

impl Default for Belonging {
    fn default() -> Self {
        Self {
            to: BelongsTo::First,
            name: String::new(),
            token_file: None,
            state_dir: "outpost-origin".into(),
            advertise: String::new(),
            report_every: Duration::ZERO,
        }
    }
}

impl Belonging {
    /// The upstream whose origin it is.
    pub fn upstream<'u>(&self, upstreams: &'u [UpstreamOptions]) -> Option<&'u UpstreamOptions> {
        match &self.to {
            BelongsTo::None => None,
            BelongsTo::First => upstreams.iter().find(|upstream| is_outpost(upstream)),
            BelongsTo::Upstream(name) => upstreams.iter().find(|upstream| upstream.name == *name),
        }
    }

    /// Where the credential is kept.
    pub fn credential_file(&self) -> PathBuf {
        self.state_dir.join("credential")
    }

    /// Where the last configuration that was delivered is kept.
    pub fn configuration_file(&self) -> PathBuf {
        self.state_dir.join("configuration.json")
    }

    /// Whether a directory has the state in it.
    pub(crate) fn is_kept_in(&self, directory: &Path) -> bool {
        self.state_dir.starts_with(directory)
    }
}

/// Whether an origin may stand behind an upstream.
pub(crate) fn is_outpost(upstream: &UpstreamOptions) -> bool {
    matches!(upstream.location, Location::Outpost { .. })
}

impl BelongsTo {
    /// As it is written.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::First => "auto".into(),
            Self::None => "none".into(),
            Self::Upstream(name) => name.clone(),
        }
    }

    pub(crate) fn of(text: &str) -> Self {
        match text {
            "auto" => Self::First,
            "none" => Self::None,
            name => Self::Upstream(name.to_owned()),
        }
    }
}
