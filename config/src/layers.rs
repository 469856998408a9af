//! The layers of any program's configuration: file, environment, flags, told by a [`Schema`] what there is. The later wins, and of each value is remembered where
//! it came from. What makes no sense together, and what a value means to its program, is not looked at here.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
    path::PathBuf,
};

use toml::de::{DeTable, DeValue};

use crate::{
    check::Complaint,
    delivered::{Delivered, LeftOut, of_upstream},
    fault::{ConfigFile, Fault},
    option::Setting,
    raw::Raw,
};

/// Variables that are ours begin with this.
pub(crate) const ENVIRONMENT_PREFIX: &str = "OUTPOST__";

/// What the layers are made from; handed in by the program.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file of `--config`.
    pub file: Option<ConfigFile>,
    /// What the origin of a proxy delivered.
    pub delivered: Option<Delivered>,
    /// The environment; variables without our prefix are passed over.
    pub environment: Vec<(String, String)>,
    /// What the command line said.
    pub flags: Vec<Said>,
    /// Relative paths are below it.
    pub working_directory: PathBuf,
}

/// What one flag said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The option, or the name of blocks that are one text as a flag.
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
    /// The origin, with this generation of what it delivers.
    Delivered(u64),
    /// A variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

/// Where each value came from, by key; those of blocks as `upstream[0].url`.
pub(crate) type Origins = BTreeMap<String, Origin>;

/// What can be written for a program with settings `T`.
pub(crate) struct Schema<T: 'static> {
    /// Its options.
    pub(crate) rows: &'static [Setting<T>],
    /// What may stand several times.
    pub(crate) blocks: &'static [Blocks<T>],
    /// The blocks that one text may stand for, all together, in a flag or the environment.
    pub(crate) whole: Option<Whole<T>>,
    /// The page with all options.
    pub(crate) page: &'static str,
    /// The annotated example.
    pub(crate) example: &'static str,
    /// A key as people know it.
    pub(crate) shown: fn(&T, &str) -> String,
}

/// Blocks that may stand several times.
pub(crate) struct Blocks<T: 'static> {
    pub(crate) name: &'static str,
    pub(crate) many: &'static str,
    pub(crate) max: usize,
    /// What to do about one too many.
    pub(crate) beyond: &'static str,
    pub(crate) required: &'static [&'static str],
    pub(crate) read: fn(&mut Layers<'_, T>, usize, &DeTable<'_>),
}

/// See [`Schema::whole`].
pub(crate) struct Whole<T> {
    pub(crate) name: &'static str,
    /// Takes the text; relative paths are below the directory. A text that cannot be read is refused.
    pub(crate) put: fn(&mut T, &str, &std::path::Path) -> Result<(), String>,
    /// The key that it counts as.
    pub(crate) key: &'static str,
}

/// A key with its value, as they stand in the file.
pub(crate) type Entry<'t, 'i> = (&'t toml::Spanned<toml::de::DeString<'i>>, &'t toml::Spanned<DeValue<'i>>);

/// A block's name as a sentence has it.
pub(crate) fn article(name: &str) -> String {
    if name.starts_with(['a', 'e', 'i', 'o', 'u']) { format!("an {name}") } else { format!("a {name}") }
}

/// What has been read so far.
pub(crate) struct Layers<'a, T: 'static> {
    pub(crate) sources: &'a Sources,
    schema: &'static Schema<T>,
    /// Nothing else is looked at; `None`: everything is.
    only: Option<&'a [&'a str]>,
    pub(crate) settings: T,
    pub(crate) origins: Origins,
    /// Of what was delivered.
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) faults: Vec<Fault>,
}

impl<'a, T: Default> Layers<'a, T> {
    /// Reads all layers over the defaults.
    pub(crate) fn read(sources: &'a Sources, schema: &'static Schema<T>, only: Option<&'a [&'a str]>) -> Self {
        let (settings, origins) = (T::default(), Origins::new());
        let (left_out, faults) = (Vec::new(), Vec::new());
        let mut layers = Self { sources, schema, only, settings, origins, left_out, faults };
        layers.file();
        layers.delivered();
        layers.environment();
        layers.flags();
        layers
    }
}

impl<T> Layers<'_, T> {
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
            self.faults.extend(each_once.map(|error| file.not_valid(error, self.schema.example)));
            return;
        }
        for (key, value) in in_file_order(table.get_ref()) {
            let name: &str = key.get_ref();
            let kind = self.schema.blocks.iter().find(|kind| kind.name == name);
            match (value.get_ref(), kind) {
                (DeValue::Table(_), _) if self.only.is_some() && !self.schema.is_section(name) => {}
                (DeValue::Array(_), _) if self.is_passed_over(name) => {}
                (DeValue::Array(blocks), Some(kind)) => self.blocks(blocks, kind),
                (_, Some(_)) if self.only.is_none() => self.fault_at(
                    format!("{} is written as [[{name}]]", article(name)),
                    "not a list of tables",
                    key.span(),
                    Some(format!("write [[{name}]] with two brackets, and its keys below it")),
                ),
                (DeValue::Table(section), _) if self.schema.is_section(name) => self.section(name, section),
                (DeValue::Table(_), _) => {
                    let help = nearest(name, self.schema.sections()).map(|near| format!("did you mean [{near}]?"));
                    self.fault_at(format!("there is no section [{name}]"), "unknown section", key.span(), help);
                }
                (other, _) => self.file_value(name, key.span(), value.span(), other),
            }
        }
    }

    fn section(&mut self, name: &str, section: &DeTable<'_>) {
        for (key, value) in in_file_order(section) {
            self.file_value(&format!("{name}.{}", key.get_ref()), key.span(), value.span(), value.get_ref());
        }
    }

    fn file_value(&mut self, key: &str, key_span: Range<usize>, value_span: Range<usize>, value: &DeValue<'_>) {
        if self.is_passed_over(key) {
            return;
        }
        let Some(row) = self.schema.find(key) else {
            let (message, help) = self.schema.unknown(key);
            return self.fault_at(message, "unknown key", key_span, help);
        };
        match row.put(&mut self.settings, &Raw::from_toml(value), &self.sources.working_directory) {
            Ok(()) => drop(self.origins.insert(row.key.to_owned(), Origin::File(value_span))),
            Err(message) => self.fault_at(format!("{key}: {message}"), "this value", value_span, None),
        }
    }

    fn blocks(&mut self, blocks: &toml::de::DeArray<'_>, kind: &Blocks<T>) {
        let Blocks { name, many, max, .. } = kind;
        for (place, block) in blocks.iter().enumerate() {
            let span = block.span();
            match block.get_ref() {
                DeValue::Table(_) if place >= *max => {
                    let message = format!("there are more than {max} {many}, which is the limit");
                    return self.fault_at(message, "one too many", span, Some(kind.beyond.to_owned()));
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
    fn required(&mut self, table: &DeTable<'_>, span: &Range<usize>, kind: &Blocks<T>) {
        let Blocks { name, required, .. } = kind;
        for required in required.iter().filter(|key| !table.iter().any(|(given, _)| given.get_ref() == **key)) {
            let message = format!("this {name} has no {required}");
            let help = Some(format!("add {required} = \"...\" below [[{name}]]"));
            self.fault_at(message, &format!("this {name}"), span.clone(), help);
        }
    }

    /// One entry of the block of that name and place.
    pub(crate) fn entry<B>(
        &mut self,
        block: &mut B,
        rows: &[Setting<B>],
        (kind, place): (&str, usize),
        (key, value): Entry<'_, '_>,
    ) {
        let name: &str = key.get_ref();
        let Some(row) = rows.iter().find(|row| row.key == name) else {
            let help = nearest(name, rows.iter().map(|row| row.key)).map(|near| format!("did you mean {near}?"));
            let message = format!("{} has no key '{name}'", article(kind));
            return self.fault_at(message, "unknown key", key.span(), help);
        };
        match row.put(block, &Raw::from_toml(value.get_ref()), &self.sources.working_directory) {
            Ok(()) => {
                self.origins.insert(format!("{kind}[{place}].{name}"), Origin::File(value.span()));
            }
            Err(message) => self.fault_at(format!("{name}: {message}"), "this value", value.span(), None),
        }
    }

    /// Who only wants to know where a proxy is need not know: that is never delivered.
    fn delivered(&mut self) {
        let Some(delivered) = self.sources.delivered.as_ref().filter(|_| self.only.is_none()) else { return };
        for (option, value) in delivered.options.iter().filter(|(option, _)| of_upstream(option).is_none()) {
            let row = self.schema.find(option).ok_or_else(|| self.schema.unknown(option).0);
            match row.and_then(|row| row.is_own().map_or(Ok(row), Err)) {
                Ok(row) => {
                    let put = row.put(&mut self.settings, &Raw::from_json(value), &self.sources.working_directory);
                    self.note_delivered(row.key.to_owned(), option, put, delivered.generation);
                }
                Err(reason) => self.left_out.push(LeftOut { option: option.clone(), reason }),
            }
        }
    }

    /// Where the value of a key came from, or that all that was delivered is refused for it.
    pub(crate) fn note_delivered(&mut self, key: String, option: &str, put: Result<(), String>, generation: u64) {
        match put {
            Ok(()) => drop(self.origins.insert(key, Origin::Delivered(generation))),
            Err(message) => {
                self.faults.push(Fault::new(format!("delivered by the origin: {option}: {message}"), None));
            }
        }
    }

    fn environment(&mut self) {
        for (variable, value) in &self.sources.environment {
            let Some(rest) = variable.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let key = rest.to_ascii_lowercase().replace("__", ".");
            if self.is_passed_over(&key) {
                continue;
            }
            let (by, origin) = (format!("environment variable {variable}"), Origin::Environment(variable.clone()));
            if let Some(whole) = self.schema.whole.as_ref().filter(|whole| key == whole.name) {
                self.whole(whole, value, &by, origin);
                continue;
            }
            let Some(row) = self.schema.find(&key) else {
                let (message, _) = self.schema.unknown(&key);
                let help = self.schema.nearest_key(&key).map(|near| format!("did you mean {}?", variable_of(near)));
                self.faults.push(Fault::new(format!("{by}: {message}"), help));
                continue;
            };
            self.said(row, value, &by, origin);
        }
    }

    fn flags(&mut self) {
        for Said { key, flag, value } in &self.sources.flags {
            let origin = Origin::Flag(flag.clone());
            match (self.schema.find(key), &self.schema.whole) {
                (Some(row), _) => self.said(row, value, flag, origin),
                (None, Some(whole)) => self.whole(whole, value, flag, origin),
                (None, None) => {}
            }
        }
    }

    fn said(&mut self, row: &Setting<T>, value: &str, by: &str, origin: Origin) {
        match row.put(&mut self.settings, &Raw::Text(value.to_owned()), &self.sources.working_directory) {
            Ok(()) => drop(self.origins.insert(row.key.to_owned(), origin)),
            Err(message) => self.faults.push(Fault::new(format!("{by}: {message}"), None)),
        }
    }

    /// One text in place of all blocks of that name.
    fn whole(&mut self, whole: &Whole<T>, value: &str, by: &str, origin: Origin) {
        let Whole { name, put, key } = whole;
        match put(&mut self.settings, value, &self.sources.working_directory) {
            Ok(()) => {
                let blocks = format!("{name}[");
                self.origins.retain(|key, _| !key.starts_with(&blocks));
                self.origins.insert((*key).to_owned(), origin);
            }
            Err(message) => self.faults.push(Fault::new(format!("{by}: {message}"), None)),
        }
    }

    pub(crate) fn fault_at(&mut self, message: String, label: &str, span: Range<usize>, help: Option<String>) {
        let fault = Fault::new(message, help);
        self.faults.push(match &self.sources.file {
            Some(file) => fault.at(&file.path, &file.text, [(span, label.to_owned())]),
            None => fault,
        });
    }

    /// Points at each value that a complaint is about: in the file, or by the name of its flag or variable.
    pub(crate) fn complain(&mut self, complaint: Complaint) {
        let mut spans = Vec::new();
        let mut elsewhere = Vec::new();
        for key in &complaint.keys {
            let shown = (self.schema.shown)(&self.settings, key);
            match self.origins.get(key) {
                Some(Origin::File(span)) => spans.push((span.clone(), shown)),
                Some(Origin::Delivered(_)) => elsewhere.push(format!("{shown} comes from the origin")),
                Some(Origin::Environment(name)) => elsewhere.push(format!("{shown} comes from {name}")),
                Some(Origin::Flag(flag)) => elsewhere.push(format!("{shown} comes from {flag}")),
                Some(Origin::Default) | None => elsewhere.push(format!("{shown} has its default")),
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

impl<T> Schema<T> {
    pub(crate) fn find(&self, key: &str) -> Option<&'static Setting<T>> {
        self.rows.iter().find(|row| row.key == key)
    }

    fn sections(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().filter_map(|row| row.key.split_once('.').map(|(section, _)| section))
    }

    fn is_section(&self, name: &str) -> bool {
        self.sections().any(|section| section == name)
    }

    /// What is said of a key that is none, and what to do.
    pub(crate) fn unknown(&self, key: &str) -> (String, Option<String>) {
        let last = key.rsplit('.').next().unwrap_or(key);
        let elsewhere = self.rows.iter().find(|row| row.key != key && row.key.rsplit('.').next() == Some(last));
        let help = match (elsewhere, self.nearest_key(key)) {
            (Some(row), _) => match row.key.split_once('.') {
                Some((section, last)) => format!("{last} stands in section [{section}]"),
                None => format!("{last} stands at the top of the file, before the first section"),
            },
            (None, Some(near)) => format!("did you mean {near}?"),
            (None, None) => format!("{} lists all options", self.page),
        };
        (format!("there is no option '{key}'"), Some(help))
    }

    fn nearest_key(&self, key: &str) -> Option<&'static str> {
        nearest(key, self.rows.iter().map(|row| row.key))
    }
}

/// The name of the variable that sets a key.
pub(crate) fn variable_of(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

/// Entries in the order of the file, so that faults are told in that order.
pub(crate) fn in_file_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// What was probably meant, if anything comes close.
pub(crate) fn nearest<'n>(word: &str, candidates: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
