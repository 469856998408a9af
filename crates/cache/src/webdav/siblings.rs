//! What a listing says of one of its names. Pure.

use protocol::{
    listing::{Entry, Listing},
    target::Target,
    webdav::resource::Resource,
};

/// See [`find`].
#[derive(Debug, PartialEq)]
pub(super) enum Sibling {
    File(Resource<'static>),
    Directory,
    /// It is not there.
    None,
    /// The upstream must say.
    Unknown,
}

/// Looks for the last segment of a target. Where only upper and lower case differ the upstream must say, for it may be one to which they are
/// the same.
pub(super) fn find(listing: &Listing, target: &Target) -> Sibling {
    let Some(name) = name(target) else { return Sibling::Unknown };
    match listing.entries.iter().find(|entry| entry.name == name) {
        // Its bytes are no text, which an entry shows all alike.
        _ if name.contains(char::REPLACEMENT_CHARACTER) => Sibling::Unknown,
        Some(entry) if entry.directory => Sibling::Directory,
        Some(entry) => Sibling::File(file(entry, target)),
        None if listing.entries.iter().any(|entry| is_alike(&entry.name, &name)) => Sibling::Unknown,
        None => Sibling::None,
    }
}

fn file(entry: &Entry, target: &Target) -> Resource<'static> {
    let modified = entry.modified.as_deref().and_then(protocol::timestamp::parse_rfc3339);
    Resource { len: entry.size, modified, ..Resource::file(target) }
}

fn name(target: &Target) -> Option<String> {
    let path = target.decode().ok()?;
    let last = path.rsplit(|byte| *byte == b'/').next()?;
    Some(String::from_utf8_lossy(last).into_owned())
}

fn is_alike(one: &str, other: &str) -> bool {
    one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use protocol::listing::RawEntry;

    use super::*;

    #[test]
    fn names_are_found_by_their_bytes() {
        let raw =
            |name: &[u8], directory| RawEntry { name: name.into(), directory, size: 7, modified: Some(UNIX_EPOCH) };
        let listing = Listing::new(
            "/a/",
            vec![raw(b"x+y.zip", false), raw(b"Dir", true), raw(b"\xff", false), raw("\u{dc}".as_bytes(), false)],
        );
        for (path, expected) in [
            ("/a/Dir", Sibling::Directory),
            ("/a/Dir/", Sibling::Directory),
            ("/a/dir", Sibling::Unknown),
            ("/a/%C3%BC", Sibling::Unknown),
            ("/a/%FF", Sibling::Unknown),
            ("/a/%FE", Sibling::Unknown),
            ("/a/desktop.ini", Sibling::None),
            ("/a/._x", Sibling::None),
            ("/a/x%2Fy", Sibling::Unknown),
        ] {
            assert_eq!(find(&listing, &Target::parse(path.as_bytes()).unwrap()), expected, "{path}");
        }
        let target = Target::parse(b"/a/x%2By.zip").unwrap();
        let Sibling::File(found) = find(&listing, &target) else { panic!("not found") };
        assert_eq!((&*found.href, found.len, found.modified), ("/a/x%2By.zip", Some(7), Some(UNIX_EPOCH)));
    }
}
