//! What an answer without a body does to a record: a 304 (RFC 9111 section 4.3.4), and the 200 to a HEAD (section 4.3.5).

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use protocol::{
    etag::ETag,
    timestamp::{http_date, parse_http_date},
};

use super::{
    lifetime::Times,
    record::{Provenance, Record, seconds},
    storing::{Arrival, Judgement, judge},
};

/// Fields without which the stored bytes are misread: an answer without bytes does not change them (RFC 9111 section 3.2). The digests of another
/// message's bytes likewise.
const OF_THE_BYTES: [HeaderName; 4] = [
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
];

/// A 304: the record with its fields renewed, or `None` if it speaks of another content or forbids to keep it.
pub(crate) fn by_304(
    record: &Record,
    sent: &HeaderMap,
    answer: &HeaderMap,
    times: Times,
    believed: Duration,
) -> Option<Record> {
    let told = Validators::of(answer);
    let is_same = match (&told.etag, &record.etag) {
        (Some(told), Some(known)) => told.matches_weakly(known),
        (Some(_), None) => false,
        (None, _) => told.modified.is_none_or(|told| record.modified.is_none_or(|known| known == told)),
    };
    if is_same { renewed(record, sent, answer, times, believed) } else { None }
}

/// A 200 to a HEAD: likewise, where its validators and its length are those of the record. The length counts where both are known, and what
/// has neither validator nor length could be anything.
pub(crate) fn by_head(
    record: &Record,
    sent: &HeaderMap,
    answer: &HeaderMap,
    len: Option<u64>,
    times: Times,
    believed: Duration,
) -> Option<Record> {
    let told = Validators::of(answer);
    let is_same_len = len.is_none_or(|len| record.len == Some(len));
    let is_told = told.etag.is_some() || told.modified.is_some();
    let is_same = is_told && told.etag == record.etag && told.modified == record.modified && is_same_len;
    if is_same { renewed(record, sent, answer, times, believed) } else { None }
}

struct Validators {
    etag: Option<ETag>,
    modified: Option<std::time::SystemTime>,
}

impl Validators {
    fn of(fields: &HeaderMap) -> Self {
        Self {
            etag: fields.get(header::ETAG).and_then(|etag| ETag::parse(etag.as_bytes())),
            modified: fields.get(header::LAST_MODIFIED).and_then(|date| parse_http_date(date.as_bytes())),
        }
    }
}

fn renewed(record: &Record, sent: &HeaderMap, answer: &HeaderMap, times: Times, believed: Duration) -> Option<Record> {
    let meta = record.http()?;
    let told = Validators::of(answer);
    let modified = told.modified.or(record.modified);
    let fields = merged(record, meta.lines.to_map(), answer);
    let status = StatusCode::from_u16(meta.status).ok()?;
    let Judgement::Keep(meta) = judge(&Arrival { sent, status, fields: &fields, times, believed, modified }) else {
        return None;
    };
    let etag = told.etag.or_else(|| record.etag.clone());
    Some(Record {
        checked: seconds(times.arrived),
        etag,
        modified,
        provenance: Provenance::Http(meta),
        ..record.clone()
    })
}

/// The stored fields with those of the answer in their place.
fn merged(record: &Record, mut fields: HeaderMap, answer: &HeaderMap) -> HeaderMap {
    // They are not among the lines, and say that the answer can be asked after.
    let etag = record.etag.as_ref().and_then(|etag| HeaderValue::from_str(etag.as_str()).ok());
    let modified = record.modified.and_then(|modified| HeaderValue::from_str(&http_date(modified)).ok());
    for (name, value) in [(header::ETAG, etag), (header::LAST_MODIFIED, modified)] {
        fields.extend(value.map(|value| (name, value)));
    }
    for name in answer.keys() {
        // A cookie that comes with a 304 is for the one who asked. What is given out to all has none.
        if OF_THE_BYTES.contains(name) || *name == header::SET_COOKIE {
            continue;
        }
        fields.remove(name);
        answer.get_all(name).iter().for_each(|value| _ = fields.append(name, value.clone()));
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::names::{
        record::{HttpMeta, tests::of_directory},
        storing::tests::{fields, kept, now},
    };

    fn record(answer: &[(&str, &str)]) -> Record {
        let etag = ETag::parse(b"\"v1\"");
        Record {
            etag,
            modified: None,
            len: Some(10),
            provenance: Provenance::Http(kept(&[], answer)),
            ..of_directory(10)
        }
    }

    fn later(seconds: u64) -> SystemTime {
        now() + Duration::from_secs(seconds)
    }

    fn times(seconds: u64) -> Times {
        Times { asked: later(seconds), arrived: later(seconds) }
    }

    fn confirmed(record: &Record, answer: &[(&str, &str)]) -> Option<HttpMeta> {
        let renewed = by_304(record, &HeaderMap::new(), &fields(answer), times(1000), Duration::ZERO)?;
        assert_eq!(renewed.checked, seconds(later(1000)));
        renewed.http().cloned()
    }

    #[test]
    fn a_304_renews_the_freshness_and_the_fields_but_not_those_of_the_bytes() {
        let old =
            record(&[("cache-control", "max-age=60"), ("content-type", "text/plain"), ("x-a", "1"), ("x-b", "1")]);
        let answer = [
            ("cache-control", "max-age=120"),
            ("etag", "\"v1\""),
            ("content-type", "x/y"),
            ("content-encoding", "br"),
            ("content-length", "3"),
            ("x-a", "2"),
            ("set-cookie", "a=b"),
        ];
        let meta = confirmed(&old, &answer).unwrap();
        assert_eq!((meta.lifetime, meta.age, meta.arrived, meta.status), (120, 0, seconds(later(1000)), 200));
        let fields = meta.lines.to_map();
        assert_eq!(
            (&fields["content-type"], &fields["x-a"], &fields["x-b"]),
            (&"x/y".parse().unwrap(), &"2".parse().unwrap(), &"1".parse().unwrap())
        );
        assert!(
            !fields.contains_key("set-cookie")
                && !fields.contains_key("content-encoding")
                && !fields.contains_key("content-length")
        );
    }

    #[test]
    fn a_304_confirms_what_was_asked_and_nothing_else() {
        let old = record(&[("cache-control", "max-age=60")]);
        for (answer, is_confirmed) in [
            (vec![], true),
            (vec![("etag", "\"v1\"")], true),
            (vec![("etag", "W/\"v1\"")], true),
            (vec![("etag", "\"v2\"")], false),
            (vec![("cache-control", "no-store")], false),
        ] {
            assert_eq!(confirmed(&old, &answer).is_some(), is_confirmed, "{answer:?}");
        }
    }

    #[test]
    fn a_head_renews_what_it_is_sure_of() {
        let old = record(&[("cache-control", "max-age=60"), ("x-a", "1")]);
        let fresh = ("cache-control", "max-age=600");
        let renews = |answer: &[(&str, &str)], len| {
            by_head(&old, &HeaderMap::new(), &fields(answer), len, times(100), Duration::ZERO)
                .map(|record| record.http().unwrap().lifetime)
        };
        assert_eq!(renews(&[("etag", "\"v1\""), fresh], Some(10)), Some(600));
        assert_eq!(renews(&[("etag", "\"v1\""), fresh], None), Some(600));
        assert_eq!(renews(&[("etag", "\"v1\""), fresh], Some(11)), None);
        assert_eq!(renews(&[("etag", "\"v2\""), fresh], Some(10)), None);
        assert_eq!(renews(&[fresh], Some(10)), None);
    }
}
