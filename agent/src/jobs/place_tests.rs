//! Trees on a real disk: put there, found wrong, replaced, taken away, and never anything of others.

use std::os::unix::fs::symlink;

use protocol::digest::Digests;

use super::*;

const PACKAGE: &str = "/prod/a/";

struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.at(path)).ok()
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn content(&self, text: &str) -> File {
        self.write("content", text);
        File::open(self.at("content")).unwrap()
    }

    /// Makes a tree aside and puts it into its place.
    fn install(&self, files: &[(&str, &str)]) -> (Tree, Vec<PathBuf>) {
        let tree = tree(files);
        let new = self.at("jobs/.outpost/new/job");
        clear(&new, &tree).unwrap();
        for (path, text) in files {
            let (path, entry) = (Path::new(path), entry(path, text));
            put(&new, path, &self.content(text), &entry).unwrap();
        }
        let left = self.at("jobs/.outpost/left/job");
        let stays = put_in_place(&new, &self.at("jobs/dir"), "job", PACKAGE, &tree, &left).unwrap();
        (tree, stays)
    }

    fn wrong(&self, tree: &Tree, seen: &mut Seen) -> Vec<String> {
        wrong(&self.at("jobs/dir"), tree, seen).into_iter().map(|path| path.display().to_string()).collect()
    }

    fn standing(&self) -> Standing {
        standing(&self.at("jobs"), &self.at("jobs/dir")).unwrap()
    }
}

fn entry(path: &str, text: &str) -> Entry {
    let Digests { md5, sha256 } = Digests::of(text.as_bytes());
    let modified = "2026-11-22T00:00:00Z".into();
    Entry { path: format!("{PACKAGE}{path}"), size: text.len() as u64, md5, sha256, modified }
}

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree::of(PACKAGE, files.iter().map(|(path, text)| entry(path, text))).unwrap()
}

#[test]
fn a_tree_is_in_place_as_a_whole_and_known_again() {
    let disk = Disk::new();
    assert!(matches!(disk.standing(), Standing::Free));
    let (tree, _) = disk.install(&[("x", "1"), ("d/e/y", "22"), ("empty", "")]);
    assert_eq!((disk.text("jobs/dir/x").as_deref(), disk.text("jobs/dir/d/e/y").as_deref()), (Some("1"), Some("22")));
    let Standing::Ours(found, package) = disk.standing() else { panic!("{:?}", disk.standing()) };
    assert_eq!((found.digest(), package.as_str()), (tree.digest(), PACKAGE));
    let mut seen = Seen::new();
    assert!(disk.wrong(&tree, &mut seen).is_empty());
    assert_eq!(seen.len(), 3);
    assert_eq!(fs::metadata(disk.at("jobs/dir/x")).unwrap().modified().unwrap(), entry("x", "").modified().unwrap());
}

#[test]
fn what_is_gone_or_other_is_found_also_where_its_size_and_time_are_the_same() {
    let disk = Disk::new();
    let (tree, _) = disk.install(&[("x", "1"), ("d/y", "22"), ("d/z", "333"), ("l", "4444")]);
    let mut seen = Seen::new();
    assert!(disk.wrong(&tree, &mut seen).is_empty());
    let time = fs::metadata(disk.at("jobs/dir/x")).unwrap().modified().unwrap();
    disk.write("jobs/dir/x", "2");
    File::options().write(true).open(disk.at("jobs/dir/x")).unwrap().set_modified(time).unwrap();
    fs::remove_file(disk.at("jobs/dir/d/y")).unwrap();
    fs::remove_file(disk.at("jobs/dir/l")).unwrap();
    disk.write("elsewhere", "4444");
    symlink(disk.at("elsewhere"), disk.at("jobs/dir/l")).unwrap();
    // Touched, and right still.
    fs::set_permissions(disk.at("jobs/dir/d/z"), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(disk.wrong(&tree, &mut seen), ["d/y", "l", "x"]);
    assert_eq!(seen.len(), 1);
}

#[test]
fn a_link_in_the_way_is_not_written_through() {
    let disk = Disk::new();
    let (tree, _) = disk.install(&[("d/y", "22")]);
    disk.write("outside/y", "22");
    fs::rename(disk.at("jobs/dir/d"), disk.at("moved")).unwrap();
    symlink(disk.at("outside"), disk.at("jobs/dir/d")).unwrap();
    assert_eq!(disk.wrong(&tree, &mut Seen::new()), ["d/y"]);
    disk.write("outside/y", "theirs");
    put(&disk.at("jobs/dir"), Path::new("d/y"), &disk.content("22"), &entry("d/y", "22")).unwrap();
    assert_eq!((disk.text("outside/y").as_deref(), disk.text("jobs/dir/d/y").as_deref()), (Some("theirs"), Some("22")));
    fs::rename(disk.at("jobs/dir"), disk.at("real")).unwrap();
    symlink(disk.at("real"), disk.at("jobs/dir")).unwrap();
    assert!(matches!(disk.standing(), Standing::Foreign(_)));
}

#[test]
fn another_tree_takes_the_place_and_what_is_not_ours_comes_along() {
    let disk = Disk::new();
    disk.install(&[("x", "1"), ("old", "2"), ("d/y", "3")]);
    disk.write("jobs/dir/log.txt", "theirs");
    disk.write("jobs/dir/d/more", "theirs too");
    disk.write("jobs/dir/new", "obstacle");
    let (tree, stays) = disk.install(&[("x", "other"), ("new", "ours")]);
    assert!(disk.wrong(&tree, &mut Seen::new()).is_empty());
    assert_eq!((disk.text("jobs/dir/old"), disk.text("jobs/dir/d/y")), (None, None));
    assert_eq!(disk.text("jobs/dir/log.txt").as_deref(), Some("theirs"));
    assert_eq!(disk.text("jobs/dir/d/more").as_deref(), Some("theirs too"));
    assert_eq!(stays, [PathBuf::from("new")]);
    assert_eq!(disk.text("jobs/.outpost/left/job/new").as_deref(), Some("obstacle"));
    assert!(!disk.at("jobs/.outpost/new/job").exists());
    remove_ours(&disk.at("jobs/dir"), &tree).unwrap();
    assert_eq!((disk.text("jobs/dir/x"), disk.text("jobs/dir/log.txt").as_deref()), (None, Some("theirs")));
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let disk = Disk::new();
    disk.write("jobs/dir/precious", "theirs");
    assert!(matches!(disk.standing(), Standing::Foreign(_)));
    disk.write("jobs/dir/.outpost-job", "{");
    assert!(matches!(disk.standing(), Standing::Foreign(_)));
    let escape = r#"{"job":"j","package":"/p/","files":[{"path":"/p/%2e%2e/precious","size":1,"md5":"00000000000000000000000000000000","sha256":"0000000000000000000000000000000000000000000000000000000000000000","modified":""}]}"#;
    disk.write("jobs/dir/.outpost-job", escape);
    assert!(matches!(disk.standing(), Standing::Foreign(_)), "a marker that names files elsewhere is none");
    fs::remove_dir_all(disk.at("jobs/dir")).unwrap();
    disk.write("jobs/dir", "a file");
    assert!(matches!(disk.standing(), Standing::Foreign(_)));
}

#[test]
fn wrong_bytes_are_never_put_under_a_name() {
    let disk = Disk::new();
    let error = put(&disk.at("t"), Path::new("x"), &disk.content("22"), &entry("x", "11")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(fs::read_dir(disk.at("t")).unwrap().count(), 0);
    put(&disk.at("t"), Path::new("x"), &disk.content("22"), &entry("x", "22")).unwrap();
    make_program(&disk.at("t/x")).unwrap();
    assert_eq!(fs::metadata(disk.at("t/x")).unwrap().permissions().mode() & 0o111, 0o111);
}

#[test]
fn what_a_run_before_has_left_is_used_or_goes() {
    let disk = Disk::new();
    disk.write("t/keep/x", "1");
    disk.write("t/keep/.outpost-new-abc", "half");
    disk.write("t/gone/y", "2");
    disk.write("t/z", "3");
    clear(&disk.at("t"), &tree(&[("keep/x", "1"), ("w", "")])).unwrap();
    assert_eq!((disk.text("t/keep/x").as_deref(), fs::read_dir(disk.at("t/keep")).unwrap().count()), (Some("1"), 1));
    assert!(!disk.at("t/gone").exists() && !disk.at("t/z").exists());
}
