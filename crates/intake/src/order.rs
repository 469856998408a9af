//! What can be asked for, and why it is refused before anything is done.

use std::{io, path::PathBuf};

use protocol::target::Target;

pub use crate::crew::Context;

/// How files come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// With shared blocks where the file system can, else copied.
    #[default]
    Best,
    /// With shared blocks, or not at all: nothing is taken of the disk's room.
    Link,
    /// Copied.
    Copy,
    /// As they are, where the file system can; they leave their old place when they are durably here.
    Move,
}

/// What is to be imported.
#[derive(Clone, Debug)]
pub struct Order {
    /// A directory, or a bundle.
    pub source: PathBuf,
    /// The path under which clients see what stands in the directory.
    pub mount: Target,
    /// How.
    pub way: Way,
    /// The cache's own directory, of which nothing is imported.
    pub cache_dir: PathBuf,
    /// Directories that are upstreams, by their names.
    pub shares: Vec<(String, PathBuf)>,
}

/// Why it is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The path is not absolute: whose working directory it would be relative to nobody knows.
    #[error("{} is not an absolute path; the proxy has another working directory than you", .0.display())]
    NotAbsolute(PathBuf),
    /// It cannot be read.
    #[error("{} cannot be read by the user that runs the proxy: {source}", path.display())]
    Unreadable {
        /// What was named.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither a directory nor a file.
    #[error("{} is neither a directory nor a bundle", .0.display())]
    NeitherKind(PathBuf),
    /// Below the cache's own directory.
    #[error("{} is in the cache directory itself", .0.display())]
    InCache(PathBuf),
    /// With `--move` an upstream would lose its files.
    #[error("{} is where the upstream '{upstream}' has its files; moved, they would be gone there. Import them with --link or --copy", path.display())]
    IsUpstream {
        /// What was named.
        path: PathBuf,
        /// Whose it is.
        upstream: String,
    },
    /// No upstream would ever be asked for these names.
    #[error("no upstream is mounted at {0}; --mount says under which path clients see these files")]
    NoUpstream(Target),
    /// What is there already stays.
    #[error("{} is there already; choose another name", .0.display())]
    Exists(PathBuf),
    /// It cannot be written.
    #[error("{} cannot be written by the user that runs the proxy: {source}", path.display())]
    Unwritable {
        /// What was named.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system has no more to give.
    #[error("no thread can be started for it: {0}")]
    Threads(io::Error),
}
