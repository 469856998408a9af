//! A directory's index, as JSON between programs; the page for people is made from the same.
//!
//! A listing may have come from another program, so the page trusts nothing in it: text is escaped, and a link leads nowhere but below
//! the directory.

use std::{borrow::Cow, fmt::Write as _, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    target::{Target, canonical, push_segment},
    timestamp,
};

/// `Content-Security-Policy` of a page: it runs nothing and loads nothing, for names come from whoever can write to the share.
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// One directory, sorted: directories first, then by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Encoded, begins and ends with `/`.
    pub path: String,
    /// What is in it.
    pub entries: Vec<Entry>,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// For people: invalid UTF-8 is shown as U+FFFD.
    pub name: String,
    /// For links: percent-encoded, relative to the directory; directories end with `/`.
    pub href: String,
    /// `true` for a directory.
    pub directory: bool,
    /// Bytes; absent for directories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// Whether a directory is wanted as JSON, by the field `Accept`: JSON is named, and HTML not before it. Browsers name HTML first, programs
/// name JSON alone.
pub fn prefers_json(accept: &[u8]) -> bool {
    let Ok(accept) = std::str::from_utf8(accept) else { return false };
    let mut types = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    types.find(|name| ["application/json", "text/html"].contains(name)) == Some("application/json")
}

impl Listing {
    /// Sorts entries by (directories first, name bytes) and encodes names. `path` is the directory's canonical target.
    pub fn new(path: &str, mut raw: Vec<RawEntry>) -> Self {
        raw.sort_unstable_by(|one, other| (!one.directory, &one.name).cmp(&(!other.directory, &other.name)));
        Self { path: path.into(), entries: raw.iter().map(Entry::new).collect() }
    }

    /// A plain HTML page, every name escaped, a link to the parent unless this is `/`; times and sizes as a person reads them.
    pub fn to_html(&self) -> String {
        let title = self.readable_path();
        let mut page = String::with_capacity(2_048 + self.entries.len() * 256);
        page.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
        push_escaped(&mut page, &title);
        page.push_str("</title>\n<style>\n");
        page.push_str(STYLE);
        page.push_str("</style>\n</head>\n<body>\n<h1>");
        push_escaped(&mut page, &title);
        page.push_str(
            "</h1>\n<table>\n<thead><tr><th>Name</th><th>Size</th><th>Changed (UTC)</th></tr></thead>\n<tbody>\n",
        );
        if self.path != "/" {
            page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
        }
        self.entries.iter().for_each(|entry| entry.push_row(&mut page));
        page.push_str("</tbody>\n</table>\n</body>\n</html>\n");
        page
    }

    /// The path as people read it: decoded where that is text.
    fn readable_path(&self) -> Cow<'_, str> {
        let decoded = Target::parse(self.path.as_bytes()).and_then(|target| target.decode());
        match decoded.map(String::from_utf8) {
            Ok(Ok(path)) if path.is_empty() => "/".into(),
            Ok(Ok(path)) => format!("/{path}/").into(),
            _ => self.path.as_str().into(),
        }
    }
}

impl Entry {
    fn new(raw: &RawEntry) -> Self {
        Self {
            name: String::from_utf8_lossy(&raw.name).into_owned(),
            href: href(&raw.name, raw.directory),
            directory: raw.directory,
            size: (!raw.directory).then_some(raw.size),
            modified: raw.modified.map(timestamp::rfc3339),
        }
    }

    fn push_row(&self, page: &mut String) {
        page.push_str("<tr><td><a href=\"");
        push_escaped(page, &self.safe_href());
        page.push_str("\">");
        push_escaped(page, &self.name);
        page.push_str(if self.directory { "/</a></td><td>" } else { "</a></td><td" });
        if let (false, Some(size)) = (self.directory, self.size) {
            let _ = write!(page, " title=\"{size} bytes\">{}", readable_size(size));
        } else if !self.directory {
            page.push('>');
        }
        page.push_str("</td><td>");
        push_escaped(page, &self.modified.as_deref().map(readable_time).unwrap_or_default());
        page.push_str("</td></tr>\n");
    }

    /// The link, or one made from the name if the link leads elsewhere than to one entry of this directory.
    pub(crate) fn safe_href(&self) -> String {
        let bare = self.href.strip_prefix("./").unwrap_or(&self.href);
        let name = bare.strip_suffix('/').unwrap_or(bare);
        let is_one_name = !name.is_empty() && !name.contains(['/', '?', '\\']);
        match canonical(format!("/{bare}").as_bytes()) {
            Ok(target) if is_one_name => relative(&target[1..]),
            _ => href(self.name.as_bytes(), self.directory),
        }
    }
}

/// The reference to an entry, relative to its directory.
fn href(name: &[u8], directory: bool) -> String {
    let mut encoded = String::with_capacity(name.len() + 8);
    push_segment(&mut encoded, name);
    if directory {
        encoded.push('/');
    }
    relative(&encoded)
}

/// A first segment with a colon would be read as a scheme (RFC 3986 section 4.2).
fn relative(encoded: &str) -> String {
    if encoded.contains(':') { format!("./{encoded}") } else { encoded.into() }
}

/// Text for an element or a quoted attribute. Control characters, which HTML cannot hold, become U+FFFD.
fn push_escaped(page: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            char if char.is_control() => page.push(char::REPLACEMENT_CHARACTER),
            char => page.push(char),
        }
    }
}

/// `1.4 GiB`: three digits are enough to read; the exact number stands beside it.
fn readable_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1_024.0;
    let mut unit = 0;
    // What would be rounded to 1024 is one of the next unit.
    while value >= 1_023.5 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `2026-11-22T01:41:00Z` without seconds and letters. What does not look like it stays as it is.
fn readable_time(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(10..11), rfc3339.get(11..16)) {
        (Some(day), Some("T"), Some(minute)) => format!("{day} {minute}"),
        _ => rfc3339.into(),
    }
}

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.25rem; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .2rem .5rem; text-align: left; border-bottom: 1px solid #8884; }
td:first-child { overflow-wrap: anywhere; }
th:nth-child(n+2), td:nth-child(n+2) { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tbody tr:hover { background: #8882; }
a { text-decoration: none; }
a:hover { text-decoration: underline; }
";

/// An entry as a file system tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// Bytes of the name.
    pub name: Vec<u8>,
    /// `true` for a directory.
    pub directory: bool,
    /// Bytes.
    pub size: u64,
    /// Last change.
    pub modified: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    fn raw(name: &[u8], directory: bool) -> RawEntry {
        RawEntry { name: name.into(), directory, size: 1_500, modified: Some(UNIX_EPOCH + Duration::from_secs(61)) }
    }

    fn hrefs(names: &[&[u8]]) -> Vec<String> {
        let raw = names.iter().map(|name| raw(name, false)).collect();
        Listing::new("/", raw).entries.into_iter().map(|entry| entry.href).collect()
    }

    #[test]
    fn directories_come_first_then_bytes_decide() {
        let raw = vec![raw(b"b", false), raw(b"a", false), raw(b"B", false), raw(b"z", true), raw(b"\xff", true)];
        let names: Vec<_> = Listing::new("/", raw).entries.into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["z", "\u{fffd}", "B", "a", "b"]);
    }

    #[test]
    fn programs_get_json_and_people_a_page() {
        for (accept, expected) in [
            ("application/json", true),
            ("application/json;q=0.9, */*", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,application/json,*/*;q=0.8", false),
            ("text/html", false),
            ("*/*", false),
            ("", false),
        ] {
            assert_eq!(prefers_json(accept.as_bytes()), expected, "{accept}");
        }
    }

    #[test]
    fn links_are_encoded() {
        for (name, href) in [
            (&b"a b"[..], "a%20b"),
            (b"50%", "50%25"),
            (b"#x", "%23x"),
            (b"?y", "%3Fy"),
            (b"<script>", "%3Cscript%3E"),
            (b"\"quoted\"", "%22quoted%22"),
            (b"it's", "it's"),
            (b"\xff\xfe", "%FF%FE"),
            ("\u{fc}".as_bytes(), "%C3%BC"),
            (b"x:y", "./x:y"),
            (b"javascript:alert(1)", "./javascript:alert(1)"),
            (b"a+1_2.deb", "a+1_2.deb"),
            (b"back\\slash", "back%5Cslash"),
        ] {
            assert_eq!(hrefs(&[name]), [href]);
        }
    }

    #[test]
    fn json_as_programs_read_it() {
        let listing = Listing::new("/pool/", vec![raw(b"a", false), raw(b"d", true)]);
        let json = serde_json::to_string(&listing).expect("serialises");
        assert_eq!(
            json,
            concat!(
                r#"{"path":"/pool/","entries":["#,
                r#"{"name":"d","href":"d/","directory":true,"modified":"1970-01-01T00:01:01Z"},"#,
                r#"{"name":"a","href":"a","directory":false,"size":1500,"modified":"1970-01-01T00:01:01Z"}]}"#
            )
        );
        assert_eq!(serde_json::from_str::<Listing>(&json).expect("parses"), listing);
    }

    #[test]
    fn the_page_escapes_what_it_shows() {
        let page = Listing::new("/a%3Cb/", vec![raw(b"<script>&\"'\n", false), raw(b"dir", true)]).to_html();
        assert!(page.contains("<title>/a&lt;b/</title>"), "{page}");
        assert!(page.contains(">&lt;script&gt;&amp;&quot;&#39;\u{fffd}</a>"), "{page}");
        assert!(page.contains("<a href=\"%3Cscript%3E&amp;%22&#39;%0A\">"), "{page}");
        assert!(page.contains("<td><a href=\"dir/\">dir/</a></td><td></td><td>1970-01-01 00:01</td>"), "{page}");
        assert!(page.contains("<td title=\"1500 bytes\">1.5 KiB</td>"), "{page}");
        assert!(page.contains("<a href=\"../\">") && !page.contains("<script"), "{page}");
    }

    #[test]
    fn the_topmost_directory_has_no_parent() {
        assert!(!Listing::new("/", vec![]).to_html().contains("../"));
    }

    #[test]
    fn links_of_a_foreign_listing_lead_nowhere_else() {
        for (href, expected) in [
            ("javascript:alert(1)", "./javascript:alert(1)"),
            ("https://evil.example/", "n"),
            ("//evil.example/", "n"),
            ("/etc/passwd", "n"),
            ("../up", "n"),
            ("..", "n"),
            ("a/b", "n"),
            ("a?b", "n"),
            ("a#b", "n"),
            ("", "n"),
            ("./", "n"),
            ("a\" onclick=\"x", "n"),
            ("a%2", "n"),
            ("a%20b", "a%20b"),
            ("./x:y", "./x:y"),
        ] {
            let entry = Entry {
                name: "n".into(),
                href: href.into(),
                directory: false,
                size: None,
                modified: Some("<b>".into()),
            };
            assert_eq!(entry.safe_href(), expected, "{href}");
            let page = Listing { path: "<i>".into(), entries: vec![entry] }.to_html();
            assert!(!page.contains("<b>") && !page.contains("<i>"));
        }
    }

    #[test]
    fn sizes_as_people_read_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (10_239, "10 KiB"),
            (1_048_064, "1.0 MiB"),
            (1_047_000, "1022 KiB"),
            (64 << 20, "64 MiB"),
            (1_503_238_553, "1.4 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(readable_size(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn every_link_leads_to_its_file(name in proptest::collection::vec(1..=255_u8, 1..20)) {
            let name: Vec<u8> = name.into_iter().filter(|&byte| byte != b'/').collect();
            prop_assume!(!matches!(name.as_slice(), b"" | b"." | b".."));
            let href = href(&name, false);
            let target = Target::from_file_path(&name);
            prop_assert_eq!(format!("/{}", href.strip_prefix("./").unwrap_or(&href)), target.as_str());
            prop_assert!(href.starts_with("./") || !href.contains(':'));
        }

        #[test]
        fn the_page_has_no_markup_of_others(name in ".{0,30}", href in ".{0,30}", path in ".{0,30}") {
            let entry = Entry { name, href, directory: false, size: Some(1), modified: None };
            // The root alone has no link to a parent.
            let plain_path = if path == "/" { "/" } else { "x" };
            let page = Listing { path, entries: vec![entry] }.to_html();
            let plain = Listing {
                path: plain_path.into(),
                entries: vec![Entry { name: "n".into(), href: "h".into(), directory: false, size: Some(1), modified: None }],
            };
            prop_assert_eq!(page.matches('<').count(), plain.to_html().matches('<').count());
            prop_assert_eq!(page.matches('"').count(), plain.to_html().matches('"').count());
        }
    }
}
