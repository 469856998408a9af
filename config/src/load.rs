//! The layers: defaults, file, environment, flags. The later wins, and of each value is remembered where it came from.

use std::{
    collections::{BTreeMap, HashSet},
    io::ErrorKind,
    ops::Range,
    path::{Path, PathBuf},
};

use cache::options::{Location, UpstreamOptions};
use serve::tls::Pair;
use toml::de::{DeTable, DeValue};

use crate::{
    check,
    fault::{Fault, Refused},
    inherit,
    option::Setting,
    raw::Raw,
    settings::Settings,
    table::{CERTIFICATE, SETTINGS, UPSTREAM},
    value::absolute,
};

/// Variables that are ours begin with this.
pub(crate) const ENVIRONMENT_PREFIX: &str = "OUTPOST__";

/// Upstreams that one configuration may have; more are refused.
pub(crate) const UPSTREAMS_MAX: usize = 256;

/// Certificates besides the one of `[tls]`, likewise.
const CERTIFICATES_MAX: usize = 256;

/// What the layers are made from; handed in by the program.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file of `--config`.
    pub file: Option<ConfigFile>,
    /// The environment; variables without our prefix are passed over.
    pub environment: Vec<(String, String)>,
    /// What the command line said.
    pub flags: Vec<Said>,
    /// Relative paths are below it.
    pub working_directory: PathBuf,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
}

/// What one flag said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The option, or `upstream`.
    pub key: &'static str,
    /// The flag with its dashes.
    pub flag: String,
    /// Its value.
    pub value: String,
}

/// Where a value came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    #[default]
    Default,
    /// The file, at these bytes.
    File(Range<usize>),
    /// A variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

/// Where each value came from, by key; upstreams as `upstream[0].url`.
pub(crate) type Origins = BTreeMap<String, Origin>;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    pub(crate) origins: Origins,
}

impl ConfigFile {
    /// Reads it.
    pub fn read(path: &Path) -> Result<Self, Refused> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { path: path.to_owned(), text }),
            Err(error) => Err(Fault::new(
                match error.kind() {
                    ErrorKind::InvalidData => format!("the configuration file {} is not text in UTF-8", path.display()),
                    _ => format!("cannot read the configuration file {}: {error}", path.display()),
                },
                Some("give --config the path of a TOML file that can be read, or leave it out".into()),
            )
            .into()),
        }
    }

    fn not_valid(&self, error: &toml::de::Error) -> Fault {
        let spans = error.span().map(|span| (span, "here".to_owned()));
        let message = format!("this is not valid TOML: {}", error.message().trim());
        let help = "write key = \"text\", key = 5, key = [\"a\", \"b\"] and [section]; config/proxy.toml is an example";
        Fault::new(message, Some(help.into())).at(&self.path, &self.text, spans)
    }
}

impl Loaded {
    /// Where the value of a key came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or_default()
    }
}

/// Blocks that may stand several times.
struct Blocks {
    name: &'static str,
    many: &'static str,
    max: usize,
    required: &'static [&'static str],
    read: fn(&mut Layers<'_>, usize, &DeTable<'_>),
}

static UPSTREAMS: Blocks = Blocks {
    name: "upstream",
    many: "upstreams",
    max: UPSTREAMS_MAX,
    required: &["url", "name"],
    read: |layers, place, table| layers.upstream(place, table),
};

static CERTIFICATES: Blocks = Blocks {
    name: "certificate",
    many: "certificates",
    max: CERTIFICATES_MAX,
    required: &["file", "key"],
    read: |layers, place, table| layers.certificate(place, table),
};

/// A key with its value, as they stand in the file.
type Entry<'t, 'i> = (&'t toml::Spanned<toml::de::DeString<'i>>, &'t toml::Spanned<DeValue<'i>>);

/// A block's name as a sentence has it.
fn article(name: &str) -> String {
    if name.starts_with(['a', 'e', 'i', 'o', 'u']) { format!("an {name}") } else { format!("a {name}") }
}

/// Puts the layers together and checks the whole.
pub fn load(sources: &Sources) -> Result<Loaded, Refused> {
    let mut layers = Layers::new(sources, None);
    layers.all();
    if !layers.faults.is_empty() {
        // A value that could not be read would only bring complaints about its default.
        return Err(Refused { faults: layers.faults });
    }
    let base = &sources.working_directory;
    layers.settings.store.dir = absolute(&layers.settings.store.dir, base);
    layers.settings.self_signed_dir = absolute(&layers.settings.self_signed_dir, base);
    inherit::fill_in(&mut layers.settings, |key| layers.origins.contains_key(key));
    for complaint in check::complaints(&layers.settings) {
        layers.complain(complaint);
    }
    let Layers { settings, origins, faults, .. } = layers;
    if faults.is_empty() { Ok(Loaded { settings, origins }) } else { Err(Refused { faults }) }
}

/// The options of these keys alone, for who only wants to know where a proxy is: whatever else is wrong is the proxy's affair.
pub fn only(sources: &Sources, keys: &[&str]) -> Result<Loaded, Refused> {
    let mut layers = Layers::new(sources, Some(keys));
    layers.all();
    let Layers { settings, origins, faults, .. } = layers;
    if faults.is_empty() { Ok(Loaded { settings, origins }) } else { Err(Refused { faults }) }
}

struct Layers<'a> {
    sources: &'a Sources,
    /// Nothing else is looked at; `None`: everything is.
    only: Option<&'a [&'a str]>,
    settings: Settings,
    origins: Origins,
    faults: Vec<Fault>,
}

impl<'a> Layers<'a> {
    fn new(sources: &'a Sources, only: Option<&'a [&'a str]>) -> Self {
        Self { sources, only, settings: Settings::default(), origins: Origins::new(), faults: Vec::new() }
    }

    fn all(&mut self) {
        self.file();
        self.environment();
        self.flags();
    }

    fn is_passed_over(&self, key: &str) -> bool {
        self.only.is_some_and(|keys| !keys.contains(&key))
    }

    fn file(&mut self) {
        let Some(file) = &self.sources.file else { return };
        let (table, errors) = DeTable::parse_recoverable(&file.text);
        if !errors.is_empty() {
            // What follows a syntax error is guesswork: say only the errors themselves, each once.
            let mut told = HashSet::new();
            let each_once = errors.iter().filter(|error| told.insert((error.span(), error.message())));
            self.faults.extend(each_once.map(|error| file.not_valid(error)));
            return;
        }
        for (key, value) in in_file_order(table.get_ref()) {
            let name: &str = key.get_ref();
            match value.get_ref() {
                DeValue::Table(_) if self.only.is_some() && !is_section(name) => {}
                DeValue::Array(_) if self.is_passed_over(name) => {}
                DeValue::Array(blocks) if name == "upstream" => self.blocks(blocks, &UPSTREAMS),
                DeValue::Array(blocks) if name == "certificate" => self.blocks(blocks, &CERTIFICATES),
                _ if self.only.is_none() && (name == "upstream" || name == "certificate") => {
                    self.fault_at(
                        format!("{} is written as [[{name}]]", article(name)),
                        "not a list of tables",
                        key.span(),
                        Some(format!("write [[{name}]] with two brackets, and its keys below it")),
                    );
                }
                DeValue::Table(section) if is_section(name) => {
                    for (key, value) in in_file_order(section) {
                        self.file_value(
                            &format!("{name}.{}", key.get_ref()),
                            key.span(),
                            value.span(),
                            value.get_ref(),
                        );
                    }
                }
                DeValue::Table(_) => {
                    let help = nearest(name, sections()).map(|near| format!("did you mean [{near}]?"));
                    self.fault_at(format!("there is no section [{name}]"), "unknown section", key.span(), help);
                }
                other => self.file_value(name, key.span(), value.span(), other),
            }
        }
    }

    fn file_value(&mut self, key: &str, key_span: Range<usize>, value_span: Range<usize>, value: &DeValue<'_>) {
        if self.is_passed_over(key) {
            return;
        }
        let Some(row) = find(key) else {
            let (message, help) = unknown(key);
            return self.fault_at(message, "unknown key", key_span, help);
        };
        match row.put(&mut self.settings, &Raw::from_toml(value), &self.sources.working_directory) {
            Ok(()) => drop(self.origins.insert(row.key.to_owned(), Origin::File(value_span))),
            Err(message) => self.fault_at(format!("{key}: {message}"), "this value", value_span, None),
        }
    }

    fn blocks(&mut self, blocks: &toml::de::DeArray<'_>, kind: &Blocks) {
        let Blocks { name, many, max, .. } = kind;
        for (place, block) in blocks.iter().enumerate() {
            let span = block.span();
            match block.get_ref() {
                DeValue::Table(_) if place >= *max => {
                    let message = format!("there are more than {max} {many}, which is the limit");
                    let help = Some("leave out what is not needed, or run a second proxy".to_owned());
                    return self.fault_at(message, "one too many", span, help);
                }
                DeValue::Table(table) => {
                    self.required(table, &span, kind);
                    (kind.read)(self, place, table);
                }
                _ => self.fault_at(
                    format!("{} is written as [[{name}]]", article(name)),
                    "not a table",
                    span,
                    Some(format!("write its keys below [[{name}]]")),
                ),
            }
        }
    }

    /// Keys without which a block is nothing.
    fn required(&mut self, table: &DeTable<'_>, span: &Range<usize>, kind: &Blocks) {
        let Blocks { name, required, .. } = kind;
        for required in required.iter().filter(|key| !table.iter().any(|(given, _)| given.get_ref() == **key)) {
            let message = format!("this {name} has no {required}");
            let help = Some(format!("add {required} = \"...\" below [[{name}]]"));
            self.fault_at(message, &format!("this {name}"), span.clone(), help);
        }
    }

    /// One entry of a block.
    fn entry<T>(&mut self, block: &mut T, kind: &Blocks, rows: &[Setting<T>], place: usize, entry: Entry<'_, '_>) {
        let (key, value) = entry;
        let name: &str = key.get_ref();
        let Some(row) = rows.iter().find(|row| row.key == name) else {
            let help = nearest(name, rows.iter().map(|row| row.key)).map(|near| format!("did you mean {near}?"));
            let message = format!("{} has no key '{name}'", article(kind.name));
            return self.fault_at(message, "unknown key", key.span(), help);
        };
        match row.put(block, &Raw::from_toml(value.get_ref()), &self.sources.working_directory) {
            Ok(()) => {
                self.origins.insert(format!("{}[{place}].{name}", kind.name), Origin::File(value.span()));
            }
            Err(message) => self.fault_at(format!("{name}: {message}"), "this value", value.span(), None),
        }
    }

    fn certificate(&mut self, place: usize, table: &DeTable<'_>) {
        let mut pair = Pair::default();
        for entry in in_file_order(table) {
            self.entry(&mut pair, &CERTIFICATES, CERTIFICATE, place, entry);
        }
        self.settings.serve.tls.more.push(pair);
    }

    /// The URL is read first, for other defaults follow from the kind of upstream.
    fn upstream(&mut self, place: usize, table: &DeTable<'_>) {
        let mut upstream = UpstreamOptions::new("", "/", Location::Directory(PathBuf::new()));
        let mut entries = in_file_order(table);
        entries.sort_by_key(|(key, _)| key.get_ref() != "url");
        for entry in entries {
            let is_url = entry.0.get_ref() == "url";
            self.entry(&mut upstream, &UPSTREAMS, UPSTREAM, place, entry);
            if is_url {
                upstream = UpstreamOptions::new("", "/", upstream.location);
            }
        }
        self.settings.cache.upstreams.push(upstream);
    }

    fn environment(&mut self) {
        for (variable, value) in &self.sources.environment {
            let Some(rest) = variable.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let key = rest.to_ascii_lowercase().replace("__", ".");
            if self.is_passed_over(&key) {
                continue;
            }
            let origin = Origin::Environment(variable.clone());
            if key == "upstream" {
                self.only_upstream(value, &format!("environment variable {variable}"), origin);
                continue;
            }
            let Some(row) = find(&key) else {
                let (message, _) = unknown(&key);
                let help = nearest_key(&key).map(|near| format!("did you mean {}?", variable_of(near)));
                self.faults.push(Fault::new(format!("environment variable {variable}: {message}"), help));
                continue;
            };
            self.said(row, value, &format!("environment variable {variable}"), origin);
        }
    }

    fn flags(&mut self) {
        for Said { key, flag, value } in &self.sources.flags {
            let origin = Origin::Flag(flag.clone());
            match find(key) {
                Some(row) => self.said(row, value, flag, origin),
                None => self.only_upstream(value, flag, origin),
            }
        }
    }

    fn said(&mut self, row: &Setting<Settings>, value: &str, by: &str, origin: Origin) {
        match row.put(&mut self.settings, &Raw::Text(value.to_owned()), &self.sources.working_directory) {
            Ok(()) => drop(self.origins.insert(row.key.to_owned(), origin)),
            Err(message) => self.faults.push(Fault::new(format!("{by}: {message}"), None)),
        }
    }

    /// `--upstream` stands for one upstream at `/` in place of all others.
    fn only_upstream(&mut self, value: &str, by: &str, origin: Origin) {
        let mut upstream = UpstreamOptions::new("default", "/", Location::Directory(PathBuf::new()));
        let url = UPSTREAM.iter().find(|row| row.key == "url").expect("the table of upstream options has a url");
        match url.put(&mut upstream, &Raw::Text(value.to_owned()), &self.sources.working_directory) {
            Ok(()) => {
                self.settings.cache.upstreams = vec![UpstreamOptions::new("default", "/", upstream.location)];
                self.origins.retain(|key, _| !key.starts_with("upstream["));
                self.origins.insert("upstream[0].url".into(), origin);
            }
            Err(message) => self.faults.push(Fault::new(format!("{by}: {message}"), None)),
        }
    }

    fn fault_at(&mut self, message: String, label: &str, span: Range<usize>, help: Option<String>) {
        let fault = Fault::new(message, help);
        self.faults.push(match &self.sources.file {
            Some(file) => fault.at(&file.path, &file.text, [(span, label.to_owned())]),
            None => fault,
        });
    }

    /// A key as people know it: those of upstreams are counted only among us.
    fn shown(&self, key: &str) -> String {
        let parts = key.strip_prefix("upstream[").and_then(|rest| rest.split_once("]."));
        let upstream = |place: &str| self.settings.upstreams().get(place.parse::<usize>().ok()?);
        match parts.and_then(|(place, last)| Some((upstream(place)?, last))) {
            Some((upstream, last)) => format!("{last} of upstream '{}'", upstream.name),
            None => key.to_owned(),
        }
    }

    /// Points at each value that a complaint is about: in the file, or by the name of its flag or variable.
    fn complain(&mut self, complaint: check::Complaint) {
        let mut spans = Vec::new();
        let mut elsewhere = Vec::new();
        for key in &complaint.keys {
            match self.origins.get(key) {
                Some(Origin::File(span)) => spans.push((span.clone(), self.shown(key))),
                Some(Origin::Environment(name)) => elsewhere.push(format!("{} comes from {name}", self.shown(key))),
                Some(Origin::Flag(flag)) => elsewhere.push(format!("{} comes from {flag}", self.shown(key))),
                Some(Origin::Default) | None => elsewhere.push(format!("{} has its default", self.shown(key))),
            }
        }
        let help = [complaint.help].into_iter().chain(elsewhere).collect::<Vec<_>>().join("; ");
        let fault = Fault::new(complaint.message, Some(help));
        self.faults.push(match &self.sources.file {
            Some(file) => fault.at(&file.path, &file.text, spans),
            None => fault,
        });
    }
}

/// The name of the variable that sets a key.
pub(crate) fn variable_of(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn find(key: &str) -> Option<&'static Setting<Settings>> {
    SETTINGS.iter().find(|row| row.key == key)
}

fn sections() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter_map(|row| row.key.split_once('.').map(|(section, _)| section))
}

fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

/// Entries in the order of the file, so that faults are told in that order.
fn in_file_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn unknown(key: &str) -> (String, Option<String>) {
    let last = key.rsplit('.').next().unwrap_or(key);
    let elsewhere = SETTINGS.iter().find(|row| row.key != key && row.key.rsplit('.').next() == Some(last));
    let help = match (elsewhere, nearest_key(key)) {
        (Some(row), _) => Some(match row.key.split_once('.') {
            Some((section, last)) => format!("{last} stands in section [{section}]"),
            None => format!("{last} stands at the top of the file, before the first section"),
        }),
        (None, Some(near)) => Some(format!("did you mean {near}?")),
        (None, None) => Some("docs/config.md lists all options".into()),
    };
    (format!("there is no option '{key}'"), help)
}

fn nearest_key(key: &str) -> Option<&'static str> {
    nearest(key, SETTINGS.iter().map(|row| row.key))
}

/// What was probably meant, if anything comes close.
fn nearest<'n>(word: &str, candidates: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
