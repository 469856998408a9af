//! Lets the service of this machine bring a content, and watches it: what one program gets here is here for all.

use std::net::SocketAddr;

use protocol::event_stream::{RawEvent, Reader};

use crate::{
    bring::{task, told::Told, wanted::Wanted},
    decide::resume::Identity,
    net::client::{Ask, Client, escaped},
    service::events::{Failed, Ready, Standing},
};

/// The service of this machine, as a source.
pub(crate) const THIS_MACHINE: &str = "this machine";

/// What came of it.
pub(crate) enum Served {
    /// It is there, and this is what it is.
    Ready(Identity, Brought),
    /// It is not, with the exit code that says why.
    Failed(u8, String),
    /// There is no service.
    NoService,
    /// It went away meanwhile, or refuses.
    Broken,
}

/// How it came to be there.
pub(crate) struct Brought {
    /// Whether somebody had told a digest to compare with.
    pub(crate) verified: bool,
    /// From whom; nobody, if it was there before.
    pub(crate) sources: Vec<task::Brought>,
}

/// Follows the service until it has it.
pub(crate) async fn fetch(client: &Client, service: SocketAddr, wanted: &Wanted, told: &Told) -> Served {
    let server = format!("http://{service}/");
    let target = format!("/v1/fetch?what={}", escaped(&wanted.text));
    let answer = match client.send(Ask::get(&server, &target)).await {
        Ok(answer) if answer.status().is_success() => answer,
        // Whoever is there does not know the question.
        Ok(answer) if answer.status().is_client_error() => return Served::NoService,
        Ok(_) => return Served::Broken,
        Err(_) => return Served::NoService,
    };
    let mut pieces = client.pieces(answer.into_body(), false);
    let mut reader = Reader::default();
    while let Some(Ok(piece)) = pieces.next().await {
        let mut end = None;
        let taken = reader.take(&piece, |event| end = end.take().or_else(|| read(&event, told)));
        if let Some(end) = end {
            return end;
        }
        if taken.is_err() {
            break;
        }
    }
    Served::Broken
}

/// The end, if it is one; else it is shown.
fn read(event: &RawEvent, told: &Told) -> Option<Served> {
    match event.name.as_str() {
        "state" => {
            let standing: Standing = serde_json::from_str(&event.data).ok()?;
            told.at(standing.at);
            told.say(|state| *state = standing.state);
            None
        }
        "ready" => {
            let ready: Ready = serde_json::from_str(&event.data).ok()?;
            let identity = Identity { size: Some(ready.size), sha256: Some(ready.sha256), ..Identity::of(ready.md5) };
            Some(Served::Ready(identity, Brought { verified: ready.verified, sources: ready.sources }))
        }
        "failed" => {
            let failed: Failed = serde_json::from_str(&event.data).ok()?;
            Some(Served::Failed(failed.exit, failed.detail))
        }
        _ => None,
    }
}
