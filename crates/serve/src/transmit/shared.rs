//! Sends files of a share, which others may overwrite at any moment. Bytes that `sendfile` has accepted are still the file's pages, and
//! change with it until the client has taken them. Hence, from the start of a span to its end:
//!
//! | bytes | way | why |
//! | --- | --- | --- |
//! | all but the last [`ON_THE_WAY_MAX`] | `sendfile` | the client has taken them before the last look |
//! | up to the tail | read and sent | copied: what is on its way cannot change any more |
//! | the tail, [`TAIL`] | read, then the file is looked at, then sent | a change until then is seen, and the client never has it all |

use std::{io, os::unix::fs::FileExt};

use os::share::Identity;
use protocol::span::Span;

use super::ahead::Ahead;
use crate::{
    link::{Link, SendError},
    source::SharedFile,
};

/// Withheld until the file is seen unchanged.
const TAIL: u64 = 64 << 10;
/// More than a socket's two buffers hold between us and the client (Linux grows them to 4 and 6 MiB by default).
const ON_THE_WAY_MAX: u64 = 16 << 20;
/// One read of what is copied.
const COPY_BYTES: u64 = 256 << 10;

/// Sends a span, or ends short of it if the file changes.
pub(super) async fn send_span(link: &mut Link, shared: &SharedFile, span: Span) -> Result<(), SendError> {
    let tail = span.start.max(span.end.saturating_sub(TAIL));
    let copied = span.start.max(span.end.saturating_sub(ON_THE_WAY_MAX)).min(tail);
    let mut position = span.start;
    let mut ahead = Ahead::new(&shared.file, &shared.engine);
    while position < copied {
        let end = ahead.clear(link, position, copied).await?;
        link.send_output_then_file(&shared.file, position, end).await?;
        position = end;
    }
    while position < tail {
        let len = COPY_BYTES.min(tail - position) as usize;
        let read = link.wait_for_disk(shared.engine.read_at(shared.file.clone(), position, len)).await?;
        let bytes = whole_or_head(link, read, len).await?;
        link.send_output_and(&bytes, true).await?;
        position += len as u64;
    }
    let bytes = link.wait_for_disk(verified_tail(shared.clone(), Span::new(tail, span.end))).await?;
    let bytes = whole_or_head(link, bytes, (span.end - tail) as usize).await?;
    Ok(link.send_output_and(&bytes, false).await?)
}

/// On an error the client gets what was to be sent before: the head, so that the rest is seen to be missing.
async fn whole_or_head(link: &mut Link, read: io::Result<Vec<u8>>, len: usize) -> Result<Vec<u8>, SendError> {
    let error = match read {
        Ok(bytes) if bytes.len() == len => return Ok(bytes),
        Ok(_) => io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent"),
        Err(error) => error,
    };
    link.send_output().await?;
    Err(SendError::Source(error))
}

/// Reads the tail and then looks at the file. On a network mount either may take long: both are done by a thread that may wait.
async fn verified_tail(shared: SharedFile, tail: Span) -> io::Result<Vec<u8>> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; tail.len() as usize];
        shared.file.read_exact_at(&mut bytes, tail.start)?;
        if Identity::of(&shared.file)? == shared.identity {
            Ok(bytes)
        } else {
            Err(io::Error::other("the file was changed while it was sent"))
        }
    });
    read.await.map_err(io::Error::other)?
}
