//! Takes in a bundle: each object that is not here yet, and behind them the names. What is here already is not read, so that a work that was cut off
//! goes on where it was.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use cache::{Binding, NamedContent, why::Account};
use store::{AdoptError, Room};

use crate::{
    bundle::{
        BundleError,
        format::{Name, Object},
        read::{Contents, Item, Placed, check},
    },
    crew::{self, Context, Crew, Work},
    job::{Job, Outcome},
    order::Refused,
    take::outcome_of,
};

/// Bytes that are read at a time.
const WINDOW: usize = 1 << 20;

pub(crate) fn begin(path: &Path, context: Context) -> Result<Arc<Job>, Refused> {
    let unreadable = |source| Refused::Unreadable { path: path.to_owned(), source };
    let file = Arc::new(File::open(path).map_err(unreadable)?);
    // Only its ends are looked at here; the directory is when it is counted.
    let work = Work::new(context, Job::new(path.display().to_string()));
    crew::run(&work, move |work| unpack(work, &file).map_err(|error| error.to_string())).map_err(Refused::Threads)?;
    Ok(work.job.clone())
}

fn unpack(work: &Arc<Work>, file: &Arc<File>) -> Result<Option<String>, BundleError> {
    let contents = check(&mut &**file)?;
    for placed in objects(&contents, file)? {
        work.job.count(placed?.object.len);
    }
    work.job.begin();
    let crew: Crew<(Arc<File>, Placed)> = Crew::start(work, take_from)?;
    for placed in objects(&contents, file)? {
        if !crew.send((file.clone(), placed?)) {
            break;
        }
    }
    if !crew.finish() {
        return Err(io::Error::other("a fault of the program ended one of its threads; its log says more").into());
    }
    for item in contents.items(&**file)? {
        match item? {
            Item::Name(name) if !work.job.is_stopped() => bind(work, name),
            Item::Name(_) | Item::Object(_) => {}
        }
    }
    Ok(Some(format!("sha256:{}", contents.sha256)))
}

fn objects<'f>(
    contents: &Contents,
    file: &'f File,
) -> io::Result<impl Iterator<Item = Result<Placed, BundleError>> + 'f> {
    Ok(contents.items(file)?.filter_map(|item| match item {
        Ok(Item::Object(placed)) => Some(Ok(placed)),
        Ok(Item::Name(_)) => None,
        Err(error) => Some(Err(error)),
    }))
}

fn is_here(work: &Work, object: &Object) -> bool {
    let found = work.context.store.peek(&object.digests.md5);
    found.is_some_and(|found| found.sha256 == Some(object.digests.sha256) && found.size == object.len)
}

fn take_from(work: &Arc<Work>, (file, placed): (Arc<File>, Placed)) {
    take(work, &file, placed);
}

fn take(work: &Arc<Work>, file: &File, placed: Placed) {
    let Placed { object, offset } = placed;
    let shown = || format!("md5:{}", object.digests.md5);
    if is_here(work, &object) {
        work.job.spare(object.len);
        return work.job.note(shown, Outcome::Known);
    }
    let mut done = 0;
    let copied = copy(work, file, &object, offset, &mut done);
    work.job.spare(object.len.saturating_sub(done));
    match copied {
        Ok(incoming) if incoming.digests() != Some(object.digests) => {
            let why =
                "its bytes are not those of its digest: the bundle is damaged. Copy it again from where it was made";
            work.job.note(shown, Outcome::Failed(why.into()));
        }
        Ok(incoming) => {
            let Some(place) = work.commit_place() else { return };
            let account =
                Account { from: work.job.subject().into(), how: "from a bundle".into(), ..Account::default() };
            let incoming = incoming.told(account.to_bytes());
            let (committing, job) = (incoming.commit(|_| true, None), work.job.clone());
            work.context.runtime.spawn(async move {
                let outcome = committing.await.map_or_else(|error| outcome_of(&error), |_| Outcome::Copied);
                job.note(|| format!("md5:{}", object.digests.md5), outcome);
                drop(place);
            });
        }
        Err(error) => work.job.note(shown, outcome_of(&error)),
    }
}

fn copy(work: &Work, file: &File, object: &Object, offset: u64, done: &mut u64) -> Result<store::Incoming, AdoptError> {
    let mut incoming = work.wait_for(work.context.store.incoming(object.len, Room::New))?;
    let mut window = vec![0; usize::try_from(object.len).map_or(WINDOW, |len| len.min(WINDOW))];
    while *done < object.len {
        let want = usize::try_from(object.len - *done).map_or(WINDOW, |left| left.min(WINDOW));
        file.read_exact_at(&mut window[..want], offset + *done).map_err(AdoptError::Read)?;
        incoming.push(&window[..want])?;
        *done += want as u64;
        if !work.job.go_on(want as u64) {
            return Err(AdoptError::Stopped);
        }
    }
    incoming.sync()?;
    Ok(incoming)
}

/// Only what is here can have a name; what could not be taken has been told of.
fn bind(work: &Work, name: Name) {
    let Name { md5, target, modified, etag } = name;
    let Some(found) = work.context.store.peek(&md5) else { return };
    let content = NamedContent { md5, len: found.size, modified, etag };
    match work.context.cache.bind(&target, &content) {
        Binding::Bound => work.job.named(),
        Binding::Same | Binding::Newer => {}
        Binding::Nowhere => {
            work.job.fault(|| target.to_string(), format!("no upstream is mounted at {target}"));
        }
    }
}
