//! Who clients are: certificates that they show (mTLS), checked against the authorities that the operator names. What such a client may do
//! is not told apart; who shows none that holds gets no session where one is required.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    pki_types::CertificateRevocationListDer,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{
    authorities,
    identity::{IdentityError, provider, read_all},
};

/// Certificates of clients.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// Whether they are asked for.
    pub wanted: Wanted,
    /// PEM file of the authorities that may have signed them.
    pub authorities: Option<PathBuf>,
    /// PEM file of lists of revoked ones; who is on a list, or of whose authority there is none, is refused.
    pub revoked: Option<PathBuf>,
}

/// Whether a client is asked for its certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// No.
    #[default]
    Off,
    /// Yes; who has none is served all the same, and who shows one that does not hold is not.
    Optional,
    /// Yes; who has none is not served.
    Required,
}

/// What is said of a file with revocations.
const REVOKED: &str = "list of revoked certificates";

impl Clients {
    /// Reads the files; `None` where no client is asked.
    pub(super) fn verifier(&self) -> Result<Option<Arc<dyn ClientCertVerifier>>, IdentityError> {
        if self.wanted == Wanted::Off {
            return Ok(None);
        }
        let file = self.authorities.as_ref().ok_or(IdentityError::AuthorityMissing)?;
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities::read(file)?), provider());
        if let Some(file) = &self.revoked {
            // Clients are what the lists are for; their authorities are the operator's own choice.
            builder = builder
                .with_crls(read_all::<CertificateRevocationListDer<'static>>(REVOKED, file, "X509 CRL")?)
                .only_check_end_entity_revocation();
        }
        if self.wanted == Wanted::Optional {
            builder = builder.allow_unauthenticated();
        }
        builder.build().map(Some).map_err(|error| IdentityError::Authority {
            what: REVOKED,
            file: self.revoked.clone().unwrap_or_else(|| file.clone()),
            reason: error.to_string(),
        })
    }
}
