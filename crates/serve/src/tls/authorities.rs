//! Whom to believe: the certificates of authorities, read from a PEM file. For certificates of clients, and for those of upstreams.

use std::path::Path;

use rustls::RootCertStore;

use super::identity::{IdentityError, read_chain};

/// What is said of them.
const WHAT: &str = "certificate of an authority";

/// Reads every authority of a file.
pub fn read(file: &Path) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for authority in read_chain(WHAT, file)? {
        let added = roots.add(authority);
        added.map_err(|error| IdentityError::Authority { what: WHAT, file: file.into(), reason: error.to_string() })?;
    }
    Ok(roots)
}
