//! The beginning of an import: what is named, whether that can be right, and who does it.

use std::{fs, path::PathBuf, sync::Arc};

use crate::{
    crew::Context,
    job::Job,
    order::{Order, Refused, Way},
    share, unpack,
};

/// Begins to import a directory, or a bundle. Blocks for some looks at the disk.
pub fn import(order: Order, context: Context) -> Result<Arc<Job>, Refused> {
    let Order { source: path, cache_dir, shares, .. } = &order;
    if !path.is_absolute() {
        return Err(Refused::NotAbsolute(path.clone()));
    }
    let unreadable = |source| Refused::Unreadable { path: path.clone(), source };
    let real = path.canonicalize().map_err(unreadable)?;
    let found = fs::metadata(&real).map_err(unreadable)?;
    if cache_dir.canonicalize().is_ok_and(|cache_dir| real.starts_with(cache_dir)) {
        return Err(Refused::InCache(path.clone()));
    }
    if found.is_file() {
        return unpack::begin(path, context);
    }
    if !found.is_dir() {
        return Err(Refused::NeitherKind(path.clone()));
    }
    if !context.cache.is_mounted(&order.mount.to_directory()) {
        return Err(Refused::NoUpstream(order.mount));
    }
    let overlaps =
        |share: &PathBuf| share.canonicalize().is_ok_and(|share| real.starts_with(&share) || share.starts_with(&real));
    if let Some((upstream, _)) = shares.iter().find(|(_, share)| order.way == Way::Move && overlaps(share)) {
        return Err(Refused::IsUpstream { path: path.clone(), upstream: upstream.clone() });
    }
    share::begin(order, context)
}
