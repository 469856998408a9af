//! Follows the fill of a server that has no place for us, so that we come when one is free, and can show how far it is.

use std::time::Instant;

use protocol::{
    digest::Md5,
    event_stream::{RawEvent, Reader},
    info::PROGRESS,
    progress::Progress,
};

use super::told::Told;
use crate::{
    decide::outcome::Queue,
    net::{
        client::{Ask, Client},
        error::NetError,
    },
    short,
};

/// What a server says of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// So far.
    So(Queue),
    /// A place is free, or there is nothing to wait for any more.
    Come,
    /// Nothing that matters.
    Nothing,
}

/// What came of following.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// A place is free, or there is nothing to wait for any more.
    Come,
    /// The server is away, and its word with it.
    Lost,
    /// It tells nothing, or the time is over.
    Nothing,
}

/// Follows until a place is free.
pub(crate) async fn follow(client: &Client, server: &str, md5: &Md5, until: Instant, told: &Told) -> Followed {
    let following = async {
        let target = format!("{PROGRESS}{md5}");
        let answer = match client.send(Ask::get(server, &target)).await {
            Ok(answer) if answer.status().is_success() => answer,
            Ok(_) => return Followed::Nothing,
            Err(error) => return lost(&error, server, told),
        };
        let mut pieces = client.pieces(answer.into_body(), false);
        let mut reader = Reader::default();
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return lost(&error, server, told),
            };
            let mut come = false;
            let taken = reader.take(&piece, |event| match read(&event) {
                Said::So(queue) => told.queue(queue),
                Said::Come => come = true,
                Said::Nothing => {}
            });
            if come {
                return Followed::Come;
            }
            if taken.is_err() {
                break;
            }
        }
        Followed::Nothing
    };
    tokio::time::timeout_at(until.into(), following).await.unwrap_or(Followed::Nothing)
}

fn lost(error: &NetError, server: &str, told: &Told) -> Followed {
    tracing::debug!(server, %error, "a server whose fill was followed went away");
    told.say(|state| state.trouble = Some(format!("{}: {error}", short(server))));
    Followed::Lost
}

fn read(event: &RawEvent) -> Said {
    match event.name.as_str() {
        "progress" => match serde_json::from_str::<Progress>(&event.data) {
            Ok(progress) if progress.position == 0 => Said::Come,
            Ok(progress) => Said::So(Queue {
                position: progress.position,
                places: progress.max_requesters,
                fetched: progress.fetched,
                total: progress.total.unwrap_or(0),
            }),
            Err(_) => Said::Nothing,
        },
        // Whole, or broken off: either way it is time to look around.
        "ready" | "failed" => Said::Come,
        _ => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_place_and_an_end_are_words_to_come() {
        let event = |name: &str, data: &str| RawEvent { name: name.into(), data: data.into(), id: None };
        let progress = |position| format!(r#"{{"fetched":3,"total":9,"position":{position},"max_requesters":5}}"#);
        let so = Queue { position: 2, places: 5, fetched: 3, total: 9 };
        for (name, data, expected) in [
            ("progress", progress(2), Said::So(so)),
            ("progress", progress(0), Said::Come),
            ("progress", "{".into(), Said::Nothing),
            ("ready", "{}".into(), Said::Come),
            ("failed", "{}".into(), Said::Come),
            ("pause", r#"{"retry_after":5}"#.into(), Said::Nothing),
            ("later", String::new(), Said::Nothing),
        ] {
            assert_eq!(read(&event(name, &data)), expected, "{name} {data}");
        }
    }
}
