//! Shares: the management points below the published directory, and which of their folders are packages. Pure: it looks at no file.

use config::origin::{ShareOptions, USUAL_PACKAGES};
use protocol::{
    glob::{GlobError, Globs},
    target::Target,
};

/// The share that there is where none is configured.
const MAIN: &str = "main";
/// What may stand behind a version in the name of a folder: for which machines it is.
const MACHINES: [&str; 14] = [
    "x86", "x64", "amd64", "arm64", "i386", "i686", "win32", "win64", "windows", "linux", "noarch", "any", "all",
    "multi",
];
/// What may stand behind a version, with or without a number: which of several it is.
const STAGES: [&str; 10] = ["alpha", "beta", "rc", "pre", "sp", "build", "rev", "r", "u", "update"];

/// A management point: a folder below the published directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// As it is asked for.
    pub(crate) name: String,
    /// Its folder, decoded, without `/` at its ends; empty: the published directory.
    pub(crate) top: Box<[u8]>,
    /// Which folders are packages, as seen from its folder.
    packages: Globs,
}

impl Share {
    /// With patterns of folders; none: the usual ones.
    pub(crate) fn new(name: &str, path: &str, packages: &[impl AsRef<str>]) -> Result<Self, GlobError> {
        let folders: Vec<&str> = packages.iter().map(|pattern| pattern.as_ref().trim_end_matches('/')).collect();
        let packages = Globs::parse(if folders.is_empty() { &USUAL_PACKAGES } else { &folders[..] })?;
        // As clients ask for it: `/a%20b`.
        let top = Target::from_file_path(path.as_bytes());
        let top = Target::parse(path.as_bytes()).unwrap_or(top).decode().unwrap_or_default();
        Ok(Self { name: name.into(), top: top.into(), packages })
    }

    /// As they are configured; where none is, all that is published is one.
    pub(crate) fn all(options: &[ShareOptions]) -> Result<Vec<Self>, GlobError> {
        if options.is_empty() {
            return Ok(vec![Self::main()]);
        }
        options.iter().map(|share| Self::new(&share.name, &share.path, &share.packages)).collect()
    }

    /// Everything that is published.
    fn main() -> Self {
        // The usual patterns are sound, which a test shows.
        let packages = Globs::parse(&USUAL_PACKAGES).unwrap_or_default();
        Self { name: MAIN.into(), top: Box::default(), packages }
    }

    /// Whether a path is of this share.
    pub(crate) fn has(&self, path: &[u8]) -> bool {
        is_within(path, &self.top)
    }

    /// The package that a folder is or belongs to: of several within each other the outermost.
    pub(crate) fn package_of<'a>(&self, folder: &'a [u8]) -> Option<&'a [u8]> {
        if !self.has(folder) {
            return None;
        }
        let begin = if self.top.is_empty() { 0 } else { self.top.len() + 1 };
        let below = folder.get(begin..)?;
        let ends = below.iter().enumerate().filter(|(_, letter)| **letter == b'/').map(|(at, _)| at);
        let mut ends = ends.chain([below.len()]);
        ends.find(|end| self.packages.matches(&below[..*end])).map(|end| &folder[..begin + end])
    }
}

/// Whether a path is another, or lies below it. The empty one is above all.
pub(crate) fn is_within(path: &[u8], above: &[u8]) -> bool {
    match path.strip_prefix(above) {
        Some(rest) => above.is_empty() || rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    }
}

/// Whether a path is one of these folders or lies below one; of no folders everything is.
pub(crate) fn is_below(path: &[u8], tops: &[Box<[u8]>]) -> bool {
    tops.is_empty() || tops.iter().any(|top| is_within(path, top))
}

/// Whether a change of all that is at or below a path concerns who looks at these folders.
pub(crate) fn concerns(path: &[u8], tops: &[Box<[u8]>]) -> bool {
    is_below(path, tops) || tops.iter().any(|top| is_within(top, path))
}

/// Name and version of a package, from the name of its folder: `office-16.0.1-x64` is `office` in `16.0.1-x64`. A version begins with a digit (or `v` and
/// a digit) behind `-`, `_` or a space, and nothing stands behind it but what is told of a version. Where none is found, all is the name.
pub(crate) fn name_and_version(folder: &str) -> (&str, Option<&str>) {
    let is_separator = |letter: char| matches!(letter, '-' | '_' | ' ');
    let mut version = None;
    let mut end = folder.len();
    while let Some(at) = folder[..end].rfind(is_separator) {
        let word = &folder[at + 1..end];
        if is_number(word) {
            version = Some(at);
        } else if version.is_some() || !is_appendix(word) {
            break;
        }
        end = at;
    }
    match version {
        Some(at) if at > 0 => (folder[..at].trim_end_matches(is_separator), Some(&folder[at + 1..])),
        _ => (folder, None),
    }
}

fn is_number(word: &str) -> bool {
    let bare = word.strip_prefix(['v', 'V']).unwrap_or(word);
    bare.starts_with(|letter: char| letter.is_ascii_digit())
}

fn is_appendix(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let stage = word.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    MACHINES.contains(&word.as_str()) || STAGES.contains(&stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within() {
        for (path, above, expected) in [
            ("a/b", "a", true),
            ("a", "a", true),
            ("ab", "a", false),
            ("b", "a", false),
            ("a", "", true),
            ("", "", true),
        ] {
            assert_eq!(is_within(path.as_bytes(), above.as_bytes()), expected, "{path} {above}");
        }
    }

    #[test]
    fn a_package_is_the_outermost_folder_that_matches() {
        let prod = Share::new("prod", "/mp/prod/", &["/ComputerJobs/*/", "/Redist/*/*"]).expect("valid");
        for (share, folder, expected) in [
            (Share::main(), "ComputerJobs/office-16", Some("ComputerJobs/office-16")),
            (Share::main(), "ComputerJobs/office-16/data/de", Some("ComputerJobs/office-16")),
            (Share::main(), "ComputerJobs/a/Redist/b", Some("ComputerJobs/a")),
            (Share::main(), "UserJobs/x", Some("UserJobs/x")),
            (Share::main(), "Redist/x", Some("Redist/x")),
            (Share::main(), "ComputerJobs", None),
            (Share::main(), "", None),
            (Share::main(), "deep/ComputerJobs/x", None),
            (prod.clone(), "mp/prod/ComputerJobs/a/b", Some("mp/prod/ComputerJobs/a")),
            (prod.clone(), "mp/prod/Redist/a", None),
            (prod.clone(), "mp/prod/Redist/a/b/c", Some("mp/prod/Redist/a/b")),
            (prod.clone(), "mp/prod/UserJobs/a", None),
            (prod.clone(), "mp/prod", None),
            (prod.clone(), "mp/production/ComputerJobs/a", None),
            (prod, "ComputerJobs/a", None),
        ] {
            assert_eq!(share.package_of(folder.as_bytes()), expected.map(str::as_bytes), "{} {folder}", share.name);
        }
        assert_eq!(Share::new("main", "/", &[] as &[&str]).expect("valid"), Share::main());
        assert!(Share::new("x", "/", &["/a/[z"]).is_err());
    }

    #[test]
    fn names_and_versions() {
        for (folder, name, version) in [
            ("office-16.0.1", "office", Some("16.0.1")),
            ("office_16.0.1", "office", Some("16.0.1")),
            ("Adobe Reader 11.0.23", "Adobe Reader", Some("11.0.23")),
            ("vc-redist-14.0.24215-x64", "vc-redist", Some("14.0.24215-x64")),
            ("windows-10-drivers-1.2", "windows-10-drivers", Some("1.2")),
            ("lib-1.2-3", "lib", Some("1.2-3")),
            ("jre-8u401-windows-x64", "jre", Some("8u401-windows-x64")),
            ("tool-v2.1-rc1", "tool", Some("v2.1-rc1")),
            ("agent - 4.0 SP2", "agent", Some("4.0 SP2")),
            ("Office 365 ProPlus", "Office 365 ProPlus", None),
            ("7zip", "7zip", None),
            ("7zip-9.20", "7zip", Some("9.20")),
            ("2016", "2016", None),
            ("-1.0", "-1.0", None),
            ("printer", "printer", None),
            ("printer-x64", "printer-x64", None),
            ("dr\u{fc}cker-1", "dr\u{fc}cker", Some("1")),
            ("", "", None),
        ] {
            assert_eq!(name_and_version(folder), (name, version), "{folder}");
        }
    }
}
