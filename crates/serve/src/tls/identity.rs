//! Who this server is: a certificate with its chain and the private key, read from PEM files. What is wrong with them is said with the
//! file's name and what to do.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use webpki::EndEntityCert;

use super::validity::Validity;

/// A certificate with its chain, and the key that belongs to it.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    /// Where it was read from.
    file: PathBuf,
    /// The DNS names that it is for, in lower case; `*.` begins one that stands for many.
    names: Vec<String>,
    validity: Option<Validity>,
}

/// Why what TLS needs could not be read: certificates, keys, authorities, lists of what was revoked.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Nobody said where it is.
    #[error("TLS is on, but the certificate or its key is not given")]
    Missing,
    /// Certificates of clients are asked for, and nobody said by whom they are to be signed.
    #[error("certificates of clients are asked for, but not by which authority they are to be signed")]
    AuthorityMissing,
    /// A file that cannot be read.
    #[error("cannot read the {what} {}: {source}", file.display())]
    Read {
        /// `certificate`, `key`, ...
        what: &'static str,
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is not PEM, or has something else in it.
    #[error("{} holds no usable {what}: {reason}; PEM text with -----BEGIN {begin}----- is expected", file.display())]
    Content {
        /// `certificate`, `private key`, ...
        what: &'static str,
        /// Which.
        file: PathBuf,
        /// Why.
        reason: String,
        /// The label that is looked for.
        begin: &'static str,
    },
    /// A certificate or key that is not understood.
    #[error("the key {} cannot be used: {reason}", file.display())]
    Key {
        /// Which.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// Two files that do not belong together.
    #[error("the key {} does not belong to the first certificate of {}", key.display(), certificate.display())]
    Mismatch {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// An authority's certificate, or a list of revoked ones, that is not understood.
    #[error("{} holds a {what} that cannot be used: {reason}", file.display())]
    Authority {
        /// `certificate of an authority` or `list of revoked certificates`.
        what: &'static str,
        /// Which.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// A first certificate that is not understood.
    #[error("the first certificate of {} cannot be used: {reason}", file.display())]
    Certificate {
        /// Which.
        file: PathBuf,
        /// Why.
        reason: String,
    },
}

impl IdentityError {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Missing => "give the paths of two PEM files, with tls.certificate and tls.key",
            Self::AuthorityMissing => {
                "give the path of a PEM file with the authority's certificate, with tls.client_ca"
            }
            Self::Authority { .. } => "give a file with nothing but what the authority itself publishes, of X.509",
            Self::Read { .. } => "give the path of a PEM file that this user may read",
            Self::Content { .. } => {
                "convert a file of another form with openssl x509 (certificate) or openssl pkey (key, also to take off a passphrase)"
            }
            Self::Key { .. } => {
                "give a key without a passphrase: RSA of 2048 bits or more, ECDSA (P-256, P-384, P-521) or Ed25519"
            }
            Self::Mismatch { .. } => {
                "give the key that the certificate was made with; the server's own certificate comes first in its file, \
                 those between it and its root behind it"
            }
            Self::Certificate { .. } => "give a file that begins with the server's own certificate, of X.509 version 3",
        }
    }
}

impl Identity {
    /// Reads both files.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let chain = read_chain("certificate", certificate)?;
        let private = read_key(key)?;
        let made = CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                IdentityError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() }
            }
            rustls::Error::InvalidCertificate(error) => {
                IdentityError::Certificate { file: certificate.to_owned(), reason: error.to_string() }
            }
            rustls::Error::General(reason) => IdentityError::Key { file: key.to_owned(), reason },
            other => IdentityError::Key { file: key.to_owned(), reason: other.to_string() },
        })?;
        let own = made.end_entity_cert().ok();
        let parsed = own.and_then(|own| EndEntityCert::try_from(own).ok());
        let names = parsed.iter().flat_map(|own| own.valid_dns_names()).map(str::to_ascii_lowercase).collect();
        let validity = own.and_then(|own| Validity::of(own));
        Ok(Self { names, validity, file: certificate.to_owned(), key: Arc::new(made) })
    }

    /// The file of its certificate.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The DNS names that it is for, in lower case.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// From when until when it holds, if that can be told.
    pub fn validity(&self) -> Option<Validity> {
        self.validity
    }

    /// For another side than the server's: to show it to an upstream.
    pub fn certified_key(&self) -> CertifiedKey {
        (*self.key).clone()
    }

    /// Its own certificate, as it is sent.
    pub fn certificate(&self) -> &[u8] {
        self.key.cert.first().map_or(&[], |own| own.as_ref())
    }
}

/// Who computes: for the identity here, for sessions in `tls`.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Every certificate of a PEM file, in its order; at least one.
pub fn read_chain(what: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    read_all(what, file, "CERTIFICATE")
}

/// The first private key of a PEM file.
pub fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    let text = read("key", file)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| content("private key", file, error, "PRIVATE KEY"))
}

/// Every piece of one kind, at least one.
pub(super) fn read_all<T: PemObject>(
    what: &'static str,
    file: &Path,
    begin: &'static str,
) -> Result<Vec<T>, IdentityError> {
    let text = read(what, file)?;
    let refuse = |error: pem::Error| content(what, file, error, begin);
    let all = T::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().map_err(refuse)?;
    if all.is_empty() { Err(refuse(pem::Error::NoItemsFound)) } else { Ok(all) }
}

fn read(what: &'static str, file: &Path) -> Result<Vec<u8>, IdentityError> {
    std::fs::read(file).map_err(|source| IdentityError::Read { what, file: file.to_owned(), source })
}

fn content(what: &'static str, file: &Path, error: pem::Error, begin: &'static str) -> IdentityError {
    let reason = match error {
        pem::Error::NoItemsFound => "there is none in it".into(),
        other => other.to_string(),
    };
    IdentityError::Content { what, file: file.to_owned(), reason, begin }
}
