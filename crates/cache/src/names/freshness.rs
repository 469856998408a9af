//! When a stored content may be given out: pure decisions. For `http` upstreams it asks `http-cache-semantics` (RFC 9111, as a shared
//! cache) and keeps the outcome as numbers, so that a hit needs a comparison only.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};

use protocol::timestamp;

use super::record::{HttpMeta, Provenance, Record, seconds};

/// What to do with a name whose content is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Give it out.
    Fresh,
    /// Ask the upstream first.
    Recheck,
    /// The upstream cannot be asked: give it out, and say so.
    Stale,
    /// The upstream cannot be asked, and it is too old for that.
    Gone,
}

/// What the decision depends on where a copy is not fresh any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Asking would be in vain: the breaker is open, or it failed a moment ago.
    pub(crate) is_unreachable: bool,
    /// See [`may_stand_in`].
    pub(crate) may_stand_in: bool,
}

/// `is_fresh`: looked at recently enough, or fresh by RFC 9111. The rest is found out only if it matters: most hits are fresh.
pub(crate) fn decide(is_fresh: bool, facts: impl FnOnce() -> Facts) -> Verdict {
    if is_fresh {
        return Verdict::Fresh;
    }
    match facts() {
        Facts { is_unreachable: false, .. } => Verdict::Recheck,
        Facts { may_stand_in: true, .. } => Verdict::Stale,
        _ => Verdict::Gone,
    }
}

/// Whether a copy that was last found right at `checked` (seconds since 1970) may stand in for an upstream that cannot be reached.
pub(crate) fn may_stand_in(record: &Record, checked: u64, now: SystemTime, stale_if_error: Duration) -> bool {
    let is_forbidden = matches!(&record.provenance, Provenance::Http(meta) if meta.stale_forbidden);
    !is_forbidden && !stale_if_error.is_zero() && seconds(now).saturating_sub(checked) <= stale_if_error.as_secs()
}

fn is_fresh(meta: &HttpMeta, now: SystemTime) -> bool {
    seconds(now) < meta.arrived.saturating_add(meta.lifetime)
}

/// How a stored answer suits one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suits {
    /// May be given out without asking.
    Fresh,
    /// Must be asked for first.
    Stale,
    /// Is an answer to another request (`Vary`).
    OtherVariant,
}

/// Judges by what kind of upstream it is from: by RFC 9111 where that is a web server, else by whether it `is_recent`, looked at a moment
/// ago. `sent` are the fields that would go upstream; `None` for a request that says nothing of caching, if [the record does not vary](Record::variant).
pub(crate) fn suits(
    record: &Record,
    sent: Option<&HeaderMap>,
    now: SystemTime,
    is_recent: impl FnOnce() -> bool,
) -> Suits {
    let is_fresh = match (&record.provenance, sent) {
        (Provenance::Http(meta), Some(sent)) => return suits_by_policy(record, meta, sent, now),
        (Provenance::Http(meta), None) => is_fresh(meta, now),
        (Provenance::Directory(_) | Provenance::Outpost { .. }, _) => is_recent(),
    };
    if is_fresh { Suits::Fresh } else { Suits::Stale }
}

fn suits_by_policy(record: &Record, meta: &HttpMeta, sent: &HeaderMap, now: SystemTime) -> Suits {
    let policy = policy(&stored_request(meta), &stored_response(record, meta), from_seconds(meta.arrived));
    match policy.before_request(&request(sent), now) {
        BeforeRequest::Fresh(_) => Suits::Fresh,
        BeforeRequest::Stale { matches: true, .. } => Suits::Stale,
        BeforeRequest::Stale { matches: false, .. } => Suits::OtherVariant,
    }
}

/// RFC 9111 section 5.2.1.7: such a request gets a stored answer or 504.
pub(crate) fn wants_only_cached(sent: &HeaderMap) -> bool {
    list(sent, &header::CACHE_CONTROL).iter().any(|directive| directive == "only-if-cached")
}

/// Whether two requests get the same variant of an answer.
pub(crate) fn is_same_variant(meta: &HttpMeta, sent: &HeaderMap) -> bool {
    meta.selecting.iter().all(|(name, value)| sent.get(&**name).map_or(&b""[..], HeaderValue::as_bytes) == &**value)
}

/// What becomes of a 200 answer: kept, or handed through (`None`). `believed` is for how long an answer is fresh that says nothing of it.
pub(crate) fn judge(sent: &HeaderMap, fields: &HeaderMap, now: SystemTime, believed: Duration) -> Option<HttpMeta> {
    let mut response = Response::new(());
    *response.headers_mut() = with_default_lifetime(fields.clone(), believed.as_secs());
    let policy = policy(&request(sent), &response, now);
    // RFC 9111 lets a cache keep an answer that sets a cookie; whoever sets one rarely means everybody.
    let is_personal = fields.contains_key(header::SET_COOKIE);
    let varies = list(fields, &header::VARY);
    if !policy.is_storable() || is_personal || varies.iter().any(|name| name == "*") {
        return None;
    }
    let directives = list(fields, &header::CACHE_CONTROL);
    let names_one_of = |names: &[&str]| {
        let name = |directive: &String| directive.split('=').next().unwrap_or_default().trim().to_owned();
        directives.iter().map(name).any(|directive| names.contains(&directive.as_str()))
    };
    let text = |name: &HeaderName| fields.get(name).and_then(|value| value.to_str().ok());
    Some(HttpMeta {
        arrived: seconds(now),
        age: text(&header::AGE).and_then(|age| age.trim().parse().ok()).unwrap_or(0),
        date: fields
            .get(header::DATE)
            .and_then(|date| timestamp::parse_http_date(date.as_bytes()))
            .map_or(seconds(now), seconds),
        lifetime: policy.time_to_live(now).as_secs(),
        // RFC 9111 section 4.2.4; `s-maxage` has the meaning of `proxy-revalidate` (section 5.2.2.10).
        stale_forbidden: names_one_of(&["must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"]),
        authorized: sent.contains_key(header::AUTHORIZATION),
        fields: HttpMeta::keep(fields),
        selecting: varies.into_iter().map(|name| selecting(sent, name)).collect(),
    })
}

/// A 304: the record with its fields renewed (RFC 9111 section 4.3.4), or `None` if it speaks of another content or forbids to keep it.
pub(crate) fn renew(
    record: &Record,
    sent: &HeaderMap,
    answer: &HeaderMap,
    now: SystemTime,
    believed: Duration,
) -> Option<Record> {
    let Provenance::Http(meta) = &record.provenance else { return None };
    let old = policy(&stored_request(meta), &stored_response(record, meta), from_seconds(meta.arrived));
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.headers_mut() = with_default_validators(answer, record);
    let AfterResponse::NotModified(..) = old.after_response(&request(sent), &response, now) else { return None };
    let mut fields = meta.to_fields();
    for name in answer.keys() {
        let is_of_the_body = *name == header::CONTENT_ENCODING || *name == header::CONTENT_TYPE;
        if !is_of_the_body {
            fields.remove(name);
            answer.get_all(name).iter().for_each(|value| {
                fields.append(name, value.clone());
            });
        }
    }
    let meta = judge(sent, &with_default_validators(&fields, record), now, believed)?;
    Some(Record { checked: seconds(now), provenance: Provenance::Http(meta), ..record.clone() })
}

/// Servers may leave validators out of a 304 that confirms those of the request.
fn with_default_validators(fields: &HeaderMap, record: &Record) -> HeaderMap {
    let mut fields = fields.clone();
    for (name, value) in validators(record) {
        fields.entry(name).or_insert(value);
    }
    fields
}

fn validators(record: &Record) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let etag = record.etag.as_ref().and_then(|etag| HeaderValue::from_str(etag.as_str()).ok());
    let modified = record.modified.and_then(|time| HeaderValue::from_str(&timestamp::http_date(time)).ok());
    [(header::ETAG, etag), (header::LAST_MODIFIED, modified)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
}

/// RFC 9111 section 4.2.2 leaves it to the cache how long an answer is fresh that has neither an explicit lifetime nor a date to judge by.
/// With zero it would be fetched whole for every request, for without a validator it cannot be asked after either.
fn with_default_lifetime(mut fields: HeaderMap, seconds: u64) -> HeaderMap {
    let telling = [header::CACHE_CONTROL, header::EXPIRES, header::PRAGMA, header::LAST_MODIFIED, header::ETAG];
    if seconds > 0 && !telling.iter().any(|name| fields.contains_key(name)) {
        // Only the policy sees it: what is kept and handed on are the upstream's own fields.
        fields.extend(
            HeaderValue::try_from(format!("max-age={seconds}")).ok().map(|value| (header::CACHE_CONTROL, value)),
        );
    }
    fields
}

fn policy(request: &Request<()>, response: &Response<()>, arrived: SystemTime) -> CachePolicy {
    CachePolicy::new_options(request, response, arrived, CacheOptions { shared: true, ..CacheOptions::default() })
}

/// The name is not part of the policy: it is the key of the record.
fn request(sent: &HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("/");
    *request.headers_mut() = sent.clone();
    // Nor is the client's word for this server.
    request.headers_mut().remove(header::HOST);
    request
}

fn stored_request(meta: &HttpMeta) -> Request<()> {
    let mut fields = HeaderMap::new();
    for (name, value) in &meta.selecting {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value))
            && !value.is_empty()
        {
            fields.insert(name, value);
        }
    }
    if meta.authorized && !fields.contains_key(header::AUTHORIZATION) {
        fields.insert(header::AUTHORIZATION, HeaderValue::from_static("kept secret"));
    }
    request(&fields)
}

fn stored_response(record: &Record, meta: &HttpMeta) -> Response<()> {
    // What was concluded when it arrived, for what stands in the record says less than the answer did.
    let fields = with_default_lifetime(meta.to_fields(), meta.age.saturating_add(meta.lifetime));
    let mut fields = with_default_validators(&fields, record);
    fields.insert(header::AGE, HeaderValue::from(meta.age));
    if let Ok(date) = HeaderValue::from_str(&timestamp::http_date(from_seconds(meta.date))) {
        fields.insert(header::DATE, date);
    }
    let mut response = Response::new(());
    *response.headers_mut() = fields;
    response
}

fn selecting(sent: &HeaderMap, name: String) -> (Box<str>, Box<[u8]>) {
    let value = sent.get(&name).map_or(&b""[..], HeaderValue::as_bytes).into();
    (name.into(), value)
}

/// The members of a comma-separated field, in lower case.
fn list(fields: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = fields.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let members = values.flat_map(|value| value.split(','));
    members.map(|member| member.trim().to_ascii_lowercase()).filter(|member| !member.is_empty()).collect()
}

fn from_seconds(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.min(u64::from(u32::MAX) * 16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::record::tests::of_directory;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_000_000)
    }

    fn fields(lines: &[(&str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        fields
    }

    fn date(seconds_from_now: i64) -> String {
        timestamp::http_date(
            UNIX_EPOCH + Duration::from_secs(seconds(now()).checked_add_signed(seconds_from_now).unwrap()),
        )
    }

    fn record(meta: HttpMeta) -> Record {
        let etag = protocol::etag::ETag::parse(b"\"v1\"");
        Record { etag, modified: None, provenance: Provenance::Http(meta), ..of_directory(10) }
    }

    fn later(seconds: u64) -> SystemTime {
        now() + Duration::from_secs(seconds)
    }

    #[test]
    fn the_decision_is_a_table() {
        for (is_fresh, is_unreachable, may_stand_in, expected) in [
            (true, false, true, Verdict::Fresh),
            (true, true, false, Verdict::Fresh),
            (false, false, true, Verdict::Recheck),
            (false, false, false, Verdict::Recheck),
            (false, true, true, Verdict::Stale),
            (false, true, false, Verdict::Gone),
        ] {
            assert_eq!(decide(is_fresh, || Facts { is_unreachable, may_stand_in }), expected);
        }
    }

    #[test]
    fn a_copy_stands_in_for_a_limited_time_and_not_against_its_servers_word() {
        let week = Duration::from_secs(7 * 86_400);
        let copy = of_directory(1);
        assert!(may_stand_in(&copy, seconds(now()), later(7 * 86_400), week));
        assert!(!may_stand_in(&copy, seconds(now()), later(7 * 86_400 + 1), week));
        assert!(!may_stand_in(&copy, seconds(now()), now(), Duration::ZERO), "zero means never");
        let strict = judge(
            &HeaderMap::new(),
            &fields(&[("cache-control", "max-age=60, must-revalidate")]),
            now(),
            Duration::ZERO,
        );
        assert!(!may_stand_in(&record(strict.unwrap()), seconds(now()), now(), week));
    }

    #[test]
    fn an_answer_that_says_nothing_is_believed_for_a_while() {
        let (nothing, believed) = (HeaderMap::new(), Duration::from_secs(120));
        let kept =
            |answer: &[(&str, &str)]| judge(&nothing, &fields(answer), now(), believed).map(|meta| meta.lifetime);
        assert_eq!(kept(&[("content-type", "text/plain"), ("date", &date(0))]), Some(120));
        assert_eq!(kept(&[("age", "20")]), Some(100));
        assert_eq!(kept(&[("etag", "\"a\"")]), Some(0), "can be asked after for nothing");
        assert_eq!(kept(&[("cache-control", "max-age=0")]), Some(0));
        assert_eq!(kept(&[("pragma", "no-cache")]), Some(0));
        assert_eq!(kept(&[("set-cookie", "a=b")]), None);
        let meta = judge(&nothing, &fields(&[("age", "20")]), now(), believed).unwrap();
        let stored = record(meta.clone());
        assert_eq!(suits(&stored, Some(&nothing), later(99), || false), Suits::Fresh);
        assert_eq!(suits(&stored, Some(&nothing), later(100), || false), Suits::Stale);
        assert_eq!(suits(&stored, Some(&fields(&[("cache-control", "no-cache")])), later(1), || false), Suits::Stale);
        assert!(meta.to_fields().get("cache-control").is_none(), "the upstream did not say it, so nor do we");
    }

    #[test]
    fn what_may_be_kept_and_for_how_long() {
        let modified = date(-1000);
        let authorization = ("authorization", "Basic eA==");
        let kept = |sent: &[(&str, &str)], answer: &[(&str, &str)]| {
            judge(&fields(sent), &fields(answer), now(), Duration::ZERO).map(|meta| meta.lifetime)
        };
        assert_eq!(kept(&[], &[("cache-control", "max-age=60")]), Some(60));
        assert_eq!(kept(&[], &[("cache-control", "max-age=60, s-maxage=10")]), Some(10));
        assert_eq!(kept(&[], &[("cache-control", "max-age=60"), ("age", "50")]), Some(10));
        assert_eq!(kept(&[], &[("expires", &date(30)), ("date", &date(0))]), Some(30));
        assert_eq!(kept(&[], &[("last-modified", &modified), ("date", &date(0))]), Some(100), "heuristic: a tenth");
        assert_eq!(kept(&[], &[]), Some(0));
        assert_eq!(kept(&[], &[("cache-control", "no-cache"), ("etag", "\"a\"")]), Some(0));
        assert_eq!(kept(&[], &[("cache-control", "no-store")]), None);
        assert_eq!(kept(&[], &[("cache-control", "private")]), None);
        assert_eq!(kept(&[], &[("vary", "*"), ("cache-control", "max-age=60")]), None);
        assert_eq!(kept(&[], &[("set-cookie", "a=b"), ("cache-control", "public, max-age=60")]), None);
        assert_eq!(kept(&[authorization], &[("cache-control", "max-age=60")]), None);
        assert_eq!(kept(&[authorization], &[("cache-control", "public, max-age=60")]), Some(60));
        assert_eq!(kept(&[("cache-control", "no-store")], &[("cache-control", "max-age=60")]), None);
    }

    #[test]
    fn requests_are_suited_by_age_directives_and_variant() {
        let answer = fields(&[("cache-control", "max-age=60"), ("vary", "Accept-Language"), ("etag", "\"v1\"")]);
        let meta = judge(&fields(&[("accept-language", "de")]), &answer, now(), Duration::ZERO).unwrap();
        let record = record(meta.clone());
        let suits = |sent: &[(&str, &str)], now| suits(&record, Some(&fields(sent)), now, || false);
        let german = ("accept-language", "de");
        assert_eq!(suits(&[german], later(59)), Suits::Fresh);
        assert_eq!(suits(&[german], later(60)), Suits::Stale);
        assert_eq!(suits(&[german, ("cache-control", "no-cache")], later(1)), Suits::Stale);
        assert_eq!(suits(&[german, ("pragma", "no-cache")], later(1)), Suits::Stale);
        assert_eq!(suits(&[german, ("cache-control", "max-age=5")], later(10)), Suits::Stale);
        assert_eq!(suits(&[german, ("cache-control", "max-stale=100")], later(90)), Suits::Fresh);
        assert_eq!(suits(&[("accept-language", "fr")], later(1)), Suits::OtherVariant);
        assert_eq!(suits(&[], later(1)), Suits::OtherVariant);
        assert!(is_same_variant(&meta, &fields(&[german])) && !is_same_variant(&meta, &fields(&[])));
    }

    #[test]
    fn a_304_renews_the_freshness_and_changes_no_body_fields() {
        let answer = fields(&[("cache-control", "max-age=60"), ("etag", "\"v1\""), ("content-type", "text/plain")]);
        let old = record(judge(&HeaderMap::new(), &answer, now(), Duration::ZERO).unwrap());
        let confirmed = fields(&[("cache-control", "max-age=120"), ("etag", "\"v1\""), ("content-type", "x/y")]);
        let new = renew(&old, &HeaderMap::new(), &confirmed, later(1000), Duration::ZERO).unwrap();
        let Provenance::Http(meta) = &new.provenance else { panic!("kind") };
        assert_eq!((meta.lifetime, meta.arrived, new.checked), (120, seconds(later(1000)), seconds(later(1000))));
        assert_eq!(meta.to_fields()["content-type"], "text/plain");
        assert!(
            renew(&old, &HeaderMap::new(), &fields(&[]), later(1), Duration::ZERO).is_some(),
            "a bare 304 confirms what was asked"
        );
    }

    #[test]
    fn a_304_for_another_tag_renews_nothing() {
        let old = record(
            judge(&HeaderMap::new(), &fields(&[("cache-control", "max-age=60")]), now(), Duration::ZERO).unwrap(),
        );
        assert!(renew(&old, &HeaderMap::new(), &fields(&[("etag", "\"v2\"")]), later(1), Duration::ZERO).is_none());
        assert!(
            renew(&old, &HeaderMap::new(), &fields(&[("cache-control", "no-store")]), later(1), Duration::ZERO)
                .is_none()
        );
    }
}
