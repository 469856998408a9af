//! What this process uses.

/// Processor time and memory of the process so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds in user mode.
    pub user: f64,
    /// Seconds in the kernel.
    pub system: f64,
    /// Resident bytes, page cache of mapped files included.
    pub resident: u64,
    /// Open file descriptors.
    pub open_files: u64,
}

/// From `/proc/self`; zeros where that is not there.
pub fn usage() -> Usage {
    todo!()
}

/// Raises the soft limit of open files to the hard limit; answers the limit in force.
pub fn raise_open_files() -> u64 {
    todo!()
}
