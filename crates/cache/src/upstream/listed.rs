//! What a folder of an upstream holds, for who looks what there is: the same for all kinds of upstream.

use std::time::SystemTime;

use protocol::{listing::Listing, target::Target, timestamp::parse_rfc3339};

use super::autoindex::Link;

/// Bytes of a name's path; a longer one is no file's.
const PATH_LEN_MAX: usize = 4096;

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Below the mount.
    pub(crate) target: Target,
    pub(crate) is_folder: bool,
    /// Bytes, if they are told.
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<SystemTime>,
    /// Whether size and time are the file's own, to the byte and the second. A page for people rounds them.
    pub(crate) is_exact: bool,
}

/// What an upstream says of a folder.
#[derive(Debug)]
pub(crate) enum Folder {
    Entries(Vec<Listed>),
    /// It lists nothing there, and why.
    No(String),
}

/// The entries of an index of ours.
pub(crate) fn of_listing(folder: &Target, listing: Listing) -> Vec<Listed> {
    let entry = |entry: protocol::listing::Entry| {
        let is_folder = entry.directory;
        let target = entry_of(folder, &entry.href, is_folder)?;
        let modified = entry.modified.as_deref().and_then(parse_rfc3339);
        Some(Listed { target, is_folder, size: entry.size, modified, is_exact: true })
    };
    listing.entries.into_iter().filter_map(entry).collect()
}

/// The entries of a web server's page.
pub(crate) fn of_links(folder: &Target, links: Vec<Link>) -> Vec<Listed> {
    let entry = |link: Link| {
        let is_folder = link.href.ends_with('/');
        let target = entry_of(folder, &link.href, is_folder)?;
        Some(Listed { target, is_folder, size: link.size, modified: link.modified, is_exact: false })
    };
    links.into_iter().filter_map(entry).collect()
}

/// What a reference in the index of a folder means: one entry of that folder, which a file can be called. All else is nothing.
fn entry_of(folder: &Target, href: &str, is_folder: bool) -> Option<Target> {
    let bare = href.strip_prefix("./").unwrap_or(href);
    let name = bare.strip_suffix('/').unwrap_or(bare);
    if name.is_empty() || name.contains(['/', '?', '#', '\\']) || matches!(name, "." | "..") {
        return None;
    }
    let slash = if is_folder { "/" } else { "" };
    let target = Target::parse(format!("{}{name}{slash}", folder.path()).as_bytes()).ok()?;
    let inside = target.path().strip_prefix(folder.path())?.trim_end_matches('/');
    let is_one_name = !inside.is_empty() && !inside.contains('/') && target.query().is_none();
    // The last look is for an encoded slash, a NUL and encoded dots.
    (is_one_name && target.path().len() <= PATH_LEN_MAX && target.decode().is_ok()).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_leads_to_one_entry_of_its_folder_or_nowhere() {
        let folder = Target::parse(b"/pub/").unwrap();
        for (href, is_folder, expected) in [
            ("a.iso", false, Some("/pub/a.iso")),
            ("./a:b", false, Some("/pub/a:b")),
            ("sub/", true, Some("/pub/sub/")),
            ("sub", true, Some("/pub/sub/")),
            ("a%20b", false, Some("/pub/a%20b")),
            ("%FF%FE", false, Some("/pub/%FF%FE")),
            ("a&b", false, Some("/pub/a&b")),
            ("\u{fc}", false, Some("/pub/%C3%BC")),
            ("50%25", false, Some("/pub/50%25")),
            ("..", true, None),
            ("../", true, None),
            ("%2e%2e", false, None),
            ("%2e%2e/", true, None),
            (".", true, None),
            ("", false, None),
            ("/", true, None),
            ("./", true, None),
            ("a/b", false, None),
            ("/etc/passwd", false, None),
            ("//evil.example", false, None),
            ("a?b=c", false, None),
            ("a#b", false, None),
            ("a%2Fb", false, None),
            ("a%5C..%5Cb", false, None),
            ("a%00", false, None),
            ("a%", false, None),
            ("a\nb", false, None),
            ("a b", false, None),
        ] {
            let found = entry_of(&folder, href, is_folder);
            assert_eq!(found.as_ref().map(Target::as_str), expected, "{href:?}");
        }
        assert_eq!(entry_of(&folder, &"a".repeat(PATH_LEN_MAX), false), None);
    }

    #[test]
    fn an_index_with_odd_entries_gives_the_others() {
        let json = r#"{"path":"/else/where/","entries":[
            {"name":"up","href":"../up","directory":false,"size":1},
            {"name":"ok","href":"ok","directory":false,"size":5,"modified":"2026-11-22T01:41:00Z"},
            {"name":"d","href":"d/","directory":true},
            {"name":"bad time","href":"t","directory":false,"size":18446744073709551615,"modified":"yesterday"}]}"#;
        let listing: Listing = serde_json::from_str(json).unwrap();
        let listed = of_listing(&Target::parse(b"/here/").unwrap(), listing);
        let paths: Vec<_> = listed.iter().map(|entry| entry.target.as_str()).collect();
        assert_eq!(paths, ["/here/ok", "/here/d/", "/here/t"]);
        assert!(listed[0].modified.is_some() && listed[0].is_exact && listed[2].modified.is_none());
    }
}
