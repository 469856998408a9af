//! Whether a web server's answer to a GET may be kept, and for how long it is fresh: RFC 9111 section 3 as a shared cache reads it, and where it
//! leaves a choice, ours.
//!
//! | answer | what becomes of it |
//! | --- | --- |
//! | 200 that nothing forbids to keep | kept, fresh or not: it is asked after, and stands in for an upstream that is gone |
//! | any other status, with explicit freshness (`max-age`, `s-maxage`, `Expires`) | kept while it is fresh; an error at most [`CLIENT_ERRORS_MAX`] or [`SERVER_ERRORS_MAX`] |
//! | 203, 204, 300, 301, 308 without | fresh for a tenth of how long it has not changed, as 200 |
//! | an error without | never kept: it may be the fault of one request (cache-poisoned denial of service) |
//! | 404, 410 and redirects that are not kept | shared by those who wait for it ([`Judgement::Share`]) |
//! | `no-store`, `private`, `Vary: *`, `Set-Cookie`, of a request with `Authorization`, ... | handed through |

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{
    directives::{self, Directives},
    lifetime::{self, Times},
    lines::{self, Lines},
    record::{HttpMeta, seconds},
    variant,
};

/// 4xx are fresh for at most so many seconds, whatever they say: what is missing now may be put there in a moment.
const CLIENT_ERRORS_MAX: u64 = 3600;
/// Likewise 5xx.
const SERVER_ERRORS_MAX: u64 = 60;

/// Selecting fields of one answer; with more it goes through.
const SELECTING_MAX: usize = 16;

/// Statuses whose rules for caches are known here (RFC 9111 section 3: `must-understand`).
const UNDERSTOOD: [u16; 14] = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];
/// Statuses that may be fresh without saying so (RFC 9110 section 15.1), but for errors.
const HEURISTIC: [u16; 6] = [200, 203, 204, 300, 301, 308];
/// Statuses that RFC 9110 lets a cache keep, and that say the same to everybody who asks.
const SHARED: [u16; 5] = [300, 301, 308, 404, 410];

/// Request fields that we write ourselves for each client: what varies by these is for one client alone.
const OF_ONE_CLIENT: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Request fields that the upstream sees alike from us, whatever the client says: these select nothing. Most web servers vary by the first.
const ALWAYS_ALIKE: [&str; 2] = ["accept-encoding", "host"];

/// An answer and what it answers.
pub(crate) struct Arrival<'a> {
    /// The request's fields, as they went upstream.
    pub(crate) sent: &'a HeaderMap,
    pub(crate) status: StatusCode,
    pub(crate) fields: &'a HeaderMap,
    pub(crate) times: Times,
    /// For how long an answer is fresh that says nothing by which that could be told.
    pub(crate) believed: Duration,
    /// `Last-Modified`
    pub(crate) modified: Option<SystemTime>,
}

/// What becomes of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is kept with this, and who asked gets what it [withholds](withheld) besides.
    Keep(HttpMeta),
    /// It is not kept, but all who wait for it may have it.
    Share(HttpMeta),
    /// It is for the one who asked.
    Pass,
}

/// Judges an answer.
pub(crate) fn judge(arrival: &Arrival<'_>) -> Judgement {
    let Arrival { sent, status, fields, times, .. } = *arrival;
    let directives = Directives::of(fields);
    let names = selecting_names(fields);
    let Some(names) = names.filter(|_| may_be_shared(arrival, &directives)) else { return Judgement::Pass };
    let lifetime = lifetime(arrival, &directives);
    let age = lifetime::initial_age(fields, times);
    let is_kept = status == StatusCode::OK || lifetime.is_some_and(|lifetime| lifetime > age);
    let lines = Lines::keep(fields, &directives.withheld);
    if lines.as_bytes().len() > lines::BYTES_MAX {
        return Judgement::Pass;
    }
    let meta = HttpMeta {
        status: status.as_u16(),
        arrived: seconds(times.arrived),
        age,
        date: lifetime::date(fields, times.arrived),
        lifetime: lifetime.unwrap_or(0),
        stale_forbidden: directives.forbids_stale(),
        stale_while_revalidate: directives.stale_while_revalidate.unwrap_or(0),
        stale_if_error: directives.stale_if_error,
        lines,
        selecting: variant::selecting(names.iter().map(|name| &**name), sent),
    };
    match (is_kept, SHARED.contains(&status.as_u16())) {
        (true, _) => Judgement::Keep(meta),
        // What is missing for one session may be there for another.
        (false, true) if !sent.contains_key(header::COOKIE) => Judgement::Share(meta),
        (false, _) => Judgement::Pass,
    }
}

/// The lines of an answer that are for the one who asked, also where it is kept (RFC 9111 sections 5.2.2.4 and 5.2.2.7).
pub(crate) fn withheld(fields: &HeaderMap) -> Lines {
    Lines::withheld(fields, &Directives::of(fields).withheld)
}

/// Whether nothing forbids to give it to others (RFC 9111 section 3), how long it is fresh apart.
fn may_be_shared(arrival: &Arrival<'_>, directives: &Directives) -> bool {
    let Arrival { sent, status, fields, .. } = *arrival;
    let is_understood = UNDERSTOOD.contains(&status.as_u16());
    let is_final = !status.is_informational();
    // RFC 9111 lets a cache keep an answer that sets a cookie; whoever sets one rarely means everybody.
    let is_personal = fields.contains_key(header::SET_COOKIE) && !directives.withheld.contains(&header::SET_COOKIE);
    let is_of_whole = !matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED);
    let may_store = match directives.must_understand {
        // It says no-store besides, for those who do not know this directive.
        true => is_understood,
        false => !directives.no_store,
    };
    // RFC 9111 section 3.5.
    let is_authorized = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
    let forbids = |value: &HeaderValue| {
        directives::members(value.as_bytes()).any(|(name, _)| name.eq_ignore_ascii_case(b"no-store"))
    };
    is_final
        && is_of_whole
        && may_store
        && !directives.private
        && !is_personal
        && (is_authorized || !sent.contains_key(header::AUTHORIZATION))
        && !sent.get_all(header::CACHE_CONTROL).iter().any(forbids)
}

/// Seconds of age up to which it is fresh; `None` where it says nothing and its status allows no guess.
fn lifetime(arrival: &Arrival<'_>, directives: &Directives) -> Option<u64> {
    let Arrival { status, fields, times, believed, modified, .. } = *arrival;
    if directives.no_cache {
        return Some(0);
    }
    if let Some(seconds) = lifetime::explicit(directives, fields, times.arrived) {
        return Some(match status.as_u16() {
            500.. => seconds.min(SERVER_ERRORS_MAX),
            400.. => seconds.min(CLIENT_ERRORS_MAX),
            _ => seconds,
        });
    }
    if !HEURISTIC.contains(&status.as_u16()) && !directives.public {
        return None;
    }
    let guessed = lifetime::heuristic(modified, fields, times.arrived);
    // RFC 9111 section 4.2.2 leaves it to the cache how long an answer is fresh that has neither an explicit lifetime nor a date to judge by.
    // With zero it would be fetched whole for every request, for without a validator it cannot be asked after either.
    let telling = [header::CACHE_CONTROL, header::EXPIRES, header::PRAGMA, header::LAST_MODIFIED, header::ETAG];
    let says_nothing = !directives.is_targeted && !telling.iter().any(|name| fields.contains_key(name));
    Some(if says_nothing && status == StatusCode::OK { believed.as_secs() } else { guessed })
}

/// The fields that select among variants, each once and in order; `None` where no other request can be known to get the same.
fn selecting_names(fields: &HeaderMap) -> Option<Vec<String>> {
    let mut names = directives::names(fields.get_all(header::VARY).iter());
    names.retain(|name| !ALWAYS_ALIKE.contains(&name.as_str()));
    names.sort_unstable();
    names.dedup();
    let is_field = |name: &String| HeaderName::from_bytes(name.as_bytes()).is_ok() && *name != "*";
    let is_usable = names.iter().all(|name| is_field(name) && !OF_ONE_CLIENT.contains(&name.as_str()));
    (is_usable && names.len() <= SELECTING_MAX).then_some(names)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::UNIX_EPOCH;

    use protocol::timestamp::{http_date, parse_http_date};

    use super::*;

    pub(crate) fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_000_000)
    }

    pub(crate) fn fields(lines: &[(&str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        fields
    }

    fn judged(status: u16, sent: &[(&str, &str)], answer: &[(&str, &str)], believed: u64) -> Judgement {
        let (sent, answer) = (fields(sent), fields(answer));
        let modified = answer.get(header::LAST_MODIFIED).and_then(|text| parse_http_date(text.as_bytes()));
        judge(&Arrival {
            sent: &sent,
            status: StatusCode::from_u16(status).unwrap(),
            fields: &answer,
            times: Times { asked: now(), arrived: now() },
            believed: Duration::from_secs(believed),
            modified,
        })
    }

    /// What is kept of a 200.
    pub(crate) fn kept(sent: &[(&str, &str)], answer: &[(&str, &str)]) -> HttpMeta {
        match judged(200, sent, answer, 0) {
            Judgement::Keep(meta) => meta,
            other => panic!("{other:?}"),
        }
    }

    fn date(seconds_from_now: i64) -> String {
        http_date(UNIX_EPOCH + Duration::from_secs(seconds(now()).checked_add_signed(seconds_from_now).unwrap()))
    }

    /// In a word: the lifetime, or what else becomes of it.
    fn word(judgement: Judgement) -> String {
        match judgement {
            Judgement::Keep(meta) => meta.lifetime.to_string(),
            Judgement::Share(_) => "share".into(),
            Judgement::Pass => "pass".into(),
        }
    }

    #[test]
    fn what_may_be_kept_and_for_how_long() {
        let (modified, future, present) = (date(-1000), date(30), date(0));
        let authorization = ("authorization", "Basic eA==");
        for (sent, answer, expected) in [
            (vec![], vec![("cache-control", "max-age=60")], "60"),
            (vec![], vec![("expires", &*future), ("date", &*present)], "30"),
            (vec![], vec![("last-modified", &*modified), ("date", &*present)], "100"),
            (vec![], vec![("last-modified", &*modified), ("cache-control", "public")], "100"),
            (vec![], vec![], "0"),
            (vec![], vec![("cache-control", "no-cache, max-age=60"), ("etag", "\"a\"")], "0"),
            (vec![], vec![("cache-control", "no-cache=\"x\", max-age=60")], "60"),
            (vec![], vec![("cache-control", "No-StOrE, max-age=60")], "pass"),
            (vec![], vec![("cache-control", "no-store, must-understand, max-age=60")], "60"),
            (vec![], vec![("cache-control", "private, max-age=60")], "pass"),
            (vec![], vec![("cdn-cache-control", "private"), ("cache-control", "max-age=60")], "pass"),
            (vec![], vec![("cdn-cache-control", "max-age=5"), ("cache-control", "no-store")], "5"),
            (vec![], vec![("vary", "*"), ("cache-control", "max-age=60")], "pass"),
            (vec![], vec![("vary", "Foo, *"), ("cache-control", "max-age=60")], "pass"),
            (vec![], vec![("vary", ""), ("vary", "*"), ("cache-control", "max-age=60")], "pass"),
            (vec![], vec![("vary", "X-Forwarded-For"), ("cache-control", "max-age=60")], "pass"),
            (vec![], vec![("vary", "Foo"), ("cache-control", "max-age=60")], "60"),
            (vec![], vec![("set-cookie", "a=b"), ("cache-control", "public, max-age=60")], "pass"),
            (vec![], vec![("set-cookie", "a=b"), ("cache-control", "private=\"Set-Cookie\", max-age=60")], "60"),
            (vec![authorization], vec![("cache-control", "max-age=60")], "pass"),
            (vec![authorization], vec![("cache-control", "public, max-age=60")], "60"),
            (vec![authorization], vec![("cache-control", "must-revalidate, max-age=60")], "60"),
            (vec![authorization], vec![("cache-control", "s-maxage=60")], "60"),
            (vec![("cache-control", "no-store")], vec![("cache-control", "max-age=60")], "pass"),
        ] {
            assert_eq!(word(judged(200, &sent, &answer, 0)), expected, "{sent:?} {answer:?}");
        }
    }

    #[test]
    fn other_statuses_are_kept_for_their_freshness_only() {
        let (day_old, present, past) = (date(-86_400), date(0), date(-10));
        let (modified, date, fresh) =
            (("last-modified", &*day_old), ("date", &*present), ("cache-control", "max-age=100000"));
        for (statuses, answer, expected) in [
            (&[203, 204, 299, 301, 302, 303, 307, 308][..], vec![fresh], "100000"),
            (&[400, 404, 410, 499], vec![fresh], "3600"),
            (&[500, 502, 503, 504, 599], vec![fresh], "60"),
            (&[203, 204, 300, 301, 308], vec![modified, date], "8640"),
            (&[201, 202, 302, 403, 405, 414, 501, 502, 503, 504, 599], vec![modified, date], "pass"),
            (&[599], vec![modified, date, ("cache-control", "public")], "8640"),
            (&[404, 410], vec![modified, date], "share"),
            (&[404, 410, 301], vec![("expires", &*past)], "share"),
            (&[204, 299, 302, 400, 500, 503], vec![("expires", &*past)], "pass"),
            (&[404], vec![("cache-control", "no-store")], "pass"),
            (&[599], vec![("cache-control", "max-age=60, no-store, must-understand")], "pass"),
            (&[206, 304], vec![fresh], "pass"),
            (&[404], vec![fresh, ("age", "4000")], "share"),
        ] {
            for status in statuses {
                assert_eq!(word(judged(*status, &[], &answer, 120)), expected, "{status} {answer:?}");
            }
        }
    }

    #[test]
    fn an_answer_that_says_nothing_is_believed_for_a_while() {
        let present = date(0);
        for (answer, expected) in [
            (vec![("content-type", "text/plain"), ("date", &*present)], "120"),
            (vec![("etag", "\"a\"")], "0"),
            (vec![("cache-control", "max-age=0")], "0"),
            (vec![("pragma", "no-cache")], "0"),
            (vec![("cdn-cache-control", "foo")], "0"),
        ] {
            assert_eq!(word(judged(200, &[], &answer, 120)), expected, "{answer:?}");
        }
        assert_eq!(word(judged(203, &[], &[], 120)), "pass");
        assert_eq!(word(judged(404, &[], &[], 120)), "share");
        assert_eq!(word(judged(404, &[("cookie", "a=b")], &[], 120)), "pass");
    }

    #[test]
    fn too_many_fields_are_not_kept() {
        let long = "x".repeat(lines::BYTES_MAX);
        assert_eq!(word(judged(200, &[], &[("x-long", &long), ("cache-control", "max-age=60")], 0)), "pass");
        let many = (0..=SELECTING_MAX).map(|number| format!("f{number}")).collect::<Vec<_>>().join(",");
        assert_eq!(word(judged(200, &[], &[("vary", &many), ("cache-control", "max-age=60")], 0)), "pass");
    }

    #[test]
    fn what_is_withheld_is_kept_apart() {
        let answer = [("cache-control", "no-cache=\"x-a\", max-age=60"), ("x-a", "1"), ("x-b", "2")];
        let Judgement::Keep(meta) = judged(200, &[], &answer, 0) else { panic!("not kept") };
        assert_eq!(withheld(&fields(&answer)).as_bytes(), b"x-a: 1\r\n");
        assert!(meta.lines.first(&HeaderName::from_static("x-a")).is_none());
        assert!(meta.lines.first(&HeaderName::from_static("x-b")).is_some());
    }

    #[test]
    fn the_fields_that_select_are_in_order_and_each_once() {
        let meta = kept(&[("b", "2"), ("a", "1")], &[("vary", "B, a"), ("vary", "b,, c")]);
        let alike = kept(&[("accept-encoding", "identity"), ("host", "h")], &[("vary", "Accept-Encoding, Host")]);
        assert!(alike.selecting.is_empty(), "it varies by what is always the same");
        let expected = [("a", "1"), ("b", "2"), ("c", "")].map(|(name, value)| (name.into(), value.as_bytes().into()));
        assert_eq!(meta.selecting, expected);
    }
}
