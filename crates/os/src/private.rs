//! Small files that only their user may read, each replaced as a whole: what a program remembers of others over its own end. What is in them is not its concern.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// What is in a file, of at most so many bytes; of a longer one the beginning. `None`: there is no such file.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(bytes_max).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Writes a file, and the directories around it where they are missing. After any end it is as it was before, or as it is now, and on the disk.
pub fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(".".as_ref());
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let aside = path.with_extension("new");
    // One that a crash has left may have other permissions.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = BufWriter::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?);
    write(&mut new)?;
    new.flush()?;
    new.get_ref().sync_all()?;
    fs::rename(&aside, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_its_users_alone_and_whole_whatever_stood_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/kept.json");
        let put = |text: &str| replace(&path, |file| file.write_all(text.as_bytes()));
        assert_eq!(read(&path, 100).unwrap(), None);
        put("first").unwrap();
        // What a crash has left.
        fs::write(path.with_extension("new"), "half").unwrap();
        fs::set_permissions(path.with_extension("new"), fs::Permissions::from_mode(0o644)).unwrap();
        put("second").unwrap();
        assert_eq!(read(&path, 100).unwrap().as_deref(), Some("second"));
        assert_eq!(read(&path, 3).unwrap().as_deref(), Some("sec"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        // Who cannot write leaves what is there.
        let failed = replace(&path, |file| {
            file.write_all(b"thi")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.is_err());
        assert_eq!(read(&path, 100).unwrap().as_deref(), Some("second"));
        put("third").unwrap();
        assert_eq!(read(&path, 100).unwrap().as_deref(), Some("third"));
    }
}
