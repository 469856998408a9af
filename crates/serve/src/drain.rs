//! How a server ends: what its threads are to do, from the first request to the last.
//!
//! | state | begins with | accepting | idle connections | requests and transfers under way |
//! | --- | --- | --- | --- | --- |
//! | running | `Server::start` | goes on | wait for the next request | are served |
//! | draining | `Server::drain` | ends, the listeners are closed | are closed | are finished; their answers say `Connection: close` |
//! | cutting | `drain_timeout`, a second `Server::drain`, `Server::stop`, `Server` dropped | has ended | are closed | end where they are, and are counted |
//!
//! It only goes forward. `server` and `accept` move it on, every worker takes it to its connections; nothing is decided here.

/// What the threads of a server are to do. See the table at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Serve.
    Running,
    /// Finish what was begun.
    Draining,
    /// End now.
    Cutting,
}
