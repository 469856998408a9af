//! Rates by the time of day, as they are written: `[{ during = "Mon-Fri 08:00-17:00", rate = "10Mbit/s" }]`, or in the environment
//! `Mon-Fri 08:00-17:00 = 10Mbit/s; Sat,Sun 00:00-24:00 = 0`.

use protocol::{rate::Rule, schedule::Zone};

use crate::{
    raw::Raw,
    value::{parse_rate, quoted, show_rate},
};

/// Rules that one option may have; each is looked at when a rate is.
const RULES_MAX: usize = 64;

/// From what is written. Times of day are read anew once it is known by whose clocks they are meant.
pub(crate) fn parse(raw: &Raw) -> Result<Vec<Rule>, String> {
    let rules = match raw {
        Raw::List(items) => items.iter().map(of_table).collect::<Result<Vec<_>, _>>()?,
        Raw::Text(text) => {
            let written = text.split(';').filter(|rule| !rule.trim().is_empty());
            written.map(of_text).collect::<Result<Vec<_>, _>>()?
        }
        other => return Err(unlike(other)),
    };
    match rules.len() {
        0..=RULES_MAX => Ok(rules),
        count => Err(format!("there are {count} rules, and {RULES_MAX} are possible")),
    }
}

/// As TOML.
pub(crate) fn show(rules: &[Rule]) -> String {
    let shown = rules
        .iter()
        .map(|rule| format!("{{ during = {}, rate = {} }}", quoted(rule.during()), quoted(&show_rate(rule.rate()))));
    format!("[{}]", shown.collect::<Vec<_>>().join(", "))
}

fn of_table(raw: &Raw) -> Result<Rule, String> {
    let Raw::Table(entries) = raw else { return Err(unlike(raw)) };
    let entry = |name: &str| {
        let text = entries.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.text());
        text.ok_or_else(|| unlike(raw))
    };
    match entries.len() {
        2 => rule(&entry("during")?, &entry("rate")?),
        _ => Err(unlike(raw)),
    }
}

fn of_text(text: &str) -> Result<Rule, String> {
    let (during, rate) = text.split_once('=').ok_or_else(|| unlike(&Raw::Text(text.into())))?;
    rule(during.trim(), rate)
}

fn rule(during: &str, rate: &str) -> Result<Rule, String> {
    let rate = parse_rate(rate)?;
    Rule::parse(during, rate, &Zone::default()).map_err(|bad| bad.to_string())
}

fn unlike(raw: &Raw) -> String {
    format!(
        "{} stands where a rule is expected, which has two keys: during = \"Mon-Fri 08:00-17:00\", rate = \"10Mbit/s\"",
        raw.describe()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, &str)]) -> Raw {
        let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), Raw::Text((*value).to_owned())));
        Raw::Table(entries.collect())
    }

    #[test]
    fn rules_are_read_and_shown() {
        let day = table(&[("during", "Mon-Fri 08:00-17:00"), ("rate", "10Mbit/s")]);
        let shown = r#"[{ during = "Mon-Fri 08:00-17:00", rate = "10Mbit/s" }]"#;
        let both = r#"[{ during = "Mon-Fri 08:00-17:00", rate = "10Mbit/s" }, { during = "Sat,Sun 00:00-24:00", rate = "0B/s" }]"#;
        for (raw, expected) in [
            (Raw::List(Vec::new()), "[]"),
            (Raw::Text(String::new()), "[]"),
            (Raw::List(vec![day]), shown),
            (Raw::Text("Mon-Fri 08:00-17:00 = 10Mbit/s".into()), shown),
            (Raw::Text("Mon-Fri 08:00-17:00=10Mbit/s; Sat,Sun 00:00-24:00 = 0;".into()), both),
        ] {
            assert_eq!(parse(&raw).map(|rules| show(&rules)), Ok(expected.to_owned()), "{raw:?}");
        }
    }

    #[test]
    fn what_is_no_rule_says_what_to_write() {
        let list = |raw: Raw| Raw::List(vec![raw]);
        for (raw, part) in [
            (Raw::Integer(5), "5 stands where a rule is expected"),
            (list(Raw::Text("08:00-17:00".into())), "'08:00-17:00' stands where a rule is expected"),
            (list(table(&[("during", "08:00-17:00")])), "a table stands where a rule is expected"),
            (list(table(&[("during", "08:00-17:00"), ("rat", "1")])), "a table stands where"),
            (list(table(&[("during", "08:00-17:00"), ("rate", "1"), ("x", "1")])), "a table stands where"),
            (list(table(&[("during", "8 to 5"), ("rate", "1")])), "'8 to 5' is not a window of time"),
            (list(table(&[("during", "0 8 * * *"), ("rate", "1")])), "not when it ends"),
            (list(table(&[("during", "08:00-17:00"), ("rate", "fast")])), "'fast' is not a rate"),
            (Raw::Text("08:00-17:00".into()), "'08:00-17:00' stands where"),
            (Raw::Text("08:00-17:00 = 1;".repeat(65)), "there are 65 rules, and 64 are possible"),
        ] {
            let message = parse(&raw).unwrap_err();
            assert!(message.contains(part), "{raw:?}: {message}");
        }
    }
}
