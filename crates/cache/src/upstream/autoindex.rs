//! The page that a web server makes of a folder, read for its entries: nginx, Apache (plain, with columns, as a table), IIS, and what writes as they do.
//!
//! | server | how it is told | an entry |
//! | --- | --- | --- |
//! | nginx, Apache and others | title `Index of ...` or `Directory listing for ...` | link, time, size |
//! | IIS | title `HOST - /FOLDER/` | time, size, link |
//!
//! Another page is no index, whatever links it has. The page is a stranger's: what is no link to one entry of this folder is left out, nothing here
//! recurses, and each byte is looked at a bounded number of times.

use std::{borrow::Cow, time::SystemTime};

use protocol::timestamp::parse_rfc3339;

/// Entries of one page.
const LINKS_MAX: usize = 200_000;
/// Bytes of a reference.
const HREF_LEN_MAX: usize = 4096;
/// Bytes beside a link that are read for its time and size.
const COLUMNS_LEN_MAX: usize = 512;

/// One entry: a name relative to the folder, a folder's with `/` at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) href: String,
    /// Bytes, perhaps rounded.
    pub(crate) size: Option<u64>,
    /// To the minute, by the server's clock, which counts as UTC.
    pub(crate) modified: Option<SystemTime>,
}

/// On which side of a link its time and size stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Columns {
    Behind,
    Before,
}

/// The entries of a page of a folder, whose path on its server is `folder`; `None` if it is no index of one.
pub(crate) fn parse(page: &[u8], folder: &str) -> Option<Vec<Link>> {
    let page = String::from_utf8_lossy(page);
    let mut scanner = Scanner { rest: &page };
    let columns = flavour(&title(&page)?, folder)?;
    let mut links: Vec<Link> = Vec::new();
    // Text since the last link or line break, and whether it still belongs to the link before.
    let (mut text, mut is_behind_link) = (String::new(), false);
    loop {
        let piece = scanner.next();
        let ends_line = match &piece {
            Some(Piece::Text(found)) => {
                push_bounded(&mut text, found);
                continue;
            }
            Some(Piece::Tag { name, .. }) => matches!(*name, "a" | "br" | "tr" | "pre" | "hr"),
            None => true,
        };
        if ends_line {
            if columns == Columns::Behind
                && is_behind_link
                && let Some(link) = links.last_mut()
            {
                (link.modified, link.size) = read_columns(&text);
            }
            is_behind_link = false;
        }
        let Some(Piece::Tag { name, attributes }) = piece else { break };
        if name == "a" {
            let found = href(attributes).and_then(|href| entry(&href, folder));
            if let Some(href) = found {
                if links.len() >= LINKS_MAX {
                    break;
                }
                let (modified, size) = if columns == Columns::Before { read_columns(&text) } else { (None, None) };
                links.push(Link { href, size, modified });
                is_behind_link = true;
            }
        }
        // What stands inside of a link is its name again.
        if ends_line || name == "/a" {
            text.clear();
        } else {
            push_bounded(&mut text, " ");
        }
    }
    Some(links)
}

fn push_bounded(text: &mut String, more: &str) {
    if text.len() < COLUMNS_LEN_MAX {
        text.extend(more.chars().take(COLUMNS_LEN_MAX));
    }
}

/// What the page says it is.
fn title(page: &str) -> Option<String> {
    let mut scanner = Scanner { rest: page };
    let mut is_title = false;
    while let Some(piece) = scanner.next() {
        match piece {
            Piece::Tag { name: "title", .. } => is_title = true,
            Piece::Tag { name: "body", .. } => return None,
            Piece::Text(text) if is_title => return Some(text.trim().chars().take(HREF_LEN_MAX).collect()),
            Piece::Tag { .. } | Piece::Text(_) => {}
        }
    }
    None
}

fn flavour(title: &str, folder: &str) -> Option<Columns> {
    let lower = title.to_ascii_lowercase();
    if lower.starts_with("index of") || lower.starts_with("directory listing for") {
        return Some(Columns::Behind);
    }
    // IIS writes the folder decoded.
    let (_, shown) = title.rsplit_once(" - ")?;
    let is_folder = shown.starts_with('/') && shown.ends_with('/');
    let is_this = shown.matches('/').count() == folder.matches('/').count();
    (is_folder && is_this).then_some(Columns::Before)
}

/// A reference as one entry of the folder; `None` for one that leads elsewhere: to the parent, to another order of the columns, to other servers.
fn entry(href: &str, folder: &str) -> Option<String> {
    let href = href.split('#').next().unwrap_or_default();
    if href.is_empty() || href.len() > HREF_LEN_MAX || href.contains('?') {
        return None;
    }
    // IIS writes the whole path, and may spell it as it likes.
    let inside = match href.starts_with('/') {
        true => href.strip_prefix(folder).or_else(|| same_depth(href, folder))?,
        false => href.strip_prefix("./").unwrap_or(href),
    };
    let name = inside.strip_suffix('/').unwrap_or(inside);
    // With a colon in its first segment it would have a scheme, unless `./` stands before it.
    let has_scheme = !href.starts_with(['/', '.']) && name.contains(':');
    let is_name = !name.is_empty() && !name.contains('/') && name != "." && name != ".." && !has_scheme;
    // Some write a space as it is.
    is_name.then(|| inside.trim_end().replace(' ', "%20"))
}

/// What of a path is inside of a folder that is spelled otherwise, in upper and lower case or in its escapes.
fn same_depth<'a>(href: &'a str, folder: &str) -> Option<&'a str> {
    use protocol::target::Target;
    let (parent, _) = href.trim_end_matches('/').rsplit_once('/')?;
    let decoded = |path: &str| Target::parse(path.as_bytes()).ok()?.decode().ok();
    let (parent_path, folder) = (decoded(&format!("{parent}/"))?, decoded(folder)?);
    parent_path.eq_ignore_ascii_case(&folder).then(|| &href[parent.len() + 1..])
}

/// The time and the size that stand in a text; a size stands behind the time.
fn read_columns(text: &str) -> (Option<SystemTime>, Option<u64>) {
    let words: Vec<&str> = text.split_whitespace().take(16).collect();
    for at in 0..words.len() {
        let Some((date, used)) = date(&words[at..]) else { continue };
        let rest = &words[at + used..];
        let Some((minutes, used)) = time(rest) else { continue };
        let (year, month, day) = date;
        let text = format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:00Z", minutes / 60, minutes % 60);
        return (parse_rfc3339(&text), rest.get(used).and_then(|word| size(word)));
    }
    // Some write a size without a time.
    (None, words.last().and_then(|word| size(word)))
}

/// `22-Nov-2026`, `2026-11-22`, `11/22/2026`, `November 22, 2026`; and how many words it took.
fn date(words: &[&str]) -> Option<((u16, u8, u8), usize)> {
    let number = |text: &str| text.trim_end_matches(',').parse::<u16>().ok();
    let first = words.first()?;
    let parts: Vec<&str> = first.split(['-', '/']).collect();
    let found = match parts[..] {
        [day, name, year] if month(name).is_some() => Some((number(year)?, month(name)?, number(day)?)),
        [year, month, day] if year.len() == 4 => {
            Some((number(year)?, u8::try_from(number(month)?).ok()?, number(day)?))
        }
        [month, day, year] if year.len() == 4 && first.contains('/') => {
            Some((number(year)?, u8::try_from(number(month)?).ok()?, number(day)?))
        }
        _ => None,
    };
    if let Some((year, month, day)) = found {
        return Some(((year, month, u8::try_from(day).ok()?), 1));
    }
    let (month, day, year) = (month(first)?, number(words.get(1)?)?, number(words.get(2)?)?);
    Some(((year, month, u8::try_from(day).ok()?), 3))
}

fn month(name: &str) -> Option<u8> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let start = name.get(..3)?.to_ascii_lowercase();
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphabetic());
    MONTHS.iter().position(|month| *month == start).filter(|_| is_name).map(|place| place as u8 + 1)
}

/// Minutes of the day of `01:41`, `01:41:07`, `1:41 AM`, `13:41`; and how many words it took.
fn time(words: &[&str]) -> Option<(u16, usize)> {
    let mut parts = words.first()?.split(':');
    let mut number = |max: u16| parts.next().filter(|part| part.len() <= 2)?.parse::<u16>().ok().filter(|n| *n <= max);
    let (hour, minute) = (number(23)?, number(59)?);
    let half = words.get(1).map(|word| word.to_ascii_uppercase());
    match half.as_deref() {
        Some("AM") if (1..=12).contains(&hour) => Some(((hour % 12) * 60 + minute, 2)),
        Some("PM") if (1..=12).contains(&hour) => Some(((hour % 12 + 12) * 60 + minute, 2)),
        _ => Some((hour * 60 + minute, 1)),
    }
}

/// `12345`, `1.2K`, `17M`, `3G`; a folder has `-` or `<dir>`.
fn size(word: &str) -> Option<u64> {
    let (number, unit) = match word.as_bytes().last()?.to_ascii_uppercase() {
        b'K' => (&word[..word.len() - 1], 1 << 10),
        b'M' => (&word[..word.len() - 1], 1 << 20),
        b'G' => (&word[..word.len() - 1], 1 << 30),
        b'T' => (&word[..word.len() - 1], 1_u64 << 40),
        _ => (word, 1),
    };
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && number.len() <= 20;
    match number.parse::<u64>() {
        Ok(whole) if is_number => whole.checked_mul(unit),
        Err(_) if is_number && unit > 1 => number.parse::<f64>().ok().map(|number| (number * unit as f64) as u64),
        _ => None,
    }
}

/// The value of the attribute `href`, its references resolved.
fn href(attributes: &str) -> Option<Cow<'_, str>> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|letter: char| letter.is_ascii_whitespace() || letter == '/');
        let end = rest.find(|letter: char| letter.is_ascii_whitespace() || letter == '=' || letter == '/')?;
        let (name, after) = rest.split_at(end);
        let after = after.trim_start();
        let Some(value) = after.strip_prefix('=') else {
            // An attribute without a value; what separates it from the next is left out above.
            rest = after;
            continue;
        };
        let value = value.trim_start();
        let (value, after) = match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].split_once(quote)?,
            _ => value.split_at(value.find(|letter: char| letter.is_ascii_whitespace()).unwrap_or(value.len())),
        };
        if name.eq_ignore_ascii_case("href") {
            return Some(unescaped(value.trim()));
        }
        rest = after;
    }
}

/// With the few character references that servers write.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        // The longest is `&#x10FFFF;`.
        let end = rest.bytes().take(10).position(|byte| byte == b';');
        match end.and_then(|end| Some((reference(&rest[1..end])?, end))) {
            Some((letter, end)) => {
                plain.push(letter);
                rest = &rest[end + 1..];
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    plain.into()
}

fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Tags, and the text between them.
struct Scanner<'a> {
    rest: &'a str,
}

enum Piece<'a> {
    /// Its name in lower case where it is one of those that mean something here.
    Tag {
        name: &'static str,
        attributes: &'a str,
    },
    Text(Cow<'a, str>),
}

impl<'a> Scanner<'a> {
    fn next(&mut self) -> Option<Piece<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(inside) = self.rest.strip_prefix('<') else {
            let end = self.rest.find('<').unwrap_or(self.rest.len());
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(Piece::Text(unescaped(text)));
        };
        if let Some(comment) = inside.strip_prefix("!--") {
            self.rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            return Some(Piece::Tag { name: "", attributes: "" });
        }
        // What has no end was cut off, and may be half a name.
        let Some((tag, rest)) = split_tag(inside) else {
            self.rest = "";
            return None;
        };
        let end = tag.find(|letter: char| letter.is_ascii_whitespace()).unwrap_or(tag.len());
        let name = known(tag[..end].trim_end_matches('/'));
        self.rest = match name {
            "script" | "style" => skip_raw(rest, name),
            _ => rest,
        };
        Some(Piece::Tag { name, attributes: &tag[end..] })
    }
}

/// At the `>` that ends a tag; one within quotes does not.
fn split_tag(inside: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, byte) in inside.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some((&inside[..at], &inside[at + 1..])),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn known(name: &str) -> &'static str {
    const NAMES: [&str; 10] = ["a", "/a", "br", "tr", "pre", "hr", "title", "body", "script", "style"];
    NAMES.into_iter().find(|known| name.eq_ignore_ascii_case(known)).unwrap_or_default()
}

/// Behind the end of an element whose content is no markup.
fn skip_raw<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return rest.split_once('>').map_or("", |(_, rest)| rest);
        }
    }
    ""
}

#[cfg(test)]
mod tests;
