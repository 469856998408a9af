//! Read leases (`fcntl(2)`): while one is held and unbroken, nobody has the file open for writing, or can have it so: who tries waits
//! until the lease is given back. Writable mappings and `truncate` count as writing.

use std::{fs::File, io, os::fd::AsRawFd, sync::Arc};

/// `F_SETSIG` (fcntl.h, with `_GNU_SOURCE`): libc has it for some targets only.
const SET_SIGNAL: libc::c_int = 10;

/// A read lease. Dropping it gives it back, and lets a writer that waits go on.
#[derive(Debug)]
pub struct Lease {
    file: Arc<File>,
}

/// What came of asking for one.
#[derive(Debug)]
pub enum Leased {
    /// Nobody writes.
    Yes(Lease),
    /// Somebody has the file open for writing.
    IsWritten,
    /// The file system has no leases, or they are not for us: only the owner of a file may have one (or who has `CAP_LEASE`).
    Unknown,
}

impl Lease {
    /// Asks for a lease on a file that is open for reading only.
    pub fn take(file: &Arc<File>) -> io::Result<Leased> {
        let fd = file.as_raw_fd();
        // Who breaks the lease makes the kernel send a signal. This one is ignored unless somebody wants it; the default would end the process.
        // SAFETY: plain numbers and a descriptor that is open. rustix does not offer the call.
        if unsafe { libc::fcntl(fd, SET_SIGNAL, libc::SIGURG) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        if unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) } == 0 {
            return Ok(Leased::Yes(Self { file: file.clone() }));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(Leased::IsWritten),
            Some(libc::EACCES | libc::EPERM | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOLCK | libc::ENOSYS) => {
                Ok(Leased::Unknown)
            }
            _ => Err(error),
        }
    }

    /// Whether nobody has tried to open the file for writing since it was taken.
    pub fn is_unbroken(&self) -> bool {
        // SAFETY: a plain number and a descriptor that is open. While it is being broken, the call tells what it is to become.
        unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_GETLEASE) == libc::F_RDLCK }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // SAFETY: as above. Should it fail, the kernel takes the lease back in a while by itself, or when the file is closed.
        let _ = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    }
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, os::unix::fs::OpenOptionsExt};

    use super::*;

    /// Answers at once instead of waiting for the lease.
    fn try_to_write(path: &std::path::Path) -> io::Result<File> {
        File::options().write(true).custom_flags(libc::O_NONBLOCK).open(path)
    }

    #[test]
    fn a_lease_keeps_writers_out_and_tells_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "x").unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        let Leased::Yes(lease) = Lease::take(&file).unwrap() else { panic!("nobody writes, and the file is ours") };
        assert!(lease.is_unbroken());
        // A second reader is nobody's business.
        drop(File::open(&path).unwrap());
        assert!(lease.is_unbroken());
        assert_eq!(try_to_write(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(!lease.is_unbroken());
        drop(lease);
        let writer = try_to_write(&path).unwrap();
        assert!(matches!(Lease::take(&file).unwrap(), Leased::IsWritten));
        drop(writer);
        assert!(matches!(Lease::take(&file).unwrap(), Leased::Yes(_)));
    }
}
