//! `GET /.outpost/v1/info/PATH`, and the paths of the interface.

use serde::{Deserialize, Serialize};

/// Everything of ours lies below this.
pub const API: &str = "/.outpost/v1/";
/// An object by its digest: `…/objects/MD5?path=PATH`.
pub const OBJECTS: &str = "/.outpost/v1/objects/";
/// What is known of a path.
pub const INFO: &str = "/.outpost/v1/info/";
/// Follow a fill: server-sent events.
pub const PROGRESS: &str = "/.outpost/v1/progress/";
/// Request field by which an agent names itself, so that it counts as one requester over all its connections.
pub const REQUESTER_FIELD: &str = "Outpost-Requester";

/// The body of an `info` answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Encoded, with its leading `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// 32 hexadecimal digits.
    pub md5: String,
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// RFC 3339, UTC; absent if the upstream does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}
