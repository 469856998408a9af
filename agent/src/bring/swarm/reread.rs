//! Compares what is here of a content with the digests of its pieces: what a start before this one left, and what a plain download brought.

use std::{io, os::unix::fs::FileExt, sync::Arc};

use protocol::pieces::{Bitmap, Pieces};

use super::arrivals::Arrival;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reread {
    /// All of them are right.
    Right,
    /// One of them is not what it should be: what is here is of no use.
    Wrong,
}

/// Reads pieces, off the threads that serve, and notes in the arrival which are right.
pub(super) async fn reread(arrival: &Arc<Arrival>, list: &Pieces, pieces: &Bitmap) -> Reread {
    for piece in pieces.ones() {
        let (arrival, list) = (arrival.clone(), list.clone());
        // One after the other: a file of another size would hold a thread for long, and who waits for this may leave.
        let reading = tokio::task::spawn_blocking(move || {
            let fits = read(&arrival, &list, piece).is_ok_and(|bytes| list.fits(piece, &bytes));
            if fits {
                arrival.verified(piece);
            }
            fits
        });
        if !reading.await.unwrap_or(false) {
            return Reread::Wrong;
        }
    }
    Reread::Right
}

fn read(arrival: &Arrival, list: &Pieces, piece: u32) -> io::Result<Vec<u8>> {
    let span = list.span(piece);
    let mut bytes = vec![0; usize::try_from(span.len()).map_err(io::Error::other)?];
    arrival.reader().file().read_exact_at(&mut bytes, span.start)?;
    Ok(bytes)
}
