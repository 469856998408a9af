//! What outlives a restart: the credential, and the configuration that was delivered last. Each is one file below `origin.state_dir`, readable by this
//! user alone, replaced as a whole, and names the node that it is for: under another name it counts as not there.

use std::{
    io::{self, ErrorKind, Write},
    path::Path,
};

use config::Belonging;
use os::private;
use protocol::enrolment::Configuration;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Bytes of such a file.
const FILE_BYTES_MAX: u64 = 4 << 20;

#[derive(Serialize, Deserialize)]
struct Credential {
    node: String,
    credential: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    node: String,
    configuration: Configuration,
}

/// The credential of that node, if it has one.
pub(super) fn credential(options: &Belonging, node: &str) -> io::Result<Option<String>> {
    let kept: Option<Credential> = read(&options.credential_file())?;
    Ok(kept.filter(|kept| kept.node == node).map(|kept| kept.credential))
}

/// From now on it has this one.
pub(super) fn keep_credential(options: &Belonging, node: &str, credential: &str) -> io::Result<()> {
    let kept = Credential { node: node.to_owned(), credential: credential.to_owned() };
    write(&options.credential_file(), &kept)
}

/// What was delivered to that node last, if anything was.
pub(super) fn configuration(options: &Belonging, node: &str) -> io::Result<Option<Configuration>> {
    let kept: Option<Kept> = read(&options.configuration_file())?;
    Ok(kept.filter(|kept| kept.node == node).map(|kept| kept.configuration))
}

/// From now on it is this.
pub(super) fn keep_configuration(options: &Belonging, node: &str, configuration: &Configuration) -> io::Result<()> {
    let kept = Kept { node: node.to_owned(), configuration: configuration.clone() };
    write(&options.configuration_file(), &kept)
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let text = private::read(path, FILE_BYTES_MAX)?;
    let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

fn write(path: &Path, kept: &impl Serialize) -> io::Result<()> {
    private::replace(path, |file| {
        serde_json::to_writer_pretty(&mut *file, kept)?;
        file.write_all(b"\n")
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use protocol::topology::Tier;

    use super::*;

    fn options(directory: &Path) -> Belonging {
        Belonging { state_dir: directory.join("deep/origin"), ..Belonging::default() }
    }

    #[test]
    fn a_credential_is_a_secret_of_one_node() {
        let directory = tempfile::tempdir().unwrap();
        let options = options(directory.path());
        assert_eq!(credential(&options, "a").unwrap(), None);
        keep_credential(&options, "a", "first").unwrap();
        // What a crash has left in the way.
        fs::write(options.credential_file().with_extension("new"), "half").unwrap();
        keep_credential(&options, "a", "second").unwrap();
        assert_eq!(credential(&options, "a").unwrap().as_deref(), Some("second"));
        assert_eq!(credential(&options, "b").unwrap(), None, "that is another proxy");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&options.credential_file()), mode(&options.state_dir)), (0o600, 0o700));
    }

    #[test]
    fn a_file_that_makes_no_sense_is_told_and_not_guessed_at() {
        let directory = tempfile::tempdir().unwrap();
        let options = options(directory.path());
        let wanted = Configuration {
            generation: 7,
            domain: None,
            tier: Tier::Constrained,
            options: [("mode".to_owned(), "preload".into())].into(),
            proxies: Vec::new(),
            origins: Vec::new(),
            jobs: Vec::new(),
            source_expiry: 600,
        };
        keep_configuration(&options, "a", &wanted).unwrap();
        assert_eq!(configuration(&options, "a").unwrap().unwrap(), wanted);
        fs::write(options.configuration_file(), "{").unwrap();
        assert!(configuration(&options, "a").is_err());
    }
}
