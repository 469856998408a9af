//! Why something is kept, or went, in one sentence: pure.

use store::Standing;

use super::{Fetching, Happened, Life, State, told::asked_for_so};

/// Of a path that no upstream has.
pub(super) const NO_UPSTREAM: &str = "no upstream is mounted there, so that it cannot come here";

const NEVER: &str =
    "nothing is known of it: it was never here, or longer ago than the history goes back (cache.history_max)";

/// What takes an object away.
const ENDS: [&str; 4] = ["evicted", "removed", "damaged", "missing"];

/// Of a content.
pub(super) fn of_content(
    standing: Option<&Standing>,
    pinned_by: Option<&str>,
    history: &[Happened],
) -> (State, String) {
    match standing {
        Some(standing) => (State::Here, kept(standing, pinned_by)),
        None => match history.iter().rev().find(|happened| ENDS.contains(&&*happened.event)) {
            Some(end) => (State::Gone, end.text.clone()),
            None if history.is_empty() => (State::Unknown, NEVER.into()),
            None => (
                State::Gone,
                "it was here, and how it went is not known: the history was cut off, or not written".into(),
            ),
        },
    }
}

fn kept(standing: &Standing, pinned_by: Option<&str>) -> String {
    let Standing { merit, others, worse, .. } = standing;
    let known = asked_for_so(merit);
    match pinned_by {
        Some(pattern) if standing.is_pinned => {
            format!("kept: pinned by '{pattern}' (cache.pin), so that it never goes for room")
        }
        _ if standing.is_pinned => "kept: pinned, so that it never goes for room".into(),
        Some(pattern) if standing.is_pin_refused => format!(
            "kept like any other although '{pattern}' (cache.pin) names it, for pinned objects have all the room they may; {known}"
        ),
        _ if *others == 0 => format!("kept: {known}, and there is no other that could go before it"),
        _ => format!("kept: {known}; of {others} other objects {worse} would go before it"),
    }
}

/// Of a name, from what it stands for now and what it stood for last.
pub(super) fn of_name(fetching: Option<&Fetching>, current: Option<&Life>, latest: Option<&Life>) -> (State, String) {
    if let Some(current) = current.filter(|current| current.state == State::Here) {
        return (State::Here, current.because.clone());
    }
    if let Some(Fetching { upstream, fetched, total, .. }) = fetching {
        let of = total.map_or_else(String::new, |total| format!(" of {total}"));
        return (
            State::Fetching,
            format!("it is being fetched from the upstream '{upstream}': {fetched}{of} bytes are here"),
        );
    }
    match current.or(latest) {
        None => (State::Unknown, NEVER.into()),
        // What it stood for is here, and the name is not known any more.
        Some(life) if life.state == State::Here => {
            (State::Gone, "the name is not known any more; a content that it had is here still".into())
        }
        Some(life) => (life.state, life.because.clone()),
    }
}

#[cfg(test)]
mod tests {
    use protocol::digest::Md5;
    use store::{Asked, Merit, ObjectInfo};

    use super::*;

    fn standing(uses: u32, others: u32, worse: u32) -> Standing {
        let info = ObjectInfo { md5: Md5([0; 16]), sha256: None, size: 5, uses };
        let merit = Merit { uses, age: 7, interval: 70, worth: 5 };
        let asked = Asked { since: std::time::UNIX_EPOCH, times: 0, last: None };
        Standing { info, asked, merit, is_pinned: false, is_pin_refused: false, is_read: false, others, worse }
    }

    fn ended(event: &str) -> Happened {
        Happened {
            at: String::new(),
            event: event.into(),
            text: format!("{event} it was"),
            details: Default::default(),
        }
    }

    #[test]
    fn what_is_here_says_why_it_is_kept() {
        let common = standing(3, 100, 60);
        let pinned = Standing { is_pinned: true, ..common.clone() };
        let refused = Standing { is_pin_refused: true, ..common.clone() };
        for (standing, pattern, expected) in [
            (
                &common,
                None,
                "kept: asked for 3 times, each 70 requests or so, and last 7 requests ago; of 100 other objects 60 would go before it",
            ),
            (
                &standing(1, 0, 0),
                None,
                "kept: asked for once, 7 requests ago, and there is no other that could go before it",
            ),
            (&pinned, Some("*.iso"), "kept: pinned by '*.iso' (cache.pin), so that it never goes for room"),
            (
                &refused,
                Some("*.iso"),
                "kept like any other although '*.iso' (cache.pin) names it, for pinned objects have all the room they may; asked for 3 \
                 times, each 70 requests or so, and last 7 requests ago",
            ),
        ] {
            assert_eq!(of_content(Some(standing), pattern, &[]), (State::Here, expected.into()));
        }
    }

    #[test]
    fn what_is_not_says_how_it_went() {
        let history = [ended("fetched"), ended("evicted"), ended("fetched"), ended("removed"), ended("asked")];
        assert_eq!(of_content(None, None, &history), (State::Gone, "removed it was".into()));
        assert_eq!(of_content(None, None, &history[..1]).0, State::Gone);
        assert_eq!(of_content(None, None, &[]), (State::Unknown, NEVER.into()));
    }

    #[test]
    fn a_name_says_what_its_content_says_unless_it_is_on_its_way() {
        let life = |state| Life {
            md5: String::new(),
            state,
            because: "because".into(),
            size: None,
            paths: Vec::new(),
            pinned_by: None,
            is_pinned: false,
            merit: serde_json::Value::Null,
            compared: None,
            asked_for: serde_json::Value::Null,
            history: Vec::new(),
        };
        let fetching = Fetching {
            upstream: "hq".into(),
            fetched: 5,
            total: Some(10),
            seconds: 1.0,
            waited: 0,
            clients: Vec::new(),
        };
        let (here, gone) = (life(State::Here), life(State::Gone));
        for (fetching, current, latest, state) in [
            (Some(&fetching), Some(&here), Some(&here), State::Here),
            (Some(&fetching), Some(&gone), Some(&gone), State::Fetching),
            (Some(&fetching), None, None, State::Fetching),
            (None, Some(&gone), Some(&gone), State::Gone),
            (None, None, Some(&here), State::Gone),
            (None, None, None, State::Unknown),
        ] {
            assert_eq!(of_name(fetching, current, latest).0, state);
        }
    }
}
