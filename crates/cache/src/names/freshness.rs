//! When a stored content may be given out: pure decisions at the time of use, on numbers that were found when it arrived (`storing`, `lifetime`), so
//! that a hit needs comparisons only. RFC 9111 section 4, as a shared cache.

use std::time::{Duration, SystemTime};

use super::{
    control::Control,
    record::{HttpMeta, Provenance, Record, seconds},
};

/// What to do with a name whose content is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Give it out.
    Fresh,
    /// Give it out, and ask the upstream behind it (RFC 5861 section 3).
    Behind,
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

/// The facts are found out only if they matter: most hits are fresh.
pub(crate) fn decide(suits: Suits, facts: impl FnOnce() -> Facts) -> Verdict {
    if suits == Suits::Fresh {
        return Verdict::Fresh;
    }
    match (facts(), suits) {
        (Facts { is_unreachable: false, .. }, Suits::Behind) => Verdict::Behind,
        (Facts { is_unreachable: false, .. }, _) => Verdict::Recheck,
        (Facts { may_stand_in: true, .. }, _) => Verdict::Stale,
        _ => Verdict::Gone,
    }
}

/// Whether a copy that was last found right at `checked` (seconds since 1970) may stand in for an upstream that cannot be reached: for as long as
/// its server says (RFC 5861 section 4), else as the operator says. An error stands in for nothing.
pub(crate) fn may_stand_in(record: &Record, checked: u64, now: SystemTime, stale_if_error: Duration) -> bool {
    if stale_if_error.is_zero() {
        return false;
    }
    let since_checked = seconds(now).saturating_sub(checked);
    match record.http() {
        None => since_checked <= stale_if_error.as_secs(),
        Some(meta) if meta.stale_forbidden || meta.is_error() => false,
        Some(meta) => match meta.stale_if_error {
            Some(allowed) => stale_for(meta, now) <= allowed,
            None => since_checked <= stale_if_error.as_secs(),
        },
    }
}

/// Seconds since it became stale.
fn stale_for(meta: &HttpMeta, now: SystemTime) -> u64 {
    meta.age_at(now).saturating_sub(meta.lifetime)
}

/// How a stored answer suits one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suits {
    /// May be given out without asking.
    Fresh,
    /// May be given out while it is asked for.
    Behind,
    /// Must be asked for first.
    Stale,
}

/// Judges by what kind of upstream it is from: by RFC 9111 where that is a web server, else by whether it `is_recent`, looked at a moment ago.
pub(crate) fn suits(record: &Record, control: &Control, now: SystemTime, is_recent: impl FnOnce() -> bool) -> Suits {
    match &record.provenance {
        Provenance::Http(meta) => suits_http(meta, control, now),
        Provenance::Directory(_) | Provenance::Outpost { .. } | Provenance::Imported => {
            if is_recent() {
                Suits::Fresh
            } else {
                Suits::Stale
            }
        }
    }
}

/// RFC 9111 sections 4.2 and 5.2.1.
fn suits_http(meta: &HttpMeta, control: &Control, now: SystemTime) -> Suits {
    let age = meta.age_at(now);
    // A client that wants age zero wants it asked for, also within the first second.
    let is_too_old = control.max_age.is_some_and(|max_age| age > max_age || max_age == 0);
    let fresh_for = meta.lifetime.saturating_sub(age);
    let is_too_short = control.min_fresh.is_some_and(|min_fresh| fresh_for < min_fresh);
    if control.no_cache() || is_too_old || is_too_short {
        return Suits::Stale;
    }
    if meta.lifetime > age {
        return Suits::Fresh;
    }
    let stale_for = age - meta.lifetime;
    match (meta.stale_forbidden, control.max_stale) {
        (true, _) => Suits::Stale,
        (false, Some(max_stale)) if stale_for <= max_stale => Suits::Fresh,
        (false, _) if stale_for < meta.stale_while_revalidate => Suits::Behind,
        (false, _) => Suits::Stale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{
        record::tests::of_directory,
        storing::tests::{kept, now},
    };

    fn record(answer: &[(&str, &str)]) -> Record {
        Record { modified: None, provenance: Provenance::Http(kept(&[], answer)), ..of_directory(10) }
    }

    fn later(seconds: u64) -> SystemTime {
        now() + Duration::from_secs(seconds)
    }

    fn wanted(text: &str) -> Control {
        let mut control = Control::default();
        if !text.is_empty() {
            control.take(text.as_bytes());
        }
        control
    }

    #[test]
    fn the_decision_is_a_table() {
        for (suits, is_unreachable, may_stand_in, expected) in [
            (Suits::Fresh, false, true, Verdict::Fresh),
            (Suits::Fresh, true, false, Verdict::Fresh),
            (Suits::Behind, false, false, Verdict::Behind),
            (Suits::Behind, true, true, Verdict::Stale),
            (Suits::Behind, true, false, Verdict::Gone),
            (Suits::Stale, false, true, Verdict::Recheck),
            (Suits::Stale, false, false, Verdict::Recheck),
            (Suits::Stale, true, true, Verdict::Stale),
            (Suits::Stale, true, false, Verdict::Gone),
        ] {
            assert_eq!(decide(suits, || Facts { is_unreachable, may_stand_in }), expected);
        }
    }

    #[test]
    fn a_copy_stands_in_for_a_limited_time_and_not_against_its_servers_word() {
        let week = Duration::from_secs(7 * 86_400);
        let stands_in = |record: &Record, after: u64| may_stand_in(record, seconds(now()), later(after), week);
        let copy = of_directory(1);
        assert!(stands_in(&copy, 7 * 86_400) && !stands_in(&copy, 7 * 86_400 + 1));
        assert!(!may_stand_in(&copy, seconds(now()), now(), Duration::ZERO), "zero means never");
        for control in ["max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60", "no-cache"] {
            assert!(!stands_in(&record(&[("cache-control", control)]), 0), "{control}");
        }
        let limited = record(&[("cache-control", "max-age=60, stale-if-error=40")]);
        assert!(stands_in(&limited, 100) && !stands_in(&limited, 101));
        let mut error = record(&[("cache-control", "max-age=60")]);
        assert!(stands_in(&error, 100));
        let Provenance::Http(meta) = &mut error.provenance else { panic!("kind") };
        meta.status = 404;
        assert!(!stands_in(&error, 100), "an error stands in for nothing");
    }

    #[test]
    fn requests_are_suited_by_age_and_directives() {
        let stored = record(&[("cache-control", "max-age=60")]);
        for (control, after, expected) in [
            ("", 59, Suits::Fresh),
            ("", 60, Suits::Stale),
            ("foo", 59, Suits::Fresh),
            ("no-cache", 1, Suits::Stale),
            ("no-store", 1, Suits::Fresh),
            ("max-age=5", 5, Suits::Fresh),
            ("max-age=5", 6, Suits::Stale),
            ("max-age=0", 0, Suits::Stale),
            ("min-fresh=10", 50, Suits::Fresh),
            ("min-fresh=11", 50, Suits::Stale),
            ("max-stale=30", 90, Suits::Fresh),
            ("max-stale=30", 91, Suits::Stale),
            ("max-stale", 1_000_000, Suits::Fresh),
        ] {
            assert_eq!(suits(&stored, &wanted(control), later(after), || false), expected, "{control} after {after}");
        }
        let strict = record(&[("cache-control", "max-age=60, must-revalidate")]);
        assert_eq!(suits(&strict, &wanted("max-stale"), later(61), || false), Suits::Stale);
        assert_eq!(
            suits(&stored, &Control::default(), now() - Duration::from_secs(1000), || false),
            Suits::Fresh,
            "the clock was set back"
        );
    }

    #[test]
    fn while_it_is_asked_for_it_is_given_out() {
        let stored = record(&[("cache-control", "max-age=60, stale-while-revalidate=30")]);
        for (control, after, expected) in [
            ("", 59, Suits::Fresh),
            ("", 60, Suits::Behind),
            ("", 89, Suits::Behind),
            ("", 90, Suits::Stale),
            ("no-cache", 70, Suits::Stale),
        ] {
            assert_eq!(suits(&stored, &wanted(control), later(after), || false), expected, "{control} after {after}");
        }
        let strict = record(&[("cache-control", "max-age=60, stale-while-revalidate=30, must-revalidate")]);
        assert_eq!(suits(&strict, &wanted(""), later(70), || false), Suits::Stale);
    }

    #[test]
    fn what_is_not_of_a_web_server_is_believed_for_a_moment() {
        assert_eq!(suits(&of_directory(1), &wanted("no-cache"), now(), || true), Suits::Fresh);
        assert_eq!(suits(&of_directory(1), &wanted(""), now(), || false), Suits::Stale);
    }
}
