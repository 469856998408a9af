//! `outpost-proxy why`: where something came from, who waited for it, how often it was asked for, and why it is kept or went.

use cache::why::{Fetching, Life, State, Why};
use clap::{Arg, ArgMatches, Command};

use super::{
    Subcommand,
    client::{self, Client, target},
    output,
    table::{Look, count, counted, facts, plain, size},
    what::What,
};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const WHY: Subcommand = Subcommand { define, run };

/// What happens often and is summed up above.
const COUNTED: &str = "asked";

fn define() -> Command {
    let command = Command::new("why")
        .about("Tells where something came from, who waited for it, and why it is kept or went; ends with 3 if nothing is known")
        .arg(
            Arg::new("what")
                .value_name("PATH|MD5")
                .value_parser(What::parse)
                .required(true)
                .help("A path as clients ask for it, such as /pool/a.deb, or the MD5 of an object"),
        );
    client::arguments(command)
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(what) = matches.get_one::<What>("what") else { return Ok(()) };
    let (name, query) = match what {
        What::Path(path) => (plain(path), [("path", path.clone())]),
        What::Md5(md5) => (md5.to_string(), [("md5", md5.to_string())]),
    };
    let query: Vec<_> = query.iter().map(|(field, value)| (*field, value.as_str())).collect();
    let answer = Client::of(matches)?.get(&target("/v1/why", &query))?;
    let why: Why = answer.json()?;
    let text = text(&name, &why, Look::of_stdout());
    output::print(if client::wants_json(matches) { answer.text() } else { &text })?;
    match why.state {
        State::Unknown => Err(Failure::NotHere(format!("nothing is known of {name}"))),
        State::Here | State::Fetching | State::Gone => Ok(()),
    }
}

fn text(name: &str, why: &Why, look: Look) -> String {
    let state = match why.state {
        State::Here => "is here",
        State::Fetching => "is being fetched",
        State::Gone => "is not here",
        State::Unknown => "is unknown",
    };
    let mut text = format!("{}\n  {}\n", look.heading(&format!("{name} {state}")), plain(&why.because));
    text.extend(why.fetching.as_ref().map(waiting));
    for life in &why.objects {
        text.push('\n');
        text.push_str(&object(life, &why.because, look));
    }
    text
}

fn waiting(fetching: &Fetching) -> String {
    let clients = match &fetching.clients[..] {
        [] => String::new(),
        clients => plain(&format!(", of {}", clients.join(", "))),
    };
    format!("  {} wait for it{clients}\n", counted(fetching.waited.into(), "request"))
}

fn object(life: &Life, said: &str, look: Look) -> String {
    let mut rows = Vec::new();
    rows.extend(life.size.map(|bytes| ("size", format!("{} ({} bytes)", size(bytes), count(bytes)))));
    rows.extend(life.paths.iter().enumerate().map(|(at, path)| (if at == 0 { "paths" } else { "" }, path.clone())));
    if life.because != said {
        rows.push(("state", life.because.clone()));
    }
    rows.extend(asked(life).map(|asked| ("asked", asked)));
    for happened in life.history.iter().filter(|happened| happened.event != COUNTED) {
        rows.push((&*happened.at, happened.text.clone()));
    }
    format!("{}\n{}", look.heading(&plain(&life.md5)), facts(&rows, look))
}

/// How often it was asked for, in all that is known.
fn asked(life: &Life) -> Option<String> {
    let asked = &life.asked_for;
    let (times, since) = (asked["times"].as_u64()?, asked["since"].as_str()?);
    if times == 0 {
        return None;
    }
    let last = asked["last"].as_str().map_or_else(String::new, |last| format!(", last at {last}"));
    Some(format!("{} since {since}{last}", counted(times, "time")))
}

#[cfg(test)]
mod tests {
    use cache::why::{Compared, Happened};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_life_is_one_screen() {
        let happened = |at: &str, event: &str, text: &str| Happened {
            at: at.into(),
            event: event.into(),
            text: text.into(),
            details: Default::default(),
        };
        let life = Life {
            md5: "b1946ac92492d2347c6235b4d2611184".into(),
            state: State::Here,
            because: "kept: asked for twice; of 10 other objects 4 would go before it".into(),
            size: Some(12_300_000),
            paths: vec!["/a".into(), "/b".into()],
            pinned_by: None,
            is_pinned: false,
            merit: json!(null),
            compared: Some(Compared { others: 10, go_first: 4 }),
            asked_for: json!({ "times": 1234, "since": "2026-11-20T00:00:00Z", "last": null }),
            history: vec![
                happened("2026-11-20T08:00:00Z", "fetched", "fetched: 6 bytes"),
                happened("2026-11-20T09:00:00Z", "asked", "asked for 4 times"),
            ],
        };
        let why = Why {
            path: Some("/a".into()),
            state: State::Here,
            because: life.because.clone(),
            fetching: None,
            objects: vec![life],
        };
        let expected = "/a is here
  kept: asked for twice; of 10 other objects 4 would go before it

b1946ac92492d2347c6235b4d2611184
  size                  12.3 MB (12,300,000 bytes)
  paths                 /a
                        /b
  asked                 1,234 times since 2026-11-20T00:00:00Z
  2026-11-20T08:00:00Z  fetched: 6 bytes
";
        assert_eq!(text("/a", &why, Look::default()), expected);
    }

    #[test]
    fn what_comes_from_elsewhere_steers_no_terminal() {
        let fetching = Fetching {
            upstream: "hq".into(),
            fetched: 1,
            total: None,
            seconds: 1.0,
            waited: 2,
            clients: vec!["10.0.0.1".into(), "\x1b[2J".into()],
        };
        let why = Why {
            path: None,
            state: State::Fetching,
            because: "\x1b[2J".into(),
            fetching: Some(fetching),
            objects: Vec::new(),
        };
        let shown = text("/a", &why, Look::default());
        assert!(!shown.contains('\x1b') && shown.contains("2 requests wait for it, of 10.0.0.1, "), "{shown}");
    }
}
