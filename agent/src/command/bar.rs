//! The progress bar of `get`: how far, how fast, how much longer, and from whom, or why nothing comes. Where standard error is no terminal there is
//! none.

use std::{
    convert::Infallible,
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::plain::plain;

use super::by_service::THIS_MACHINE;
use crate::bring::told::{Stage, State, Told};

/// How often it is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Two lines, so that who sends has room on narrow terminals, too: while the size is known, while it is not, and while nothing comes.
const KNOWN: &str =
    "{decimal_bytes} of {decimal_total_bytes} [{bar:24}] {percent}%  {decimal_bytes_per_sec}, {eta} left\n  {wide_msg}";
const UNKNOWN: &str = "{decimal_bytes} {spinner} {decimal_bytes_per_sec}\n  {wide_msg}";
const WAITING: &str = "{decimal_bytes} of {decimal_total_bytes} [{bar:24}] {percent}%\n  {wide_msg}";

/// Draws until it is dropped by its caller's `select!`; never ends by itself.
pub(super) async fn draw(told: &Told, is_wanted: bool) -> Infallible {
    if !is_wanted || !io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let _cleared = Cleared(bar.clone());
    let mut shown = look(None, Stage::Looking);
    style(&bar, shown);
    bar.set_position(told.position());
    bar.reset_eta();
    let mut every = tokio::time::interval(DRAW_EVERY);
    loop {
        every.tick().await;
        let state = told.now();
        if let Some(size) = state.size.filter(|size| bar.length() != Some(*size)) {
            bar.set_length(size);
        }
        let now = look(state.size, state.stage);
        if now != shown {
            // What was waited is none of the time that bytes take.
            if shown == WAITING {
                bar.reset_eta();
            }
            style(&bar, now);
            shown = now;
        }
        if told.position() < bar.position() {
            bar.reset();
        }
        bar.set_position(told.position());
        bar.set_message(plain(&message(&state)));
    }
}

/// How it looks.
fn look(size: Option<u64>, stage: Stage) -> &'static str {
    match (size, stage) {
        (None, _) => UNKNOWN,
        (Some(_), Stage::Waiting) => WAITING,
        (Some(_), _) => KNOWN,
    }
}

/// Takes the bar away when nobody draws it any more.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(bar: &ProgressBar, template: &str) {
    // A template that cannot be parsed would be a line of another look, not a fault.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
}

/// What is going on, in a few words.
fn message(state: &State) -> String {
    let source = match (&state.source, state.rank.as_deref()) {
        // The URL of an origin, or of the server that a person has named, says what it is; so does one's own service.
        (Some(name), Some("origin")) => name.clone(),
        (Some(name), _) if name == THIS_MACHINE => name.clone(),
        (Some(name), Some(rank)) => format!("{rank} {name}"),
        (Some(names), None) => names.clone(),
        _ => String::new(),
    };
    let again = state.again_in.map(|seconds| format!(", again in {seconds} s")).unwrap_or_default();
    match (state.stage, state.why.as_deref()) {
        (Stage::Looking, _) => "looking for it".into(),
        (Stage::Asking, _) => format!("asking {source}"),
        (Stage::Receiving, _) => match (state.pieces_here, state.pieces) {
            (Some(here), Some(all)) => format!("from {source}, {here} of {all} pieces"),
            _ => format!("from {source}"),
        },
        (Stage::Verifying, _) => "comparing digests".into(),
        (Stage::Waiting, Some("queue")) => {
            let number = state.position.map(|position| format!("number {position} ")).unwrap_or_default();
            let others = |places| if places == 1 { "1 other".into() } else { format!("{places} others") };
            let places = state.places.map(|places| format!(" behind {}", others(places))).unwrap_or_default();
            let has = match (state.fetched, state.size) {
                (Some(fetched), Some(size)) if size > 0 => format!(", it has {} %", percent(fetched, size)),
                _ => String::new(),
            };
            format!("{number}in the queue of {source}{places}{has}")
        }
        (Stage::Waiting, Some("blackout")) => format!("not at this time of day{again}"),
        (Stage::Waiting, Some("pieces")) => "until others have its pieces".into(),
        (Stage::Waiting, Some("not-ready")) => format!("not here yet{again}"),
        (Stage::Waiting, Some("not-preloaded")) => format!("{source} has not preloaded it yet{again}"),
        (Stage::Waiting, Some("overloaded")) => format!("{source} is at a limit{again}"),
        (Stage::Waiting, _) => {
            let trouble = state.trouble.as_deref().unwrap_or("nobody answers");
            format!("{trouble}{again}")
        }
    }
}

/// How much of it that is, whatever a server says.
fn percent(fetched: u64, size: u64) -> u128 {
    u128::from(fetched.min(size)) * 100 / u128::from(size.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_a_rate_only_while_something_comes_and_every_look_can_be_drawn() {
        assert_eq!(look(None, Stage::Waiting), UNKNOWN);
        assert_eq!(look(Some(1), Stage::Waiting), WAITING);
        assert_eq!(look(Some(1), Stage::Receiving), KNOWN);
        for template in [UNKNOWN, WAITING, KNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn a_person_sees_what_is_going_on() {
        let of = |stage, why: Option<&str>| State {
            stage,
            source: Some("b7:8080".into()),
            rank: Some("proxy".into()),
            why: why.map(Into::into),
            ..State::default()
        };
        let pieces = State {
            source: Some("branch-7 and 6 neighbours".into()),
            rank: None,
            pieces_here: Some(12),
            pieces: Some(48),
            ..of(Stage::Receiving, None)
        };
        let queue = State {
            position: Some(3),
            places: Some(5),
            fetched: Some(40),
            size: Some(80),
            ..of(Stage::Waiting, Some("queue"))
        };
        let far_ahead = State { fetched: Some(u64::MAX), ..queue.clone() };
        let failing = State {
            again_in: Some(17),
            trouble: Some("b7:8080: refused".into()),
            ..of(Stage::Waiting, Some("failing"))
        };
        for (state, expected) in [
            (State::default(), "looking for it"),
            (
                State { rank: Some("origin".into()), source: Some("hq:8090".into()), ..of(Stage::Receiving, None) },
                "from hq:8090",
            ),
            (
                State { rank: Some("peer".into()), source: Some(THIS_MACHINE.into()), ..of(Stage::Receiving, None) },
                "from this machine",
            ),
            (
                State { position: Some(1), places: Some(1), ..of(Stage::Waiting, Some("queue")) },
                "number 1 in the queue of proxy b7:8080 behind 1 other",
            ),
            (of(Stage::Asking, None), "asking proxy b7:8080"),
            (of(Stage::Receiving, None), "from proxy b7:8080"),
            (pieces, "from branch-7 and 6 neighbours, 12 of 48 pieces"),
            (of(Stage::Waiting, Some("pieces")), "until others have its pieces"),
            (queue, "number 3 in the queue of proxy b7:8080 behind 5 others, it has 50 %"),
            (far_ahead, "number 3 in the queue of proxy b7:8080 behind 5 others, it has 100 %"),
            (failing, "b7:8080: refused, again in 17 s"),
            (State { again_in: Some(5), ..of(Stage::Waiting, Some("not-ready")) }, "not here yet, again in 5 s"),
        ] {
            assert_eq!(message(&state), expected);
        }
    }
}
