//! Brings one piece, by a plain range, and compares it with its digest.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use protocol::{
    digest::Sha256,
    info::OBJECTS,
    pieces::{PIECE_FIELD, Pieces},
    range::parse_content_range,
    span::Span,
};

use super::asker::{Asker, Missed};
use crate::{
    bring::attempt,
    decide::{
        outcome::Outcome,
        resume::Identity,
        source::{Rank, Source},
    },
    net::{client::Ask, error::NetError},
};

/// A neighbour stands in the same network: it gives at least so many bytes in a second, or another one is asked. A server may be waiting for the line.
const PEER_BYTES_PER_SECOND_MIN: u64 = 32 << 10;

/// What came.
#[derive(Debug)]
pub(super) enum Gave {
    /// The piece.
    Piece(Bytes),
    /// As many bytes, and not that piece.
    Wrong,
    /// Nothing: our own line was closed meanwhile, which is nobody's fault.
    Held,
    /// Not all of it.
    Not(Missed),
}

impl Asker {
    /// Brings a piece of a list. Holds no more than its bytes.
    pub(super) async fn piece(&self, source: &Source, list: &Pieces, piece: u32) -> Gave {
        let span = list.span(piece);
        let most = match source.rank {
            Rank::Peer => self.client.silence_max() + Duration::from_secs(span.len() / PEER_BYTES_PER_SECOND_MIN),
            _ => Duration::MAX,
        };
        let expected = list.sha256(piece);
        let came = match tokio::time::timeout(most, self.bytes(source, span, expected)).await {
            Ok(came) => came,
            Err(_) => Err(NetError::Silent(most).into()),
        };
        let bytes = match came {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Gave::Held,
            Err(missed) => return Gave::Not(missed),
        };
        let (list, compared) = (list.clone(), bytes.clone());
        // Not on the thread that receives.
        let comparing = tokio::task::spawn_blocking(move || list.fits(piece, &compared));
        match comparing.await {
            Ok(true) => Gave::Piece(bytes),
            Ok(false) => Gave::Wrong,
            Err(_) => Gave::Not(Missed::senseless("it could not be compared")),
        }
    }

    /// Says what they must be, whichever piece it is: the asked one knows best which it would withhold else, and the others pay 64 bytes for a request.
    async fn bytes(&self, source: &Source, span: Span, expected: Option<Sha256>) -> Result<Option<Bytes>, Missed> {
        let range = format!("bytes={}-{}", span.start, span.end - 1);
        let (target, is_behind) = (self.target(source, OBJECTS), source.rank.is_behind_line());
        let mut ask = Ask::get(&source.url, &target).with("Range", &range).over_line(is_behind);
        if let Some(expected) = expected {
            ask = ask.with(PIECE_FIELD, &expected.repr_digest());
        }
        let answer = self.send(ask).await?;
        if !matches!(answer.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Err(Missed::refused(answer).await);
        }
        let head = attempt::head(&answer);
        let identity = Identity { size: Some(self.layout.size()), ..Identity::of(self.md5) };
        if identity.is_contradicted(&head) {
            return Err(Missed { outcome: Outcome::Absent, ..Missed::senseless("it has another content there") });
        }
        let found = head.content_range.and_then(parse_content_range);
        let is_it = found.is_some_and(|(found, total)| {
            found == span && total.is_none_or(|total| total == self.layout.size()) && !attempt::is_coded(&answer)
        });
        if !is_it {
            return Err(Missed::senseless("it is not the part that was asked for"));
        }
        let mut body = self.client.pieces(answer.into_body(), is_behind);
        let mut bytes = BytesMut::with_capacity(usize::try_from(span.len()).unwrap_or_default());
        while let Some(some) = body.next().await {
            let some = match some {
                Ok(some) => some,
                Err(NetError::Closed(_)) => return Ok(None),
                Err(error) => return Err(Missed::behind(bytes.len() as u64, &error)),
            };
            if (bytes.len() + some.len()) as u64 > span.len() {
                return Err(Missed::senseless("more came than was asked for"));
            }
            bytes.extend_from_slice(&some);
        }
        if bytes.len() as u64 != span.len() {
            return Err(Missed::behind(bytes.len() as u64, &NetError::Broken("it ended too early".into())));
        }
        Ok(Some(bytes.freeze()))
    }
}
