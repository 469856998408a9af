//! The spelling of names: what is kept is kept as it is when it is read again, and never leads out of a share.
#![no_main]

use protocol::target::Target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(target) = Target::parse(bytes) else { return };
    let again = Target::parse(target.as_str().as_bytes()).expect("a canonical spelling is one");
    assert_eq!(again, target);
    assert!(target.as_str().starts_with('/') && target.as_str().is_ascii());
    if let Ok(path) = target.decode() {
        assert!(!path.contains(&0) && !path.starts_with(b"/"));
        assert!(!path.split(|byte| *byte == b'/').any(|segment| segment == b".." || segment == b"."));
        let same = Target::from_file_path(&path);
        assert_eq!(same.decode().expect("it came from a file's name"), path.strip_suffix(b"/").unwrap_or(&path));
    }
});
