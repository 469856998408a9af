//! Every case is asked of the kernel and of our own walk: both must answer alike.

use std::{
    ffi::OsStr,
    io::Read,
    os::unix::{ffi::OsStrExt, fs::symlink},
};

use rustix::fs::mknodat;
use tempfile::TempDir;

use super::*;

/// `outside/secret` beside `share/`, which holds files, directories and links of every kind.
fn tree() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let share = dir.path().join("share");
    std::fs::create_dir_all(share.join("sub/deep")).unwrap();
    std::fs::create_dir(dir.path().join("outside")).unwrap();
    std::fs::write(dir.path().join("outside/secret"), "secret").unwrap();
    std::fs::write(share.join("file"), "file").unwrap();
    std::fs::write(share.join("sub/inner"), "inner").unwrap();
    for (link, target) in [
        ("to-file", "file"),
        ("to-sub", "sub"),
        ("sub/deep/up", "../../file"),
        ("chain", "to-sub/deep/up"),
        ("out", "../outside/secret"),
        ("out-and-back", "../share/file"),
        ("out-dir", "../outside"),
        ("sub/out", "../../outside/secret"),
        ("absolute-out", "/etc/passwd"),
        ("magic", "/proc/self/root/etc/passwd"),
        ("loop", "loop"),
        ("dangling", "none"),
        ("root", "."),
    ] {
        symlink(target, share.join(link)).unwrap();
    }
    symlink(share.canonicalize().unwrap().join("sub/inner"), share.join("absolute-in")).unwrap();
    symlink(share.canonicalize().unwrap().join("../outside/secret"), share.join("absolute-dots")).unwrap();
    symlink(dir.path().canonicalize().unwrap().join("share2"), share.join("absolute-like")).unwrap();
    dir
}

/// The same share twice, each with its own way of following paths.
fn both(dir: &TempDir) -> [Share; 2] {
    let by_kernel = Share::open(&dir.path().join("share")).unwrap();
    assert_eq!(by_kernel.resolver, Resolver::Openat2, "this kernel has no openat2: that half is untested here");
    let by_walk = Share { resolver: Resolver::Walk, ..Share::open(&dir.path().join("share")).unwrap() };
    [by_kernel, by_walk]
}

fn content(share: &Share, path: &[u8]) -> io::Result<Option<String>> {
    match share.find(path)? {
        Found::File(mut file, identity) => {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            assert_eq!(identity.size, text.len() as u64);
            assert_eq!(share.identity(path)?, Some(identity));
            Ok(Some(text))
        }
        Found::Directory => {
            assert_eq!(share.identity(path)?, None);
            Ok(None)
        }
    }
}

#[test]
fn what_is_beneath_is_found() {
    let dir = tree();
    for share in both(&dir) {
        for (path, text) in [
            ("file", Some("file")),
            ("./file", Some("file")),
            ("sub/inner", Some("inner")),
            ("sub//inner", Some("inner")),
            ("to-file", Some("file")),
            ("to-sub/inner", Some("inner")),
            ("sub/deep/up", Some("file")),
            ("chain", Some("file")),
            ("absolute-in", Some("inner")),
            ("", None),
            (".", None),
            ("sub", None),
            ("sub/", None),
            ("root", None),
            ("to-sub", None),
        ] {
            let found =
                content(&share, path.as_bytes()).unwrap_or_else(|error| panic!("{path} {:?}: {error}", share.resolver));
            assert_eq!(found.as_deref(), text, "{path} {:?}", share.resolver);
        }
    }
}

#[test]
fn what_leads_out_or_nowhere_is_not_found() {
    let dir = tree();
    for share in both(&dir) {
        for path in [
            "..",
            "../outside/secret",
            "sub/../file",
            "sub/../../outside/secret",
            "/etc/passwd",
            "/",
            "out",
            "out-and-back",
            "out-dir/secret",
            "out-dir",
            "sub/out",
            "absolute-out",
            "absolute-dots",
            "absolute-like",
            "magic",
            "loop",
            "dangling",
            "none",
            "file/",
            "to-file/",
            "file/more",
            "nul\0byte",
            &"long/".repeat(2000),
            &"n".repeat(300),
        ] {
            let shown = &path[..path.len().min(40)];
            let error =
                share.find(path.as_bytes()).err().unwrap_or_else(|| panic!("{shown} {:?} found", share.resolver));
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{shown} {:?}: {error}", share.resolver);
            assert_eq!(share.identity(path.as_bytes()).unwrap_err().kind(), io::ErrorKind::NotFound, "{shown}");
        }
    }
}

#[test]
fn names_are_bytes() {
    let dir = tree();
    for name in [
        &b"with space"[..],
        b"line\nbreak",
        b"\xff\xfe\x80",
        "smörgås".as_bytes(),
        b"-rf",
        b"%2e%2e",
        b"a#b?c&d",
        b"...",
    ] {
        std::fs::write(dir.path().join("share/sub").join(OsStr::from_bytes(name)), name).unwrap();
        for share in both(&dir) {
            let path = [b"sub/", name].concat();
            assert!(matches!(share.find(&path), Ok(Found::File(_, identity)) if identity.size == name.len() as u64));
            assert!(share.list(b"sub").unwrap().iter().any(|entry| entry.name == name && !entry.directory));
        }
    }
}

#[test]
fn a_pipe_neither_blocks_nor_is_found() {
    let dir = tree();
    let place = File::open(dir.path().join("share")).unwrap();
    mknodat(&place, "pipe", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("share/socket")).unwrap();
    for share in both(&dir) {
        for path in [&b"pipe"[..], b"socket"] {
            assert_eq!(share.find(path).unwrap_err().kind(), io::ErrorKind::NotFound);
            assert_eq!(share.identity(path).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        assert!(share.list(b"").unwrap().iter().all(|entry| entry.name != b"pipe" && entry.name != b"socket"));
    }
}

#[test]
fn a_list_shows_what_can_be_found_and_nothing_else() {
    let dir = tree();
    for share in both(&dir) {
        let mut entries = share.list(b"").unwrap();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let shown: Vec<_> =
            entries.iter().map(|entry| (str::from_utf8(&entry.name).unwrap(), entry.directory)).collect();
        let expected = [
            ("absolute-in", false),
            ("chain", false),
            ("file", false),
            ("root", true),
            ("sub", true),
            ("to-file", false),
            ("to-sub", true),
        ];
        assert_eq!(shown, expected, "{:?}", share.resolver);
        for entry in entries.iter().filter(|entry| !entry.directory) {
            assert_eq!(share.identity(&entry.name).unwrap(), Some(entry.identity));
        }
        assert_eq!(share.list(b"to-sub").unwrap().len(), 2, "inner and deep; out leads out");
        assert_eq!(share.list(b"file").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(share.list(b"out-dir").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

#[test]
fn a_share_given_through_a_link_knows_its_real_place() {
    let dir = tree();
    symlink("share", dir.path().join("alias")).unwrap();
    let share = Share::open(&dir.path().join("alias")).unwrap();
    assert_eq!(share.path(), dir.path().join("alias"));
    assert_eq!(content(&share, b"absolute-in").unwrap().as_deref(), Some("inner"));
}

#[test]
fn a_share_must_be_a_directory() {
    let dir = tree();
    assert_eq!(Share::open(&dir.path().join("share/file")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    assert_eq!(Share::open(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn found_files_are_blocking_ones() {
    let dir = tree();
    for share in both(&dir) {
        let Found::File(file, identity) = share.find(b"file").unwrap() else { panic!("a file") };
        assert!(!rustix::fs::fcntl_getfl(&file).unwrap().contains(OFlags::NONBLOCK));
        assert_eq!(Identity::of(&file).unwrap(), identity);
    }
}

#[test]
fn an_identity_changes_with_the_content() {
    let dir = tree();
    let share = Share::open(&dir.path().join("share")).unwrap();
    let before = share.identity(b"file").unwrap().unwrap();
    std::fs::write(dir.path().join("share/file"), "longer than before").unwrap();
    let after = share.identity(b"file").unwrap().unwrap();
    assert_ne!(before, after);
    assert_eq!(before.inode, after.inode);
}

#[test]
fn times_before_1970_are_times() {
    let identity = Identity { device: 0, inode: 0, size: 0, modified: -1_500_000_000, changed: 0 };
    assert_eq!(identity.modified_time(), SystemTime::UNIX_EPOCH - Duration::from_millis(1500));
    let identity = Identity { modified: 1_500_000_000, ..identity };
    assert_eq!(identity.modified_time(), SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
}

#[test]
fn file_systems_of_other_machines_are_known() {
    let signed = u64::from_ne_bytes(i64::from(0xff53_4d42_u32.cast_signed()).to_ne_bytes());
    for (name, kind, expected) in [
        ("ext4", 0xef53, false),
        ("tmpfs", 0x0102_1994, false),
        ("overlay", 0x794c_7630, false),
        ("NFS", 0x6969, true),
        ("CIFS", 0xff53_4d42, true),
        ("CIFS of a kernel of 32 bits", signed, true),
    ] {
        assert_eq!(is_remote(kind), expected, "{name}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    assert!(!Share::open(directory.path()).expect("opens").is_remote());
}
