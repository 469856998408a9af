//! Whom an upstream must be and who we are to it, where TLS is spoken: read from the files that its options name. Nothing connects here.

use std::{io, sync::Arc};

use protocol::digest::Md5;
use rustls::{ClientConfig, RootCertStore, sign::SingleCertAndKey};
use rustls_platform_verifier::BuilderVerifierExt;
use serve::tls::{Identity, IdentityError, authorities};

use crate::options::UpstreamOptions;

/// What the files hold.
pub(crate) struct Trust {
    /// `None`: those of the operating system.
    authorities: Option<RootCertStore>,
    /// Ours.
    identity: Option<Identity>,
}

impl Trust {
    /// Reads the files.
    pub(crate) fn read(options: &UpstreamOptions) -> Result<Self, IdentityError> {
        let identity = match (&options.certificate, &options.key) {
            (Some(certificate), Some(key)) => Some(Identity::read(certificate, key)?),
            (None, None) => None,
            _ => return Err(IdentityError::Missing),
        };
        Ok(Self { authorities: options.authorities.as_deref().map(authorities::read).transpose()?, identity })
    }

    /// For connections.
    pub(crate) fn config(self) -> io::Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match self.authorities {
            Some(roots) => builder.with_root_certificates(roots),
            None => builder.with_platform_verifier().map_err(|error| {
                let advice = "install the package ca-certificates";
                io::Error::other(format!("cannot load the certificates that this system trusts: {error}; {advice}"))
            })?,
        };
        Ok(match self.identity {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.certified_key()))),
            None => builder.with_no_client_auth(),
        })
    }
}

/// Stands for what the files hold now: an upstream whose files were exchanged is another one. One that cannot be read counts as empty: who reads
/// it in earnest says so.
pub(crate) fn contents(options: &UpstreamOptions) -> Md5 {
    let files = [&options.authorities, &options.certificate, &options.key];
    let text = |file: &Option<_>| file.as_ref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
    Md5::of(&files.map(text).concat())
}
