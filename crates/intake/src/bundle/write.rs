//! Writes a bundle beside its place, and gives it its name when it is whole and durable. Dropped before that, it leaves nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use protocol::digest::{DigestsHasher, Sha256};
use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use super::format::{Entry, HEADER_LEN, Object, TRAILER_LEN, Trailer, header, version_of};

/// What stands behind the name while it is written.
const PART: &str = ".part";
/// Bytes that are copied at a time.
const WINDOW: usize = 1 << 20;

/// A bundle on its way.
pub struct Writer {
    path: PathBuf,
    part: PathBuf,
    contents: BufWriter<File>,
    /// It has no name: it is gone with us.
    directory: BufWriter<File>,
    position: u64,
    is_done: bool,
}

impl Writer {
    /// Begins one at `path`, where nothing must be. What an earlier one left of itself there is replaced.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let part = beside(path, PART);
        let contents = match new(&part) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_left(&part)? => {
                fs::remove_file(&part)?;
                new(&part)?
            }
            opened => opened?,
        };
        let mut writer = Self {
            path: path.to_owned(),
            contents: BufWriter::with_capacity(WINDOW, contents),
            directory: BufWriter::new(spool(&part)?),
            part,
            position: 0,
            is_done: false,
        };
        writer.contents.write_all(&header())?;
        writer.position = HEADER_LEN;
        Ok(writer)
    }

    /// An object, with its bytes from `read`, which is asked for those from an offset on until it gives none. `false` if they are not those of
    /// the object: then it is not in the bundle.
    pub fn object(
        &mut self,
        object: Object,
        mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        let (mut hasher, mut window) = (DigestsHasher::default(), vec![0; WINDOW]);
        while hasher.position() < object.len {
            let want = usize::try_from(object.len - hasher.position()).map_or(WINDOW, |left| left.min(WINDOW));
            let got = read(hasher.position(), &mut window[..want])?;
            if got == 0 {
                break;
            }
            hasher.update(&window[..got]);
            self.contents.write_all(&window[..got])?;
        }
        if hasher.position() != object.len || hasher.finish() != object.digests {
            self.contents.seek(SeekFrom::Start(self.position))?;
            self.contents.get_ref().set_len(self.position)?;
            return Ok(false);
        }
        self.position += object.len;
        self.entry(&Entry::Object(object))?;
        Ok(true)
    }

    /// An entry of the directory. A name must stand behind its object.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        self.directory.write_all(&bytes)
    }

    /// Writes the end, durably, and gives it its name. Answers what proves it.
    pub fn finish(mut self) -> io::Result<Sha256> {
        self.directory.flush()?;
        let mut spooled = BufReader::with_capacity(WINDOW, self.directory.get_ref());
        spooled.rewind()?;
        let mut hasher = DigestsHasher::default();
        hasher.update(&header());
        let mut window = vec![0; WINDOW];
        loop {
            match spooled.read(&mut window)? {
                0 => break,
                read => {
                    hasher.update(&window[..read]);
                    self.contents.write_all(&window[..read])?;
                }
            }
        }
        let directory_len = hasher.position() - HEADER_LEN;
        let sha256 = hasher.finish().sha256;
        let len = self.position + directory_len + TRAILER_LEN;
        let trailer = Trailer { sha256, directory: self.position, directory_len, len };
        self.contents.write_all(&trailer.encode())?;
        self.contents.flush()?;
        self.contents.get_ref().sync_all()?;
        self.give_name()?;
        self.is_done = true;
        Ok(sha256)
    }

    fn give_name(&self) -> io::Result<()> {
        match renameat_with(CWD, &self.part, CWD, &self.path, RenameFlags::NOREPLACE) {
            // Not on this file system: then it is looked once more.
            Err(Errno::INVAL | Errno::NOSYS) if self.path.symlink_metadata().is_err() => {
                fs::rename(&self.part, &self.path)?;
            }
            renamed => renamed?,
        }
        File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.part);
        }
    }
}

fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}

fn new(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// A file without a name, where the bundle will be.
fn spool(part: &Path) -> io::Result<File> {
    let path = beside(part, &format!("-{}", std::process::id()));
    let file = new(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// Whether a bundle that was not finished stands there, and not something of the operator's.
fn is_left(part: &Path) -> io::Result<bool> {
    let mut first = Vec::new();
    File::open(part)?.take(HEADER_LEN).read_to_end(&mut first)?;
    Ok(first.is_empty() || version_of(&first).is_some())
}
