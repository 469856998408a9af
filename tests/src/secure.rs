//! A client that speaks TLS, and certificates to believe in, made for the test.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::wait::PATIENCE;

/// A certificate with its key, in two PEM files.
pub struct Certificate {
    name: String,
    /// The certificate's file.
    pub file: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes a self-signed one for `localhost`, in place of what is there.
    pub fn make(directory: &Path) -> Self {
        Self::make_for("localhost", 4000, directory)
    }

    /// Likewise, for another name, which holds until the end of a year.
    pub fn make_for(name: &str, until: i32, directory: &Path) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut asked = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
        asked.not_after = rcgen::date_time_ymd(until, 12, 31);
        let made = asked.self_signed(&key).expect("a certificate");
        let (file, key_file) = match name {
            "localhost" => ("certificate.pem".into(), "key.pem".into()),
            name => (format!("{name}.pem"), format!("{name}.key")),
        };
        let certificate = Self { name: name.into(), file: directory.join(file), key: directory.join(key_file) };
        fs::write(&certificate.file, made.pem()).expect("the certificate's file");
        fs::write(&certificate.key, key.serialize_pem()).expect("the key's file");
        certificate
    }

    /// One for `localhost` that somebody else made; its key is not known.
    pub fn at(file: &Path) -> Self {
        Self { name: "localhost".into(), file: file.into(), key: PathBuf::new() }
    }

    /// A client that believes this one and nothing else.
    pub fn believer(&self) -> Believer {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.file).expect("our own PEM")).expect("our own certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions that the provider has")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Believer { config: Arc::new(config), name: self.name.clone() }
    }
}

/// A client with the tickets it was given.
pub struct Believer {
    config: Arc<ClientConfig>,
    name: String,
}

impl Believer {
    /// GET over a connection of its own, with further field lines: the head, and the body up to the end of the connection, which must
    /// have been said (close_notify).
    pub fn get(&self, address: SocketAddr, target: &str, fields: &str) -> Result<(String, Vec<u8>), String> {
        let socket = TcpStream::connect(address).map_err(|error| error.to_string())?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        let name = self.name.clone().try_into().expect("a name");
        let session = ClientConnection::new(self.config.clone(), name).map_err(|error| error.to_string())?;
        let mut stream = StreamOwned::new(session, socket);
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(|error| error.to_string())?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("an answer without a head")? + 4;
        let body = answer.split_off(end);
        Ok((String::from_utf8_lossy(&answer).into_owned(), body))
    }
}
