//! Sends bodies that are made on the way: each piece as it comes, for some are events that a person waits for.

use std::{future::poll_fn, io, task::Poll};

use bytes::Bytes;

use crate::{
    link::{Link, SendError},
    response::BodyStream,
};

/// Sends a stream to its end; with `len` it must have as many bytes, with `chunks` each piece is one (RFC 9112 section 7.1).
pub(super) async fn send(
    link: &mut Link,
    mut stream: BodyStream,
    len: Option<u64>,
    chunks: bool,
) -> Result<(), SendError> {
    let mut left = len;
    while let Some(piece) = next(link, &mut stream).await? {
        let piece = match piece {
            Ok(piece) if piece.is_empty() => continue,
            Ok(piece) => piece,
            Err(error) => return fail_after_head(link, error).await,
        };
        if let Some(left) = &mut left {
            let Some(rest) = left.checked_sub(piece.len() as u64) else {
                return fail_after_head(link, io::Error::other("a body was longer than announced")).await;
            };
            *left = rest;
        }
        if chunks {
            send_chunk(link, &piece).await?;
        } else {
            link.send_output_and(&piece, false).await?;
        }
    }
    if left.is_some_and(|left| left > 0) {
        return fail_after_head(link, io::Error::other("a body was shorter than announced")).await;
    }
    let end: &[u8] = if chunks { b"0\r\n\r\n" } else { b"" };
    Ok(link.send_output_and(end, false).await?)
}

/// Pieces up to this are copied behind the size of their chunk, and go with it in one buffer.
const COPIED_PIECE_MAX: usize = 4 << 10;

/// Sends a piece as a chunk. The end of a large one stays in the output buffer, before what comes next.
async fn send_chunk(link: &mut Link, piece: &[u8]) -> Result<(), SendError> {
    let output = &mut link.buffers().output;
    output.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
    if piece.len() <= COPIED_PIECE_MAX {
        output.extend_from_slice(piece);
        output.extend_from_slice(b"\r\n");
        return Ok(link.send_output().await?);
    }
    link.send_output_and(piece, false).await?;
    link.buffers().output.extend_from_slice(b"\r\n");
    Ok(())
}

/// The next piece. What is in the output buffer is sent before a wait, and held for the piece if it is there already.
async fn next(link: &mut Link, stream: &mut BodyStream) -> Result<Option<io::Result<Bytes>>, SendError> {
    let ready = poll_fn(|cx| match stream.as_mut().poll_next(cx) {
        Poll::Ready(piece) => Poll::Ready(Some(piece)),
        Poll::Pending => Poll::Ready(None),
    });
    if let Some(piece) = ready.await {
        return Ok(piece);
    }
    link.send_output().await?;
    link.give_back_buffers();
    Ok(link.wait(poll_fn(|cx| stream.as_mut().poll_next(cx))).await?)
}

async fn fail_after_head(link: &mut Link, error: io::Error) -> Result<(), SendError> {
    link.send_output().await?;
    Err(SendError::Source(error))
}
