//! The body of a PROPFIND (RFC 4918 section 14.20), read strictly: well-formed XML with namespaces, without a document type, and so without
//! entities of anybody's own. Elements that nobody knows are passed over (section 17).

use quick_xml::{
    NsReader,
    escape::unescape,
    events::{BytesRef, BytesStart, Event},
    name::{QName, ResolveResult},
};

use super::{
    NAMESPACE,
    property::{Name, Property},
};

/// Bytes of such a body; more is for the caller to refuse.
pub const BODY_BYTES_MAX: usize = 16 << 10;
/// Elements one in the other.
const DEPTH_MAX: usize = 16;
/// Properties that are asked for by name.
const NAMES_MAX: usize = 128;
/// Bytes of the names of those that there are not: they are repeated for every entry of a directory.
const OTHERS_BYTES_MAX: usize = 4 << 10;

/// Which properties are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All that there are, and to be told that these are not.
    All(Vec<Name>),
    /// Their names.
    Names,
    /// These.
    These {
        /// Those that a file or a directory may have, each once.
        live: Vec<Property>,
        /// All others.
        others: Vec<Name>,
    },
}

/// A body that is refused with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAsk {
    /// Not text.
    #[error("the body is not XML in UTF-8")]
    Text,
    /// Not well-formed.
    #[error("the body is not well-formed XML: {0}")]
    Xml(String),
    /// A prefix that stands for nothing, or is said to.
    #[error("the body has a name whose prefix stands for no namespace")]
    Prefix,
    /// `<!DOCTYPE`, or a reference to what only that could define.
    #[error("the body has a document type or an entity of its own, which are not read here")]
    Entity,
    /// Another document.
    #[error("the body is no propfind of the namespace DAV: with one of prop, propname and allprop")]
    Other,
    /// Too much of it.
    #[error("the body asks for more properties, or in a deeper structure, than is answered here")]
    TooMuch,
}

/// Reads a body; an empty one asks for everything.
pub fn parse(body: &[u8]) -> Result<Wanted, BadAsk> {
    let text = std::str::from_utf8(body).map_err(|_| BadAsk::Text)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.chars().all(is_char) {
        return Err(BadAsk::Text);
    }
    if text.is_empty() {
        return Ok(Wanted::All(Vec::new()));
    }
    let mut reader = NsReader::from_str(text);
    let mut ask = Ask::default();
    loop {
        let event = reader.read_event().map_err(|error| BadAsk::Xml(error.to_string()))?;
        match event {
            Event::Start(start) => {
                ask.open(&start, &reader)?;
                ask.depth += 1;
            }
            Event::Empty(start) => ask.open(&start, &reader)?,
            Event::End(_) => ask.depth -= 1,
            Event::Text(text) if ask.depth == 0 && !text.trim_ascii().is_empty() => return Err(BadAsk::Other),
            Event::CData(_) if ask.depth == 0 => return Err(BadAsk::Other),
            Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::GeneralRef(reference) => check_reference(&reference)?,
            Event::DocType(_) => return Err(BadAsk::Entity),
            Event::Eof => return ask.end(),
        }
    }
}

/// What was read so far.
#[derive(Default)]
struct Ask {
    depth: usize,
    has_root: bool,
    /// The elements of `propfind` that say what is asked for, of which there must be one.
    kinds: Vec<Kind>,
    /// Whether the names at the third level count.
    is_list: bool,
    live: Vec<Property>,
    others: Vec<Name>,
    names: usize,
    others_bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    These,
    Names,
    All,
}

impl Ask {
    fn open(&mut self, start: &BytesStart<'_>, reader: &NsReader<&[u8]>) -> Result<(), BadAsk> {
        check_attributes(start)?;
        let name = resolve(start.name(), reader)?;
        let of_dav = |local: &str| *name.namespace == *NAMESPACE && *name.local == *local;
        match self.depth {
            0 if self.has_root || !of_dav("propfind") => return Err(BadAsk::Other),
            0 => self.has_root = true,
            1 => {
                let kind = [("prop", Kind::These), ("propname", Kind::Names), ("allprop", Kind::All)];
                self.kinds.extend(kind.iter().filter(|(local, _)| of_dav(local)).map(|(_, kind)| *kind));
                self.is_list = of_dav("prop") || of_dav("include");
            }
            2 if self.is_list => self.list(name)?,
            DEPTH_MAX.. => return Err(BadAsk::TooMuch),
            _ => {}
        }
        Ok(())
    }

    fn list(&mut self, name: Name) -> Result<(), BadAsk> {
        self.names += 1;
        match Property::named(&name) {
            Some(live) if !self.live.contains(&live) => self.live.push(live),
            Some(_) => {}
            None => {
                self.others_bytes += name.namespace.len() + name.local.len();
                self.others.push(name);
            }
        }
        if self.names > NAMES_MAX || self.others_bytes > OTHERS_BYTES_MAX {
            return Err(BadAsk::TooMuch);
        }
        Ok(())
    }

    fn end(self) -> Result<Wanted, BadAsk> {
        match self.kinds[..] {
            _ if self.depth > 0 => Err(BadAsk::Xml("an element is not closed".into())),
            [Kind::These] => Ok(Wanted::These { live: self.live, others: self.others }),
            [Kind::Names] => Ok(Wanted::Names),
            [Kind::All] => Ok(Wanted::All(self.others)),
            _ => Err(BadAsk::Other),
        }
    }
}

/// The name of an element in its namespace.
fn resolve(name: QName<'_>, reader: &NsReader<&[u8]>) -> Result<Name, BadAsk> {
    let (resolved, local) = reader.resolver().resolve_element(name);
    let namespace = match resolved {
        ResolveResult::Unbound => "".into(),
        ResolveResult::Bound(namespace) => unescape(namespace.0).map_err(|_| BadAsk::Entity)?.into(),
        ResolveResult::Unknown(_) => return Err(BadAsk::Prefix),
    };
    let local = local.into_inner();
    let has_names = is_name(local) && name.prefix().is_none_or(|prefix| is_name(prefix.into_inner()));
    if !has_names {
        return Err(BadAsk::Xml(format!("'{}' is no name of an element", name.0)));
    }
    Ok(Name { namespace, local: local.into() })
}

/// Each with a value, none twice, and no prefix that is taken back (Namespaces in XML 1.0 section 5).
fn check_attributes(start: &BytesStart<'_>) -> Result<(), BadAsk> {
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| BadAsk::Xml(error.to_string()))?;
        if attribute.value.is_empty() && attribute.key.0.starts_with("xmlns:") {
            return Err(BadAsk::Prefix);
        }
        unescape(&attribute.value).map_err(|_| BadAsk::Entity)?;
    }
    Ok(())
}

/// A character, or one of the five that need no definition.
fn check_reference(reference: &BytesRef<'_>) -> Result<(), BadAsk> {
    unescape(&format!("&{};", &**reference)).map(|_| ()).map_err(|_| BadAsk::Entity)
}

/// Characters of XML 1.0 (section 2.2).
fn is_char(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// A name without colons (Namespaces in XML 1.0 section 3).
fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(begins_name) && chars.all(|char| begins_name(char) || continues_name(char))
}

fn begins_name(char: char) -> bool {
    matches!(char, 'A'..='Z' | '_' | 'a'..='z'
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

fn continues_name(char: char) -> bool {
    matches!(char, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(namespace: &str, local: &str) -> Name {
        Name { namespace: namespace.into(), local: local.into() }
    }

    fn of(text: &str) -> Result<Wanted, BadAsk> {
        parse(text.as_bytes())
    }

    #[test]
    fn what_clients_send() {
        use Property::{ContentLength, LastModified, ResourceType};
        let live = vec![ResourceType, ContentLength, LastModified];
        for (text, expected) in [
            ("", Wanted::All(vec![])),
            // cadaver, davfs2
            (
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<propfind xmlns=\"DAV:\"><prop>\n<resourcetype xmlns=\"DAV:\"/>\
                 <getcontentlength xmlns=\"DAV:\"/><getlastmodified/><getlastmodified/>\
                 <executable xmlns=\"http://apache.org/dav/props/\"/></prop></propfind>\n",
                Wanted::These { live: live.clone(), others: vec![name("http://apache.org/dav/props/", "executable")] },
            ),
            // rclone
            (
                "<?xml version=\"1.0\"?>\n<d:propfind  xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\">\n <d:prop>\n\
                 <d:resourcetype /><d:getcontentlength></d:getcontentlength><d:getlastmodified /><oc:checksums /></d:prop></d:propfind>",
                Wanted::These { live, others: vec![name("http://owncloud.org/ns", "checksums")] },
            ),
            ("\u{feff}<propfind xmlns='DAV:'><propname/></propfind>", Wanted::Names),
            (
                "<a:propfind xmlns:a='DAV:'><a:allprop/><a:include><a:lockdiscovery/><b xmlns='x&amp;y'/></a:include></a:propfind>",
                Wanted::All(vec![name("DAV:", "lockdiscovery"), name("x&y", "b")]),
            ),
            // RFC 4918 section 17: what nobody knows is not there.
            (
                "<propfind xmlns='DAV:'><!-- - --><later><prop><x/></prop></later><prop>&#65;&amp;<n xmlns=''><x/></n></prop></propfind>",
                Wanted::These { live: vec![], others: vec![name("", "n")] },
            ),
        ] {
            assert_eq!(of(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        let deep = format!("<propfind xmlns='DAV:'><prop/>{}", "<a>".repeat(40));
        let many = format!("<propfind xmlns='DAV:'><prop>{}</prop></propfind>", "<a/>".repeat(NAMES_MAX + 1));
        let long = format!("<propfind xmlns='DAV:'><prop><{}/></prop></propfind>", "a".repeat(OTHERS_BYTES_MAX));
        let bombs = "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;\">]>\
                     <propfind xmlns='DAV:'><prop>&lol2;</prop></propfind>";
        for (text, expected) in [
            (bombs, BadAsk::Entity),
            ("<propfind xmlns='DAV:'><prop>&lol;</prop></propfind>", BadAsk::Entity),
            ("<propfind xmlns='DAV:'><prop><a b='&lol;'/></prop></propfind>", BadAsk::Entity),
            ("<propfind xmlns='DAV:'><prop><a xmlns='&lol;'/></prop></propfind>", BadAsk::Entity),
            ("<propfind xmlns='DAV:'><prop><b:a xmlns:b=''/></prop></propfind>", BadAsk::Prefix),
            ("<D:propfind><D:allprop/></D:propfind>", BadAsk::Prefix),
            ("<propfind><allprop/></propfind>", BadAsk::Other),
            ("<propertyupdate xmlns='DAV:'/>", BadAsk::Other),
            ("<propfind xmlns='DAV:'/>", BadAsk::Other),
            ("<propfind xmlns='DAV:'><allprop/><propname/></propfind>", BadAsk::Other),
            ("<propfind xmlns='DAV:'><allprop/></propfind><propfind xmlns='DAV:'/>", BadAsk::Other),
            ("<propfind xmlns='DAV:'><allprop/></propfind>x", BadAsk::Other),
            ("not XML", BadAsk::Other),
            ("  ", BadAsk::Other),
            ("<a\u{1}/>", BadAsk::Text),
            (&deep, BadAsk::TooMuch),
            (&many, BadAsk::TooMuch),
            (&long, BadAsk::TooMuch),
        ] {
            assert_eq!(of(text), Err(expected), "{text}");
        }
        for text in [
            "<propfind xmlns='DAV:'><allprop/>",
            "<propfind xmlns='DAV:'><allprop></propfind>",
            "<propfind xmlns='DAV:'><prop><a b/></prop></propfind>",
            "<propfind xmlns='DAV:'><prop><a b='1' b='2'/></prop></propfind>",
            "<propfind xmlns='DAV:'><prop><a<b/></prop></propfind>",
            "<propfind xmlns='DAV:'><prop><1/></prop></propfind>",
            "<propfind xmlns='DAV:' xmlns:a='x'><prop><a:b:c/></prop></propfind>",
            "<propfind xmlns='DAV:'><prop>&",
        ] {
            assert!(matches!(of(text), Err(BadAsk::Xml(_))), "{text}: {:?}", of(text));
        }
        assert_eq!(parse(b"<propfind xmlns='DAV:'><prop><\xff/></prop></propfind>"), Err(BadAsk::Text));
    }

    proptest! {
        #[test]
        fn no_body_panics(pieces in proptest::collection::vec(
            prop_oneof!["<[a-z:/]{0,4}>", "</[a-z:]{0,4}>", "<D:prop xmlns:D='DAV:'>", "<propfind xmlns='DAV:'>", "<prop>", "&[a-z#0-9]{0,3};", ".{0,3}"],
            0..12,
        )) {
            // Whatever is accepted can be repeated.
            if let Ok(Wanted::These { others, .. } | Wanted::All(others)) = of(&pieces.concat()) {
                prop_assert!(others.iter().all(|name| is_name(&name.local)));
            }
        }
    }
}
