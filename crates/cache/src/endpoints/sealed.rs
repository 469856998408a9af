//! The content of a name, whole: fetched if it is not here, and waited for.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use protocol::problem::Kind;
use serve::source::Source;
use store::Reader;

use crate::{
    failure::Failure,
    fetch::{join::join, outcome::Outcome},
    shared::Shared,
    upstream::Question,
};

/// Who wants it waits so long for a file that is being fetched, then is told when to come back.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A reader of it, and when it was last modified. Waits for its fetch, for some time.
pub(super) async fn sealed(
    shared: &Arc<Shared>,
    question: Arc<Question>,
) -> Result<(Reader, Option<SystemTime>), Failure> {
    let waiting = {
        let shared = shared.clone();
        async move {
            tokio::time::timeout(WAIT_MAX, wait(&shared, &question)).await.unwrap_or_else(|_| {
                let detail = format!(
                    "the file is still being fetched, and its digests are known at its end; ask again in {} s",
                    WAIT_MAX.as_secs()
                );
                Err(Failure::new(Kind::Overloaded, detail).with_retry_after(WAIT_MAX.as_secs()))
            })
        }
    };
    shared.on_fetches(waiting).await?
}

async fn wait(shared: &Arc<Shared>, question: &Arc<Question>) -> Result<(Reader, Option<SystemTime>), Failure> {
    match join(shared, question, true).wait(shared, question).await.0 {
        Outcome::Content(content) => match &content.source {
            Source::Object(reader) => {
                let failed = |error| Failure::new(Kind::UpstreamInvalid, format!("{error}"));
                reader.sealed().await.map_err(failed)?;
                Ok((reader.clone(), content.representation.last_modified))
            }
            Source::Shared(_) => Err(not_kept(question)),
        },
        Outcome::Failed(failure) => Err(failure),
        Outcome::Pass(_) | Outcome::Said(_) => Err(not_kept(question)),
        Outcome::Described(_) | Outcome::Index(_) | Outcome::NeedsSlash => {
            Err(Failure::new(Kind::NotFound, format!("{} is a directory, which has no digests", question.full.path())))
        }
    }
}

fn not_kept(question: &Question) -> Failure {
    let detail =
        format!("{} passes through this server uncached, so its digests are not known here", question.full.path());
    Failure::new(Kind::NotFound, detail)
}
