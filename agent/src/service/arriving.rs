//! What neighbours are told and given of a content that is still on its way here: pieces that were compared with their own digest, and can be read
//! without waiting.

use http::StatusCode;
use protocol::{
    pieces::{Bitmap, Have, Layout},
    range::Selection,
    span::Span,
};
use serde::Serialize;
use serve::{request::Request, response::Response};

use super::content;
use crate::bring::swarm::arrivals::Arrival;

/// Milliseconds after which a neighbour may ask again what is here.
const NEXT_IN: u64 = 1_000;

/// A range, if all of it is here.
pub(super) fn answer(request: &Request<'_>, arrival: &Arrival) -> Response {
    arrival.want();
    let (md5, layout) = (&arrival.md5, arrival.layout());
    match content::selection(request, md5, layout.size()) {
        Some(Selection::Part(span)) if is_within(span, layout, &arrival.here()) => match one_piece(span, layout) {
            Some(piece) => content::answer(request, md5, arrival.reader_of(piece)),
            // Of several the end may have to wait until all is verified.
            None if can_be_read(span, &arrival.reader().here()) => {
                content::answer(request, md5, arrival.reader().clone())
            }
            None => content::not_here(md5),
        },
        Some(Selection::Unsatisfiable) => content::answer(request, md5, arrival.reader().clone()),
        _ => content::not_here(md5),
    }
}

/// Whether one run has all of a span.
fn can_be_read(span: Span, here: &[Span]) -> bool {
    here.iter().any(|run| run.start <= span.start && span.end <= run.end)
}

/// The piece that a span lies in, if it is one.
fn one_piece(span: Span, layout: Layout) -> Option<u32> {
    let (first, last) = (span.start / layout.piece_size(), span.end.saturating_sub(1) / layout.piece_size());
    u32::try_from(first).ok().filter(|_| first == last)
}

/// Whether a span lies within pieces of a set. Pure.
fn is_within(span: Span, layout: Layout, here: &Bitmap) -> bool {
    let (first, last) = (span.start / layout.piece_size(), span.end.saturating_sub(1) / layout.piece_size());
    !span.is_empty() && (first..=last).all(|piece| u32::try_from(piece).is_ok_and(|piece| here.get(piece)))
}

/// What is here of it.
pub(super) fn have(arrival: &Arrival, piece_size: u64) -> Have {
    arrival.want();
    let (layout, here) = (arrival.layout(), arrival.here());
    // Who cuts it otherwise is told of nothing, for it could be wrong.
    let is_ours = piece_size == 0 || piece_size == layout.piece_size();
    let (have, coming) = if is_ours {
        (here, arrival.coming())
    } else {
        let none = Bitmap::new(Layout::new(layout.size(), piece_size).map_or(0, |layout| layout.count()));
        (none.clone(), none)
    };
    Have { size: Some(layout.size()), have, coming, filling: true, next_in: NEXT_IN, ..Have::default() }
}

/// All of a content that is here, in pieces of that size; `None`: there are none such.
pub(super) fn have_all(size: u64, piece_size: u64) -> Option<Have> {
    let layout = if piece_size == 0 { Layout::of(size) } else { Layout::new(size, piece_size)? };
    Some(Have { size: Some(size), have: Bitmap::full(layout.count()), next_in: NEXT_IN, ..Have::default() })
}

/// 200
pub(super) fn json(value: &impl Serialize) -> Response {
    let mut response = Response::json(StatusCode::OK, serde_json::to_vec(value).unwrap_or_default());
    response.fields.push("Cache-Control", "no-store");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_given_only_where_every_piece_of_it_is_here() {
        const M: u64 = 1 << 20;
        let layout = Layout::of(3 * M + 10);
        let mut here = Bitmap::new(4);
        [0, 1, 3].into_iter().for_each(|piece| here.set(piece));
        for (start, end, expected) in [
            (0, M, true),
            (5, 2 * M, true),
            (5, 2 * M + 1, false),
            (2 * M, 3 * M, false),
            (3 * M, 3 * M + 10, true),
            (0, 3 * M + 10, false),
            (7, 7, false),
        ] {
            assert_eq!(is_within(Span::new(start, end), layout, &here), expected, "{start}..{end}");
        }
        for (start, end, expected) in [
            (0, M, Some(0)),
            (M + 5, M + 6, Some(1)),
            (M - 1, M + 1, None),
            (3 * M, 3 * M + 10, Some(3)),
            (0, 3 * M, None),
        ] {
            assert_eq!(one_piece(Span::new(start, end), layout), expected, "{start}..{end}");
        }
    }

    #[test]
    fn all_is_here_of_a_whole_content() {
        let have = have_all((1 << 20) + 1, 1 << 20).expect("a size of pieces");
        assert!(have.have.is_full() && have.have.len() == 2 && !have.filling);
        assert_eq!(have_all(5, 3), None);
    }
}
