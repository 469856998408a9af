//! Standard output of a command: text for people, JSON for scripts. Who reads only the beginning (`| head`) is no failure.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

use crate::failure::Failure;

/// Writes all of it now.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    told(write(&mut io::stdout().lock(), text))
}

fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

fn told(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::NobodyReads),
        written => Ok(written.context("cannot write to standard output")?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_the_end_and_a_full_disk_a_failure() {
        assert!(matches!(told(Err(ErrorKind::BrokenPipe.into())), Err(Failure::NobodyReads)));
        assert!(matches!(told(Err(ErrorKind::StorageFull.into())), Err(Failure::Run(_))));
        assert!(told(Ok(())).is_ok());
    }
}
