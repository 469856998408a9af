//! Which of the origin's few resources a request means: a pure function of the target.

use protocol::{
    digest::Md5,
    info::{API, INFO, OBJECTS, PROGRESS},
    pieces::PIECES,
    target::{BadTarget, Target},
};

use crate::control::Resource;

/// What is asked for. Paths are below the share, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A file, or a directory that lacks its `/`.
    File(Vec<u8>),
    /// The index of a directory.
    Directory(Vec<u8>),
    /// What is known of a file.
    Info(Vec<u8>),
    /// Bytes by digest; where to look for them.
    Object(Md5, Option<Vec<u8>>),
    /// Whether bytes are here: they always are, or never.
    Progress(Md5),
    /// The digests of the pieces of bytes.
    Pieces(Md5),
    /// Something else than a file.
    Control(Resource),
    /// Below our own prefix, and nothing.
    Unknown,
}

/// See [`Route`].
pub(crate) fn route(target: &Target) -> Result<Route, BadTarget> {
    let path = target.path();
    if !path.starts_with(API) {
        let file = target.decode()?;
        return Ok(if target.is_directory() { Route::Directory(file) } else { Route::File(file) });
    }
    if let Some(resource) = Resource::of(target) {
        return Ok(Route::Control(resource));
    }
    if let Some(target) = target.below(INFO) {
        return Ok(if target.is_directory() { Route::Unknown } else { Route::Info(target.decode()?) });
    }
    let object = path.strip_prefix(OBJECTS).and_then(|md5| md5.parse().ok());
    if let Some(md5) = object {
        let path = target.query_value("path").map(|path| below_share(&path));
        return Ok(Route::Object(md5, path.filter(|path| !path.is_empty())));
    }
    let digest = |prefix| path.strip_prefix(prefix).and_then(|md5| md5.parse().ok());
    let pieces = || digest(PIECES).map(Route::Pieces);
    Ok(digest(PROGRESS).map(Route::Progress).or_else(pieces).unwrap_or(Route::Unknown))
}

/// As decoded from a query, where the path begins with `/`.
fn below_share(path: &[u8]) -> Vec<u8> {
    let start = path.iter().position(|&byte| byte != b'/').unwrap_or(path.len());
    path[start..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let md5 = Md5::of(b"");
        let text = md5.to_string();
        let table = [
            ("/".to_owned(), Ok(Route::Directory(b"".to_vec()))),
            ("/a%20b/".into(), Ok(Route::Directory(b"a b".to_vec()))),
            ("/a/50%25?x".into(), Ok(Route::File(b"a/50%".to_vec()))),
            ("/.outpost/v2/a".into(), Ok(Route::File(b".outpost/v2/a".to_vec()))),
            ("/a%2Fb".into(), Err(BadTarget::EncodedSlash)),
            ("/a%00b".into(), Err(BadTarget::Nul)),
            ("/.outpost/v1/catalog?since=1".into(), Ok(Route::Control(Resource::Catalog))),
            ("/.outpost/v1/".into(), Ok(Route::Unknown)),
            ("/.outpost/v1/info/a/%FF".into(), Ok(Route::Info(b"a/\xff".to_vec()))),
            ("/.outpost/v1/info/".into(), Ok(Route::Unknown)),
            ("/.outpost/v1/info/a%2Fb".into(), Err(BadTarget::EncodedSlash)),
            (format!("/.outpost/v1/objects/{text}"), Ok(Route::Object(md5, None))),
            (
                format!("/.outpost/v1/objects/{text}?path=/a%20b%26c%3Fd/50%25"),
                Ok(Route::Object(md5, Some(b"a b&c?d/50%".to_vec()))),
            ),
            (format!("/.outpost/v1/objects/{text}?path=/"), Ok(Route::Object(md5, None))),
            (format!("/.outpost/v1/objects/{text}/x"), Ok(Route::Unknown)),
            ("/.outpost/v1/objects/abc".into(), Ok(Route::Unknown)),
            (format!("/.outpost/v1/progress/{text}"), Ok(Route::Progress(md5))),
            (format!("/.outpost/v1/pieces/{text}"), Ok(Route::Pieces(md5))),
            (format!("/.outpost/v1/pieces/{text}?piece=1"), Ok(Route::Pieces(md5))),
            (format!("/.outpost/v1/pieces/{text}0"), Ok(Route::Unknown)),
            ("/.outpost/v1/pieces/".into(), Ok(Route::Unknown)),
            (format!("/.outpost/v1/have/{text}"), Ok(Route::Unknown)),
        ];
        for (text, expected) in table {
            let target = Target::parse(text.as_bytes()).expect("valid");
            assert_eq!(route(&target), expected, "{text}");
        }
    }
}
