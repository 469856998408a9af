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
    /// The certificate's file.
    pub file: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes a self-signed one for `localhost`, in place of what is there.
    pub fn make(directory: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let certificate = Self { file: directory.join("certificate.pem"), key: directory.join("key.pem") };
        fs::write(&certificate.file, made.cert.pem()).expect("the certificate's file");
        fs::write(&certificate.key, made.signing_key.serialize_pem()).expect("the key's file");
        certificate
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
        Believer(Arc::new(config))
    }
}

/// A client with the tickets it was given.
pub struct Believer(Arc<ClientConfig>);

impl Believer {
    /// GET over a connection of its own, with further field lines: the head, and the body up to the end of the connection, which must
    /// have been said (close_notify).
    pub fn get(&self, address: SocketAddr, target: &str, fields: &str) -> Result<(String, Vec<u8>), String> {
        let socket = TcpStream::connect(address).map_err(|error| error.to_string())?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        let name = "localhost".try_into().expect("a name");
        let session = ClientConnection::new(self.0.clone(), name).map_err(|error| error.to_string())?;
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
