//! The options of one further certificate.

use serve::tls::Pair;

use crate::option::{Kind, Setting};

type Certificate = Setting<Pair>;

/// Options of one `[[certificate]]`.
pub(crate) static CERTIFICATE: &[Setting<Pair>] = &[
    Certificate::reload(
        "file",
        "PEM file of a certificate, followed by those between it and its root.",
        "Clients that ask for one of its DNS names (SNI) see it; `*.` in it stands for one label. All others see `tls.certificate`, or else the \
         first `[[certificate]]`.",
        Kind::File { put: |c, v| c.certificate = v.unwrap_or_default(), get: |c| path(&c.certificate) },
    )
    .default_note("must be given"),
    Certificate::reload(
        "key",
        "PEM file of its private key, without a passphrase.",
        "Two certificates of one name with keys of different kinds serve old and new clients: the first whose key the client understands is shown.",
        Kind::File { put: |c, v| c.key = v.unwrap_or_default(), get: |c| path(&c.key) },
    )
    .default_note("must be given"),
];

fn path(path: &std::path::Path) -> Option<std::path::PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}
