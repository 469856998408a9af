//! The body of a request on its way upstream: none, or what a client sends, piece by piece as the upstream takes it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use serve::upload::{Upload, UploadError};

/// A request's body. Trailers are dropped where they came in.
pub(super) struct SentBody {
    content: Content,
    progress: Progress,
}

enum Content {
    None,
    /// All of it.
    Bytes(Bytes),
    /// As a client sends it.
    Upload(Upload),
}

/// How much of a body was taken, for who waits for the answer to it.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Pieces so far.
    pub(super) fn taken(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl SentBody {
    pub(super) fn none() -> Self {
        Self::with(Content::None)
    }

    pub(super) fn of(upload: Option<Upload>) -> Self {
        Self::with(upload.map_or(Content::None, Content::Upload))
    }

    pub(super) fn of_bytes(bytes: Bytes) -> Self {
        Self::with(if bytes.is_empty() { Content::None } else { Content::Bytes(bytes) })
    }

    fn with(content: Content) -> Self {
        Self { content, progress: Progress::default() }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Whether all of it is here, and it is the program's own word.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.content, Content::Bytes(_))
    }

    /// A copy to be sent to another server, of one that can be had again.
    pub(super) fn again(&self) -> Option<Self> {
        match &self.content {
            Content::None => Some(Self::none()),
            Content::Bytes(bytes) => Some(Self::of_bytes(bytes.clone())),
            Content::Upload(_) => None,
        }
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let upload = match &mut self.content {
            Content::None => return Poll::Ready(None),
            Content::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.content = Content::None;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Content::Upload(upload) => upload,
        };
        let piece = ready!(upload.poll_next(cx));
        self.progress.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::None => true,
            Content::Bytes(_) => false,
            Content::Upload(upload) => upload.announced() == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::None => SizeHint::with_exact(0),
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Upload(upload) => upload.announced().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
