//! Entries for `fuzz/`, which are there only when fuzzing: whatever an upstream says, and whatever stands in a record, it is understood or refused.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Response};
use protocol::{digest::Md5, span::Span};

use crate::{
    names::{
        control::Control,
        freshness,
        lifetime::Times,
        record::{Provenance, Record},
        renewal,
        storing::{Arrival, Judgement, judge, withheld},
        variant::{self, Variants},
    },
    upstream::{
        autoindex, framing, heads, listed,
        reply::{Access, Head},
    },
};

/// The head of an answer to a request with these fields.
pub fn upstream_head(sent: &HeaderMap, answer: &Response<()>) {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let times = Times { asked: now, arrived: now };
    let fields = answer.headers();
    let is_right = framing::check(answer).is_ok();
    let len = heads::announced_len(answer);
    heads::retry_after(fields);
    withheld(fields);
    let heads::Validators { etag, modified } = heads::Validators::of(fields);
    let believed = Duration::from_secs(120);
    let arrival = Arrival { sent, status: answer.status(), fields, times, believed, modified };
    let Judgement::Keep(meta) = judge(&arrival) else { return };
    assert!(variant::is_same(&meta.selecting, sent), "who asked gets another variant than its own");
    for name in ["connection", "content-length", "transfer-encoding", "age", "date"] {
        assert!(meta.lines.iter().all(|(kept, _)| kept != name), "{name} was kept");
    }
    let record = Record {
        checked: 1,
        len: len.ok().flatten(),
        modified,
        etag,
        provisional: Some(7),
        provenance: Provenance::Http(meta.clone()),
    };
    assert_eq!(Record::decode(&record.encode()), Some(record.clone()), "what is kept is not what came");
    freshness::suits(&record, &Control::default(), now, || false);
    renewal::by_304(&record, sent, fields, times, believed);
    renewal::by_head(&record, sent, fields, None, times, believed);
    let (variants, gone) = Variants::with(None, &meta.selecting);
    assert!(gone.is_empty() && Variants::decode(&variants.encode()) == Some(variants));
    for access in [Access::Name, Access::Object(Md5([7; 16]))] {
        let claims = heads::claims(fields);
        let head = Head { record: record.clone(), claims, source: Bytes::new(), access, fields: None };
        let continued = heads::check_continuation(answer, &head, 100);
        assert!(continued.is_err() || is_right || answer.status().as_u16() != 206);
        let _ = heads::check_span(answer, &head, Span::new(10, 20));
    }
}

/// A web server's page of a folder: what is read of it is entries of that folder.
pub fn autoindex(page: &[u8]) {
    for folder in ["/", "/pub/", "/pub/deep%20er/"] {
        let target = protocol::target::Target::parse(folder.as_bytes()).expect("a good target");
        let Some(links) = autoindex::parse(page, folder) else { continue };
        let count = links.len();
        let entries = listed::of_links(&target, links);
        assert!(entries.len() <= count);
        for entry in entries {
            let path = entry.target.path();
            let name = path.strip_prefix(folder).expect("it is below its folder").trim_end_matches('/');
            assert!(!name.is_empty() && !name.contains('/') && entry.target.decode().is_ok(), "{path}");
            assert_eq!(entry.is_folder, path.ends_with('/'));
        }
    }
}

/// A record of a name, or an index of its variants, as it stands in the store.
pub fn name_record(bytes: &[u8]) {
    if let Some(record) = Record::decode(bytes) {
        assert_eq!(Record::decode(&record.encode()), Some(record));
    }
    if let Some(variants) = Variants::decode(bytes) {
        assert_eq!(Variants::decode(&variants.encode()), Some(variants));
    }
}
