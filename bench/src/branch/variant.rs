//! What is different from run to run: the terms of the branch, and what happens in the middle of it.

use std::time::Duration;

use clap::ValueEnum;

/// One kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Variant {
    /// Agents that share nothing, before a proxy that takes all of them at once: what there is to compare with.
    Nobody,
    /// Agents that share, before a proxy that takes all of them at once.
    Plain,
    /// Likewise with the proxy as shipped: five requesters of a file.
    Shipped,
    /// The proxy is killed when half of the file has crossed the line, and stays away.
    Killed,
    /// A peer says that it has the file, and sends wrong bytes.
    Liar,
    /// The proxy fetches only what it is told to preload, which it is when all have asked.
    Preload,
    /// Two proxies: the first is killed when a quarter of the file has crossed the line, and comes back at three quarters. When the back-offs are over, a second
    /// file is asked for.
    Returns,
}

/// The terms of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) proxies: usize,
    /// Of each proxy, for one file; 0: no limit.
    pub(crate) max_requesters: u32,
    pub(crate) retry_delay: Duration,
    pub(crate) mode: &'static str,
    /// Of each agent, to neighbours at once.
    pub(crate) uploads: u32,
}

/// As a proxy is shipped.
const MAX_REQUESTERS: u32 = 5;
const RETRY_DELAY: Duration = Duration::from_secs(90);
const UPLOADS: u32 = 2;
/// Where it is waited for something that is done in a moment, and at night in the field.
const SHORT_DELAY: Duration = Duration::from_secs(5);

impl Variant {
    pub(crate) fn terms(self) -> Terms {
        let shipped = Terms {
            proxies: 1,
            max_requesters: MAX_REQUESTERS,
            retry_delay: RETRY_DELAY,
            mode: "fetch-and-preload",
            uploads: UPLOADS,
        };
        match self {
            Self::Nobody => Terms { max_requesters: 0, uploads: 0, ..shipped },
            Self::Plain => Terms { max_requesters: 0, ..shipped },
            Self::Shipped | Self::Killed | Self::Liar => shipped,
            Self::Preload => Terms { mode: "preload", retry_delay: SHORT_DELAY, ..shipped },
            Self::Returns => Terms { proxies: 2, ..shipped },
        }
    }

    /// For people and scripts.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it is, for the table.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Nobody => "nobody shares",
            Self::Plain => "pieces, no limit of requesters",
            Self::Shipped => "5 requesters, as shipped",
            Self::Killed => "the proxy killed half-way",
            Self::Liar => "a peer that sends wrong bytes",
            Self::Preload => "a proxy that only preloads",
            Self::Returns => "of two proxies the first goes and returns",
        }
    }
}
