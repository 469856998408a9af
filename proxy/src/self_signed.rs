//! A certificate for whoever configured none: made at the first start that is to speak TLS, kept, used again, and made anew when it has expired. It is
//! signed with its own key, so clients must be told to believe it; the start lines say how.
//!
//! | in `tls.state_dir` | |
//! | --- | --- |
//! | `self-signed.pem` | key and certificate in one file, so that they are exchanged together; only this user may read it |
//! | `certificate.pem` | the certificate alone, to be given to clients |

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, anyhow};
use config::Settings;
use protocol::timestamp;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use serve::tls::{self, Identity, IdentityError};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

/// Some clients believe no certificate that holds for longer than 825 days.
const VALID_FOR: Duration = Duration::from_secs(800 * 86_400);
/// Clocks of clients may be behind ours.
const VALID_BEFORE: Duration = Duration::from_secs(86_400);

/// What stands behind the key.
const CERTIFICATE_BEGINS: &str = "-----BEGIN CERTIFICATE-----";

/// Whoever may read the file can pretend to be this server.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// Where it is, and how it is told from others.
#[derive(Clone, Debug)]
pub(crate) struct SelfSigned {
    /// Key and certificate.
    pub(crate) file: PathBuf,
    /// The certificate alone.
    pub(crate) public: PathBuf,
    /// The names that it is for, if it was read what they are.
    pub(crate) names: Vec<String>,
    /// SHA-256 of the certificate, as browsers and openssl show it.
    pub(crate) fingerprint: String,
    /// As text.
    pub(crate) until: String,
}

/// Whether TLS is to be spoken and nobody said as whom.
pub(crate) fn is_wanted(settings: &Settings) -> bool {
    let tls = &settings.serve.tls;
    tls.is_on() && tls.certificate.is_none() && tls.more.is_empty()
}

/// The TLS options with what was made for want of a certificate.
pub(crate) fn tls_options(settings: &Settings) -> anyhow::Result<(tls::Options, Option<SelfSigned>)> {
    let mut options = settings.serve.tls.clone();
    if !is_wanted(settings) {
        return Ok((options, None));
    }
    let own = provide(&settings.self_signed_dir, &options.listen, SystemTime::now())?;
    (options.certificate, options.key) = (Some(own.file.clone()), Some(own.file.clone()));
    Ok((options, Some(own)))
}

/// The one that is there if it holds, otherwise a new one.
fn provide(directory: &Path, listen: &[SocketAddr], now: SystemTime) -> anyhow::Result<SelfSigned> {
    let file = directory.join("self-signed.pem");
    let identity = match Identity::read(&file, &file) {
        Ok(identity) if holds(&identity, now) => identity,
        Ok(_) => {
            tracing::warn!(
                "the self-signed certificate {} has expired, and another one is made: give it to the clients",
                file.display()
            );
            make(directory, &file, &names(&host_name(), listen, &own_addresses()), now)?
        }
        Err(IdentityError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
            make(directory, &file, &names(&host_name(), listen, &own_addresses()), now)?
        }
        // A place where nothing can be read is none to write to either.
        Err(error @ IdentityError::Read { .. }) => return Err(anyhow!(error).context(cannot_write(&file))),
        Err(error) => return Err(anyhow!("{error}; remove the file, and another certificate is made")),
    };
    let public = directory.join("certificate.pem");
    let both = fs::read_to_string(&file)?;
    let text = both.find(CERTIFICATE_BEGINS).and_then(|begin| both.get(begin..)).unwrap_or_default();
    if fs::read_to_string(&public).ok().as_deref() != Some(text) {
        replace(&public, text.as_bytes(), PUBLIC).with_context(|| cannot_write(&public))?;
    }
    let names = identity.names().to_vec();
    let fingerprint = fingerprint(identity.certificate());
    let until = identity.validity().map(|validity| timestamp::http_date(validity.ends)).unwrap_or_default();
    Ok(SelfSigned { file, public, names, fingerprint, until })
}

fn holds(identity: &Identity, now: SystemTime) -> bool {
    identity.validity().is_some_and(|validity| (validity.begins..=validity.ends).contains(&now))
}

fn make(directory: &Path, file: &Path, names: &[String], now: SystemTime) -> anyhow::Result<Identity> {
    let cannot_make = "cannot make a self-signed certificate";
    let mut asked = CertificateParams::new(names).context(cannot_make)?;
    asked.not_before = OffsetDateTime::from(now - VALID_BEFORE);
    asked.not_after = OffsetDateTime::from(now + VALID_FOR);
    asked.distinguished_name = DistinguishedName::new();
    asked.distinguished_name.push(DnType::CommonName, names.first().map_or("outpost", String::as_str));
    asked.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    asked.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().context(cannot_make)?;
    let made = asked.self_signed(&key).context(cannot_make)?;
    fs::create_dir_all(directory).with_context(|| cannot_write(directory))?;
    replace(file, (key.serialize_pem() + &made.pem()).as_bytes(), SECRET).with_context(|| cannot_write(file))?;
    Ok(Identity::read(file, file)?)
}

fn cannot_write(path: &Path) -> String {
    format!(
        "cannot write {}, where the self-signed certificate is kept; give tls.state_dir a directory that this user may write, or tls.certificate \
         and tls.key a certificate of your own",
        path.display()
    )
}

/// Whoever reads the file sees all of the old or all of the new text, whatever happens meanwhile.
fn replace(file: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let new = file.with_extension("new");
    // One that is left from a start that was cut off may have another mode.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    opened.write_all(text)?;
    opened.sync_all()?;
    fs::rename(&new, file)
}

/// Each once, the best for people first: this machine's, loopback's, the addresses that are listened on, or all where that is said.
fn names(host: &str, listen: &[SocketAddr], own: &[IpAddr]) -> Vec<String> {
    let is_name = !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
    let mut names: Vec<String> = is_name.then(|| host.to_ascii_lowercase()).into_iter().collect();
    names.push("localhost".into());
    let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    addresses.extend(listen.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()));
    if listen.iter().any(|address| address.ip().is_unspecified()) {
        addresses.extend(own);
    }
    names.extend(addresses.iter().map(ToString::to_string));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// As the kernel has it; nothing where it does not tell.
pub(crate) fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// Under which addresses this machine is seen from elsewhere: what the kernel would send from. Nothing is sent.
fn own_addresses() -> Vec<IpAddr> {
    let documentation: [(IpAddr, IpAddr); 2] = [
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
    ];
    let seen_from = |(any, other): (IpAddr, IpAddr)| {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((other, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    documentation.into_iter().filter_map(seen_from).collect()
}

/// `AB:CD:...`
fn fingerprint(certificate: &[u8]) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn listen() -> Vec<SocketAddr> {
        vec!["192.0.2.7:443".parse().unwrap()]
    }

    #[test]
    fn names_are_those_that_clients_may_ask_for() {
        let own: Vec<IpAddr> = vec!["198.51.100.4".parse().unwrap(), "2001:db8::4".parse().unwrap()];
        for (host, listen, expected) in [
            ("Branch7", "192.0.2.7:443", &["branch7", "localhost", "127.0.0.1", "::1", "192.0.2.7"][..]),
            (
                "b.example",
                "0.0.0.0:443",
                &["b.example", "localhost", "127.0.0.1", "::1", "198.51.100.4", "2001:db8::4"],
            ),
            ("localhost", "127.0.0.1:443", &["localhost", "127.0.0.1", "::1"]),
            ("no name", "[::1]:443", &["localhost", "127.0.0.1", "::1"]),
            ("", "[::]:443", &["localhost", "127.0.0.1", "::1", "198.51.100.4", "2001:db8::4"]),
        ] {
            assert_eq!(names(host, &[listen.parse().unwrap()], &own), expected, "{host} {listen}");
        }
    }

    #[test]
    fn it_is_made_once_kept_secret_and_made_anew_when_it_has_expired() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("not/there/yet");
        let now = SystemTime::now();
        let first = provide(&directory, &listen(), now).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&first.file), mode(&first.public) & 0o600), (0o600, 0o600));
        assert!(!fs::read_to_string(&first.public).unwrap().contains("PRIVATE"));
        let public = tls::identity::read_chain("certificate", &first.public).unwrap();
        assert_eq!(fingerprint(&public[0]), first.fingerprint);
        assert_eq!(first.fingerprint.len(), 32 * 3 - 1);
        assert!(first.names.contains(&"localhost".to_owned()));

        fs::remove_file(&first.public).unwrap();
        let again = provide(&directory, &listen(), now + VALID_FOR - Duration::from_secs(2)).unwrap();
        assert_eq!(again.fingerprint, first.fingerprint);
        assert!(again.public.exists());
        let later = provide(&directory, &listen(), now + VALID_FOR + Duration::from_secs(2)).unwrap();
        assert_ne!(later.fingerprint, first.fingerprint);
        assert_eq!(mode(&later.file), 0o600);
    }

    #[test]
    fn what_is_in_the_way_is_named_and_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("self-signed.pem");
        fs::write(&file, "somebody's").unwrap();
        let error = provide(place.path(), &listen(), SystemTime::now()).unwrap_err().to_string();
        assert!(error.contains("self-signed.pem") && error.contains("remove the file"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's");
        let below = file.join("below");
        let error = format!("{:#}", provide(&below, &listen(), SystemTime::now()).unwrap_err());
        assert!(error.contains("below") && error.contains("give tls.state_dir"), "{error}");
    }
}
