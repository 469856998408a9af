//! Who belongs to this origin: names, each with the digest of the credential that it was given. A credential is 32 random bytes, and only its SHA-256 is kept.
//!
//! | a name that is | enrols with | what follows |
//! | --- | --- | --- |
//! | new | a token for it | it is given a credential; one that it brings from another origin of the site it keeps |
//! | taken | a token for it and its credential | it keeps it |
//! | taken | a token for it, and not its credential | refused, until an administrator has removed the name (`outpost-origin forget`) |
//! | any | no token, or one that is not for it | refused, and counted: whoever tries too often is not listened to for a while |
//!
//! All is in memory; `database` is what a restart reads.

mod attempts;
pub(crate) mod database;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime},
};

use parking_lot::{Mutex, RwLock};
use protocol::{
    enrolment::{Enrol, Role, is_name},
    machines::Mac,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use self::attempts::Attempts;
pub(crate) use self::database::Database;
pub use self::database::DatabaseError;

/// Names that there may be.
const MEMBERS_MAX: usize = 200_000;
/// Network cards of one machine.
const CARDS_MAX: usize = 16;
/// Bytes of a credential.
const CREDENTIAL_BYTES: usize = 32;
/// Letters of one that somebody brings: what [`written`] makes.
const CREDENTIAL_LETTERS: usize = 2 * CREDENTIAL_BYTES;

/// One who belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    digest: [u8; 32],
    /// What it is.
    pub(crate) role: Role,
    /// Its network cards.
    pub(crate) machines: Vec<Mac>,
}

/// All of them.
pub(crate) struct Members {
    known: RwLock<HashMap<Box<str>, Arc<Member>>>,
    attempts: Mutex<Attempts>,
    /// Enrolments that were refused.
    pub(crate) refused: AtomicU64,
    database: Arc<Database>,
}

/// Why somebody is not enrolled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotEnrolled {
    /// Not what a name is.
    #[error("'{0}' is not the name of a proxy or an agent: it has 1 to 64 letters, digits, '-', '_' or '.'")]
    Name(String),
    /// It is somebody's.
    #[error(
        "the name {0} is taken: show its credential, or have an administrator remove it with outpost-origin forget {0}"
    )]
    Taken(String),
    /// As many as there may be.
    #[error("{MEMBERS_MAX} names are enrolled here, which is the limit; have those removed that are not used any more")]
    Full,
    /// It could not be written down, so it is not so.
    #[error("this server cannot write down who enrols: {0}")]
    Database(#[from] rusqlite::Error),
    /// The system gives no random bytes.
    #[error("this server has no random bytes to make a credential of: {0}")]
    Random(#[from] io::Error),
}

impl Members {
    /// Those that were written down.
    pub(crate) fn open(database: &Arc<Database>) -> Result<Self, DatabaseError> {
        let known = database.members()?.into_iter().map(|(name, member)| (name, Arc::new(member))).collect();
        Ok(Self {
            known: RwLock::new(known),
            attempts: Mutex::default(),
            refused: AtomicU64::new(0),
            database: database.clone(),
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.known.read().len()
    }

    /// One of them.
    pub(crate) fn member(&self, name: &str) -> Option<Arc<Member>> {
        self.known.read().get(name).cloned()
    }

    /// Whether a credential is that of a name. It takes the same time whatever was presented.
    pub(crate) fn proves(&self, name: &str, presented: &str) -> bool {
        self.member(name).is_some_and(|member| member.is_proven_by(presented))
    }

    /// Seconds for which somebody at an address is not listened to any more, who has tried in vain too often.
    pub(crate) fn shuts_out(&self, address: IpAddr, now: Instant) -> Option<u64> {
        self.attempts.lock().shut_out(address, now)
    }

    /// Somebody tried in vain; whether it is time to say so in the log.
    pub(crate) fn failed(&self, address: IpAddr, now: Instant) -> bool {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.attempts.lock().failed(address, now)
    }

    /// Enrols one whose token was found good; answers its credential. Blocks: it is written down first.
    pub(crate) fn enrol(&self, asked: &Enrol, now: SystemTime) -> Result<String, NotEnrolled> {
        if !is_name(&asked.name) {
            return Err(NotEnrolled::Name(asked.name.chars().take(64).collect()));
        }
        let brought = asked.credential.as_deref().filter(|text| is_credential(text));
        let known = self.member(&asked.name);
        let credential = match (&known, brought) {
            (Some(known), Some(brought)) if known.is_proven_by(brought) => brought.to_owned(),
            (Some(_), _) => return Err(NotEnrolled::Taken(asked.name.clone())),
            (None, Some(brought)) => brought.to_owned(),
            (None, None) => written(&random()?),
        };
        let machines = asked.machines.iter().take(CARDS_MAX).filter_map(|text| text.parse().ok()).collect();
        let member = Member { digest: Sha256::digest(credential.as_bytes()).into(), role: asked.role, machines };
        let mut all = self.known.write();
        // Another one may have taken the name meanwhile.
        if all.get(asked.name.as_str()).cloned() != known {
            return Err(NotEnrolled::Taken(asked.name.clone()));
        }
        if known.is_none() && all.len() >= MEMBERS_MAX {
            return Err(NotEnrolled::Full);
        }
        self.database.keep(&asked.name, &member, now)?;
        all.insert(asked.name.as_str().into(), Arc::new(member));
        Ok(credential)
    }

    /// Removes a name, so that it can be given anew; answers whether it was there.
    pub(crate) fn forget(&self, name: &str) -> Result<bool, rusqlite::Error> {
        let mut all = self.known.write();
        self.database.forget(name)?;
        Ok(all.remove(name).is_some())
    }
}

impl Member {
    fn is_proven_by(&self, presented: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        digest.ct_eq(&self.digest).into()
    }
}

fn is_credential(text: &str) -> bool {
    text.len() == CREDENTIAL_LETTERS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn random() -> io::Result<[u8; CREDENTIAL_BYTES]> {
    let mut bytes = [0; CREDENTIAL_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// In hexadecimal digits.
fn written(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(name: &str, credential: Option<&str>) -> Enrol {
        Enrol {
            name: name.into(),
            role: Role::Proxy,
            version: "1".into(),
            url: None,
            machines: vec!["52:54:00:00:00:01".into(), "nonsense".into()],
            credential: credential.map(str::to_owned),
        }
    }

    #[test]
    fn a_name_is_given_once_and_its_credential_outlives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("members.db");
        let open = || Members::open(&Arc::new(Database::open(&path).unwrap())).unwrap();
        let (members, now) = (open(), SystemTime::now());
        let credential = members.enrol(&asks("b7", None), now).unwrap();
        assert!(is_credential(&credential));
        assert!(members.proves("b7", &credential) && !members.proves("b7", "x") && !members.proves("b8", &credential));
        let taken = members.enrol(&asks("b7", None), now).unwrap_err();
        assert!(matches!(taken, NotEnrolled::Taken(_)), "{taken}");
        let wrong = "0".repeat(CREDENTIAL_LETTERS);
        assert!(members.enrol(&asks("b7", Some(&wrong)), now).is_err());
        assert_eq!(members.enrol(&asks("b7", Some(&credential)), now).unwrap(), credential, "it keeps it");
        drop(members);
        let members = open();
        assert!(members.proves("b7", &credential));
        assert_eq!(members.member("b7").unwrap().machines, ["52:54:00:00:00:01".parse().unwrap()]);
        assert!(members.forget("b7").unwrap() && !members.forget("b7").unwrap());
        assert!(!members.proves("b7", &credential));
        assert_ne!(members.enrol(&asks("b7", None), now).unwrap(), credential);
    }

    #[test]
    fn a_second_origin_gives_the_credential_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let open =
            |name: &str| Members::open(&Arc::new(Database::open(&directory.path().join(name)).unwrap())).unwrap();
        let (first, second, now) = (open("first"), open("second"), SystemTime::now());
        let credential = first.enrol(&asks("b7", None), now).unwrap();
        assert_eq!(second.enrol(&asks("b7", Some(&credential)), now).unwrap(), credential);
        // What is no credential of ours is not taken for one.
        assert_ne!(second.enrol(&asks("b8", Some("short")), now).unwrap(), "short");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let database = Arc::new(Database::open(std::path::Path::new(":memory:")).unwrap());
        let members = Members::open(&database).unwrap();
        for name in ["", "a b", "../x", &"a".repeat(65)] {
            assert!(matches!(members.enrol(&asks(name, None), SystemTime::now()), Err(NotEnrolled::Name(_))), "{name}");
        }
        assert_eq!(members.len(), 0);
    }
}
