//! What follows from changes that an origin tells: which names are asked for again, what is known of them without asking, and what is to be preloaded.
//!
//! A flight that has asked before a change was told may bring what was there before: it is [detached](crate::fetch::flights::Flights::detach) first, so
//! that it writes nothing behind the doubt.

use std::{collections::HashSet, sync::Arc};

use protocol::{
    catalog::File,
    changes::Change,
    digest::{Digests, Md5},
    target::Target,
    timestamp,
};

use crate::{
    names::{record::Record, told::Told},
    shared::Shared,
    upstream::{Key, Upstream},
};

/// What is to be done of some changes that came together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Everything of this upstream.
    pub(super) everything: bool,
    /// Of these paths below the mount, and all below them, nothing is known any more.
    pub(super) doubted: HashSet<String>,
    /// What is at these now, in the order in which it was told.
    pub(super) files: Vec<(Target, File)>,
}

impl News {
    /// Of changes in the order in which they came. `Err`: one of a path that cannot be one.
    pub(super) fn of(upstream: &Upstream, changes: Vec<Change>) -> Result<Self, String> {
        let mut news = Self::default();
        for change in changes {
            match change {
                Change::File(file) => {
                    if let Some(Some(target)) = below(upstream, &file.path)? {
                        news.files.push((target, file));
                    }
                }
                Change::Gone(gone) => news.doubt(below(upstream, &gone.path)?),
                Change::Stale(stale) => news.doubt(below(upstream, &stale.path)?),
                Change::Hello(_) | Change::Topology(_) | Change::Configuration(_) | Change::Order(_) => {}
            }
        }
        Ok(news)
    }

    fn doubt(&mut self, below: Option<Option<Target>>) {
        match below {
            None => {}
            Some(None) => self.everything = true,
            Some(Some(target)) => {
                let path = target.path().trim_end_matches('/');
                self.doubted.insert(path.to_owned());
                // What was told of it before this came holds no more.
                self.files.retain(|(file, _)| !is_at_or_below(file.path(), path));
            }
        }
    }

    /// Whether what stands at a path, or in a folder above it, is doubted.
    fn doubts(&self, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or(path).trim_end_matches('/');
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        !self.doubted.is_empty() && ends.into_iter().any(|end| self.doubted.contains(&path[..end]))
    }
}

fn below(upstream: &Upstream, path: &str) -> Result<Option<Option<Target>>, String> {
    match Target::parse(path.as_bytes()) {
        Ok(target) if target.query().is_none() => Ok(upstream.below_origin(path)),
        _ => Err(format!("it tells of '{path}', which is no path")),
    }
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// From now on nothing that was known of these names is given out without a question, unless it was just told. Answers the files whose content is not
/// what was known.
pub(super) fn take(shared: &Arc<Shared>, upstream: &Upstream, news: News) -> Vec<(Target, File)> {
    if news.everything {
        doubt_all(shared, upstream);
    } else if !news.doubted.is_empty() {
        let is_meant = |key: &[u8]| upstream.name_of(key).is_some_and(|path| news.doubts(path));
        shared.flights.detach_where(is_meant);
        shared.told.forget_where(is_meant);
        shared.book.doubt_where(is_meant);
        shared.pages.clear();
    }
    news.files.into_iter().filter(|(target, file)| take_file(shared, upstream, target, file)).collect()
}

/// What was told of names by a stream that does not go on.
pub(super) fn forget_told(shared: &Shared, upstream: &Upstream) {
    shared.told.forget_where(|key| upstream.name_of(key).is_some());
}

/// Whatever was known of all names.
fn doubt_all(shared: &Shared, upstream: &Upstream) {
    let is_meant = |key: &[u8]| upstream.name_of(key).is_some();
    shared.flights.detach_where(is_meant);
    shared.told.forget_where(is_meant);
    shared.book.doubt_where(is_meant);
    shared.pages.clear();
}

/// One file. `false` if that is what was known of it.
fn take_file(shared: &Arc<Shared>, upstream: &Upstream, target: &Target, file: &File) -> bool {
    let key = upstream.key(target);
    let at = shared.book.millis();
    let modified = timestamp::parse_rfc3339(&file.modified);
    let is_so =
        |md5: &Md5, record: &Record| *md5 == file.md5 && record.len == Some(file.size) && record.modified == modified;
    shared.pages.forget(&parent_of(upstream, target));
    if shared.book.affirm(&key, is_so, at) {
        return false;
    }
    let is_known = shared.book.peek(&key).is_some_and(|(md5, record)| is_so(&md5, &record));
    shared.flights.detach(&key);
    shared.memos.forget(&key);
    let digests = Digests { md5: file.md5, sha256: file.sha256 };
    shared.told.put(&key, Told { len: file.size, digests, modified, at });
    shared.book.doubt(&key);
    !is_known
}

fn parent_of(upstream: &Upstream, target: &Target) -> Key {
    let path = target.path();
    let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
    Target::parse(folder.as_bytes()).map_or_else(|_| Key::new(), |folder| upstream.key(&folder))
}

#[cfg(test)]
mod tests {
    use protocol::{catalog::Gone, changes::Stale, digest::Sha256};

    use super::*;
    use crate::options::UpstreamOptions;

    fn upstream(location: &str) -> Upstream {
        let options = UpstreamOptions::new("hq", "/m", location.parse().unwrap());
        Upstream::new(options, "outpost", &Arc::default()).unwrap()
    }

    fn file(path: &str) -> Change {
        Change::File(File {
            path: path.into(),
            size: 1,
            md5: Md5([1; 16]),
            sha256: Sha256([2; 32]),
            modified: "2026-11-22T01:41:00Z".into(),
            generation: 1,
        })
    }

    fn gone(path: &str) -> Change {
        Change::Gone(Gone { path: path.into(), generation: 2 })
    }

    fn stale(path: &str) -> Change {
        Change::Stale(Stale { path: path.into() })
    }

    fn files(news: &News) -> Vec<&str> {
        news.files.iter().map(|(target, _)| target.path()).collect()
    }

    #[test]
    fn what_is_told_is_meant_below_where_the_upstream_begins() {
        for (location, path, expected) in [
            ("outpost+http://hq/", "/a/b", "/a/b"),
            ("outpost+http://hq/prod/", "/prod/a", "/a"),
            ("outpost+http://hq/prod/", "/production/a", "nothing"),
            ("outpost+http://hq/prod/", "/test/a", "nothing"),
            ("outpost+http://hq/prod/", "/prod", "everything"),
            ("outpost+http://hq/prod/", "/", "everything"),
            ("outpost+http://hq/a/b", "/a/", "everything"),
            ("outpost+http://hq/", "/", "everything"),
        ] {
            let news = News::of(&upstream(location), vec![stale(path)]).unwrap();
            let found = match (news.everything, news.doubted.iter().next()) {
                (true, _) => "everything",
                (false, Some(path)) => path.as_str(),
                (false, None) => "nothing",
            };
            assert_eq!(found, expected, "{location} {path}");
        }
        let news = News::of(&upstream("outpost+http://hq/prod/"), vec![file("/prod/x%20y"), file("/test/x")]).unwrap();
        assert_eq!(files(&news), ["/x%20y"]);
    }

    #[test]
    fn the_order_of_changes_counts() {
        let hq = upstream("outpost+http://hq/");
        let news = News::of(&hq, vec![file("/a/x"), file("/ab"), gone("/a"), file("/a/y")]).unwrap();
        assert_eq!(files(&news), ["/ab", "/a/y"], "what went was told before");
        for (path, expected) in
            [("/a", true), ("/a/", true), ("/a/x", true), ("/a/x?q=/b", true), ("/ab", false), ("/", false)]
        {
            assert_eq!(news.doubts(path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_not_passed_over() {
        let hq = upstream("outpost+http://hq/");
        for path in ["", "a", "/a?b", "/a\0"] {
            assert!(News::of(&hq, vec![stale(path)]).is_err(), "{path:?}");
        }
    }
}
