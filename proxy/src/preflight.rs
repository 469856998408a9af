//! What is looked at before anything is touched: a start that cannot succeed leaves no cache directory behind.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
    time::{Duration, SystemTime},
};

use cache::{Cache, options::Location};
use config::{Fault, Loaded, Origin, Refused, Settings, value::human_size};
use protocol::timestamp;
use serve::tls::{Credentials, Identity, identities::Identities, validity::Validity};
use store::Limit;

use crate::{self_signed, token::Token};

/// Descriptors besides those of clients and objects: journals, parts, upstream connections, libraries.
const OTHER_FILES: u64 = 512;

/// A certificate that ends within this is worth a warning.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 86_400);

/// Everything that can be found out without changing anything.
pub(crate) fn all(settings: &Settings) -> Result<(), Refused> {
    upstreams(settings)?;
    limits(settings)?;
    token(settings)?;
    network_cards(settings)?;
    if !self_signed::is_wanted(settings) {
        credentials(&settings.serve.tls)?;
    }
    Ok(())
}

/// Upstreams that are directories can be read, and so can the files that others need for TLS. A web server that cannot be reached is no fault: it may come back.
pub(crate) fn upstreams(settings: &Settings) -> Result<(), Refused> {
    let faults: Vec<Fault> = settings
        .upstreams()
        .iter()
        .filter_map(|upstream| {
            let Location::Directory(directory) = &upstream.location else {
                let error = Cache::check_files(upstream).err()?;
                let message = format!("upstream '{}': {error}", upstream.name);
                return Some(Fault::new(message, Some(error.advice().into())));
            };
            let error = std::fs::read_dir(directory).err()?;
            let shown = directory.display();
            let what = match error.kind() {
                ErrorKind::NotFound => format!("the directory {shown} does not exist"),
                ErrorKind::NotADirectory => format!("{shown} is not a directory"),
                _ => format!("the directory {shown} cannot be read: {error}"),
            };
            let help = match error.kind() {
                ErrorKind::PermissionDenied => "allow the user that runs this program to read the directory",
                _ => "give a directory that is there, http(s)://HOST/ or outpost+http(s)://HOST/; a network share must be mounted first",
            };
            Some(Fault::new(format!("upstream '{}': {what}", upstream.name), Some(help.into())))
        })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Refused { faults }) }
}

/// Addresses are free. The listener itself may share a port among its threads, and would then also share it with a forgotten
/// instance of the same user; binding each once without sharing finds that out.
pub(crate) fn listen(flag: &str, addresses: &[SocketAddr]) -> anyhow::Result<()> {
    addresses.iter().try_for_each(|address| bind(flag, *address).map(drop))
}

/// Certificates and keys where TLS is to be spoken: that they can be read, are understood, and belong together.
pub(crate) fn credentials(tls: &serve::tls::Options) -> Result<Option<Credentials>, Refused> {
    if !tls.is_on() {
        return Ok(None);
    }
    tls.read().map(Some).map_err(|error| Fault::new(error.to_string(), Some(error.advice().into())).into())
}

/// What is to be said of certificates that do not hold, or not for much longer.
pub(crate) fn expiring(identities: &Identities, now: SystemTime) -> Vec<String> {
    let about = |identity: &Identity| {
        let Validity { begins, ends } = identity.validity()?;
        let file = identity.file().display();
        if ends <= now {
            Some(format!(
                "the certificate {file} has expired on {}, and clients refuse it; renew it, and send SIGHUP",
                timestamp::http_date(ends)
            ))
        } else if begins > now {
            Some(format!(
                "the certificate {file} holds only from {} on, and clients refuse it until then; compare the clock of this machine",
                timestamp::http_date(begins)
            ))
        } else if ends <= now + EXPIRES_SOON {
            Some(format!(
                "the certificate {file} expires on {}; renew it in time, and send SIGHUP",
                timestamp::http_date(ends)
            ))
        } else {
            None
        }
    };
    identities.iter().filter_map(about).collect()
}

/// Binds, or says who may have the address and what to do.
pub(crate) fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "end the program that uses it, or choose another address",
            ErrorKind::PermissionDenied => "give the program CAP_NET_BIND_SERVICE, or choose a port above 1023",
            ErrorKind::AddrNotAvailable => "choose an address that this machine has (`ip address` shows them)",
            _ => "choose another address",
        };
        anyhow::anyhow!("cannot listen on {address}: {error}; {advice} with --{flag} IP:PORT")
    })
}

/// Limits that the cache's disk can never meet. The directory itself may not be there yet; then it will be made on its parent's disk.
pub(crate) fn limits(settings: &Settings) -> Result<(), Refused> {
    let Some(parent) = settings.store.dir.ancestors().find(|parent| parent.exists()) else { return Ok(()) };
    // A disk that does not tell its size is for the store to complain of.
    let Ok(disk) = os::disk_space::disk_space(parent) else { return Ok(()) };
    match settings.store.min_free {
        Limit::Bytes(bytes) if bytes >= disk.total => {
            let (wanted, total) = (human_size(bytes), human_size(disk.total));
            let shown = settings.store.dir.display();
            Err(Fault::new(
                format!(
                    "cache.min_free of {wanted} leaves no room for a cache: the disk of {shown} has {total} in all"
                ),
                Some("lower it with --min-free, or choose a larger disk with --cache-dir".into()),
            )
            .into())
        }
        _ => Ok(()),
    }
}

/// Where clients are told by their network cards, the kernel says whose is whose.
pub(crate) fn network_cards(settings: &Settings) -> Result<(), Refused> {
    if !settings.serve.clients.access.names_machines() {
        return Ok(());
    }
    os::neighbours::neighbours().map(drop).map_err(|error| {
        let message = format!("[access] names MAC addresses, and the table of neighbours cannot be read: {error}");
        let help =
            "let the program open netlink sockets (RestrictAddressFamilies=AF_NETLINK), or name addresses instead";
        Fault::new(message, Some(help.into())).into()
    })
}

/// The token that the admin interface asks for.
pub(crate) fn token(settings: &Settings) -> Result<Option<Token>, Refused> {
    settings.admin_token_file.as_deref().map(Token::read).transpose()
}

/// Fits the limits that take descriptors under the system's, so that a client too many meets a clear answer and not a failing `accept`.
/// Answers what to say if the operator asked for more than there is.
pub(crate) fn fit_open_files(loaded: &Loaded, settings: &mut Settings, open_files_max: u64) -> Option<String> {
    let (connections, objects) = (settings.serve.connections_max, settings.store.open_files_max);
    let wanted = connections as u64 + objects as u64 + OTHER_FILES;
    if open_files_max == 0 || wanted <= open_files_max {
        return None;
    }
    let limit = usize::try_from(open_files_max).unwrap_or(usize::MAX);
    settings.store.open_files_max = objects.min(limit / 4).max(1);
    let left = limit.saturating_sub(settings.store.open_files_max + OTHER_FILES as usize);
    settings.serve.connections_max = connections.min(left).max(1);
    let asked_for = |key| loaded.origin(key) != Origin::Default;
    (asked_for("serve.connections_max") || asked_for("cache.open_files_max")).then(|| {
        format!(
            "the system allows {open_files_max} open files, and the configuration needs {wanted}: serve.connections_max is lowered to \
             {} and cache.open_files_max to {}; raise the limit (ulimit -n, LimitNOFILE=)",
            settings.serve.connections_max, settings.store.open_files_max
        )
    })
}

/// A listener for use with tokio.
pub(crate) fn nonblocking(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use cache::options::UpstreamOptions;

    use super::*;

    fn settings(directory: &std::path::Path) -> Settings {
        let mut settings = Settings::default();
        settings.cache.upstreams = vec![UpstreamOptions::new("a", "/", Location::Directory(directory.into()))];
        settings
    }

    #[test]
    fn a_missing_directory_and_a_file_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(upstreams(&settings(directory.path())).is_ok());
        let missing = upstreams(&settings(&directory.path().join("none"))).unwrap_err().to_string();
        assert!(missing.contains("does not exist"), "{missing}");
        let file = upstreams(&settings(&file)).unwrap_err().to_string();
        assert!(file.contains("is not a directory"), "{file}");
    }

    #[test]
    fn a_disk_smaller_than_what_shall_stay_free_is_refused_before_the_directory_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(directory.path());
        settings.store.dir = directory.path().join("not/there/yet");
        assert!(limits(&settings).is_ok());
        settings.store.min_free = Limit::Bytes(u64::MAX);
        let message = limits(&settings).unwrap_err().to_string();
        assert!(message.contains("min_free") && message.contains("in all"), "{message}");
    }

    #[test]
    fn limits_fit_under_the_system_s_and_only_what_was_asked_for_is_complained_of() {
        let load = |text: &str| {
            let file = config::load::ConfigFile {
                path: "x".into(),
                text: format!("{text}[[upstream]]\nname=\"a\"\nurl=\"/a\"\n"),
            };
            config::load(&config::Sources { file: Some(file), working_directory: "/w".into(), ..Default::default() })
                .unwrap()
        };
        for (text, limit, connections, objects, complains) in [
            ("", 1 << 20, 20_000, 4096, false),
            ("", 20_000, 15_392, 4096, false),
            ("", 1024, 256, 256, false),
            ("[serve]\nconnections_max = 5000\n", 4096, 2560, 1024, true),
            ("[serve]\nconnections_max = 100\n", 20_000, 100, 4096, false),
        ] {
            let loaded = load(text);
            let mut settings = loaded.settings.clone();
            let complaint = fit_open_files(&loaded, &mut settings, limit);
            assert_eq!(
                (settings.serve.connections_max, settings.store.open_files_max, complaint.is_some()),
                (connections, objects, complains),
                "{text} {limit}"
            );
        }
    }

    #[test]
    fn certificates_that_do_not_hold_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("both.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let mut asked = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        (asked.not_before, asked.not_after) = (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2026, 2, 1));
        std::fs::write(&file, asked.self_signed(&key).unwrap().pem() + &key.serialize_pem()).unwrap();
        let tls = serve::tls::Options { certificate: Some(file.clone()), key: Some(file), ..Default::default() };
        let credentials = tls.read().unwrap();
        for (date, expected) in [
            ("Wed, 31 Dec 2025 23:59:59 GMT", Some("holds only from Thu, 01 Jan 2026 00:00:00 GMT")),
            ("Thu, 01 Jan 2026 00:00:00 GMT", None),
            ("Sat, 17 Jan 2026 23:59:59 GMT", None),
            ("Sun, 18 Jan 2026 00:00:00 GMT", Some("expires on Sun, 01 Feb 2026 00:00:00 GMT; renew it in time")),
            ("Sun, 01 Feb 2026 00:00:00 GMT", Some("has expired on Sun, 01 Feb 2026")),
        ] {
            let now = timestamp::parse_http_date(date.as_bytes()).unwrap();
            let told = expiring(&credentials.identities, now);
            assert_eq!(told.len(), usize::from(expected.is_some()), "{date}: {told:?}");
            assert!(told.iter().all(|told| told.contains(expected.unwrap()) && told.contains("both.pem")), "{told:?}");
        }
    }

    #[test]
    fn an_address_in_use_is_named_with_its_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let message = format!("{:#}", listen("listen", &[address]).unwrap_err());
        assert!(message.contains(&address.to_string()) && message.contains("--listen"), "{message}");
    }
}
