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
    upload: Option<Upload>,
    progress: Progress,
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
        Self::of(None)
    }

    pub(super) fn of(upload: Option<Upload>) -> Self {
        Self { upload, progress: Progress::default() }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Some(upload) = &mut self.upload else { return Poll::Ready(None) };
        let piece = ready!(upload.poll_next(cx));
        self.progress.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.upload.as_ref().is_none_or(|upload| upload.announced() == Some(0))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.upload {
            None => SizeHint::with_exact(0),
            Some(upload) => upload.announced().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
