//! How a configuration is refused: what is wrong, the line it stands in, and what to write instead. Every fault is told, not just the first.

use std::{
    fmt,
    io::ErrorKind,
    ops::Range,
    path::{Path, PathBuf},
};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use textwrap::{WordSeparator, WordSplitter};

/// The narrowest terminal that is usual.
const TERMINAL_COLUMNS: usize = 80;

/// One thing that is wrong.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    file: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
}

/// A configuration that cannot be used.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What is wrong; at least one.
    pub faults: Vec<Fault>,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
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

    pub(crate) fn not_valid(&self, error: &toml::de::Error, example: &str) -> Fault {
        let spans = error.span().map(|span| (span, "here".to_owned()));
        let message = format!("this is not valid TOML: {}", error.message().trim());
        let help =
            format!("write key = \"text\", key = 5, key = [\"a\", \"b\"] and [section]; {example} is an example");
        Fault::new(message, Some(help)).at(&self.path, &self.text, spans)
    }
}

impl Fault {
    /// Without a place in a file.
    pub fn new(message: impl Into<String>, help: Option<String>) -> Self {
        Self { message: message.into(), help, file: None, labels: Vec::new() }
    }

    /// Points into a file.
    pub(crate) fn at(
        mut self,
        path: &Path,
        text: &str,
        spans: impl IntoIterator<Item = (Range<usize>, String)>,
    ) -> Self {
        self.labels = spans.into_iter().map(|(span, label)| LabeledSpan::new_with_span(Some(label), span)).collect();
        if !self.labels.is_empty() {
            self.file = Some(NamedSource::new(path.to_string_lossy(), text.to_owned()).with_language("toml"));
        }
        self
    }
}

impl Diagnostic for Fault {
    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.file.as_ref().map(|file| file as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

impl Refused {
    /// As a person reads it: on a terminal coloured and wrapped, elsewhere plain and with each sentence on one line, so that it can be
    /// searched for.
    pub fn render(&self, on_terminal: bool) -> String {
        let theme = if on_terminal { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(TERMINAL_COLUMNS)
            // Paths, URLs and flags stay whole.
            .with_word_separator(WordSeparator::AsciiSpace)
            .with_word_splitter(WordSplitter::NoHyphenation)
            .with_break_words(false)
            .with_wrap_lines(on_terminal)
            .with_links(false);
        let mut text = String::new();
        for fault in &self.faults {
            // Writing into a String cannot fail, and a fault that cannot be drawn still has its message.
            if handler.render_report(&mut text, fault).is_err() {
                text.push_str(&fault.message);
            }
            text.push('\n');
        }
        text
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self { faults: vec![fault] }
    }
}

impl fmt::Display for Refused {
    /// On one line per fault, for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.faults.iter().enumerate() {
            let line = fault.place().map(|(file, line)| format!("{file} line {line}: ")).unwrap_or_default();
            let separator = if place == 0 { "" } else { "; " };
            let help = fault.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            write!(f, "{separator}{line}{}{help}", fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

impl Fault {
    /// The file, and the line of the first place in it, from 1.
    pub fn place(&self) -> Option<(&str, usize)> {
        let (file, offset) = (self.file.as_ref()?, self.labels.first()?.offset());
        let before = file.inner().as_bytes().iter().take(offset);
        Some((file.name(), before.filter(|byte| **byte == b'\n').count() + 1))
    }
}
