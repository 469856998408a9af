//! Lists of pieces, sets of them, and what somebody says that he has: whatever a neighbour sends, what is taken in keeps to its limits and is the same
//! when it is written again; and every content is cut into pieces that are all of it once.
#![no_main]

use protocol::{
    digest::Md5,
    pieces::{Bitmap, HAVE_PEERS_MAX, Have, Layout, PIECES_BYTES_MAX, PIECES_MAX, Pieces, peer_port},
    problem::Problem,
    span::Span,
};

/// Written and read again it is the same.
fn comes_back<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> String {
    let text = serde_json::to_string(value).expect("serialises");
    assert_eq!(&serde_json::from_str::<T>(&text).expect("reads what it wrote"), value);
    text
}

fn cut(layout: Layout, bytes: &[u8]) {
    let count = layout.count();
    assert!(count <= PIECES_MAX && Layout::new(layout.size(), layout.piece_size()) == Some(layout));
    let mut end = 0;
    for piece in 0..count {
        let span = layout.span(piece);
        assert!(span.start == end && span.end > span.start && span.end - span.start <= layout.piece_size());
        end = span.end;
    }
    assert_eq!(end, layout.size());
    assert!(layout.span(count).is_empty());
    let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let (numbers, _) = bytes.as_chunks::<8>();
    let spans: Vec<_> = numbers.chunks_exact(2).map(|ends| Span::new(number(&ends[0]), number(&ends[1]))).collect();
    for span in &spans {
        let within = layout.within(std::slice::from_ref(span));
        let lies_in = |piece| layout.span(piece).start >= span.start && layout.span(piece).end <= span.end;
        assert!(within.len() == count && within.ones().all(lies_in));
    }
}

fn set(bitmap: Bitmap, len: u32) {
    let Some(set) = bitmap.of_len(len) else { return };
    let ones: Vec<_> = set.ones().collect();
    assert!(set.len() == len && ones.len() == set.count() as usize && ones.iter().all(|piece| *piece < len));
    assert!(ones.is_sorted() && ones.iter().all(|piece| set.get(*piece)));
    assert_eq!(set.is_full(), set == Bitmap::full(len));
    assert!(set.and(&Bitmap::full(len)) == set && set.and_not(&set).is_none() && set.or(&Bitmap::new(0)) == set);
    let text = serde_json::to_string(&set).expect("serialises");
    assert_eq!(serde_json::from_str::<Bitmap>(&text).expect("reads what it wrote").of_len(len), Some(set));
}

fn list(pieces: &Pieces) {
    assert!(comes_back(pieces).len() <= PIECES_BYTES_MAX);
    assert!((0..pieces.count().min(4)).all(|piece| !pieces.fits(piece, b"not the bytes")));
    assert!(!pieces.fits(pieces.count(), b""));
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(pieces) = serde_json::from_slice::<Pieces>(bytes) {
        list(&pieces);
    }
    let len = bytes.first_chunk().map_or(0, |len| u32::from(u16::from_le_bytes(*len)) % (PIECES_MAX + 1));
    if let Ok(have) = serde_json::from_slice::<Have>(bytes) {
        assert!(have.peers.len() <= HAVE_PEERS_MAX);
        comes_back(&have);
        (0..=8).for_each(|less| set(have.have.clone(), have.have.len().saturating_sub(less)));
        set(have.have, len);
    }
    if let Ok(problem) = serde_json::from_slice::<Problem>(bytes) {
        assert!(problem.peers.len() <= HAVE_PEERS_MAX);
    }
    if let Some(port) = peer_port(bytes) {
        assert!(port > 0);
    }
    // As a database has it, and beyond what JSON is likely to reach.
    let Some(([size, piece_size], rest)) = bytes.as_chunks::<8>().0.split_first_chunk() else { return };
    let (size, piece_size) = (u64::from_le_bytes(*size), u64::from_le_bytes(*piece_size));
    let rest = rest.as_flattened();
    cut(Layout::of(size), rest);
    if let Some(layout) = Layout::new(size, piece_size) {
        cut(layout, rest);
    }
    if let Ok(pieces) = Pieces::from_bytes(Md5([7; 16]), size, piece_size, rest) {
        list(&pieces);
        assert_eq!(pieces.to_bytes(), rest);
    }
});
