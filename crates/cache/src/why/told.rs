//! What happened to an object, in words and in fields: pure.

use std::time::{Duration, SystemTime};

use protocol::timestamp::rfc3339;
use serde_json::{Map, Value, json};
use store::{Arrival, Asked, Entry, Event, Eviction, Merit, Purpose};

use super::Happened;
use crate::{fetch::account::Account, names::key::Parts};

/// One entry of the history. `path_of` knows what clients ask for by a key.
pub(super) fn happened(entry: &Entry, path_of: &dyn Fn(&[u8]) -> Option<String>) -> Happened {
    let (event, text, details) = match &entry.event {
        Event::Came { by, size, about } => came(*by, *size, about),
        Event::Asked(asked) => ("asked", asked_for(asked), counts(asked)),
        Event::Evicted(eviction) => ("evicted", evicted(eviction), eviction_details(eviction)),
        Event::Removed { by, asked } if by.is_empty() => ("removed", "somebody had it removed".into(), counts(asked)),
        Event::Removed { by, asked } => ("removed", format!("removed by {by}"), with(counts(asked), "by", json!(by))),
        Event::Damaged => ("damaged", DAMAGED.into(), Value::Null),
        Event::Missing => ("missing", MISSING.into(), Value::Null),
        Event::Replaced { key, by } => replaced(key, by.to_string(), path_of),
    };
    let Value::Object(details) = details else {
        return Happened { at: rfc3339(entry.at), event: event.into(), text, details: Map::new() };
    };
    Happened { at: rfc3339(entry.at), event: event.into(), text, details }
}

const DAMAGED: &str = "its bytes were not right any more, and it went to quarantine; look at the disk";
const MISSING: &str =
    "its file was gone, or not as long as it was: somebody changed the cache directory, or the disk fails";

fn came(by: Arrival, size: u64, about: &[u8]) -> (&'static str, String, Value) {
    let account = Account::of_bytes(about);
    let details = with(serde_json::to_value(&account).unwrap_or_default(), "size", json!(size));
    let (event, text) = match by {
        Arrival::Filled => ("fetched", fetched(size, &account)),
        Arrival::Imported => ("imported", imported(size, &account)),
        Arrival::Found => ("found", "its file was found in the cache directory after a crash, and was right".into()),
    };
    (event, text, details)
}

fn fetched(size: u64, account: &Account) -> String {
    let Account { upstream, from, path, seconds, continued_at, waited, clients, .. } = account;
    let source = if upstream.is_empty() { String::new() } else { format!(" from the upstream '{upstream}' ({from})") };
    let name = if path.is_empty() { String::new() } else { format!(" as {path}") };
    let time = seconds.map_or_else(String::new, |seconds| format!(" in {seconds:.1} s"));
    let before = match continued_at {
        0 => String::new(),
        bytes => format!(", of which {bytes} were here from a fetch before"),
    };
    format!("fetched{source}{name}: {size} bytes{time}{before}; {}", who_waited(*waited, clients))
}

fn who_waited(waited: u32, clients: &[String]) -> String {
    let named = match clients {
        [] => String::new(),
        clients => format!(", of {}", clients.join(", ")),
    };
    match waited {
        0 => "no client waited for it".into(),
        1 => format!("one request waited for it{named}"),
        waited => format!("{waited} requests waited for it{named}"),
    }
}

fn imported(size: u64, account: &Account) -> String {
    let Account { from, path, how, .. } = account;
    let source = if from.is_empty() { String::new() } else { format!(" from {from}") };
    let name = if path.is_empty() { String::new() } else { format!(" as {path}") };
    let how = if how.is_empty() { String::new() } else { format!(" ({how})") };
    format!("taken in{source}{name}{how}: {size} bytes, and none of them crossed the line")
}

fn asked_for(asked: &Asked) -> String {
    let last = asked.last.map_or_else(String::new, |last| format!(", last at {}", rfc3339(last)));
    let times = times(asked.times);
    format!("asked for {times} between {} and then{last}", rfc3339(asked.since))
}

/// What the policy knows of an object, in words.
pub(super) fn asked_for_so(merit: &Merit) -> String {
    let Merit { uses, age, interval, .. } = *merit;
    let requests = |number: u64| if number == 1 { "1 request".to_owned() } else { format!("{number} requests") };
    // The policy's clock is told of requests some at a time.
    let ago = if age == 0 { "a moment ago".to_owned() } else { format!("{} ago", requests(age)) };
    if uses <= 1 {
        return format!("asked for once, {ago}");
    }
    let times = if uses == USES_MAX { "very often".into() } else { times(uses) };
    if interval == 0 {
        return format!("asked for {times}, last {ago}");
    }
    format!("asked for {times}, each {} or so, and last {ago}", requests(interval))
}

/// As many or more.
const USES_MAX: u32 = 255;

/// How often, in words.
pub(super) fn times(number: u32) -> String {
    match number {
        1 => "once".into(),
        2 => "twice".into(),
        number => format!("{number} times"),
    }
}

fn evicted(eviction: &Eviction) -> String {
    let Eviction { need, merit, others, .. } = eviction;
    let missing = need.bytes;
    let for_what = match need.purpose {
        Purpose::Fill if need.label.is_empty() => format!("a fetch needed room, {missing} bytes of it"),
        Purpose::Fill => format!("{} needed room, {missing} bytes of it", need.label),
        Purpose::Tables => format!("the index needed room to be written anew, {missing} bytes of it"),
        Purpose::MinFree => format!("others filled the disk, and {missing} bytes were missing to cache.min_free"),
        Purpose::MaxSize => format!("the cache was {missing} bytes above cache.max_size"),
    };
    let (known, count) = (asked_for_so(merit), others.count);
    let why_this = match count {
        0 => "and nothing else could go".into(),
        _ => format!(
            "which made it less likely to be asked for again than {count} others that were looked at, or as likely"
        ),
    };
    format!("evicted: {for_what}; it was {known}, {why_this}")
}

fn eviction_details(eviction: &Eviction) -> Value {
    let Eviction { size, need, merit, others, asked } = eviction;
    let purpose = match need.purpose {
        Purpose::Fill => "fetch",
        Purpose::Tables => "index",
        Purpose::MinFree => "min_free",
        Purpose::MaxSize => "max_size",
    };
    json!({
        "size": size,
        "room_for": { "purpose": purpose, "path": need.label, "missing_bytes": need.bytes },
        "merit": merit_details(merit),
        "others": { "looked_at": others.count, "least_worth": others.least, "most_worth": others.most },
        "asked_for": counts(asked),
    })
}

/// What the policy knows of an object, in fields.
pub(super) fn merit_details(merit: &Merit) -> Value {
    let Merit { uses, age, interval, worth } = merit;
    json!({ "uses": uses, "requests_since": age, "requests_between": interval, "worth": worth })
}

fn replaced(key: &[u8], by: String, path_of: &dyn Fn(&[u8]) -> Option<String>) -> (&'static str, String, Value) {
    let below = || Parts::of(key).map(|parts| format!("{}:{}", parts.upstream, parts.target));
    let path = path_of(key).or_else(below).unwrap_or_else(|| "a name".into());
    let text = format!("{path} has another content since: {by}");
    ("replaced", text, json!({ "path": path, "by_md5": by }))
}

/// How often something was asked for, in fields.
pub(super) fn counts(asked: &Asked) -> Value {
    json!({ "times": asked.times, "since": rfc3339(asked.since), "last": asked.last.map(rfc3339) })
}

fn with(details: Value, field: &str, value: Value) -> Value {
    let Value::Object(mut details) = details else { return details };
    details.insert(field.into(), value);
    Value::Object(details)
}

/// How often an object was asked for in all that the history knows: each instance counts for itself, and the last that it wrote down counts.
/// `now` is what the one counts that runs. The number may be too small by what an instance that was killed had not written down yet.
pub(super) fn asked_in_all(entries: &[Entry], now: Option<&Asked>) -> Asked {
    let written = entries.iter().filter_map(|entry| match &entry.event {
        Event::Asked(asked) => Some(asked),
        Event::Evicted(eviction) => Some(&eviction.asked),
        Event::Removed { asked, .. } => Some(asked),
        _ => None,
    });
    let mut lives: Vec<Asked> = Vec::new();
    for asked in written.chain(now) {
        // The history has whole milliseconds.
        match lives.iter_mut().find(|life| near(life.since, asked.since)) {
            // What is counted anew after an eviction is another life of the object in one of the instance.
            Some(life) if life.times <= asked.times => *life = *asked,
            _ => lives.push(*asked),
        }
    }
    let since = lives.iter().map(|life| life.since).min().unwrap_or(SystemTime::UNIX_EPOCH);
    let times = lives.iter().fold(0, |sum: u32, life| sum.saturating_add(life.times));
    Asked { since, times, last: lives.iter().filter_map(|life| life.last).max() }
}

fn near(one: SystemTime, other: SystemTime) -> bool {
    let apart = one.duration_since(other).unwrap_or_else(|error| error.duration());
    apart < Duration::from_millis(2)
}

#[cfg(test)]
mod tests {
    use protocol::digest::Md5;
    use store::{Need, Others};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000 + seconds)
    }

    fn asked(since: u64, times: u32) -> Asked {
        Asked { since: at(since), times, last: (times > 0).then(|| at(since + 9)) }
    }

    fn entry(event: Event) -> Entry {
        Entry { at: at(5), md5: Md5([7; 16]), event }
    }

    fn text(event: Event) -> String {
        happened(&entry(event), &|key| (key == b"key").then(|| "/known".into())).text
    }

    fn eviction(purpose: Purpose, label: &str, uses: u32, others: u32) -> Event {
        let merit = Merit { uses, age: 9000, interval: 70, worth: 5 };
        let others = Others { count: others, least: 6, most: 40 };
        let need = Need { purpose, bytes: 500, label: label.into() };
        Event::Evicted(Eviction { size: 9, need, merit, others, asked: asked(0, 3) })
    }

    #[test]
    fn each_event_has_its_sentence() {
        let account = Account {
            upstream: "hq".into(),
            from: "http://hq/".into(),
            path: "/a".into(),
            seconds: Some(2.04),
            continued_at: 4,
            waited: 3,
            clients: vec!["10.0.0.1".into(), "10.0.0.2".into()],
            how: String::new(),
        };
        let came = |by, account: &Account| Event::Came { by, size: 100, about: account.to_bytes() };
        let from_share =
            Account { from: "/mnt/a".into(), path: "/a".into(), how: "linked".into(), ..Account::default() };
        for (event, expected) in [
            (
                came(Arrival::Filled, &account),
                "fetched from the upstream 'hq' (http://hq/) as /a: 100 bytes in 2.0 s, of which 4 were here from a fetch before; \
                 3 requests waited for it, of 10.0.0.1, 10.0.0.2",
            ),
            (came(Arrival::Filled, &Account::default()), "fetched: 100 bytes; no client waited for it"),
            (
                came(Arrival::Imported, &from_share),
                "taken in from /mnt/a as /a (linked): 100 bytes, and none of them crossed the line",
            ),
            (
                eviction(Purpose::Fill, "/new.iso", 1, 23),
                "evicted: /new.iso needed room, 500 bytes of it; it was asked for once, 9000 requests ago, which made it less likely to be \
                 asked for again than 23 others that were looked at, or as likely",
            ),
            (
                eviction(Purpose::MinFree, "", 2, 5),
                "evicted: others filled the disk, and 500 bytes were missing to cache.min_free; it was asked for twice, each 70 requests or so, \
                 and last 9000 requests ago, which made it less likely to be asked for again than 5 others that were looked at, or as likely",
            ),
            (
                eviction(Purpose::MaxSize, "", 255, 0),
                "evicted: the cache was 500 bytes above cache.max_size; it was asked for very often, each 70 requests or so, and last 9000 \
                 requests ago, and nothing else could go",
            ),
            (Event::Removed { by: "a purge".into(), asked: asked(0, 0) }, "removed by a purge"),
            (
                Event::Replaced { key: "key".into(), by: Md5([1; 16]) },
                "/known has another content since: 01010101010101010101010101010101",
            ),
        ] {
            assert_eq!(text(event), expected);
        }
    }

    #[test]
    fn what_the_policy_knows_is_told_as_well_as_it_knows_it() {
        for (uses, age, interval, expected) in [
            (1, 0, 0, "asked for once, a moment ago"),
            (1, 1, 0, "asked for once, 1 request ago"),
            (3, 0, 0, "asked for 3 times, last a moment ago"),
            (255, 9, 1, "asked for very often, each 1 request or so, and last 9 requests ago"),
        ] {
            assert_eq!(asked_for_so(&Merit { uses, age, interval, worth: 0 }), expected);
        }
    }

    #[test]
    fn details_are_fields_for_scripts() {
        let told = happened(&entry(eviction(Purpose::Fill, "/x", 1, 2)), &|_| None);
        let told = serde_json::to_value(&told).unwrap();
        assert_eq!(told["event"], "evicted");
        assert_eq!(told["room_for"], json!({ "purpose": "fetch", "path": "/x", "missing_bytes": 500 }));
        assert_eq!(told["asked_for"]["times"], 3);
        assert_eq!(told["merit"]["requests_between"], 70);
        assert_eq!(told["at"], "2026-11-18T11:06:45Z");
    }

    #[test]
    fn every_instance_counts_for_itself() {
        let written = |asked| entry(Event::Asked(asked));
        let removed = |asked| entry(Event::Removed { by: "".into(), asked });
        for (entries, now, times) in [
            (vec![], None, 0),
            (vec![written(asked(0, 1)), written(asked(0, 2)), written(asked(0, 4))], None, 4),
            (vec![written(asked(0, 4)), written(asked(100, 2))], Some(asked(200, 3)), 9),
            (vec![written(asked(0, 4))], Some(asked(0, 7)), 7),
            // It went and came again while one instance ran.
            (vec![written(asked(0, 4)), removed(asked(0, 5))], Some(asked(0, 2)), 7),
        ] {
            assert_eq!(asked_in_all(&entries, now.as_ref()).times, times, "{entries:?}");
        }
    }
}
