//! The way through the folders of an upstream, from the outside to the files: which folder is listed next, which entries are files that are
//! wanted, and where it ends. Pure. A listing comes from others, who may be wrong or hostile: it is bounded in entries, in folders and in depth,
//! and a folder that lists the same as one that it is in (a link in a circle) is not gone into.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use protocol::{glob::Globs, target::Target};

use super::queue::Order;
use crate::upstream::listed::Listed;

/// Entries of one walk, of all folders together.
const ENTRIES_MAX: u64 = 1_000_000;
/// Folders that wait to be listed.
const FOLDERS_MAX: usize = 100_000;
/// Folders below each other.
const DEPTH_MAX: usize = 64;

/// What is looked for, and where.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Folders that the walk begins with.
    roots: Vec<Target>,
    /// Nothing: everything.
    include: Globs,
    exclude: Globs,
    ranks: Globs,
    priority: i64,
}

/// A folder that is to be listed.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) target: Target,
    depth: usize,
    above: Option<Arc<Link>>,
}

/// The folders that one is in, by what they list.
#[derive(Debug)]
struct Link {
    fingerprint: u64,
    above: Option<Arc<Link>>,
}

/// A file that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) order: Order,
    pub(crate) entry: Listed,
}

/// What was met on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// Folders that were listed.
    pub(crate) folders: u64,
    /// Entries of them.
    pub(crate) entries: u64,
    /// Folders that list the same as one that they are in.
    pub(crate) circles: u64,
    /// Folders that could not be listed.
    pub(crate) unreadable: u64,
    /// Whether something was left out, for there was too much of it.
    pub(crate) is_cut: bool,
}

impl Met {
    /// Of two walks.
    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            folders: self.folders + other.folders,
            entries: self.entries + other.entries,
            circles: self.circles + other.circles,
            unreadable: self.unreadable + other.unreadable,
            is_cut: self.is_cut || other.is_cut,
        }
    }
}

/// A walk that is on.
#[derive(Debug)]
pub(crate) struct Walk {
    scope: Scope,
    waiting: Vec<Folder>,
    pub(crate) met: Met,
}

impl Scope {
    /// Everything of an upstream, as its options say.
    pub(crate) fn new(include: &Globs, exclude: &Globs, ranks: &Globs) -> Self {
        let roots = roots(include);
        Self { roots, include: include.clone(), exclude: exclude.clone(), ranks: ranks.clone(), priority: 0 }
    }

    /// Everything below a folder.
    pub(crate) fn below(folder: &Target) -> Self {
        let all = Globs::default();
        Self { roots: vec![folder.to_directory()], ..Self::new(&all, &all, &all) }
    }

    /// The same, in another order.
    pub(crate) fn ranked(self, ranks: &Globs, priority: i64) -> Self {
        Self { ranks: ranks.clone(), priority, ..self }
    }

    fn is_wanted(&self, path: &[u8]) -> bool {
        (self.include.is_empty() || self.include.matches(path)) && !self.exclude.matches(path)
    }

    /// The place in the queue of one file, if it is wanted.
    pub(crate) fn order_of(&self, target: &Target) -> Option<Order> {
        let path = target.decode().ok().filter(|path| self.is_wanted(path))?;
        Some(Order::new(self.priority, Self::rank(&self.ranks, &path), None, target.clone()))
    }

    /// Whether nothing in a folder can be wanted: a pattern leaves out what is directly in it, and what is deeper.
    fn is_left_out(&self, folder: &[u8]) -> bool {
        let below = |rest: &[u8]| self.exclude.matches(&[folder, rest].concat());
        !self.exclude.is_empty() && below(b"/\x01") && below(b"/\x01/\x01")
    }

    /// The place of a path among the patterns of priority.
    pub(crate) fn rank(ranks: &Globs, path: &[u8]) -> usize {
        let first = ranks.first_match(path);
        first.and_then(|first| ranks.texts().position(|text| text == first)).unwrap_or(usize::MAX)
    }
}

/// Where to begin, so that no folder is listed in vain: below the last folder that each pattern names before its first wildcard.
fn roots(include: &Globs) -> Vec<Target> {
    let mut roots: Vec<Target> = include.texts().map(root).collect();
    if roots.is_empty() {
        roots.push(Target::from_file_path(b"/"));
    }
    roots.sort_unstable();
    // Sorted, what a root is below comes before it.
    let mut kept: Vec<Target> = Vec::new();
    for root in roots {
        if !kept.iter().any(|kept| root.path().starts_with(kept.path())) {
            kept.push(root);
        }
    }
    kept
}

fn root(pattern: &str) -> Target {
    let is_plain = |segment: &&str| !segment.contains(['*', '?', '[', ']', '{', '}', '\\']);
    let Some(rooted) = pattern.strip_prefix('/') else { return Target::from_file_path(b"/") };
    let (folders, _) = rooted.rsplit_once('/').unwrap_or_default();
    let plain: Vec<&str> = folders.split('/').take_while(is_plain).collect();
    Target::from_file_path(format!("{}/", plain.join("/")).as_bytes())
}

impl Walk {
    pub(crate) fn new(scope: Scope) -> Self {
        let folder = |target: &Target| Folder { target: target.clone(), depth: 0, above: None };
        let waiting = scope.roots.iter().rev().map(folder).collect();
        Self { scope, waiting, met: Met::default() }
    }

    /// The folder to list next; the deepest, so that few wait.
    pub(crate) fn next(&mut self) -> Option<Folder> {
        self.waiting.pop()
    }

    /// It could not be listed.
    pub(crate) fn unreadable(&mut self) {
        self.met.unreadable += 1;
    }

    /// A folder was listed: the files of it that are wanted.
    pub(crate) fn take(&mut self, folder: &Folder, entries: Vec<Listed>) -> Vec<Seen> {
        self.met.folders += 1;
        let fingerprint = fingerprint(&entries);
        let chain = || std::iter::successors(folder.above.as_deref(), |link| link.above.as_deref());
        let has_folders = entries.iter().any(|entry| entry.is_folder);
        if has_folders && chain().any(|link| link.fingerprint == fingerprint) {
            self.met.circles += 1;
            return Vec::new();
        }
        let link = Arc::new(Link { fingerprint, above: folder.above.clone() });
        let (mut files, mut known, mut folders) = (Vec::new(), HashSet::new(), Vec::new());
        for entry in entries {
            if self.met.entries >= ENTRIES_MAX {
                self.met.is_cut = true;
                break;
            }
            self.met.entries += 1;
            // A page may list a name twice.
            let Some(path) = entry.target.decode().ok().filter(|_| known.insert(entry.target.clone())) else {
                continue;
            };
            if entry.is_folder {
                if !self.scope.is_left_out(&path) {
                    folders.push(Folder { target: entry.target, depth: folder.depth + 1, above: Some(link.clone()) });
                }
            } else if self.scope.is_wanted(&path) {
                let rank = Scope::rank(&self.scope.ranks, &path);
                let order = Order::new(self.scope.priority, rank, entry.modified, entry.target.clone());
                files.push(Seen { order, entry });
            }
        }
        self.go_into(folders);
        files
    }

    fn go_into(&mut self, folders: Vec<Folder>) {
        for folder in folders.into_iter().rev() {
            if folder.depth > DEPTH_MAX || self.waiting.len() >= FOLDERS_MAX {
                self.met.is_cut = true;
            } else {
                self.waiting.push(folder);
            }
        }
    }
}

/// What a folder lists, without where it is. Two folders with the same entries, sizes and times that are in each other are one.
fn fingerprint(entries: &[Listed]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for entry in entries {
        let name = entry.target.path().trim_end_matches('/').rsplit('/').next();
        (name, entry.is_folder, entry.size, entry.modified).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(texts: &[&str]) -> Globs {
        Globs::parse(texts).unwrap()
    }

    fn entry(folder: &Folder, name: &str) -> Listed {
        let target = Target::parse(format!("{}{name}", folder.target.path()).as_bytes()).unwrap();
        Listed { is_folder: name.ends_with('/'), target, size: Some(1), modified: None, is_exact: true }
    }

    /// Walks through what `list` says is in each folder; the files, in their order, and what was met.
    fn walk(scope: Scope, list: impl Fn(&str) -> Vec<&'static str>) -> (Vec<String>, Met, Vec<String>) {
        let mut walk = Walk::new(scope);
        let (mut files, mut listed) = (Vec::new(), Vec::new());
        while let Some(folder) = walk.next() {
            listed.push(folder.target.to_string());
            let entries = list(folder.target.path()).into_iter().map(|name| entry(&folder, name)).collect();
            files.extend(walk.take(&folder, entries).into_iter().map(|seen| seen.entry.target.to_string()));
        }
        (files, walk.met, listed)
    }

    fn tree(path: &str) -> Vec<&'static str> {
        match path {
            "/" => vec!["a/", "b/", "tmp/", "x.iso", "readme"],
            "/a/" => vec!["deep/", "a.exe"],
            "/a/deep/" => vec!["d.iso"],
            "/b/" => vec!["b.exe"],
            "/tmp/" => vec!["t.iso"],
            _ => vec![],
        }
    }

    #[test]
    fn what_is_wanted_of_a_tree() {
        for (include, exclude, files, listed) in [
            (&[][..], &[][..], &["/x.iso", "/readme", "/a/a.exe", "/a/deep/d.iso", "/b/b.exe", "/tmp/t.iso"][..], 5),
            (&["*.iso"], &[], &["/x.iso", "/a/deep/d.iso", "/tmp/t.iso"], 5),
            (&["*.iso"], &["/tmp/"], &["/x.iso", "/a/deep/d.iso"], 4),
            (&[], &["/a/**", "*.iso"], &["/readme", "/b/b.exe"], 3),
            (&[], &["/a/*"], &["/x.iso", "/readme", "/a/deep/d.iso", "/b/b.exe", "/tmp/t.iso"], 5),
            (&["/a/deep/*", "/a/deep/d.iso"], &[], &["/a/deep/d.iso"], 1),
            (&["/a/", "/a/deep/**", "/b/"], &[], &["/a/a.exe", "/a/deep/d.iso", "/b/b.exe"], 3),
            (&["/none/**"], &[], &[], 1),
        ] {
            let scope = Scope::new(&globs(include), &globs(exclude), &Globs::default());
            let (mut found, met, asked) = walk(scope, tree);
            let mut files = files.to_vec();
            found.sort_unstable();
            files.sort_unstable();
            assert_eq!(found, files, "{include:?} without {exclude:?}");
            assert_eq!((asked.len(), met.is_cut), (listed, false), "{include:?} without {exclude:?}: {asked:?}");
        }
    }

    #[test]
    fn a_link_in_a_circle_is_gone_into_once() {
        let (files, met, listed) = walk(Scope::new(&Globs::default(), &Globs::default(), &Globs::default()), |path| {
            match path.replace("loop/", "").as_str() {
                "/" => vec!["loop/", "file", "other/"],
                _ => vec!["inside"],
            }
        });
        assert_eq!(files, ["/file", "/other/inside"]);
        assert_eq!((met.circles, met.is_cut), (1, false), "{listed:?}");
    }

    #[test]
    fn folders_that_only_look_alike_are_all_listed() {
        let (files, met, _) =
            walk(Scope::new(&Globs::default(), &Globs::default(), &Globs::default()), |path| match path {
                "/" => vec!["one/", "two/"],
                "/one/" | "/two/" => vec!["sub/", "same"],
                _ => vec!["leaf"],
            });
        assert_eq!((files.len(), met.circles), (4, 0));
    }

    #[test]
    fn a_listing_without_an_end_ends() {
        let scope = || Scope::new(&Globs::default(), &Globs::default(), &Globs::default());
        let mut deep = Walk::new(scope());
        let mut folders = 0;
        while let Some(folder) = deep.next() {
            folders += 1;
            let name = format!("{folders}/");
            let entries = vec![entry(&folder, &name), entry(&folder, "file")];
            deep.take(&folder, entries);
        }
        assert_eq!((folders, deep.met.is_cut), (DEPTH_MAX + 1, true));

        let mut wide = Walk::new(scope());
        let root = wide.next().unwrap();
        let entries = (0..FOLDERS_MAX + 5).map(|number| entry(&root, &format!("{number}/"))).collect();
        wide.take(&root, entries);
        assert!(wide.met.is_cut && wide.waiting.len() == FOLDERS_MAX);
    }

    #[test]
    fn priorities_are_the_places_of_patterns() {
        let ranks = globs(&["/urgent/**", "*.exe"]);
        assert_eq!(Scope::rank(&ranks, b"urgent/a.exe"), 0);
        assert_eq!(Scope::rank(&ranks, b"other/a.exe"), 1);
        assert_eq!(Scope::rank(&ranks, b"other/a"), usize::MAX);
    }

    #[test]
    fn names_that_are_listed_twice_count_once() {
        let scope = Scope::new(&Globs::default(), &Globs::default(), &Globs::default());
        let (files, ..) = walk(scope, |path| if path == "/" { vec!["a", "a", "b"] } else { vec![] });
        assert_eq!(files, ["/a", "/b"]);
    }
}
