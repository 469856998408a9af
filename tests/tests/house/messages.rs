//! `docs/messages.md` has every text that a person can meet, and nothing that no source says any more.
//!
//! A message is taken to be every string literal of at least [`WORDS_MIN`] words in the product code of the programs and their libraries, but for
//! what is said to nobody: events at `debug` and below, `expect`, assertions, the reasons of lints. So a new way of saying something needs no
//! change here. Placeholders count as equal whatever they are called: the page names them as the log does. Not looked at are [`NOT_MESSAGES`], the
//! bench (a tool for us), and texts of one or two words.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::source::{Source, expect_none, root, sources};

/// Shorter texts are names, units and labels.
const WORDS_MIN: usize = 3;

/// Fewer than this, and the sources were not read as they should be.
const MESSAGES_MIN: usize = 300;

const PRODUCT: [&str; 5] = ["crates", "config", "proxy", "origin", "agent"];

/// Texts that are no messages, or stand in another page: a path and how the text begins.
const NOT_MESSAGES: &[(&str, &str)] = &[
    // The references are generated from these.
    ("config/src/table/", ""),
    ("config/src/reference.rs", ""),
    ("config/src/origin/table.rs", ""),
    ("config/src/origin/blocks.rs", ""),
    ("config/src/origin/reference.rs", ""),
    ("config/src/origin/flags.rs", ""),
    ("config/src/option.rs", "yes or no"),
    ("config/src/option.rs", "list of proxies"),
    ("config/src/option.rs", "a path, `"),
    ("config/src/option.rs", "`"),
    ("config/src/option.rs", "a directory, `"),
    ("config/src/option.rs", "directory or URL"),
    ("config/src/option.rs", "list of addresses"),
    ("config/src/option.rs", "list of clients"),
    ("config/src/option.rs", "list of ranges"),
    ("config/src/option.rs", "list of rules"),
    ("config/src/option.rs", "list of texts"),
    ("config/src/option.rs", "such as `"),
    ("config/src/option.rs", "relative to the working directory"),
    ("config/src/option.rs", "size or percent of the disk"),
    ("proxy/src/admin/metrics/table.rs", ""),
    ("proxy/src/admin/metrics.rs", "# Metrics reference"),
    // What `--help` shows.
    ("config/src/flags.rs", ""),
    ("proxy/src/arguments.rs", ""),
    ("proxy/src/command/mod.rs", ""),
    ("proxy/src/command/reference.rs", ""),
    ("agent/src/command/mod.rs", ""),
    ("agent/src/command/reference.rs", ""),
    ("agent/src/command/asks.rs", ""),
    ("agent/src/command/jobs.rs", ""),
    ("agent/src/service/local.rs", "GET, HEAD, "),
    ("config/src/agent/table.rs", ""),
    ("config/src/agent/manners.rs", ""),
    ("config/src/agent/reference.rs", ""),
    ("config/src/agent/jobs.rs", ""),
    ("agent/src/command/bar.rs", ""),
    ("agent/src/command/ending.rs", "failed: "),
    ("agent/src/command/ending.rs", "wrong command "),
    ("agent/src/command/ending.rs", "nobody has "),
    ("agent/src/command/ending.rs", "what came "),
    ("agent/src/command/ending.rs", "it did not "),
    ("agent/src/command/ending.rs", "nobody gives "),
    ("agent/src/command/ending.rs", "interrupted ("),
    ("origin/src/arguments.rs", ""),
    ("origin/src/command/update.rs", "Exit codes: "),
    ("origin/src/command/update.rs", "{} of {} proxies done"),
    ("origin/src/command/client.rs", "{} {} HTTP/1.1"),
    ("origin/src/members/database.rs", "SELECT "),
    ("origin/src/members/database.rs", "INSERT "),
    ("origin/src/members/database.rs", "DELETE "),
    ("origin/src/members/database.rs", "CREATE "),
    ("origin/src/origin.rs", "members {} enrolled"),
    // The start lines and the live line, which show themselves.
    ("proxy/src/banner.rs", ""),
    ("proxy/src/console.rs", ""),
    ("proxy/src/command/status.rs", ""),
    ("origin/src/origin.rs", "as the kernel announces them"),
    ("origin/src/origin.rs", "digests {} files known"),
    // Faults that a test asks for, and what only the bench asks of the system.
    ("crates/os/src/engine/uring.rs", "broken by a test"),
    ("crates/os/src/process.rs", ""),
    // Languages of machines.
    ("crates/protocol/src/listing.rs", ""),
    ("crates/protocol/src/cache_status.rs", ""),
    ("crates/serve/src/accept.rs", "HTTP/1.1 503"),
    ("crates/protocol/src/webdav/mod.rs", "GET, HEAD, "),
    ("crates/protocol/src/webdav/mod.rs", "<?xml "),
    ("crates/protocol/src/webdav/mod.rs", "application/xml; "),
    ("crates/protocol/src/webdav/multistatus.rs", "<"),
    ("crates/cache/src/upstream/autoindex.rs", "directory listing for"),
    ("proxy/src/command/preload.rs", "looks what there is"),
    ("proxy/src/command/preload.rs", "by the clock"),
    ("crates/cache/src/methods.rs", "GET, HEAD, "),
    ("origin/src/handler.rs", "GET, HEAD, "),
    ("crates/serve/src/head/write.rs", "HTTP/1.1 "),
    ("origin/src/admin.rs", "# HELP"),
    ("origin/src/admin.rs", "Files "),
    ("origin/src/admin.rs", "Bytes "),
    ("origin/src/admin.rs", "Bodies "),
    ("origin/src/admin.rs", "Connections "),
    ("origin/src/admin.rs", "Questions "),
    ("origin/src/admin.rs", "Complete "),
    ("origin/src/admin.rs", "Batches "),
    ("origin/src/admin.rs", "Contents "),
    ("origin/src/admin.rs", "Different contents "),
    ("origin/src/admin.rs", "Nodes "),
    ("origin/src/admin.rs", "Proxies and agents "),
    ("origin/src/admin.rs", "Reports "),
    ("origin/src/admin.rs", "Size of "),
    ("origin/src/registry/database.rs", "SELECT "),
    ("origin/src/registry/database.rs", "INSERT "),
    ("origin/src/registry/database.rs", "DELETE "),
    ("origin/src/registry/database.rs", "CREATE "),
    ("origin/src/admin.rs", "Changes "),
    ("origin/src/admin.rs", "Paths "),
    ("origin/src/admin.rs", "Streams "),
    ("origin/src/admin.rs", "The newest "),
    ("origin/src/database.rs", "SELECT "),
    ("origin/src/catalogue/", "SELECT "),
    ("origin/src/catalogue/", "INSERT "),
    ("origin/src/catalogue/", "UPDATE "),
    ("origin/src/catalogue/", "DELETE "),
    ("origin/src/catalogue/", "CREATE "),
    ("origin/src/catalogue/", "ALTER "),
];

/// What is said to developers only; the statement that a text stands in has one of these.
const NOT_TO_PEOPLE: [&str; 8] =
    [".expect(", "debug_assert", "assert!(", "assert_eq!(", "debug!(", "trace!(", "println!(", "reason ="];

/// What `--help`, the manual and `docs/cli.md` say; the statement has one of these just before the text.
const HELP: [&str; 4] = [".about(", ".help(", ".help(format!(", ".next_help_heading("];

/// The product code of the programs and libraries: a path, and the text without comments and unit tests.
fn product() -> Vec<(String, String)> {
    let is_product = |source: &Source| {
        let is_of = |directory: &&str| source.path.starts_with(&format!("{directory}/"));
        PRODUCT.iter().any(is_of) && source.path.contains("/src/") && !source.is_test_file()
    };
    let code = |source: &Source| source.product_code().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
    sources().iter().filter(|source| is_product(source)).map(|source| (source.path.clone(), code(source))).collect()
}

/// String literals, each with what stands before it in its statement.
fn literals(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut statement = String::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(len) = char_literal(rest) {
            rest = &rest[len..];
        } else if first == '"' {
            let (text, after) = string_literal(&rest[1..]);
            found.push((text, statement.clone()));
            rest = after;
        } else {
            match first {
                ';' | '{' | '}' => statement.clear(),
                _ => statement.push(first),
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// The length of a character literal such as `'"'` or `b'\''`; a lifetime is none.
fn char_literal(code: &str) -> Option<usize> {
    let inner = code.strip_prefix('\'')?;
    let first = inner.chars().next()?;
    let len =
        if first == '\\' { 1 + inner[1..].find('\'').filter(|at| *at > 0).or(Some(1))? } else { first.len_utf8() };
    inner[len..].starts_with('\'').then_some(len + 2)
}

/// The value of a literal whose opening quote was taken, and what follows it.
fn string_literal(code: &str) -> (String, &str) {
    let (mut text, mut rest) = (String::new(), code);
    loop {
        let Some(at) = rest.find(['"', '\\']) else { panic!("a string literal has no end: {code:.60}") };
        text.push_str(&rest[..at]);
        if rest[at..].starts_with('"') {
            return (text, &rest[at + 1..]);
        }
        let escaped = rest[at + 1..].chars().next().expect("something follows a backslash");
        rest = &rest[at + 1 + escaped.len_utf8()..];
        match escaped {
            '\n' => rest = rest.trim_start(),
            'n' | 'r' | 't' => text.push(' '),
            other => text.push(other),
        }
    }
}

/// As it is compared: placeholders without their names, white space as one space.
fn normal(text: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0;
    for letter in text.chars() {
        match letter {
            '{' => {
                depth += 1;
                plain.push('{');
            }
            '}' => {
                depth -= 1;
                plain.push('}');
            }
            _ if depth > 0 => {}
            _ => plain.push(letter),
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn words(text: &str) -> usize {
    let is_word =
        |part: &&str| part.chars().filter(|letter| letter.is_ascii_alphabetic()).count() > 0 && !part.contains('=');
    text.split(' ').filter(is_word).count()
}

fn is_excluded(path: &str, text: &str) -> bool {
    NOT_MESSAGES.iter().any(|(of, start)| path.starts_with(of) && text.starts_with(start))
}

/// Every message of the sources, with a place where it stands.
fn said() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (path, code) in product() {
        for (literal, before) in literals(&code) {
            let text = normal(&literal);
            let is_to_people = !NOT_TO_PEOPLE.iter().any(|word| before.contains(word));
            let is_help = HELP.iter().any(|word| before.trim_end().ends_with(word));
            if is_to_people && !is_help && words(&text) >= WORDS_MIN && !is_excluded(&path, &text) {
                found.entry(text).or_insert_with(|| path.clone());
            }
        }
    }
    found
}

/// Every message of the page: what stands in the first code span of a list's entry.
fn listed() -> BTreeSet<String> {
    let page = fs::read_to_string(root().join("docs/messages.md")).unwrap_or_default();
    let span = |line: &str| {
        let rest = line.strip_prefix("- ")?;
        let ticks = &rest[..rest.len() - rest.trim_start_matches('`').len()];
        let inner = rest.strip_prefix(ticks).filter(|_| !ticks.is_empty())?;
        Some(normal(&inner[..inner.find(ticks)?]))
    };
    page.lines().filter_map(span).collect()
}

#[test]
fn the_page_has_every_message() {
    let (said, listed) = (said(), listed());
    assert!(said.len() >= MESSAGES_MIN, "only {} messages were found: the sources were not read", said.len());
    let missing = said.iter().filter(|(text, _)| !listed.contains(*text));
    expect_none("docs/messages.md lacks", missing.map(|(text, path)| format!("- `{text}` ({path})")));
}

#[test]
fn the_page_has_no_message_that_nobody_says() {
    let (said, listed) = (said(), listed());
    let stale = listed.iter().filter(|text| !said.contains_key(*text));
    expect_none("docs/messages.md has what no source says any more", stale.cloned());
}

#[test]
fn messages_are_found_in_every_form_that_they_are_written_in() {
    let found = said();
    for text in [
        // An event, an error's text, a title, a detail that goes over two lines of the source, one with escaped quotes.
        "an upstream can be reached again",
        "the path does not begin with '/'",
        "There is no such file",
        "what the upstream '{}' sends for {} is not what it announces, more than once; compare the file with its digest there. It is \
         fetched again after {} s",
        "a header field is not of the form \"Name: value\" on one line",
    ] {
        assert!(found.contains_key(text), "not found: {text}");
    }
    for text in ["reading ahead failed", "nobody closes this semaphore"] {
        assert!(!found.contains_key(text), "this is said to nobody: {text}");
    }
}

#[test]
fn what_a_literal_is() {
    let code = "let a = '\"'; // \"no\"\nf(b'\\'', &'a str, \"one \\\"two\\\" {x:?} \\\n    three\"); debug!(\"four\")";
    let found: Vec<_> = literals(code).into_iter().map(|(text, before)| (normal(&text), before)).collect();
    assert_eq!(found[0].0, "one \"two\" {} three");
    assert_eq!(found[1], ("four".into(), " debug!(".into()));
    assert_eq!(found.len(), 2);
}
