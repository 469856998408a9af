//! Takes in the files of a directory: counts them, then has them taken one by one. What was taken in before is known by its name, its size and its
//! time, so that a work that was cut off goes on where it was.

use std::sync::Arc;

use os::share::Share;

use crate::{
    crew::{self, Context, Crew, Work},
    job::{Job, Outcome},
    order::{Order, Refused, Way},
    take::{Source, take},
    walk::{Found, Met, Walk},
};

type Piece = (Arc<Source>, Found);

pub(crate) fn begin(order: Order, context: Context) -> Result<Arc<Job>, Refused> {
    let Order { source: path, mount, way, cache_dir, .. } = order;
    let share = Share::open(&path).map_err(|source| Refused::Unreadable { path: path.clone(), source })?;
    let source = Arc::new(Source::new(share, mount, way));
    let work = Work::new(context, Job::new(path.display().to_string()));
    crew::run(&work, move |work| {
        let walk = || Walk::new(&source.share, &cache_dir);
        for met in walk() {
            if work.job.is_stopped() {
                return Ok(None);
            }
            if let Met::File(found) = met {
                work.job.count(found.identity.size);
            }
        }
        work.job.begin();
        // What links lead to is there as long as it has not moved.
        if source.way == Way::Move {
            import(work, &source, walk(), Wanted::Links)?;
            import(work, &source, walk(), Wanted::Files)?;
        } else {
            import(work, &source, walk(), Wanted::All)?;
        }
        Ok(None)
    })
    .map_err(Refused::Threads)?;
    Ok(work.job.clone())
}

/// Which files of a walk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    Links,
    Files,
}

impl Wanted {
    fn has(self, found: &Found) -> bool {
        match self {
            Self::All => true,
            Self::Links => found.is_link,
            Self::Files => !found.is_link,
        }
    }
}

/// Takes those files that are wanted of this walk. What is none is told of by the walk for the files.
fn import(work: &Arc<Work>, source: &Arc<Source>, walk: Walk<'_>, wanted: Wanted) -> Result<(), String> {
    let crew: Crew<Piece> = Crew::start(work, |work, (source, found)| take(work, &source, found))
        .map_err(|error| format!("no threads can be started: {error}"))?;
    // Each only once.
    let tells = wanted != Wanted::Links;
    for met in walk {
        let shown = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        match met {
            Met::File(found) => {
                if wanted.has(&found) && !crew.send((source.clone(), found)) {
                    break;
                }
            }
            Met::Skipped(path, why) if tells => work.job.note(|| shown(&path), Outcome::Skipped(why)),
            Met::Failed(path, why) if tells => work.job.fault(|| shown(&path), why),
            Met::Skipped(..) | Met::Failed(..) => {}
        }
    }
    match crew.finish() {
        true => Ok(()),
        false => Err("a fault of the program ended one of its threads; its log says more".into()),
    }
}
