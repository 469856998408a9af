//! Writes the names that are wanted, with their contents, into a bundle. What is here is read once more and compared with its digest on the way.

use std::{
    collections::HashSet,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use cache::{Cache, NamedContent};
use protocol::{
    digest::{Digests, Md5},
    glob::Globs,
    target::Target,
};

use crate::{
    bundle::{
        format::{Entry, Name, Object},
        write::Writer,
    },
    crew::{self, Context, Work},
    job::{Job, Outcome},
    order::Refused,
};

/// Objects in one bundle: what is in it already is remembered, 16 bytes each.
const OBJECTS_MAX: usize = 16 << 20;

/// Begins to export to `path` what these match, or everything. `cache_dir` is where no bundle is written.
pub fn export(path: &Path, wanted: Globs, cache_dir: &Path, context: Context) -> Result<Arc<Job>, Refused> {
    let path: PathBuf = path.to_owned();
    if !path.is_absolute() {
        return Err(Refused::NotAbsolute(path));
    }
    let unwritable = |source| Refused::Unwritable { path: path.clone(), source };
    let parent = path.parent().unwrap_or(Path::new("/")).canonicalize().map_err(unwritable)?;
    if cache_dir.canonicalize().is_ok_and(|cache_dir| parent.starts_with(cache_dir)) {
        return Err(Refused::InCache(path));
    }
    let writer = match Writer::create(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(Refused::Exists(path)),
        created => created.map_err(unwritable)?,
    };
    let work = Work::new(context, Job::new(path.display().to_string()));
    crew::run(&work, move |work| {
        write(work, &wanted, writer).map_err(|error| format!("{} cannot be written: {error}", path.display()))
    })
    .map_err(Refused::Threads)?;
    Ok(work.job.clone())
}

fn write(work: &Arc<Work>, wanted: &Globs, mut writer: Writer) -> std::io::Result<Option<String>> {
    let mut objects = HashSet::new();
    each(work, wanted, |_, content| {
        if objects.len() < OBJECTS_MAX && objects.insert(content.md5) {
            work.job.count(content.len);
        }
        Ok(())
    })?;
    work.job.begin();
    let mut written = HashSet::new();
    each(work, wanted, |target, content| {
        // Who came while the others were counted is for the next bundle.
        if objects.remove(&content.md5) && object(work, &mut writer, content.md5)? {
            written.insert(content.md5);
        }
        let NamedContent { md5, modified, etag, .. } = content;
        let name = Name { md5, target, modified, etag };
        if written.contains(&md5) && name.fits() {
            writer.entry(&Entry::Name(name))?;
            work.job.named();
        }
        Ok(())
    })?;
    if work.job.is_stopped() {
        return Ok(None);
    }
    Ok(Some(format!("sha256:{}", writer.finish()?)))
}

/// Until the work is to stop.
fn each(
    work: &Work,
    wanted: &Globs,
    mut does: impl FnMut(Target, NamedContent) -> std::io::Result<()>,
) -> std::io::Result<()> {
    for part in 0..Cache::NAME_PARTS {
        for (target, content) in work.context.cache.names(part) {
            if work.job.is_stopped() {
                return Ok(());
            }
            if wanted.is_empty() || wanted.matches_target(&target) {
                does(target, content)?;
            }
        }
    }
    Ok(())
}

/// Whether it is in the bundle now.
fn object(work: &Work, writer: &mut Writer, md5: Md5) -> std::io::Result<bool> {
    let shown = || format!("md5:{md5}");
    let found = work.context.store.read_aside(&md5).and_then(|reader| Some((reader.digests()?, reader.len()?, reader)));
    let Some((digests, len, reader)) = found else {
        work.job.note(shown, Outcome::Failed("it was evicted meanwhile".into()));
        return Ok(false);
    };
    let (file, mut is_unreadable) = (reader.file(), false);
    let written = writer.object(Object { digests: Digests { md5, ..digests }, len }, |offset, buffer| {
        let read = file.read_at(buffer, offset).unwrap_or_else(|_| {
            is_unreadable = true;
            0
        });
        // An end before its time: the object is not written.
        Ok(if work.job.go_on(read as u64) { read } else { 0 })
    })?;
    let outcome = match written {
        true => Outcome::Copied,
        false if work.job.is_stopped() => Outcome::Stopped,
        false if is_unreadable => Outcome::Failed("it cannot be read; look at the cache's disk".into()),
        false => {
            Outcome::Failed("its bytes are not those of its digest; outpost-proxy scrub removes such objects".into())
        }
    };
    work.job.note(shown, outcome);
    Ok(written)
}
