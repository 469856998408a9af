//! What a command prints: its beginning and its end in a file, all between left out, and the end in memory.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Bytes of the beginning, and of the end, that are kept.
const BEGIN_MAX: usize = 128 << 10;
const END_MAX: usize = 64 << 10;

/// An output as it comes.
pub(super) struct Output {
    file: Option<File>,
    begun: usize,
    left_out: u64,
    end: VecDeque<u8>,
}

impl Output {
    /// Into a file that is begun anew. One that cannot be written is no reason not to go on: the end is in memory.
    pub(super) fn new(path: &Path) -> Self {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        if let Err(error) = &file {
            let file = path.display().to_string();
            tracing::warn!(file, %error, "what a command prints cannot be kept");
        }
        Self { file: file.ok(), begun: 0, left_out: 0, end: VecDeque::new() }
    }

    /// The next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let (begin, rest) = bytes.split_at(bytes.len().min(BEGIN_MAX - self.begun));
        self.begun += begin.len();
        self.write(begin);
        self.end.extend(bytes);
        if !rest.is_empty() {
            self.left_out += rest.len() as u64;
        }
        let beyond = self.end.len().saturating_sub(END_MAX);
        self.end.drain(..beyond);
    }

    /// It is over: the end is written behind the beginning, and answered.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let end: Vec<u8> = std::mem::take(&mut self.end).into();
        if self.left_out > 0 {
            let of_rest = &end[end.len().saturating_sub(usize::try_from(self.left_out).unwrap_or(usize::MAX))..];
            let between = self.left_out - of_rest.len() as u64;
            if between > 0 {
                self.write(format!("\n[{between} bytes are left out here]\n").as_bytes());
            }
            self.write(of_rest);
        }
        end
    }

    fn write(&mut self, bytes: &[u8]) {
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes));
        if let Err(error) = written {
            tracing::warn!(%error, "what a command prints cannot be kept");
            self.file = None;
        }
    }
}

/// A pipe: what is written into the one end is read from the other.
pub(super) fn pipe() -> io::Result<(tokio::net::unix::pipe::Receiver, io::PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())?, writer))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn kept(pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("output");
        let mut output = Output::new(&path);
        pieces.iter().for_each(|piece| output.take(piece));
        let end = output.finish();
        (fs::read(&path).unwrap(), end)
    }

    #[test]
    fn what_is_short_is_kept_whole() {
        assert_eq!(kept(&[b"one\n", b"", b"two"]), (b"one\ntwo".to_vec(), b"one\ntwo".to_vec()));
        let long = vec![b'a'; BEGIN_MAX + 10];
        assert_eq!(kept(&[&long]).0, long);
    }

    #[test]
    fn of_what_is_long_the_beginning_and_the_end_are_kept() {
        let (begin, middle, end) = (vec![b'a'; BEGIN_MAX], vec![b'b'; 9 * END_MAX], vec![b'c'; END_MAX]);
        let (file, told) = kept(&[&begin, &middle, &end]);
        assert_eq!(told, end);
        assert!(file.starts_with(&begin) && file.ends_with(&end) && file.len() < BEGIN_MAX + END_MAX + 100);
        let text = String::from_utf8_lossy(&file[BEGIN_MAX..BEGIN_MAX + 60]).into_owned();
        assert!(text.contains(&format!("[{} bytes are left out here]", 9 * END_MAX)), "{text}");
    }

    #[test]
    fn a_file_that_cannot_be_written_hinders_nothing() {
        let mut output = Output::new(Path::new("/nowhere/output"));
        output.take(b"x");
        assert_eq!(output.finish(), b"x");
        let mut full = Output {
            file: Some(OpenOptions::new().write(true).open("/dev/full").unwrap()),
            ..Output::new(Path::new("/nowhere/o"))
        };
        full.take(b"x");
        full.take(b"y");
        assert_eq!(full.finish(), b"xy");
    }
}
