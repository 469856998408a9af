//! What the definition of an option consists of. Parsing, checking the range, showing and documenting all follow from it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use cache::options::Location;
use protocol::{glob::Globs, jobs::check_command, rate::Rule, topology::Proxy};
use serve::clients::{
    access::{RULES_MAX, Rules},
    ranges::Ranges,
};
use store::Limit;

use crate::{
    admin::AdminAddress,
    proxies, rate_rules,
    raw::Raw,
    value::{
        absolute, parse_address, parse_duration, parse_limit, parse_range, parse_rate, parse_rule, parse_size, quoted,
        show_duration, show_limit, show_rate, show_size,
    },
};

/// One option of the settings `T`, defined once.
pub(crate) struct Setting<T: 'static> {
    /// `section.key`, or `key` at the top level.
    pub(crate) key: &'static str,
    /// What it does, in a sentence.
    pub(crate) what: &'static str,
    /// What a larger, smaller or other value brings.
    pub(crate) consequence: &'static str,
    /// When a changed value takes effect.
    pub(crate) applies: Applies,
    /// Its flag, without the dashes, if it is one of the common few.
    pub(crate) flag: Option<&'static str>,
    /// Where the default cannot be shown as a value: what it is.
    pub(crate) default_note: Option<&'static str>,
    pub(crate) kind: Kind<T>,
}

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applies {
    /// With SIGHUP.
    Reload,
    /// With the next start.
    Restart,
}

/// The type of an option, its range, and its place in the settings.
pub(crate) enum Kind<T> {
    /// Bytes.
    Size { min: u64, max: u64, put: fn(&mut T, u64), get: fn(&T) -> u64 },
    /// Bytes per second.
    Rate { max: u64, put: fn(&mut T, u64), get: fn(&T) -> u64 },
    /// Bytes or a part of the disk.
    Limit { put: fn(&mut T, Limit), get: fn(&T) -> Limit },
    /// A time span.
    Duration { min: Duration, max: Duration, put: fn(&mut T, Duration), get: fn(&T) -> Duration },
    /// A whole number.
    Count { min: u64, max: u64, put: fn(&mut T, u64), get: fn(&T) -> u64 },
    /// Yes or no.
    Switch { put: fn(&mut T, bool), get: fn(&T) -> bool },
    /// One of some words, by its place among them.
    Word { words: &'static [&'static str], put: fn(&mut T, usize), get: fn(&T) -> usize },
    /// An IP address and port, or a Unix socket.
    Admin { put: fn(&mut T, AdminAddress), get: fn(&T) -> AdminAddress },
    /// An IP address and port, or nothing.
    MaybeAddress { put: fn(&mut T, Option<SocketAddr>), get: fn(&T) -> Option<SocketAddr> },
    /// Several addresses; none only where that means something.
    Addresses { may_be_none: bool, put: fn(&mut T, Vec<SocketAddr>), get: fn(&T) -> Vec<SocketAddr> },
    /// Ranges of addresses, or none.
    Ranges { put: fn(&mut T, Ranges), get: fn(&T) -> Ranges },
    /// Clients by their addresses or network cards, or none.
    Rules { put: fn(&mut T, Rules), get: fn(&T) -> Rules },
    /// A directory.
    Path { put: fn(&mut T, PathBuf), get: fn(&T) -> PathBuf },
    /// A file that is read, or nothing.
    File { put: fn(&mut T, Option<PathBuf>), get: fn(&T) -> Option<PathBuf> },
    /// A file that is written, `-`, or nothing.
    Output { put: fn(&mut T, Option<PathBuf>), get: fn(&T) -> Option<PathBuf> },
    /// Text that passes a check.
    Text { range: &'static str, check: fn(&str) -> Result<(), String>, put: fn(&mut T, String), get: fn(&T) -> String },
    /// Several texts, or none, each of which passes a check.
    Texts {
        range: &'static str,
        check: fn(&str) -> Result<(), String>,
        put: fn(&mut T, Vec<String>),
        get: fn(&T) -> Vec<String>,
    },
    /// A program and its arguments, or none.
    Command { put: fn(&mut T, Vec<String>), get: fn(&T) -> Vec<String> },
    /// Patterns over paths, or none.
    Globs { put: fn(&mut T, Globs), get: fn(&T) -> Globs },
    /// Rates by the time of day, or none.
    RateRules { put: fn(&mut T, Vec<Rule>), get: fn(&T) -> Vec<Rule> },
    /// Proxies with their names and URLs, or none.
    Proxies { put: fn(&mut T, Vec<Proxy>), get: fn(&T) -> Vec<Proxy> },
    /// Where an upstream is.
    Location { put: fn(&mut T, Location), get: fn(&T) -> Location },
}

impl<T> Setting<T> {
    /// An option whose changed value takes effect with SIGHUP.
    pub(crate) const fn reload(
        key: &'static str,
        what: &'static str,
        consequence: &'static str,
        kind: Kind<T>,
    ) -> Self {
        Self { key, what, consequence, applies: Applies::Reload, flag: None, default_note: None, kind }
    }

    /// An option whose changed value takes effect with the next start.
    pub(crate) const fn restart(
        key: &'static str,
        what: &'static str,
        consequence: &'static str,
        kind: Kind<T>,
    ) -> Self {
        Self { applies: Applies::Restart, ..Self::reload(key, what, consequence, kind) }
    }

    /// With a flag.
    pub(crate) const fn flag(self, flag: &'static str) -> Self {
        Self { flag: Some(flag), ..self }
    }

    /// With a default that cannot be shown as a value.
    pub(crate) const fn default_note(self, note: &'static str) -> Self {
        Self { default_note: Some(note), ..self }
    }

    /// Takes a written value. Relative paths are below `base`.
    pub(crate) fn put(&self, settings: &mut T, raw: &Raw, base: &Path) -> Result<(), String> {
        match &self.kind {
            Kind::Size { min, max, put, .. } => {
                let size = parse_size(&text(raw, "a size such as \"64MiB\"")?)?;
                within(size, *min, *max, show_size)?;
                put(settings, size);
            }
            Kind::Rate { max, put, .. } => {
                let rate = parse_rate(&text(raw, "a rate such as \"1MiB/s\"")?)?;
                within(rate, 0, *max, show_rate)?;
                put(settings, rate);
            }
            Kind::Limit { put, .. } => put(settings, parse_limit(&text(raw, "a size such as \"200GB\" or \"30%\"")?)?),
            Kind::Duration { min, max, put, .. } => {
                let duration = parse_duration(&text(raw, "a duration such as \"90s\"")?)?;
                within(duration, *min, *max, show_duration)?;
                put(settings, duration);
            }
            Kind::Count { min, max, put, .. } => put(settings, count(raw, *min, *max)?),
            Kind::Switch { put, .. } => put(settings, truth(raw)?),
            Kind::Word { words, put, .. } => put(settings, word(raw, words)?),
            Kind::Admin { put, .. } => {
                put(settings, AdminAddress::parse(&text(raw, "an address such as \"127.0.0.1:8081\"")?, base)?);
            }
            Kind::MaybeAddress { put, .. } => put(settings, maybe_address(raw)?),
            Kind::Addresses { may_be_none, put, .. } => put(settings, addresses(raw, *may_be_none)?),
            Kind::Ranges { put, .. } => put(settings, ranges(raw)?),
            Kind::Rules { put, .. } => put(settings, rules(raw)?),
            Kind::Path { put, .. } => put(settings, path(raw, base)?),
            Kind::File { put, .. } => put(settings, file(raw, base)?),
            Kind::Output { put, .. } => put(settings, output(raw, base)?),
            Kind::Text { check, put, .. } => {
                let text = text(raw, "a text")?;
                check(&text)?;
                put(settings, text);
            }
            Kind::Texts { check, put, .. } => put(settings, texts(raw, *check)?),
            Kind::Command { put, .. } => put(settings, command(raw)?),
            Kind::Globs { put, .. } => put(settings, globs(raw)?),
            Kind::RateRules { put, .. } => put(settings, rate_rules::parse(raw)?),
            Kind::Proxies { put, .. } => put(settings, proxies::parse(raw)?),
            Kind::Location { put, .. } => put(settings, location(raw, base)?),
        }
        Ok(())
    }

    /// The value as TOML.
    pub(crate) fn show(&self, settings: &T) -> String {
        match &self.kind {
            Kind::Size { get, .. } => quoted(&show_size(get(settings))),
            Kind::Rate { get, .. } => quoted(&show_rate(get(settings))),
            Kind::Limit { get, .. } => quoted(&show_limit(get(settings))),
            Kind::Duration { get, .. } => quoted(&show_duration(get(settings))),
            Kind::Count { get, .. } => get(settings).to_string(),
            Kind::Switch { get, .. } => get(settings).to_string(),
            Kind::Word { words, get, .. } => quoted(words[get(settings)]),
            Kind::Admin { get, .. } => quoted(&get(settings).to_string()),
            Kind::MaybeAddress { get, .. } => {
                quoted(&get(settings).map_or_else(String::new, |address| address.to_string()))
            }
            Kind::Addresses { get, .. } => {
                let list: Vec<_> = get(settings).iter().map(|address| quoted(&address.to_string())).collect();
                format!("[{}]", list.join(", "))
            }
            Kind::Ranges { get, .. } => {
                let list: Vec<_> = get(settings).iter().map(|range| quoted(&range.to_string())).collect();
                format!("[{}]", list.join(", "))
            }
            Kind::Rules { get, .. } => {
                let list: Vec<_> = get(settings).texts().map(|text| quoted(&text)).collect();
                format!("[{}]", list.join(", "))
            }
            Kind::Path { get, .. } => quoted(&get(settings).to_string_lossy()),
            Kind::File { get, .. } | Kind::Output { get, .. } => {
                quoted(&get(settings).unwrap_or_default().to_string_lossy())
            }
            Kind::Text { get, .. } => quoted(&get(settings)),
            Kind::Texts { get, .. } | Kind::Command { get, .. } => {
                let list: Vec<_> = get(settings).iter().map(|text| quoted(text)).collect();
                format!("[{}]", list.join(", "))
            }
            Kind::RateRules { get, .. } => rate_rules::show(&get(settings)),
            Kind::Proxies { get, .. } => proxies::show(&get(settings)),
            Kind::Globs { get, .. } => {
                let list: Vec<_> = get(settings).texts().map(quoted).collect();
                format!("[{}]", list.join(", "))
            }
            Kind::Location { get, .. } => quoted(&get(settings).to_string()),
        }
    }

    /// The type and range, for the reference.
    pub(crate) fn type_and_range(&self) -> (&'static str, String) {
        match &self.kind {
            Kind::Size { min, max, .. } => ("size", format!("{} to {}", show_size(*min), show_size(*max))),
            Kind::Rate { max, .. } => ("rate", format!("0B/s to {}", show_rate(*max))),
            Kind::Limit { .. } => ("size or percent of the disk", "`\"0%\"` to `\"100%\"`, or bytes".into()),
            Kind::Duration { min, max, .. } => {
                ("duration", format!("{} to {}", show_duration(*min), show_duration(*max)))
            }
            Kind::Count { min, max, .. } => ("number", format!("{min} to {max}")),
            Kind::Switch { .. } => ("yes or no", "`true`, `false`".into()),
            Kind::Word { words, .. } => {
                ("word", words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "))
            }
            Kind::Admin { .. } => ("address", "`IP:PORT` or `unix:PATH`".into()),
            Kind::MaybeAddress { .. } => ("address", "`IP:PORT`, or `\"\"` for none".into()),
            Kind::Addresses { may_be_none: true, .. } => ("list of addresses", "`IP:PORT`, or none".into()),
            Kind::Addresses { .. } => ("list of addresses", "`IP:PORT`, at least one".into()),
            Kind::Ranges { .. } => ("list of ranges", "`ADDRESS/BITS`, `FIRST-LAST` or `ADDRESS`, or none".into()),
            Kind::Rules { .. } => {
                ("list of clients", "`ADDRESS/BITS`, `FIRST-LAST`, `ADDRESS`, `MAC` or `MAC/BITS`, or none".into())
            }
            Kind::Path { .. } => ("directory", "relative to the working directory".into()),
            Kind::File { .. } => ("file", "a path, `\"\"` for none".into()),
            Kind::Output { .. } => ("file", "a path, `\"-\"` for standard output, `\"\"` for none".into()),
            Kind::Text { range, .. } => ("text", (*range).into()),
            Kind::Texts { range, .. } => ("list of texts", format!("{range}, or none")),
            Kind::RateRules { .. } => {
                ("list of rules", "`{ during = \"Mon-Fri 08:00-17:00\", rate = \"10Mbit/s\" }`, or none".into())
            }
            Kind::Command { .. } => ("command", "such as `[\"./install\", \"--quiet\"]`, or none".into()),
            Kind::Globs { .. } => ("patterns", "`/drivers/**`, `/packages/office-1.2/`, `*.iso`, or none".into()),
            Kind::Proxies { .. } => {
                ("list of proxies", "`{ name = \"b7\", url = \"http://10.7.0.2:8080/\" }`, or none".into())
            }
            Kind::Location { .. } => {
                ("directory or URL", "a directory, `http(s)://HOST/` or `outpost+http(s)://HOST/`".into())
            }
        }
    }

    /// What stands for its value in the help of the command line.
    pub(crate) fn value_name(&self) -> &'static str {
        match &self.kind {
            Kind::Size { .. } => "SIZE",
            Kind::Rate { .. } => "RATE",
            Kind::Limit { .. } => "SIZE|PERCENT",
            Kind::Duration { .. } => "DURATION",
            Kind::Count { .. } => "N",
            Kind::Switch { .. } => "true|false",
            Kind::Word { .. } => "WORD",
            Kind::Admin { .. } => "IP:PORT|unix:PATH",
            Kind::MaybeAddress { .. } | Kind::Addresses { .. } => "IP:PORT",
            Kind::Ranges { .. } | Kind::Rules { .. } => "RANGE",
            Kind::Path { .. } => "DIR",
            Kind::File { .. } => "PATH",
            Kind::Output { .. } => "PATH|-",
            Kind::Text { .. } | Kind::Texts { .. } => "TEXT",
            Kind::Command { .. } => "COMMAND",
            Kind::Globs { .. } => "PATTERN",
            Kind::RateRules { .. } => "RULES",
            Kind::Proxies { .. } => "PROXIES",
            Kind::Location { .. } => "DIR_OR_URL",
        }
    }

    /// The words that it takes, if it takes words.
    pub(crate) fn words(&self) -> Option<&'static [&'static str]> {
        match &self.kind {
            Kind::Word { words, .. } => Some(words),
            _ => None,
        }
    }

    /// Whether it may come from somewhere else than the machine itself: it takes effect with SIGHUP, and names no file there.
    pub(crate) fn is_deliverable(&self) -> bool {
        self.applies == Applies::Reload && self.is_own().is_none()
    }

    /// Why it is this machine's own affair: where it listens, which files it reads and writes, whom it fetches from, to whom it belongs. `None` if it is not.
    pub(crate) fn is_own(&self) -> Option<String> {
        let is_place = matches!(
            self.kind,
            Kind::Admin { .. }
                | Kind::Addresses { .. }
                | Kind::Path { .. }
                | Kind::File { .. }
                | Kind::Output { .. }
                | Kind::Location { .. }
        );
        let is_identity = self.key.starts_with("origin.") || matches!(self.key, "name" | "mount");
        // What an agent runs, and where it puts packages, nobody else decides.
        let is_own = is_place || is_identity || self.key.starts_with("jobs.");
        is_own.then(|| format!("{} is said by the machine itself, in its file, environment or flags", self.key))
    }

    /// Whether it takes several values, so that its flag may be repeated.
    pub(crate) fn is_list(&self) -> bool {
        matches!(
            self.kind,
            Kind::Addresses { .. } | Kind::Ranges { .. } | Kind::Rules { .. } | Kind::Texts { .. } | Kind::Globs { .. }
        )
    }
}

fn text(raw: &Raw, wanted: &str) -> Result<String, String> {
    raw.text().ok_or_else(|| format!("{} stands where {wanted} is expected", raw.describe()))
}

fn within<V: PartialOrd + Copy>(value: V, min: V, max: V, show: fn(V) -> String) -> Result<(), String> {
    if value < min || value > max {
        return Err(format!("{} is out of range: {} to {} is possible", show(value), show(min), show(max)));
    }
    Ok(())
}

fn count(raw: &Raw, min: u64, max: u64) -> Result<u64, String> {
    let number = match raw {
        Raw::Integer(number) => u64::try_from(*number).ok(),
        Raw::Text(text) => text.trim().parse().ok(),
        Raw::Truth(_) | Raw::List(_) | Raw::Table(_) | Raw::Other(_) => None,
    };
    let number = number.ok_or_else(|| format!("{} is not a whole number", raw.describe()))?;
    within(number, min, max, |number| number.to_string())?;
    Ok(number)
}

fn maybe_address(raw: &Raw) -> Result<Option<SocketAddr>, String> {
    let text = text(raw, "an address such as \"127.0.0.1:8091\"")?;
    if text.is_empty() { Ok(None) } else { parse_address(&text).map(Some) }
}

fn truth(raw: &Raw) -> Result<bool, String> {
    match raw {
        Raw::Truth(truth) => Ok(*truth),
        Raw::Text(text) if text.trim() == "true" => Ok(true),
        Raw::Text(text) if text.trim() == "false" => Ok(false),
        _ => Err(format!("{} stands where true or false is expected", raw.describe())),
    }
}

fn word(raw: &Raw, words: &[&str]) -> Result<usize, String> {
    let place = raw.text().and_then(|text| words.iter().position(|word| *word == text.trim()));
    place.ok_or_else(|| format!("{} is none of: {}", raw.describe(), words.join(", ")))
}

fn addresses(raw: &Raw, may_be_none: bool) -> Result<Vec<SocketAddr>, String> {
    let texts = raw.texts().ok_or_else(|| {
        format!("{} stands where a list of addresses such as [\"0.0.0.0:8080\"] is expected", raw.describe())
    })?;
    if texts.is_empty() && !may_be_none {
        return Err("the list is empty, and at least one address is needed; write [\"0.0.0.0:8080\"]".into());
    }
    texts.iter().map(|text| parse_address(text)).collect()
}

fn ranges(raw: &Raw) -> Result<Ranges, String> {
    let texts = raw.texts().ok_or_else(|| {
        format!("{} stands where a list of ranges such as [\"10.0.0.0/8\"] is expected", raw.describe())
    })?;
    let texts = texts.iter().filter(|text| !text.is_empty());
    texts.map(|text| parse_range(text)).collect::<Result<_, _>>().map(Ranges::new)
}

fn rules(raw: &Raw) -> Result<Rules, String> {
    let texts = raw.texts().ok_or_else(|| {
        format!("{} stands where a list of clients such as [\"10.0.0.0/8\"] is expected", raw.describe())
    })?;
    if texts.len() > RULES_MAX {
        return Err(format!("there are {} rules, and at most {RULES_MAX} are possible; write ranges", texts.len()));
    }
    let texts = texts.iter().filter(|text| !text.is_empty());
    texts.map(|text| parse_rule(text)).collect::<Result<Vec<_>, _>>().map(|rules| Rules::new(&rules))
}

fn texts(raw: &Raw, check: fn(&str) -> Result<(), String>) -> Result<Vec<String>, String> {
    let texts = raw.texts().ok_or_else(|| format!("{} stands where a list of texts is expected", raw.describe()))?;
    // An empty text in the environment is no text.
    let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    texts.iter().try_for_each(|text| check(text))?;
    Ok(texts)
}

/// In the file a list of words, each as it is; in the environment words with spaces between.
fn command(raw: &Raw) -> Result<Vec<String>, String> {
    let words = match raw {
        Raw::Text(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
        other => other.texts(),
    };
    let words = words
        .ok_or_else(|| format!("{} stands where a list of a program and its arguments is expected", raw.describe()))?;
    check_command(&words)?;
    Ok(words)
}

fn globs(raw: &Raw) -> Result<Globs, String> {
    let texts = raw.texts().ok_or_else(|| {
        format!("{} stands where a list of patterns such as [\"/drivers/**\"] is expected", raw.describe())
    })?;
    let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    Globs::parse(&texts).map_err(|bad| bad.to_string())
}

fn path(raw: &Raw, base: &Path) -> Result<PathBuf, String> {
    match text(raw, "a directory")?.as_str() {
        "" => Err("the path is empty; write that of a directory".into()),
        path => Ok(absolute(Path::new(path), base)),
    }
}

fn file(raw: &Raw, base: &Path) -> Result<Option<PathBuf>, String> {
    let text = text(raw, "a file")?;
    Ok((!text.is_empty()).then(|| absolute(Path::new(&text), base)))
}

fn output(raw: &Raw, base: &Path) -> Result<Option<PathBuf>, String> {
    Ok(match text(raw, "a file")?.as_str() {
        "" => None,
        "-" => Some("-".into()),
        path => Some(absolute(Path::new(path), base)),
    })
}

fn location(raw: &Raw, base: &Path) -> Result<Location, String> {
    let text = text(raw, "a directory or URL")?;
    Ok(match text.parse::<Location>().map_err(|bad| bad.to_string())? {
        Location::Directory(directory) => Location::Directory(absolute(&directory, base)),
        url => url,
    })
}
