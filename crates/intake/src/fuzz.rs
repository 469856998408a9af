//! The entry for `fuzz/`, which is there only when fuzzing: whatever is said to be a bundle, it is understood or refused.

use std::io::Cursor;

use crate::bundle::{
    format::{Entry, TRAILER_LEN, Trailer, header},
    read::{Item, check},
};

/// These bytes as a bundle, and as the directory of one whose lengths and digests are right.
pub fn bundle(bytes: &[u8]) {
    let _ = check(&mut Cursor::new(bytes));
    let mut rest = bytes;
    let (mut contents, mut directory) = (0_u64, Vec::new());
    while let Ok(Ok(Some(entry))) = Entry::decode(&mut rest) {
        if let Entry::Object(object) = &entry
            && contents + (object.len & 0xff) < 4096
        {
            contents += object.len & 0xff;
            Entry::Object(crate::bundle::format::Object { len: object.len & 0xff, ..*object }).encode(&mut directory);
        } else if let Entry::Name(name) = &entry {
            assert!(name.fits());
            entry.encode(&mut directory);
        }
    }
    let proven = protocol::digest::Digests::of(&[&header()[..], &directory].concat());
    let at = header().len() as u64 + contents;
    let len = at + directory.len() as u64 + TRAILER_LEN;
    let trailer = Trailer { sha256: proven.sha256, directory: at, directory_len: directory.len() as u64, len };
    let whole = [&header()[..], &vec![0; contents as usize], &directory, &trailer.encode()].concat();
    let checked = check(&mut Cursor::new(&whole)).expect("it is right");
    let (mut objects, mut end) = (0, header().len() as u64);
    for item in checked.items(Cursor::new(&whole)).expect("memory can be read") {
        if let Item::Object(placed) = item.expect("it was checked") {
            assert_eq!(placed.offset, end);
            end += placed.object.len;
            objects += 1;
        }
    }
    assert_eq!((objects, end), (checked.objects, at));
}
