//! The source as the rules look at it: every file that git knows or would take.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file with its tests cut off.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// The lines that are code, numbered; comments and strings are taken for code where telling them apart would need a parser.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(number, line)| (number + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Whether all of it is test, or bench.
    pub(crate) fn is_test_file(&self) -> bool {
        ["/tests/", "/benches/"].iter().any(|part| self.path.contains(part))
            || self.path.ends_with("/tests.rs")
            || self.path.starts_with("tests/")
    }

    /// Where the unit tests begin, counted in lines.
    pub(crate) fn test_part(&self) -> usize {
        self.text.lines().position(|line| line == "#[cfg(test)]").unwrap_or(usize::MAX)
    }

    /// The code before the unit tests, which stand at the end of a file.
    pub(crate) fn product_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test_file = self.is_test_file();
        self.code().take_while(move |(_, line)| !is_test_file && *line != "#[cfg(test)]")
    }
}

/// Where the workspace lies.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the workspace").to_path_buf()
}

/// Every source file of the workspace, build results left out.
pub(crate) fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the workspace") {
            let path = entry.expect("an entry of a directory").path();
            let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                waiting.push(path);
            } else if name.ends_with(".rs") {
                let relative = path.strip_prefix(&root).expect("found below it").display().to_string();
                found.push(Source { path: relative, text: fs::read_to_string(&path).expect("a source file is text") });
            }
        }
    }
    assert!(found.len() > 20, "only {} source files were found: the rules were not checked", found.len());
    found
}

/// Fails with every place that breaks a rule.
#[track_caller]
pub(crate) fn expect_none(rule: &str, places: impl IntoIterator<Item = String>) {
    let places: Vec<_> = places.into_iter().collect();
    assert!(places.is_empty(), "{rule}\n  {}", places.join("\n  "));
}

/// Product code with one of these words, outside of the files where it may stand.
pub(crate) fn places_with<'a>(
    sources: &'a [Source],
    allowed: impl Fn(&str) -> bool + 'a,
    words: &'a [&str],
) -> impl Iterator<Item = String> + 'a {
    sources.iter().filter(move |source| !allowed(&source.path)).flat_map(move |source| {
        let breaks = source.product_code().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        breaks.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())).collect::<Vec<_>>()
    })
}
