//! Whom to believe over TLS: the authorities of a file, or else those of the system.

use std::{io, path::Path, sync::Arc};

use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;
use serve::tls::authorities;

/// For connections.
pub(super) fn config(file: Option<&Path>) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match file {
        Some(file) => builder.with_root_certificates(authorities::read(file).map_err(io::Error::other)?),
        None => builder.with_platform_verifier().map_err(|error| {
            let advice = "install the package ca-certificates, or name a file with --ca FILE";
            io::Error::other(format!("cannot load the certificates that this system trusts: {error}; {advice}"))
        })?,
    };
    Ok(builder.with_no_client_auth())
}
