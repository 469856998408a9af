//! `GET /.outpost/v1/info/PATH`, and the paths of the interface.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{digest::Digests, target::Target, timestamp};

/// Everything of ours lies below this.
pub const API: &str = "/.outpost/v1/";
/// An object by its digest: `…/objects/MD5?path=PATH`.
pub const OBJECTS: &str = "/.outpost/v1/objects/";
/// What is known of a path.
pub const INFO: &str = "/.outpost/v1/info/";
/// Follow a fill: server-sent events.
pub const PROGRESS: &str = "/.outpost/v1/progress/";
/// What a share has, or what changed in it since a generation: see [`catalog`](crate::catalog).
pub const CATALOG: &str = "/.outpost/v1/catalog";
/// The packages of a share; with `/PATH/` behind it, one of them: see [`catalog`](crate::catalog).
pub const PACKAGES: &str = "/.outpost/v1/packages";
/// What changes, as it does: see [`changes`](crate::changes).
pub const CHANGES: &str = "/.outpost/v1/changes";
/// Where contents are to be had: see [`sources`](crate::sources).
pub const SOURCES: &str = "/.outpost/v1/sources";
/// Who stands where, for people: `?domain=DOMAIN` is that one with all below it.
pub const TOPOLOGY: &str = "/.outpost/v1/topology";
/// What somebody holds: see [`report`](crate::report).
pub const REPORTS: &str = "/.outpost/v1/reports";
/// How one becomes known to the origin: see [`enrolment`](crate::enrolment).
pub const ENROL: &str = "/.outpost/v1/enrol";
/// What the origin wants of who asks: see [`enrolment`](crate::enrolment).
pub const CONFIGURATION: &str = "/.outpost/v1/configuration";
/// Who has reported: see [`report`](crate::report). With `/` and a name behind it, one of them.
pub const NODES: &str = "/.outpost/v1/nodes";
/// How jobs stand: see [`jobs`](crate::jobs). With `/` and a name behind it, one of them.
pub const JOBS: &str = "/.outpost/v1/jobs";
/// Behind the digest of an [object](OBJECTS): who holds it.
pub const HOLDERS: &str = "/holders";
/// Request field by which a proxy or an agent says its name to the origin.
pub const NODE_FIELD: &str = "Outpost-Node";
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

impl Info {
    /// Of a file whose digests are known. The query of `target` takes no part.
    pub fn new(target: &Target, size: u64, digests: &Digests, modified: Option<SystemTime>) -> Self {
        Self {
            path: target.path().into(),
            size,
            md5: digests.md5.to_string(),
            sha256: digests.sha256.to_string(),
            modified: modified.map(timestamp::rfc3339),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_documented_members() {
        let digests = Digests::of(b"");
        let target = Target::parse(b"/a%20b?x=1").expect("valid");
        let info = Info::new(&target, 0, &digests, Some(SystemTime::UNIX_EPOCH));
        assert_eq!(
            serde_json::to_string(&info).expect("serialises"),
            concat!(
                r#"{"path":"/a%20b","size":0,"md5":"d41d8cd98f00b204e9800998ecf8427e","#,
                r#""sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","#,
                r#""modified":"1970-01-01T00:00:00Z"}"#
            )
        );
    }

    #[test]
    fn an_unknown_time_is_left_out() {
        let text = r#"{"path":"/a","size":1,"md5":"00","sha256":"00"}"#;
        let info: Info = serde_json::from_str(text).expect("parses");
        assert_eq!(info.modified, None);
        assert_eq!(serde_json::to_string(&info).expect("serialises"), text);
    }
}
