//! What somebody knows that a span must be. To him the end of a fill can be given before all is verified: it is compared with that first, and nothing
//! leaves that he could not have named himself. To all others it stays withheld.

use std::sync::OnceLock;

use protocol::{digest::Sha256, span::Span};

use super::growing::{Growing, ReadError};

/// A longer span waits until all is verified: it would be read twice for one who asks. No agent holds a larger piece.
pub(crate) const EXPECTED_BYTES_MAX: u64 = 32 << 20;

/// A span and its digest, as the asker has it.
pub(crate) struct Expected {
    span: Span,
    sha256: Sha256,
    /// Whether what is written is that.
    fits: OnceLock<bool>,
}

impl Expected {
    /// `None` where it is of no use to know.
    pub(crate) fn new(span: Span, sha256: Sha256) -> Option<Self> {
        let is_of_use = !span.is_empty() && span.len() <= EXPECTED_BYTES_MAX;
        is_of_use.then(|| Self { span, sha256, fits: OnceLock::new() })
    }

    /// Up to where bytes from the start of `wanted` on may be read, as [`Growing::readable`] says, or to the end of the span as soon as all of it is
    /// written and is what it must be.
    pub(crate) async fn readable(&self, growing: &Growing, wanted: Span) -> Result<u64, ReadError> {
        let is_within = (self.span.start..self.span.end).contains(&wanted.start);
        if !is_within || self.fits.get() == Some(&false) {
            return growing.readable(wanted).await;
        }
        match growing.readable_or_written(wanted, self.span).await? {
            Some(readable) => Ok(readable),
            None if self.fits(growing).await => Ok(self.span.end),
            None => growing.readable(wanted).await,
        }
    }

    /// Whether what is written is what it must be. Once the fill has ended that does not matter any more, and is not waited for.
    async fn fits(&self, growing: &Growing) -> bool {
        if let Some(fits) = self.fits.get() {
            return *fits;
        }
        let found = tokio::select! {
            biased;
            _ = growing.sealed() => return false,
            found = growing.sha256(self.span) => found,
        };
        *self.fits.get_or_init(|| found == Some(self.sha256))
    }
}
