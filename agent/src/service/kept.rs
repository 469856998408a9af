//! What the service keeps of its origin: its credential, and the last configuration, with which it starts when no origin can be reached. Each is one
//! file, readable by this user alone, replaced as a whole, and names the machine that it is for: under another name it counts as not there.

use std::{
    io::{self, Write},
    path::Path,
};

use config::agent::Origins;
use os::private;
use protocol::enrolment::Configuration;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Bytes of such a file.
const FILE_BYTES_MAX: u64 = 4 << 20;

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    node: String,
    kept: T,
}

/// The credential, if there is one.
pub(crate) fn credential(origins: &Origins, node: &str) -> Option<String> {
    read(&origins.credential_file(), node)
}

/// Keeps a credential.
pub(crate) fn keep_credential(origins: &Origins, node: &str, credential: &str) -> io::Result<()> {
    write(&origins.credential_file(), node, &credential)
}

/// The last configuration, if there is one.
pub(crate) fn configuration(origins: &Origins, node: &str) -> Option<Configuration> {
    read(&origins.configuration_file(), node)
}

/// Keeps a configuration.
pub(crate) fn keep_configuration(origins: &Origins, node: &str, configuration: &Configuration) -> io::Result<()> {
    write(&origins.configuration_file(), node, configuration)
}

/// One that cannot be read is as good as none, which is said: the origin gives another.
fn read<T: DeserializeOwned>(file: &Path, node: &str) -> Option<T> {
    match parse::<Kept<T>>(file, FILE_BYTES_MAX) {
        Ok(kept) => kept.filter(|kept| kept.node == node).map(|kept| kept.kept),
        Err(error) => {
            let file = file.display().to_string();
            tracing::warn!(file, %error, "what was kept of the origin cannot be read; the origin is asked for it anew");
            None
        }
    }
}

fn write(file: &Path, node: &str, kept: &impl Serialize) -> io::Result<()> {
    replace(file, &Kept { node: node.to_owned(), kept })
}

/// What stands in such a file, of at most so many bytes; `None`: there is none.
pub(crate) fn parse<T: DeserializeOwned>(file: &Path, bytes_max: u64) -> io::Result<Option<T>> {
    let text = private::read(file, bytes_max)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(io::Error::other)
}

/// Writes such a file: whole, or as it was before.
pub(crate) fn replace(file: &Path, kept: &impl Serialize) -> io::Result<()> {
    private::replace(file, |new| {
        serde_json::to_writer_pretty(&mut *new, kept)?;
        new.write_all(b"\n")
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn what_is_kept_is_there_after_a_start_and_nobody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let origins = Origins { state_dir: directory.path().join("deep/state"), ..Origins::default() };
        assert_eq!((credential(&origins, "a"), configuration(&origins, "a")), (None, None));
        keep_credential(&origins, "a", "secret").unwrap();
        // What a crash has left in the way.
        fs::write(origins.credential_file().with_extension("new"), "half").unwrap();
        keep_credential(&origins, "a", "other").unwrap();
        assert_eq!(credential(&origins, "a").as_deref(), Some("other"));
        assert_eq!(credential(&origins, "b"), None, "that is another machine");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&origins.credential_file()), mode(&origins.state_dir)), (0o600, 0o700));
        fs::write(origins.configuration_file(), "{").unwrap();
        assert_eq!(configuration(&origins, "a"), None);
    }
}
