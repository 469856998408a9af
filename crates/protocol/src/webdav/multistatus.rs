//! The answer to a PROPFIND (RFC 4918 section 14.16), made in pieces while it is sent: a directory may have a hundred thousand entries.

use std::sync::Arc;

use super::{
    NAMESPACE,
    ask::Wanted,
    property::{Name, Property},
    resource::Resource,
};
use crate::listing::Listing;

/// A piece has at least so many bytes, but for the last.
const PIECE_BYTES_MIN: usize = 32 << 10;

const NAMESPACE_XML: &str = "http://www.w3.org/XML/1998/namespace";

/// The pieces of one answer.
#[derive(Clone, Debug)]
pub struct Multistatus {
    wanted: Wanted,
    first: Option<Resource<'static>>,
    /// What follows the first, and how many of it have been written.
    listing: Option<(Arc<Listing>, usize)>,
    is_over: bool,
}

impl Multistatus {
    /// Of one resource.
    pub fn of(wanted: Wanted, resource: Resource<'static>) -> Self {
        Self { wanted, first: Some(resource), listing: None, is_over: false }
    }

    /// Of a directory and its entries.
    pub fn of_listing(wanted: Wanted, directory: Resource<'static>, listing: Arc<Listing>) -> Self {
        Self { listing: Some((listing, 0)), ..Self::of(wanted, directory) }
    }
}

impl Iterator for Multistatus {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        let mut piece = String::with_capacity(PIECE_BYTES_MIN + 1_024);
        if let Some(first) = self.first.take() {
            piece.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n");
            push_response(&mut piece, &first, &self.wanted);
        }
        if let Some((listing, written)) = &mut self.listing {
            for entry in &listing.entries[*written..] {
                if piece.len() >= PIECE_BYTES_MIN {
                    return Some(piece);
                }
                push_response(&mut piece, &Resource::entry(listing, entry), &self.wanted);
                *written += 1;
            }
        }
        piece.push_str("</D:multistatus>\n");
        self.is_over = true;
        Some(piece)
    }
}

fn push_response(text: &mut String, resource: &Resource<'_>, wanted: &Wanted) {
    text.push_str("<D:response><D:href>");
    push_escaped(text, &resource.href);
    text.push_str("</D:href>");
    let (live, others): (&[Property], &[Name]) = match wanted {
        Wanted::All(others) => (&Property::ALL, others),
        Wanted::Names => (&Property::ALL, &[]),
        Wanted::These { live, others } => (live, others),
    };
    let has = |property: &&Property| resource.value(**property).is_some();
    let found = live.iter().filter(has);
    let is_told_what_is_not = matches!(wanted, Wanted::These { .. });
    let missing = live.iter().filter(|property| is_told_what_is_not && !has(property));
    let has_missing = !others.is_empty() || missing.clone().next().is_some();
    if !has_missing || found.clone().next().is_some() {
        text.push_str("<D:propstat><D:prop>");
        match wanted {
            Wanted::Names => found.for_each(|property| push_empty(text, property.name())),
            _ => found.for_each(|property| push_property(text, *property, resource)),
        }
        text.push_str("</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>");
    }
    if has_missing {
        text.push_str("<D:propstat><D:prop>");
        missing.for_each(|property| push_empty(text, property.name()));
        others.iter().for_each(|name| push_unknown(text, name));
        text.push_str("</D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>");
    }
    text.push_str("</D:response>\n");
}

fn push_property(text: &mut String, property: Property, resource: &Resource<'_>) {
    let name = property.name();
    match resource.value(property) {
        None => {}
        Some(_) if property == Property::ResourceType && resource.is_directory => {
            text.push_str("<D:resourcetype><D:collection/></D:resourcetype>");
        }
        Some(value) if value.is_empty() => push_empty(text, name),
        Some(value) => {
            text.extend(["<D:", name, ">"]);
            push_escaped(text, &value);
            text.extend(["</D:", name, ">"]);
        }
    }
}

fn push_empty(text: &mut String, name: &str) {
    text.extend(["<D:", name, "/>"]);
}

fn push_unknown(text: &mut String, name: &Name) {
    match &*name.namespace {
        NAMESPACE => push_empty(text, &name.local),
        // The one prefix that is bound by itself, to a namespace that may have no other.
        NAMESPACE_XML => text.extend(["<xml:", &name.local, "/>"]),
        namespace => {
            text.extend(["<", &name.local, " xmlns=\""]);
            push_escaped(text, namespace);
            text.push_str("\"/>");
        }
    }
}

/// Text for an element or a quoted attribute. What XML cannot hold becomes U+FFFD.
fn push_escaped(text: &mut String, value: &str) {
    for char in value.chars() {
        match char {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => text.push(char::REPLACEMENT_CHARACTER),
            char if char.is_control() => text.push(char::REPLACEMENT_CHARACTER),
            char => text.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use quick_xml::{NsReader, events::Event};

    use super::*;
    use crate::{listing::RawEntry, target::Target, webdav::ask};

    fn directory() -> Resource<'static> {
        Resource::directory(&Target::parse(b"/a&b/").unwrap())
    }

    fn listing(entries: usize) -> Arc<Listing> {
        let raw = |number: usize| RawEntry {
            name: format!("file <{number}>.zip").into_bytes(),
            directory: number == 0,
            size: 7,
            modified: Some(UNIX_EPOCH + Duration::from_secs(951_782_400)),
        };
        Arc::new(Listing::new("/a&b/", (0..entries).map(raw).collect()))
    }

    fn text(wanted: &str, entries: usize) -> String {
        let wanted = ask::parse(wanted.as_bytes()).unwrap();
        Multistatus::of_listing(wanted, directory(), listing(entries)).collect()
    }

    /// The local names of the elements; fails on what is not well-formed.
    fn elements(text: &str) -> Vec<String> {
        let mut reader = NsReader::from_str(text);
        let mut names = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) | Event::Empty(start) => names.push(start.local_name().into_inner().to_owned()),
                Event::Eof => return names,
                _ => {}
            }
        }
    }

    #[test]
    fn everything_there_is() {
        let text = text("", 2);
        assert_eq!(
            text,
            concat!(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n",
                "<D:response><D:href>/a&amp;b/</D:href><D:propstat><D:prop><D:displayname>a&amp;b</D:displayname>",
                "<D:resourcetype><D:collection/></D:resourcetype><D:supportedlock/></D:prop>",
                "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n",
                "<D:response><D:href>/a&amp;b/file%20%3C0%3E.zip/</D:href><D:propstat><D:prop>",
                "<D:creationdate>2000-02-29T00:00:00Z</D:creationdate><D:displayname>file &lt;0&gt;.zip</D:displayname>",
                "<D:getlastmodified>Tue, 29 Feb 2000 00:00:00 GMT</D:getlastmodified>",
                "<D:resourcetype><D:collection/></D:resourcetype><D:supportedlock/></D:prop>",
                "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n",
                "<D:response><D:href>/a&amp;b/file%20%3C1%3E.zip</D:href><D:propstat><D:prop>",
                "<D:creationdate>2000-02-29T00:00:00Z</D:creationdate><D:displayname>file &lt;1&gt;.zip</D:displayname>",
                "<D:getcontentlength>7</D:getcontentlength><D:getcontenttype>application/zip</D:getcontenttype>",
                "<D:getlastmodified>Tue, 29 Feb 2000 00:00:00 GMT</D:getlastmodified>",
                "<D:resourcetype/><D:supportedlock/></D:prop>",
                "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n</D:multistatus>\n"
            )
        );
    }

    #[test]
    fn what_is_not_there_is_told_by_name() {
        let text = text(
            "<propfind xmlns='DAV:' xmlns:q='a&quot;b'><prop><getetag/><quota-used-bytes/><q:x/><n xmlns=''/><xml:lang/></prop></propfind>",
            0,
        );
        let expected = "<D:propstat><D:prop><D:getetag/><D:quota-used-bytes/><x xmlns=\"a&quot;b\"/><n xmlns=\"\"/><xml:lang/>\
                        </D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>";
        assert!(text.contains(expected) && !text.contains("200 OK"), "{text}");
        elements(&text);
    }

    #[test]
    fn nothing_asked_is_nothing_told_and_names_have_no_values() {
        let none = text("<propfind xmlns='DAV:'><prop/></propfind>", 0);
        assert!(none.contains("<D:prop></D:prop><D:status>HTTP/1.1 200 OK"), "{none}");
        let names = text("<propfind xmlns='DAV:'><propname/></propfind>", 2);
        assert!(names.contains("<D:getcontentlength/>") && names.contains("<D:resourcetype/>"), "{names}");
        assert!(!names.contains("collection") && !names.contains("404"), "{names}");
    }

    #[test]
    fn a_large_directory_comes_in_pieces() {
        let pieces: Vec<_> = Multistatus::of_listing(Wanted::All(vec![]), directory(), listing(1_000)).collect();
        assert!(pieces.len() > 5, "{} pieces", pieces.len());
        assert!(pieces.iter().all(|piece| piece.len() < PIECE_BYTES_MIN + 1_024));
        let names = elements(&pieces.concat());
        assert_eq!(names.iter().filter(|name| *name == "response").count(), 1_001);
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        let raw = RawEntry { name: b"a\x01\xffb\n".to_vec(), directory: false, size: 1, modified: None };
        let listing = Arc::new(Listing::new("/", vec![raw]));
        let text: String = Multistatus::of_listing(Wanted::All(vec![]), directory(), listing).collect();
        assert!(text.contains("<D:href>/a%01%FFb%0A</D:href>"), "{text}");
        assert!(text.contains("<D:displayname>a\u{fffd}\u{fffd}b\u{fffd}</D:displayname>"), "{text}");
    }
}
