//! Brings one content to the service's cache for a job or an order, as every program of this machine would have it brought: by what is on already, or anew.

use std::{sync::Arc, time::Duration};

use protocol::digest::{Md5, Sha256};

use crate::{
    bring::{
        told::{Stage, State},
        wanted::Wanted,
    },
    decide::{
        jobs::{plan::Stopped, tree::Entry},
        outcome::Busy,
        resume::Identity,
    },
    service::downloads::{Downloads, Ended},
};

/// What is to be brought: by its digest where it is known, and by its path where not.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub(crate) path: String,
    pub(crate) md5: Option<Md5>,
    pub(crate) sha256: Option<Sha256>,
    pub(crate) size: Option<u64>,
}

impl From<&Entry> for Thing {
    fn from(entry: &Entry) -> Self {
        let (md5, sha256, size) = (Some(entry.md5), Some(entry.sha256), Some(entry.size));
        Self { path: entry.path.clone(), md5, sha256, size }
    }
}

/// Brings it; its digest and size. Dropping the future does not stop the download: who comes again finds it farther on.
pub(crate) async fn bring(downloads: &Arc<Downloads>, thing: &Thing) -> Result<(Md5, u64), Stopped> {
    let mut wanted = Wanted::parse(&thing.path).map_err(|error| Stopped::Failed(error.to_string()))?;
    wanted.identity = Identity { size: thing.size, md5: thing.md5, sha256: thing.sha256, etag: None };
    wanted.is_given = thing.md5.is_some();
    let download = downloads
        .fetch(wanted)
        .map_err(|_| Stopped::Waiting("too many files are on their way to this machine already".into()))?;
    let refused = tokio::select! {
        ended = download.ended() => return judge(thing, ended),
        state = download.told.until(waits_for_preload) => state,
    };
    let said = refused.again_in.map(Duration::from_secs);
    let who = refused.trouble.or(refused.source).unwrap_or_default();
    Err(Stopped::Preload(format!("{} has not been preloaded yet ({who})", thing.path), said))
}

/// Nobody can be asked now but a server that fetches only beforehand.
fn waits_for_preload(state: &State) -> bool {
    state.stage == Stage::Waiting && state.why.as_deref() == Some(Busy::Preload.name())
}

fn judge(thing: &Thing, ended: Ended) -> Result<(Md5, u64), Stopped> {
    match ended {
        Ended::Here { digests, .. } if thing.md5.is_some_and(|md5| md5 != digests.md5) => {
            Err(Stopped::Waiting(format!("{} has changed meanwhile", thing.path)))
        }
        Ended::Here { digests, size, .. } => Ok((digests.md5, size)),
        // As `get` ends: nobody has it any more, or it did not come in time.
        Ended::Not(3 | 69, why) => Err(Stopped::Waiting(format!("{}: {why}", thing.path))),
        Ended::Not(_, why) => Err(Stopped::Failed(format!("{}: {why}", thing.path))),
    }
}
