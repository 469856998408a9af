//! The client's side of TLS, and a certificate made for the test.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tempfile::TempDir;

/// A certificate with its key, in files.
pub(crate) struct Files {
    directory: TempDir,
}

impl Files {
    /// Self-signed, for a name.
    pub(crate) fn new(name: &str) -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        files.renew(name);
        files
    }

    /// Another certificate and key in the same files.
    pub(crate) fn renew(&self, name: &str) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(self.certificate(), made.cert.pem()).unwrap();
        std::fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// Listening on any port of the loopback with it.
    pub(crate) fn options(&self) -> serve::tls::Options {
        serve::tls::Options {
            listen: vec![([127, 0, 0, 1], 0).into()],
            certificate: Some(self.certificate()),
            key: Some(self.key()),
            ..Default::default()
        }
    }

    /// A client that believes it; one value is one client, with the tickets it has got.
    pub(crate) fn trusting(&self) -> Arc<ClientConfig> {
        self.trusting_with(&[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    /// Likewise, of these versions.
    pub(crate) fn trusting_with(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.certificate()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

static FILES: LazyLock<Files> = LazyLock::new(|| Files::new("localhost"));

/// Of a certificate that all tests share.
pub(crate) fn options() -> serve::tls::Options {
    FILES.options()
}

/// A client that believes that certificate.
pub(crate) fn trusting() -> Arc<ClientConfig> {
    FILES.trusting()
}

/// A client's session; it never sends or receives by itself.
pub(crate) struct Client(pub(crate) ClientConnection);

impl Client {
    pub(crate) fn new(config: &Arc<ClientConfig>) -> Self {
        Self::asking_for("localhost", config)
    }

    /// With that name, or address.
    pub(crate) fn asking_for(name: &str, config: &Arc<ClientConfig>) -> Self {
        let name = name.to_owned().try_into().unwrap();
        let mut connection = ClientConnection::new(config.clone(), name).unwrap();
        connection.set_buffer_limit(None);
        Self(connection)
    }

    /// Shakes hands first where that was not done.
    pub(crate) fn send(&mut self, socket: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
        self.shake_hands(socket)?;
        self.0.writer().write_all(bytes)?;
        self.flush(socket)
    }

    pub(crate) fn shake_hands(&mut self, socket: &mut TcpStream) -> std::io::Result<()> {
        while self.0.is_handshaking() {
            self.0.complete_io(socket)?;
        }
        self.flush(socket)
    }

    fn flush(&mut self, socket: &mut TcpStream) -> std::io::Result<()> {
        while self.0.wants_write() {
            self.0.write_tls(socket)?;
        }
        Ok(())
    }

    /// 0 at the end, if it was said; otherwise an error.
    pub(crate) fn receive(&mut self, socket: &mut TcpStream, room: &mut [u8]) -> std::io::Result<usize> {
        self.shake_hands(socket)?;
        loop {
            match self.0.reader().read(room) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.0.read_tls(socket)?;
            self.0.process_new_packets().map_err(std::io::Error::other)?;
        }
    }

    pub(crate) fn end(&mut self, socket: &mut TcpStream) -> std::io::Result<()> {
        self.0.send_close_notify();
        self.flush(socket)
    }
}
