//! Listeners on Unix sockets: the file with the permissions that were asked for before anybody can connect, in the place of one that is forgotten,
//! and gone with its listener.

use std::{
    fs::{self, File, Permissions},
    io::{self, ErrorKind},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, open},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The file of a listening socket. Dropping it takes the file away, unless another has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Held open, so that no other file gets its number.
    file: File,
}

impl SocketFile {
    /// Listens there, with these permissions. `AddrInUse` if somebody else does, `AlreadyExists` if something stands there that is no socket.
    pub fn listen(path: &Path, mode: u32) -> io::Result<(Self, UnixListener)> {
        make_way(path)?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        let file = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let file = Self { path: path.to_owned(), file: File::from(file) };
        // Nobody can connect before `listen`, so the permissions hold from the first connection on.
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        listen(&socket, BACKLOG)?;
        Ok((file, UnixListener::from(socket)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let ours = self.file.metadata().map(identity);
        if ours.is_ok_and(|ours| fs::symlink_metadata(&self.path).is_ok_and(|there| identity(there) == ours)) {
            // If it stays, the next start finds that nobody answers there.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Removes the socket of a program that has ended without doing so.
fn make_way(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "something stands there that is no socket"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_its_permissions_and_goes_with_its_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let (file, listener) = SocketFile::listen(&path, 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let client = UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
        assert_eq!(SocketFile::listen(&path, 0o600).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop((client, listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn a_forgotten_socket_is_replaced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let (forgotten, listener) = SocketFile::listen(&path, 0o600).unwrap();
        drop(listener);
        let (file, listener) = SocketFile::listen(&path, 0o600).unwrap();
        // What is there now is not its own any more.
        drop(forgotten);
        assert!(path.exists());
        drop((listener, file));
        fs::write(&path, "precious").unwrap();
        assert_eq!(SocketFile::listen(&path, 0o600).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let missing = dir.path().join("none/a.sock");
        assert_eq!(SocketFile::listen(&missing, 0o600).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
