//! Who belongs to an origin, what it wants of them, and what it tells them to do.
//!
//! `POST /.outpost/v1/enrol` (`Authorization: Bearer TOKEN`, or a client certificate) with [`Enrol`] is answered with [`Enrolled`], whose credential is
//! the bearer token of all later requests. `GET /.outpost/v1/configuration` is answered with [`Configuration`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    jobs::Job,
    topology::{DomainName, Proxy, Tier},
};

/// Letters of a name.
const NAME_LEN_MAX: usize = 64;

/// Whether it is a name as [`Enrol::name`] says.
pub fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(is_letter)
}

/// What a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A distribution server.
    Proxy,
    /// A client.
    Agent,
}

/// Who wants to belong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrol {
    /// Unlike all others: 1 to 64 letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Its release.
    pub version: String,
    /// `http://10.7.0.2:8080/`: where it serves files, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The addresses of its network cards.
    #[serde(default)]
    pub machines: Vec<String>,
    /// The credential that it has already, from this origin or from another one of the site: then it keeps it, and has the same one everywhere. A
    /// name that is taken is given again only to who has its credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// To be kept as a secret, and sent with every request.
    pub credential: String,
}

/// What is wanted of one node, and what it needs to know to do without the origin for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Another one whenever anything else of it is another, the same everywhere where it says the same: two of them are compared, not put in an order.
    pub generation: u64,
    /// Where the node is; `None`: in no domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// How soon it is admitted.
    pub tier: Tier,
    /// Options by their names in the program's own configuration file (`serve.max_requesters`), as TOML values written in JSON. They stand above the file and
    /// below the environment and the flags.
    #[serde(default)]
    pub options: BTreeMap<String, serde_json::Value>,
    /// The proxies from near to far, as seen from the domain.
    #[serde(default)]
    pub proxies: Vec<Proxy>,
    /// Origins in the order in which they are asked, `http://hq.example:8090/`.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Packages that an agent is to keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Job>,
    /// Seconds for which the sources of a content, and this list, may be used without asking again.
    pub source_expiry: u64,
}

/// Something to do now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Unlike all others of this origin. The same order may come again: who knows the number does it once.
    pub id: u64,
    /// What.
    pub update: Update,
}

/// What to bring up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Update {
    /// Everything that is preloaded.
    Everything,
    /// A file, or a folder (with its `/`) and all below it: a package.
    Path(String),
    /// These contents, each with a path at which it is. So upper proxies are told what others wait for.
    Contents(Vec<Content>),
}

/// A content, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its name.
    pub md5: crate::digest::Md5,
    /// Encoded, with its leading `/`.
    pub path: String,
}

/// How far an order is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderState {
    /// Of the order.
    pub id: u64,
    /// Where it stands.
    pub state: Stage,
    /// Bytes that are here.
    #[serde(default)]
    pub fetched: u64,
    /// Bytes in all, as far as that is known.
    #[serde(default)]
    pub total: u64,
    /// Why it failed; else empty.
    #[serde(default)]
    pub detail: String,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Taken, not begun.
    Waiting,
    /// Being done.
    Running,
    /// Everything is here.
    Done,
    /// Something could not be had.
    Failed,
}

impl Stage {
    /// Nothing more comes of it.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}
