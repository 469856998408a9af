//! Ranges and conditions: whatever is asked, what is selected lies in the file, in at most 16 parts, and is never more than all of it.
#![no_main]

use std::time::SystemTime;

use protocol::{
    condition::{Conditions, Validators, Verdict, decide},
    etag::ETag,
    range::{Selection, parse_content_range},
};

libfuzzer_sys::fuzz_target!(|input: (u64, &[u8], &[u8], bool)| {
    let (len, range, condition, is_date) = input;
    let _ = parse_content_range(range);
    let etag = ETag::parse(b"\"abc\"").expect("a tag");
    let modified = Some(SystemTime::UNIX_EPOCH);
    let validators = Validators {
        etag: Some(&etag),
        etag_before: None,
        last_modified: modified,
        len: Some(len),
        now: SystemTime::now(),
    };
    let mut conditions = Conditions { range: Some(range), ..Conditions::default() };
    match is_date {
        true => conditions.if_range = Some(condition),
        false => conditions.if_none_match = Some(condition),
    }
    let spans = match decide(&conditions, &validators) {
        Verdict::Send(Selection::Part(span)) => vec![span],
        Verdict::Send(Selection::Parts(spans)) => spans,
        _ => return,
    };
    assert!(spans.len() <= 16 && !spans.is_empty());
    assert!(spans.iter().all(|span| span.start < span.end && span.end <= len));
    assert!(spans.iter().map(|span| span.len()).sum::<u64>() <= len);
});
