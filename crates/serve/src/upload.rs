//! The body of a request on its way to a handler: a short queue of pieces with an end that is told, so that a body that was cut is never taken for
//! a whole one. It knows no connection and no coding.

use bytes::Bytes;
use tokio::sync::mpsc;

/// Pieces between a connection and its handler; each is what one read brought.
const PIECES_MAX: usize = 4;

/// Why a body did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// The client left, was too slow, or sent something that is no body.
    #[error("the client did not send the body of its request to the end")]
    Cut,
}

/// What a handler reads a body from. Dropping it ends the upload.
#[derive(Debug)]
pub struct Upload {
    announced: Option<u64>,
    pieces: Option<mpsc::Receiver<Piece>>,
}

/// Where the connection puts it; clones share it. When the last one is dropped without [`UploadSender::end`], the body is cut.
#[derive(Clone, Debug)]
pub struct UploadSender(mpsc::Sender<Piece>);

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

/// The handler does not want more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwanted;

/// A body whose length is known beforehand, or not.
pub fn channel(announced: Option<u64>) -> (UploadSender, Upload) {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    (UploadSender(sender), Upload { announced, pieces: Some(receiver) })
}

impl Upload {
    /// A body of no bytes.
    pub fn empty() -> Self {
        Self { announced: Some(0), pieces: None }
    }

    /// Bytes in all, if that is known.
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The next piece; `None` behind the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes, UploadError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Likewise, for a body that is polled.
    pub fn poll_next(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Bytes, UploadError>>> {
        let Some(pieces) = &mut self.pieces else { return std::task::Poll::Ready(None) };
        let piece = match std::task::ready!(pieces.poll_recv(cx)) {
            Some(Piece::Bytes(bytes)) => return std::task::Poll::Ready(Some(Ok(bytes))),
            Some(Piece::End) => None,
            None => Some(Err(UploadError::Cut)),
        };
        self.pieces = None;
        std::task::Poll::Ready(piece)
    }
}

impl UploadSender {
    /// Waits until there is room, then puts the next piece, which has bytes. Dropped, the future loses the piece.
    pub async fn send(&self, bytes: Bytes) -> Result<(), Unwanted> {
        self.0.send(Piece::Bytes(bytes)).await.map_err(|_| Unwanted)
    }

    /// Says that this was all.
    pub async fn end(&self) -> Result<(), Unwanted> {
        self.0.send(Piece::End).await.map_err(|_| Unwanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_is_cut_is_no_whole_one() {
        let (sender, mut upload) = channel(None);
        sender.send(Bytes::from_static(b"a")).await.unwrap();
        drop(sender);
        assert_eq!(upload.next().await, Some(Ok(Bytes::from_static(b"a"))));
        assert_eq!(upload.next().await, Some(Err(UploadError::Cut)));
        assert_eq!(upload.next().await, None);
    }

    #[tokio::test]
    async fn a_whole_body_ends() {
        let (sender, mut upload) = channel(Some(1));
        sender.send(Bytes::from_static(b"a")).await.unwrap();
        sender.end().await.unwrap();
        drop(sender);
        assert_eq!(upload.announced(), Some(1));
        assert_eq!(upload.next().await, Some(Ok(Bytes::from_static(b"a"))));
        assert_eq!(upload.next().await, None);
        assert_eq!(Upload::empty().next().await, None);
    }

    #[tokio::test]
    async fn nobody_sends_to_a_handler_that_has_enough() {
        let (sender, upload) = channel(None);
        drop(upload);
        assert_eq!(sender.send(Bytes::from_static(b"a")).await, Err(Unwanted));
    }
}
