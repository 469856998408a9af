//! Several identities on one address: which of them a client sees is chosen by the name that it asks for (SNI, RFC 6066 section 3). Pure: who
//! reads the files is in `identity`.
//!
//! | the client asks for | it sees |
//! | --- | --- |
//! | a name that a certificate has | that one, the first of those that have it and whose key the client understands |
//! | a name that one with `*.` stands for | likewise; `*` is one label (RFC 9525 section 6.3) |
//! | another name, or none | the first of all |

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::identity::Identity;

/// At least one identity.
#[derive(Clone, Debug)]
pub struct Identities {
    all: Vec<Identity>,
    /// Which of them are for a name; one with `*.` is kept without the `*`.
    by_name: HashMap<Box<str>, Vec<usize>>,
}

impl Identities {
    /// The first is for clients that ask for another name than these have, or for none; `None` where there is no first.
    pub(super) fn new(all: Vec<Identity>) -> Option<Self> {
        let mut by_name = HashMap::<Box<str>, Vec<usize>>::new();
        for (place, identity) in all.iter().enumerate() {
            for name in identity.names() {
                by_name.entry(name.strip_prefix('*').unwrap_or(name).into()).or_default().push(place);
            }
        }
        (!all.is_empty()).then_some(Self { all, by_name })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Identity> {
        self.all.iter()
    }

    /// When the first of them ends.
    pub fn expire(&self) -> Option<SystemTime> {
        self.all.iter().filter_map(|identity| Some(identity.validity()?.ends)).min()
    }

    /// Those that are for a name, the best first.
    fn places(&self, name: Option<&str>) -> &[usize] {
        let exact = |name: &str| self.by_name.get(name).map(Vec::as_slice);
        let wildcard = |name: &str| exact(&name[name.find('.')?..]);
        name.and_then(|name| exact(name).or_else(|| wildcard(name))).unwrap_or(&[0])
    }

    /// The one that a client sees. One whose key it does not understand is still better than none: it is told that nothing is in common.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> &Identity {
        let places = self.places(name);
        let understood = |place: &&usize| self.all[**place].key.key.choose_scheme(schemes).is_some();
        &self.all[*places.iter().find(understood).unwrap_or(&places[0])]
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.server_name(), hello.signature_schemes()).key.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

    use super::*;

    fn identity(directory: &Path, names: &[&str], algorithm: &'static rcgen::SignatureAlgorithm) -> Identity {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let file = directory.join("both.pem");
        std::fs::write(&file, key.serialize_pem() + &made.pem()).unwrap();
        Identity::read(&file, &file).unwrap()
    }

    #[test]
    fn each_name_has_its_identity() {
        let directory = tempfile::tempdir().unwrap();
        let ecdsa = |names: &[&str]| identity(directory.path(), names, &PKCS_ECDSA_P256_SHA256);
        let all = vec![
            ecdsa(&["first.example"]),
            ecdsa(&["a.example", "*.wild.example"]),
            ecdsa(&["Exact.Wild.example", "192.0.2.1"]),
            identity(directory.path(), &["a.example", "ed.example"], &PKCS_ED25519),
        ];
        let identities = Identities::new(all).unwrap();
        for (name, expected) in [
            (None, &[0][..]),
            (Some("first.example"), &[0]),
            (Some("other.example"), &[0]),
            (Some("a.example"), &[1, 3]),
            (Some("b.wild.example"), &[1]),
            (Some("exact.wild.example"), &[2]),
            (Some("wild.example"), &[0]),
            (Some("c.b.wild.example"), &[0]),
            (Some("sub.a.example"), &[0]),
            (Some("localhost"), &[0]),
        ] {
            assert_eq!(identities.places(name), expected, "{name:?}");
        }
        for (schemes, expected) in [
            (&[SignatureScheme::ED25519][..], 3),
            (&[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519], 1),
            (&[SignatureScheme::RSA_PSS_SHA256], 1),
        ] {
            let chosen = identities.choose(Some("a.example"), schemes).certificate();
            assert_eq!(chosen, identities.all[expected].certificate(), "{schemes:?}");
        }
    }
}
