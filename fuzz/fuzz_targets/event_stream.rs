//! Streams of events: in one piece or byte by byte they are the same events, and none is larger than one may be.
#![no_main]

use protocol::event_stream::{EVENT_BYTES_MAX, RawEvent, Reader, TooLong};

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<RawEvent>, Result<(), TooLong>) {
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    let mut taken = Ok(());
    for piece in pieces {
        taken = reader.take(piece, |event| events.push(event));
        if taken.is_err() {
            break;
        }
    }
    (events, taken)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The parser's bound is out of reach of small inputs: behind a long comment it is not.
    let long = [&vec![b':'; EVENT_BYTES_MAX - 64], bytes].concat();
    for bytes in [bytes, &long] {
        let at_once = read([bytes].into_iter());
        assert_eq!(at_once, read(bytes.chunks(1)));
        // What is no UTF-8 grows to a character of three bytes.
        assert!(at_once.0.iter().all(|event| event.name.len() + event.data.len() <= 3 * EVENT_BYTES_MAX));
    }
});
