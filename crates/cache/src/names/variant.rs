//! Several answers under one name (`Vary`, RFC 9111 section 4.1): which request fields tell them apart, how their values are compared, and under
//! which key each is kept. A name that varies has an index in its place, and each variant a place of its own.
//!
//! | at the key of | stands |
//! | --- | --- |
//! | the name | [`Variants`]: the names of the selecting fields, and the variants that are kept |
//! | a [place](Variants::place), made of the name and the normalised values | the record of that variant |

use http::{HeaderMap, HeaderValue};
use protocol::digest::Md5;

use super::record::Selecting;

/// Variants of one name that are kept; when there is one more, the oldest goes.
pub(crate) const VARIANTS_MAX: usize = 16;

/// Fields in which the order of members that are liked equally says nothing, and the case neither (RFC 9110 section 12.5).
const NEGOTIATING: [&str; 4] = ["accept", "accept-charset", "accept-encoding", "accept-language"];

/// What stands for one combination of values.
pub(crate) type VariantId = [u8; 16];

/// The index of a name that varies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variants {
    /// The selecting fields, in lower case and in order.
    pub(crate) names: Vec<Box<str>>,
    /// The latest last.
    pub(crate) ids: Vec<VariantId>,
}

impl Variants {
    /// Where the answer to a request with these fields (as they go upstream) is kept.
    pub(crate) fn place(&self, key: &[u8], sent: &HeaderMap) -> Vec<u8> {
        place(key, &id(&selecting(self.names.iter().map(|name| &**name), sent)))
    }

    /// The index once a variant came, and the variant that has no place in it any more. Where other fields select than before, what was there
    /// is of no use: all of it goes.
    pub(crate) fn with(before: Option<&Self>, selecting: &Selecting) -> (Self, Vec<VariantId>) {
        let names: Vec<Box<str>> = selecting.iter().map(|(name, _)| name.clone()).collect();
        let id = id(selecting);
        let mut ids = before.map_or_else(Vec::new, |before| before.ids.clone());
        if before.is_some_and(|before| before.names != names) {
            return (Self { names, ids: vec![id] }, ids);
        }
        ids.retain(|known| *known != id);
        ids.push(id);
        let gone = ids.drain(..ids.len().saturating_sub(VARIANTS_MAX)).collect();
        (Self { names, ids }, gone)
    }
}

/// The key of a variant. No name has such a key, for none has a NUL in it.
pub(crate) fn place(key: &[u8], id: &VariantId) -> Vec<u8> {
    [key, b"\0", id].concat()
}

/// Where the answer to a request with these fields is kept, if these are what it depends on.
pub(crate) fn place_of(name: &[u8], selecting_fields: &[(Box<str>, Box<[u8]>)], sent: &HeaderMap) -> Vec<u8> {
    place(name, &id(&selecting(selecting_fields.iter().map(|(name, _)| &**name), sent)))
}

/// What stands for a combination of values.
pub(crate) fn id(selecting: &Selecting) -> VariantId {
    let mut text = Vec::new();
    for (name, value) in selecting {
        text.extend_from_slice(name.as_bytes());
        text.push(0);
        text.extend_from_slice(value);
        text.push(0);
    }
    Md5::of(&text).0
}

/// The values of some fields of a request. A field that is not there counts as empty.
pub(crate) fn selecting<'a>(names: impl Iterator<Item = &'a str>, sent: &HeaderMap) -> Selecting {
    names.map(|name| (name.into(), normalised(name, sent.get_all(name).iter()))).collect()
}

/// Whether two requests get the same variant of an answer.
pub(crate) fn is_same(selecting: &[(Box<str>, Box<[u8]>)], sent: &HeaderMap) -> bool {
    selecting.iter().all(|(name, value)| normalised(name, sent.get_all(&**name).iter()) == *value)
}

/// A field's value so that spellings that mean the same are equal: its lines joined, spaces around commas gone, and in fields that negotiate
/// members in lower case and, among those liked equally, in order.
fn normalised<'a>(name: &str, lines: impl Iterator<Item = &'a HeaderValue>) -> Box<[u8]> {
    let joined = lines.map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b',');
    let members = joined.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    if !NEGOTIATING.contains(&name) {
        return members.collect::<Vec<_>>().join(&b',').into();
    }
    let mut members: Vec<(u16, Vec<u8>)> = members
        .filter(|member| !member.is_empty())
        .map(|member| {
            let compact = member.iter().filter(|byte| !byte.is_ascii_whitespace());
            (weight(member), compact.map(u8::to_ascii_lowercase).collect())
        })
        .collect();
    members.sort_by(|(one, text), (other, others)| other.cmp(one).then_with(|| text.cmp(others)));
    members.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(&b',').into()
}

/// `q` in thousandths (RFC 9110 section 12.4.2).
fn weight(member: &[u8]) -> u16 {
    let parameters = member.split(|byte| *byte == b';').skip(1).map(<[u8]>::trim_ascii);
    let text =
        parameters.filter_map(|parameter| parameter.strip_prefix(b"q=").or(parameter.strip_prefix(b"Q="))).next();
    let weight = text.and_then(|text| std::str::from_utf8(text).ok()?.trim().parse::<f32>().ok());
    (weight.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, value.parse().unwrap());
        }
        fields
    }

    #[test]
    fn spellings_that_mean_the_same_are_equal() {
        let language = "accept-language";
        for (name, one, other, is_equal) in [
            ("foo", vec!["1, 2"], vec!["1", "2"], true),
            ("foo", vec!["1,2"], vec![" 1, 2 "], true),
            ("foo", vec!["1,2"], vec!["2,1"], false),
            ("foo", vec!["a"], vec!["A"], false),
            ("foo", vec![], vec!["1"], false),
            (language, vec!["en, de"], vec!["De ,eN"], true),
            (language, vec!["en, de"], vec!["en", "de;q=1"], false),
            (language, vec!["en, de;q=0.5"], vec!["de; q=0.5, en"], true),
            (language, vec!["en;q=0.5, de"], vec!["en, de;q=0.5"], false),
            ("accept", vec!["text/html, */*;q=0.1"], vec!["*/*;q=0.1,text/html"], true),
        ] {
            let fields = |values: &[&str]| sent(&values.iter().map(|value| (name, *value)).collect::<Vec<_>>());
            let stored = selecting([name].into_iter(), &fields(&one));
            assert_eq!(is_same(&stored, &fields(&other)), is_equal, "{name}: {one:?} {other:?}");
        }
    }

    #[test]
    fn each_combination_has_a_place_of_its_own() {
        let of = |value: &str| selecting(["foo", "bar"].into_iter(), &sent(&[("foo", value), ("bar", "x")]));
        let (variants, _) = Variants::with(None, &of("1"));
        let asks = |value: &str| variants.place(b"name", &sent(&[("bar", "x"), ("foo", value), ("other", value)]));
        assert_eq!(asks("1"), place(b"name", &id(&of("1"))));
        assert_ne!(asks("1"), asks("2"));
        assert_ne!(asks("1"), variants.place(b"other", &sent(&[("bar", "x"), ("foo", "1")])));
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many_and_all_when_other_fields_select() {
        let of = |value: usize| selecting(["foo"].into_iter(), &sent(&[("foo", &value.to_string())]));
        let mut variants = Variants::with(None, &of(0)).0;
        for value in 1..VARIANTS_MAX {
            let (next, gone) = Variants::with(Some(&variants), &of(value));
            assert!(gone.is_empty());
            variants = next;
        }
        // Seen again, it is the latest.
        variants = Variants::with(Some(&variants), &of(0)).0;
        let (more, gone) = Variants::with(Some(&variants), &of(VARIANTS_MAX));
        assert_eq!((more.ids.len(), gone), (VARIANTS_MAX, vec![id(&of(1))]));
        let (other, gone) = Variants::with(Some(&more), &selecting(["bar"].into_iter(), &sent(&[])));
        assert_eq!((other.ids.len(), gone), (1, more.ids));
    }
}
