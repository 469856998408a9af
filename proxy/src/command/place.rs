//! Where the proxy is that a command is for: `--admin`, else the environment and the configuration file, as the proxy itself reads them. What else is
//! wrong with that file is the proxy's affair: who asks how it is doing must not be stopped by a line that it has not even read yet.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command, value_parser};
use config::{AdminAddress, Origin, Refused, flags::config_of_it, load::ConfigFile};

use crate::{arguments, token};

/// Read where no `--config` is given, if it is there.
pub(crate) const USUAL_FILE: &str = "/etc/outpost/proxy.toml";

/// The options that say where a proxy is, and what it asks for.
const KEYS: [&str; 2] = ["admin", "access.admin_token_file"];

/// Where the admin interface is, for who connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `HOST:PORT`; a name is looked up.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Where, and who said so.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) address: Address,
    /// For who finds nobody there.
    pub(crate) said_by: String,
    pub(crate) key: Key,
}

/// The token that is shown there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Nobody named one.
    None,
    Token(String),
    /// One was named, and cannot be read: why. It matters only if the proxy asks for it.
    Unreadable(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) => host.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Address {
    /// Who listens everywhere is met on this machine.
    fn from(mut address: SocketAddr) -> Self {
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() });
        }
        Self::Tcp(address.to_string())
    }
}

impl From<AdminAddress> for Address {
    fn from(address: AdminAddress) -> Self {
        match address {
            AdminAddress::Tcp(address) => address.into(),
            AdminAddress::Unix(path) => Self::Unix(path),
        }
    }
}

impl Address {
    /// What people give: also a name in place of an address, and the URL that the start lines show.
    fn parse(text: &str, base: &Path) -> Result<Self, String> {
        if text.starts_with("unix:") {
            return AdminAddress::parse(text, base).map(Self::from);
        }
        let host = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let is_host = host.rsplit_once(':').is_some_and(|(name, port)| {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
            let is_name = !name.is_empty() && name.chars().all(plain);
            (is_name || host.parse::<SocketAddr>().is_ok()) && port.parse::<u16>().is_ok()
        });
        if !is_host {
            return Err(format!("'{text}' is not where an admin interface can be: write HOST:PORT or unix:PATH"));
        }
        Ok(host.parse::<SocketAddr>().map_or_else(|_| Self::Tcp(host.to_owned()), Self::from))
    }
}

/// Adds what says where the proxy is.
pub(crate) fn arguments(command: Command) -> Command {
    command
        .next_help_heading("Which proxy")
        .arg(
            Arg::new("admin")
                .long("admin")
                .value_name("HOST:PORT|unix:PATH")
                .value_parser(|text: &str| Address::parse(text, &arguments::working_directory()))
                .help("Where its admin interface is [default: as the environment (OUTPOST__ADMIN) and the configuration say]"),
        )
        .arg(config_of_it(USUAL_FILE))
        .arg(
            Arg::new("token-file")
                .long("token-file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The token that it asks for [default: with --admin none, else as access.admin_token_file says]"),
        )
}

impl Place {
    pub(crate) fn of(matches: &ArgMatches) -> Result<Self, Refused> {
        let (file, complaint) = file(matches.get_one::<PathBuf>("config").map(PathBuf::as_path))?;
        let sources = arguments::sources(file, Vec::new());
        let loaded = config::load::only(&sources, &KEYS);
        let named = matches.get_one::<PathBuf>("token-file").map(|path| Key::read(path));
        if let Some(address) = matches.get_one::<Address>("admin").cloned() {
            // A token is not shown to whoever is named here, unless it is named too.
            return Ok(Self { address, said_by: "as --admin says".into(), key: named.unwrap_or(Key::None) });
        }
        let loaded = loaded?;
        let usual = || loaded.settings.admin_token_file.as_deref().map_or(Key::None, Key::read);
        let key = named.unwrap_or_else(usual);
        let said_by = match (loaded.origin("admin"), &sources.file, complaint) {
            (Origin::Environment(name), ..) => format!("as {name} says"),
            (_, Some(file), _) => format!("as {} says", file.path.display()),
            (_, None, Some(complaint)) => format!("the default, for {complaint}"),
            (_, None, None) => "the default".into(),
        };
        Ok(Self { address: loaded.settings.admin.into(), said_by, key })
    }
}

impl Key {
    fn read(path: &Path) -> Self {
        match token::presented(path) {
            Ok(token) => Self::Token(token),
            Err(error) => Self::Unreadable(format!("the token file {} cannot be read: {error}", path.display())),
        }
    }
}

/// The file that was named must be there; the usual one may be missing, or be for others to read: then why.
fn file(named: Option<&Path>) -> Result<(Option<ConfigFile>, Option<String>), Refused> {
    if let Some(path) = named {
        return Ok((Some(ConfigFile::read(path)?), None));
    }
    let usual = Path::new(USUAL_FILE);
    if !usual.exists() {
        return Ok((None, None));
    }
    Ok(match ConfigFile::read(usual) {
        Ok(file) => (Some(file), None),
        Err(refused) => (None, refused.faults.first().map(|fault| fault.message.clone())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_give_as_address() {
        for (text, address) in [
            ("127.0.0.1:8081", "127.0.0.1:8081"),
            ("http://127.0.0.1:8081/", "127.0.0.1:8081"),
            ("0.0.0.0:8081", "127.0.0.1:8081"),
            ("[::]:8081", "[::1]:8081"),
            ("branch-7.example:8081", "branch-7.example:8081"),
            ("unix:a.sock", "unix:/base/a.sock"),
        ] {
            assert_eq!(Address::parse(text, Path::new("/base")).unwrap().to_string(), address);
        }
        for text in ["", "8081", ":8081", "host", "host:99999", "a b:1", "https://a:1", "unix:", "http://a:1/v1/status"]
        {
            assert!(Address::parse(text, Path::new("/base")).is_err(), "{text}");
        }
    }
}
