//! Where the admin interface is: an address of TCP, or a Unix socket.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::value::{absolute, parse_address};

/// What a Unix socket begins with.
const UNIX: &str = "unix:";

/// Bytes of a Unix socket's path: the kernel's 108, with the zero at the end.
const UNIX_PATH_MAX: usize = 107;

/// Where the admin interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// An address and port.
    Tcp(SocketAddr),
    /// A socket in the file system; who may reach it is said by its permissions.
    Unix(PathBuf),
}

impl AdminAddress {
    /// From `127.0.0.1:8081`, `[::1]:8081` or `unix:/run/outpost/admin.sock`. A relative path is below `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, String> {
        let text = text.trim();
        let Some(path) = text.strip_prefix(UNIX) else {
            return parse_address(text).map(Self::Tcp).map_err(|message| format!("{message}, or unix:PATH"));
        };
        if path.is_empty() {
            return Err(format!("'{text}' has no path: write unix:/run/outpost/admin.sock"));
        }
        let path = absolute(Path::new(path), base);
        let long = path.as_os_str().len();
        if long > UNIX_PATH_MAX {
            return Err(format!(
                "the path of a Unix socket has at most {UNIX_PATH_MAX} bytes, and {} has {long}",
                path.display()
            ));
        }
        Ok(Self::Unix(path))
    }

    /// Whether nobody but this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_sockets() {
        let base = Path::new("/base");
        for (text, shown, is_local) in [
            ("127.0.0.1:8081", "127.0.0.1:8081", true),
            (" [::1]:1 ", "[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:8081", "0.0.0.0:8081", false),
            ("unix:/run/a.sock", "unix:/run/a.sock", true),
            ("unix:./a.sock", "unix:/base/a.sock", true),
        ] {
            let address = AdminAddress::parse(text, base).unwrap();
            assert_eq!((address.to_string().as_str(), address.is_local()), (shown, is_local));
        }
        let long = format!("unix:/{}", "x".repeat(107));
        for (text, part) in [
            ("8081", "127.0.0.1:8081"),
            ("here:8081", "names are not looked up"),
            ("/run/a.sock", "or unix:PATH"),
            ("unix:", "has no path"),
            (long.as_str(), "at most 107 bytes"),
        ] {
            let message = AdminAddress::parse(text, base).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
