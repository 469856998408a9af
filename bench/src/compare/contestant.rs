//! Who takes part: programs, and the settings in which they are measured.

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    Outpost,
    Nginx,
    Varnish,
}

/// A program in one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contestant {
    Outpost,
    /// With `tcp_nopush`.
    Nginx,
    /// Without it: with it on, the end of a body may wait for the client's delayed acknowledgement.
    NginxNoPush,
    /// With `aio threads`, for bodies that must be read from the disk.
    NginxAio,
    Varnish,
    /// What this machine can do at all.
    Limit,
}

impl Program {
    pub(crate) const ALL: [Self; 3] = [Self::Outpost, Self::Nginx, Self::Varnish];

    /// As on the command line, in paths and in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outpost => "outpost",
            Self::Nginx => "nginx",
            Self::Varnish => "varnish",
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Outpost => "Outpost",
            Self::Nginx => "nginx",
            Self::Varnish => "Varnish",
        }
    }
}

impl Contestant {
    /// As in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Outpost => "outpost",
            Self::Nginx => "nginx",
            Self::NginxNoPush => "nginx-tcp_nopush-off",
            Self::NginxAio => "nginx-aio-threads",
            Self::Varnish => "varnish",
            Self::Limit => "limit",
        }
    }

    /// The program; the limit is none of them.
    pub(crate) fn program(self) -> Option<Program> {
        match self {
            Self::Outpost => Some(Program::Outpost),
            Self::Nginx | Self::NginxNoPush | Self::NginxAio => Some(Program::Nginx),
            Self::Varnish => Some(Program::Varnish),
            Self::Limit => None,
        }
    }

    /// What is special about its setting, where that must be said.
    pub(crate) fn setting(self) -> Option<&'static str> {
        match self {
            Self::Nginx => Some("tcp_nopush on"),
            Self::NginxNoPush => Some("tcp_nopush off"),
            Self::NginxAio => Some("aio threads"),
            Self::Outpost | Self::Varnish | Self::Limit => None,
        }
    }
}
