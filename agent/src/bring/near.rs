//! Which neighbours have a content: all that are known are asked at once, for they are near and few.

use std::{sync::Arc, time::Duration};

use protocol::{
    digest::Md5,
    pieces::{HAVE, HAVE_BYTES_MAX, Have},
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    decide::source::{Rank, Source},
    net::{
        client::{Ask, Client},
        json,
    },
    short,
};

/// Who is near answers at once, or is not there.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Those that have it or some of it, who answered first first. Dropping the future asks nobody any more.
pub(crate) async fn who_has(client: &Arc<Client>, urls: Vec<String>, md5: &Md5) -> Vec<Source> {
    let mut asking = JoinSet::new();
    let target = format!("{HAVE}{md5}");
    for url in urls {
        let (client, target) = (client.clone(), target.clone());
        asking.spawn(async move { timeout(ANSWER_MAX, ask(&client, url, &target)).await.ok().flatten() });
    }
    let mut sources = Vec::new();
    while let Some(answered) = asking.join_next().await {
        sources.extend(answered.ok().flatten());
    }
    sources
}

async fn ask(client: &Client, url: String, target: &str) -> Option<Source> {
    let answer = client.send(Ask::get(&url, target)).await.ok()?;
    let have = json::read_within::<Have>(answer, HAVE_BYTES_MAX).await.ok()?.ok();
    let have = have.filter(|have| have.size.is_some())?;
    let (name, partial) = (short(&url), have.filling);
    Some(Source { rank: Rank::Peer, name, url, partial })
}
