//! `GET /.outpost/v1/packages`: which folders of a share are packages, and what one of them has.

use std::collections::BTreeMap;

use protocol::{
    catalog::{PAGE_DEFAULT, PAGE_MAX, Package, PackageFiles, Packages},
    info::PACKAGES,
    problem::Kind,
    target::Target,
};
use serve::response::Response;

use super::{
    Control,
    question::{self, Refused},
};
use crate::{
    answer,
    catalogue::{CatalogueError, Folder},
    shares::{Share, name_and_version},
};

/// What the folders of a package have together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    files: u64,
    bytes: u64,
    generation: u64,
}

impl Sum {
    fn add(&mut self, folder: &Folder) {
        self.files += folder.files;
        self.bytes += folder.bytes;
        self.generation = self.generation.max(folder.generation);
    }
}

/// The packages of the shares that are asked about.
pub(super) fn list(control: &Control, target: &Target) -> Result<Response, Refused> {
    let tops = question::shares(&control.shares, target)?;
    let after = question::after(target)?;
    let limit = question::limit(target, PAGE_DEFAULT, PAGE_MAX)?;
    let generation = control.catalogue.generation();
    let mut found = BTreeMap::new();
    for share in control.shares.iter().filter(|share| tops.is_empty() || tops.contains(&share.top)) {
        sums(control, share, after.as_deref(), &mut found).map_err(|error| question::failed(&error))?;
    }
    let more = found.len() > limit;
    let packages = found.into_iter().take(limit).map(|(path, (share, sum))| package(&share, &path, sum)).collect();
    let epoch = control.catalogue.epoch().to_owned();
    Ok(answer::json(&Packages { epoch, generation, packages, more }))
}

/// One package with its files.
pub(super) fn one(control: &Control, target: &Target) -> Result<Response, Refused> {
    let folder = target.below(PACKAGES).and_then(|folder| folder.decode().ok()).unwrap_or_default();
    let after = question::after(target)?;
    let limit = question::limit(target, PAGE_DEFAULT, PAGE_MAX)?;
    let share = control.shares.iter().filter(|share| share.package_of(&folder) == Some(&folder[..]));
    let Some(share) = share.max_by_key(|share| share.top.len()) else { return Err(no_package(target)) };
    let failed = |error: CatalogueError| question::failed(&error);
    let was_changing = control.is_changing(&folder);
    let mut sum = Sum::default();
    control.catalogue.folders(&folder, &mut |folder| sum.add(&folder)).map_err(failed)?;
    if sum.files == 0 {
        return Err(no_package(target));
    }
    let mut files = control.catalogue.files_below(&folder, after.as_deref(), limit + 1).map_err(failed)?;
    let more = files.len() > limit;
    files.truncate(limit);
    // Before and behind: what settles meanwhile may stand in the list or not.
    let changing = was_changing || control.is_changing(&folder);
    Ok(answer::json(&PackageFiles { package: package(&share.name, &folder, sum), files, more, changing }))
}

impl Control {
    /// Whether it is noticed that something below a folder has changed, and not known yet what is there.
    fn is_changing(&self, folder: &[u8]) -> bool {
        self.feed.is_any_stale_below(folder) || self.queue.has_any_below(folder)
    }
}

/// Adds the packages of a share that come behind a path.
fn sums(
    control: &Control,
    share: &Share,
    after: Option<&[u8]>,
    found: &mut BTreeMap<Vec<u8>, (String, Sum)>,
) -> Result<(), CatalogueError> {
    control.catalogue.folders(&share.top, &mut |folder| {
        let package = share.package_of(&folder.path).filter(|package| after.is_none_or(|after| *package > after));
        if let Some(package) = package {
            match found.get_mut(package) {
                Some((_, sum)) => sum.add(&folder),
                None => {
                    let mut sum = Sum::default();
                    sum.add(&folder);
                    found.insert(package.to_vec(), (share.name.clone(), sum));
                }
            }
        }
    })?;
    // A folder may be known from files that it had.
    found.retain(|_, (_, sum)| sum.files > 0);
    Ok(())
}

fn package(share: &str, path: &[u8], sum: Sum) -> Package {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    let (name, version) = name_and_version(&name);
    Package {
        share: share.into(),
        name: name.into(),
        version: version.map(Into::into),
        path: Target::from_file_path(path).to_directory().path().into(),
        files: sum.files,
        size: sum.bytes,
        generation: sum.generation,
    }
}

fn no_package(target: &Target) -> Refused {
    let folder = target.path().strip_prefix(PACKAGES).unwrap_or_default();
    answer::problem(Kind::NotFound, format!("there is no package {folder} here; GET {PACKAGES} tells which there are"))
        .into()
}
