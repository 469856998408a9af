//! Asks the origin what a package is: first its head, and its files where that is another than before.

use protocol::{
    catalog::{File, PackageFiles},
    info::PACKAGES,
};

use crate::{
    bring::finder::{Answered, Finder},
    decide::{
        health::Request,
        jobs::{
            plan::Head,
            tree::{FILES_MAX, Tree, Unfit},
        },
    },
    net::client::Ask,
};

/// Files of one page.
const PAGE: usize = 5_000;
/// How often a list is begun anew because the package changed meanwhile.
const TRIES_MAX: usize = 3;

/// What was found.
#[derive(Debug)]
pub(crate) enum Listed {
    /// It is as it was listed before.
    Same,
    /// These files, and whether more is about to change.
    Tree(Head, Tree, Settled),
    /// There is no such package.
    Absent,
    /// No origin answers.
    Nobody,
    /// It changes while it is listed.
    Changing,
    /// It cannot be put on a disk.
    Unfit(Unfit),
}

/// Whether the origin knows all of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Yes,
    /// Somebody copies files into it, say.
    NotYet,
}

/// Asks for a package; `known` is what was told of it when it was listed before.
pub(crate) async fn list(finder: &Finder, package: &str, known: Option<&Head>) -> Listed {
    let mut head = match page(finder, package, 1, None).await {
        Ok(page) => head_of(&page),
        Err(found) => return found,
    };
    if known == Some(&head) {
        return Listed::Same;
    }
    for _ in 0..TRIES_MAX {
        match all(finder, package, &head).await {
            Ok(Ok((files, settled))) => {
                let tree = Tree::of(package, files.into_iter().map(Into::into));
                return tree.map_or_else(Listed::Unfit, |tree| Listed::Tree(head, tree, settled));
            }
            Ok(Err(other)) => head = other,
            Err(found) => return found,
        }
    }
    Listed::Changing
}

/// All files, or the head that the package has meanwhile.
async fn all(finder: &Finder, package: &str, head: &Head) -> Result<Result<(Vec<File>, Settled), Head>, Listed> {
    if head.files > FILES_MAX as u64 {
        return Err(Listed::Unfit(Unfit::TooMany));
    }
    let mut files: Vec<File> = Vec::new();
    let mut settled = Settled::Yes;
    loop {
        let after = files.last().map(|file| file.path.clone());
        let page = page(finder, package, PAGE, after.as_deref()).await?;
        let now = head_of(&page);
        // An origin that promises more again and again ends nothing.
        if now != *head || (page.more && page.files.is_empty()) || files.len() > FILES_MAX {
            return Ok(Err(now));
        }
        files.extend(page.files);
        settled = if page.changing { Settled::NotYet } else { settled };
        if !page.more {
            let size = files.iter().fold(0u64, |sum, file| sum.saturating_add(file.size));
            let is_whole = files.len() as u64 == head.files && size == head.size;
            return Ok(if is_whole { Ok((files, settled)) } else { Err(now) });
        }
    }
}

async fn page(finder: &Finder, package: &str, limit: usize, after: Option<&str>) -> Result<PackageFiles, Listed> {
    // As it is told it may stand in a query, but for what separates.
    let after = after.map(|path| format!("&after={}", path.replace('&', "%26"))).unwrap_or_default();
    let target = format!("{PACKAGES}{package}?limit={limit}{after}");
    match finder.ask_origins::<PackageFiles>(Request::Info, |origin| Ask::get(origin, &target)).await {
        Answered::By(page) => Ok(page),
        Answered::None => Err(Listed::Absent),
        Answered::Nobody(_) => Err(Listed::Nobody),
    }
}

fn head_of(page: &PackageFiles) -> Head {
    let package = &page.package;
    Head { generation: package.generation, files: package.files, size: package.size, version: package.version.clone() }
}
