//! Who the server is, by the name that a client asks for, and who clients are (mTLS). A session is never carried from one to another.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, ExtendedKeyUsagePurpose,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::{
    ClientConfig, HandshakeKind, NamedGroup, RootCertStore, SupportedProtocolVersion,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
    },
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    version::{TLS12, TLS13},
};
use serve::{
    options::Options,
    server::Server,
    tls::{
        IdentityError, Pair,
        clients::{Clients, Wanted},
    },
};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::common::*;

/// An authority with a directory for what it signs.
struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What an authority has signed.
struct Signed {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut asked = CertificateParams::new([]).unwrap();
        asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        asked.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(asked, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { directory: tempfile::tempdir().unwrap(), issuer };
        std::fs::write(authority.file("authority.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A server's certificate for some names, in one file with its key.
    fn server(&self, file: &str, names: &[&str]) -> Pair {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let path = self.file(file);
        std::fs::write(&path, made.pem() + &key.serialize_pem()).unwrap();
        Pair { certificate: path.clone(), key: path }
    }

    /// A client's certificate with a number, which holds until the end of a year.
    fn client(&self, number: u64, until: i32) -> Signed {
        self.client_until(number, date_time_ymd(until, 12, 31))
    }

    fn client_until(&self, number: u64, until: OffsetDateTime) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut asked = CertificateParams::new([]).unwrap();
        asked.serial_number = Some(SerialNumber::from(number));
        asked.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        asked.not_after = until;
        let made = asked.signed_by(&key, &self.issuer).unwrap();
        Signed { certificate: made.der().clone(), key: PrivateKeyDer::try_from(key.serialize_der()).unwrap() }
    }

    /// Takes back the certificate with that number.
    fn revoke(&self, number: u64) {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(number),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2026, 2, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        std::fs::write(self.file("revoked.pem"), list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
    }

    /// Asking clients for certificates of this authority.
    fn asking(&self, wanted: Wanted) -> Clients {
        Clients { wanted, authorities: Some(self.file("authority.pem")), revoked: None }
    }

    /// A client that believes this authority, and shows what it has.
    fn believer(&self, own: Option<Signed>, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match own {
            Some(own) => builder.with_client_auth_cert(vec![own.certificate], own.key).unwrap(),
            None => builder.with_no_client_auth(),
        })
    }
}

/// Sessions of a client that takes all servers for one.
#[derive(Debug)]
struct Confused(ClientSessionMemoryCache);

fn everybody() -> ServerName<'static> {
    "everybody".try_into().unwrap()
}

impl ClientSessionStore for Confused {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(everybody(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&everybody())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(everybody(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&everybody())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&everybody());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(everybody(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&everybody())
    }
}

/// Speaking nothing but TLS, with these certificates.
fn with(pairs: impl IntoIterator<Item = Pair>, clients: Clients) -> Options {
    let tls = serve::tls::Options {
        listen: vec![([127, 0, 0, 1], 0).into()],
        more: pairs.into_iter().collect(),
        clients,
        ..Default::default()
    };
    Options { listen: Vec::new(), tls, ..options() }
}

/// The names of the certificate that a client is shown, or what it complains of.
fn shown(name: &str, server: &Server, config: &Arc<ClientConfig>) -> Result<Vec<u8>, String> {
    let mut peer = Peer::connect_tls_to(name, server, config);
    peer.shake_hands().map_err(|error| error.to_string())?;
    assert_eq!(peer.get("/").status, 200);
    Ok(peer.session().0.peer_certificates().unwrap()[0].to_vec())
}

/// How a client's handshake came about; an error is the server's refusal, which over TLS 1.3 shows only with the first answer.
fn handshake(name: &str, server: &Server, config: &Arc<ClientConfig>) -> Result<HandshakeKind, String> {
    let mut peer = Peer::connect_tls_to(name, server, config);
    peer.shake_hands().map_err(|error| error.to_string())?;
    peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let kind = peer.session().0.handshake_kind().unwrap();
    let answer = peer.rest_or_reset().map_err(|error| error.to_string())?;
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    Ok(kind)
}

#[test]
fn each_name_has_its_certificate_and_others_the_first() {
    let authority = Authority::new();
    let pairs = [
        authority.server("first.pem", &["first.example", "127.0.0.1"]),
        authority.server("a.pem", &["a.example"]),
        authority.server("wild.pem", &["*.wild.example"]),
    ];
    let server = echo(with(pairs, Clients::default()));
    for version in [&TLS12, &TLS13] {
        let config = authority.believer(None, version);
        // Believed: each is for the name that was asked for.
        let all = ["first.example", "a.example", "b.wild.example"].map(|name| shown(name, &server, &config).unwrap());
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
        // An address asks for no name.
        assert_eq!(shown("127.0.0.1", &server, &config).unwrap(), all[0]);
        let error = shown("other.example", &server, &config).unwrap_err();
        assert!(error.contains("only valid for DnsName(\"first.example\")"), "{error}");
    }
}

#[test]
fn a_session_is_not_carried_from_one_name_to_another() {
    let authority = Authority::new();
    let pairs = [authority.server("a.pem", &["a.example"]), authority.server("b.pem", &["b.example"])];
    let server = echo(with(pairs, Clients::default()));
    for version in [&TLS12, &TLS13] {
        let config = authority.believer(None, version);
        assert_eq!(handshake("a.example", &server, &config), Ok(HandshakeKind::Full));
        assert_eq!(handshake("a.example", &server, &config), Ok(HandshakeKind::Resumed));
        // This client offers what it has got from one server to another.
        let mut confused = (*config).clone();
        confused.resumption = Resumption::store(Arc::new(Confused(ClientSessionMemoryCache::new(16))));
        let confused = Arc::new(confused);
        assert_eq!(handshake("a.example", &server, &confused), Ok(HandshakeKind::Full));
        assert_eq!(handshake("a.example", &server, &confused), Ok(HandshakeKind::Resumed), "{version:?}");
        assert_eq!(handshake("b.example", &server, &confused), Ok(HandshakeKind::Full), "{version:?}");
    }
}

#[test]
fn clients_show_certificates_where_they_are_asked_for_them() {
    let (ours, others) = (Authority::new(), Authority::new());
    let pair = || [ours.server("a.pem", &["a.example"])];
    let server = |wanted| echo(with(pair(), ours.asking(wanted)));
    let (optional, required) = (server(Wanted::Optional), server(Wanted::Required));
    for version in [&TLS12, &TLS13] {
        let good = || ours.believer(Some(ours.client(1, 2090)), version);
        let none = || ours.believer(None, version);
        let foreign = || ours.believer(Some(others.client(1, 2090)), version);
        let expired = || ours.believer(Some(ours.client(2, 2020)), version);
        for (server, client, expected) in [
            (&optional, good(), Ok(HandshakeKind::Full)),
            (&optional, none(), Ok(HandshakeKind::Full)),
            (&required, good(), Ok(HandshakeKind::Full)),
            (&required, none(), Err("Required")),
            (&optional, expired(), Err("Expired")),
            (&required, expired(), Err("Expired")),
        ] {
            let found = handshake("a.example", server, &client);
            match (&found, expected) {
                (Err(error), Err(part)) if version.version == TLS13.version => assert!(error.contains(part), "{error}"),
                // Over TLS 1.2 there is one alert for all.
                _ => assert_eq!(found.is_ok(), expected.is_ok(), "{found:?} {expected:?}"),
            }
        }
        // Who was signed by others shows nothing, for the server tells whom it asks for; and is refused where something must be shown.
        assert!(handshake("a.example", &required, &foreign()).is_err());
    }
    eventually("all closed", || required.counters().connections.load(Relaxed) == 0);
    assert_eq!(required.counters().handshakes_failed.load(Relaxed), 6);
    assert_eq!(required.counters().requests.load(Relaxed), 2, "no request is answered without a certificate");
}

#[test]
fn a_certificate_that_was_taken_back_is_refused() {
    let authority = Authority::new();
    authority.revoke(7);
    let mut clients = authority.asking(Wanted::Required);
    clients.revoked = Some(authority.file("revoked.pem"));
    let server = echo(with([authority.server("a.pem", &["a.example"])], clients));
    let taken_back = authority.believer(Some(authority.client(7, 2090)), &TLS13);
    let error = handshake("a.example", &server, &taken_back).unwrap_err();
    assert!(error.contains("Revoked"), "{error}");
    let good = authority.believer(Some(authority.client(8, 2090)), &TLS13);
    assert_eq!(handshake("a.example", &server, &good), Ok(HandshakeKind::Full));
}

#[test]
fn what_a_client_was_found_to_be_does_not_outlive_a_reload() {
    let authority = Authority::new();
    let pair = || [authority.server("a.pem", &["a.example"])];
    let open = with(pair(), Clients::default());
    let guarded = |revoked: bool| {
        let mut clients = authority.asking(Wanted::Required);
        clients.revoked = revoked.then(|| authority.file("revoked.pem"));
        with(pair(), clients)
    };
    authority.revoke(7);
    for version in [&TLS12, &TLS13] {
        let server = echo(open.clone());
        let reload = |options: &Options| server.replace_credentials(options.tls.read().unwrap()).unwrap();
        let (nobody, client) =
            (authority.believer(None, version), authority.believer(Some(authority.client(7, 2090)), version));
        let hello = |config: &Arc<ClientConfig>| handshake("a.example", &server, config);
        assert_eq!((hello(&nobody), hello(&nobody)), (Ok(HandshakeKind::Full), Ok(HandshakeKind::Resumed)));
        // The same, but now everybody must show a certificate: a session of before shows none.
        reload(&guarded(false));
        assert!(hello(&nobody).is_err(), "{version:?}");
        assert_eq!((hello(&client), hello(&client)), (Ok(HandshakeKind::Full), Ok(HandshakeKind::Resumed)));
        // It was taken back meanwhile.
        reload(&guarded(true));
        assert!(hello(&client).is_err(), "{version:?}");
    }
}

#[test]
fn a_session_does_not_outlive_the_certificate_that_it_was_begun_with() {
    let authority = Authority::new();
    let pair = [authority.server("a.pem", &["a.example"])];
    let server = echo(with(pair, authority.asking(Wanted::Required)));
    for version in [&TLS12, &TLS13] {
        let soon = OffsetDateTime::now_utc() + time::Duration::seconds(2);
        let client = authority.believer(Some(authority.client_until(9, soon)), version);
        assert_eq!(handshake("a.example", &server, &client), Ok(HandshakeKind::Full));
        let mut taken_up = 0;
        eventually("its end", || match handshake("a.example", &server, &client) {
            Ok(kind) => {
                assert_eq!(kind, HandshakeKind::Resumed);
                taken_up += 1;
                false
            }
            Err(_) => true,
        });
        assert!(taken_up > 0);
    }
}

#[test]
fn a_reload_drops_nobody() {
    let authority = Authority::new();
    let pair = || [authority.server("a.pem", &["a.example"])];
    let server = echo(with(pair(), Clients::default()));
    let mut open = Peer::connect_tls_to("a.example", &server, &authority.believer(None, &TLS13));
    assert_eq!(open.get("/before").body, b"/before");
    let before = server.identities().unwrap().expire().unwrap();
    server.replace_credentials(with(pair(), authority.asking(Wanted::Required)).tls.read().unwrap()).unwrap();
    assert_eq!(open.get("/after").body, b"/after");
    assert_eq!(server.identities().unwrap().expire(), Some(before));
}

#[test]
fn what_is_wrong_with_authorities_is_said() {
    let authority = Authority::new();
    let pair = || [authority.server("a.pem", &["a.example"])];
    let read = |clients: Clients| with(pair(), clients).tls.read().map(drop);
    assert!(read(authority.asking(Wanted::Required)).is_ok());
    let broken = authority.file("broken.pem");
    for (text, label) in [("CERTIFICATE", "CERTIFICATE"), ("X509 CRL", "X509 CRL")] {
        std::fs::write(&broken, format!("-----BEGIN {text}-----\nAAAA\n-----END {label}-----\n")).unwrap();
        let (authorities, revoked) = match text {
            "CERTIFICATE" => (broken.clone(), None),
            _ => (authority.file("authority.pem"), Some(broken.clone())),
        };
        let clients = Clients { wanted: Wanted::Optional, authorities: Some(authorities), revoked };
        let error = read(clients).unwrap_err();
        assert!(error.to_string().contains("broken.pem") && error.to_string().contains("cannot be used"), "{error}");
        assert!(!error.advice().is_empty());
    }
    let nobody = Clients { wanted: Wanted::Required, authorities: None, revoked: None };
    assert!(matches!(read(nobody), Err(IdentityError::AuthorityMissing)));
    let absent = Clients { authorities: Some(authority.file("absent.pem")), ..authority.asking(Wanted::Required) };
    assert!(matches!(read(absent), Err(IdentityError::Read { .. })));
}
