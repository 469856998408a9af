//! The progress of a fill, as server-sent events.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::StatusCode;
use protocol::{
    digest::Md5,
    problem::Kind,
    progress::{Event, Progress},
};
use serve::{
    handler::Answer,
    response::{Body, Response},
};
use store::Reader;
use tokio::sync::mpsc;

use crate::{
    answer::pieces::Queue, context::RequestContext, failure::Failure, fetch::flights::Flight, requesters::Requester,
    shared::Shared,
};

/// At most four progress events in a second.
const EVENT_EVERY: Duration = Duration::from_millis(250);
/// A stream of progress without progress ends with `pause` after this.
const EVENT_WAIT_MAX: Duration = Duration::from_secs(30);
/// Events that a slow client has not taken yet.
const EVENTS_MAX: usize = 4;

pub(super) fn answer(context: &RequestContext<'_>, md5: Md5) -> Result<Answer, Failure> {
    let (shared, asked) = (context.shared, &context.asked);
    if shared.store.peek(&md5).is_some() {
        return Ok(Answer::Now(events(Body::Memory(Event::Ready.to_text().into()))));
    }
    let is_of_it = |flight: &Arc<Flight>| flight.md5.get() == Some(&md5) && flight.reader.get().is_some();
    let flight = shared.flights.all().into_iter().find(is_of_it).ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("no object {md5} is here or being fetched; ask for the file by its path"))
    })?;
    let who = Requester::of(&asked.client, asked.agent, shared.settings().options.requesters_by);
    let (send, receive) = mpsc::channel(EVENTS_MAX);
    let follower = Follower { shared: shared.clone(), flight, who, send };
    shared.spawn(async move { follower.follow().await });
    Ok(Answer::Now(events(Body::Stream { stream: Box::pin(Queue(receive)), len: None })))
}

fn events(body: Body) -> Response {
    let mut response = Response::new(StatusCode::OK);
    response.fields.push("Content-Type", "text/event-stream").push("Cache-Control", "no-store");
    response.body = body;
    response
}

/// One client that follows the progress of one fill.
struct Follower {
    shared: Arc<Shared>,
    flight: Arc<Flight>,
    who: Requester,
    send: mpsc::Sender<io::Result<Bytes>>,
}

impl Follower {
    async fn follow(&self) {
        let Some(reader) = self.flight.reader.get() else { return };
        let mut last = Instant::now();
        let mut told = None;
        loop {
            if reader.is_sealed() {
                return self.tell(&Event::Ready).await;
            }
            let fetched = reader.fetched();
            if told != Some(fetched) {
                last = Instant::now();
                told = Some(fetched);
            }
            self.tell(&Event::Progress(self.progress(reader, fetched))).await;
            if self.send.is_closed() {
                return;
            }
            let pausing = self.flight.pausing_until.lock().map(|until| until.saturating_duration_since(Instant::now()));
            if last.elapsed() >= EVENT_WAIT_MAX {
                let retry_after = pausing.map_or(1, |wait| wait.as_secs() + 1);
                return self.tell(&Event::Pause { retry_after }).await;
            }
            tokio::time::sleep(EVENT_EVERY).await;
            tokio::select! {
                () = self.shared.closing.cancelled() => return self.tell(&Event::Pause { retry_after: 1 }).await,
                () = self.send.closed() => return,
                _ = tokio::time::sleep(EVENT_WAIT_MAX) => {}
                readable = reader.readable(fetched) => {
                    if let Err(error) = readable {
                        return self.tell(&Event::Failed { detail: error.to_string() }).await;
                    }
                }
            }
        }
    }

    fn progress(&self, reader: &Reader, fetched: u64) -> Progress {
        let places_max = self.shared.settings().options.max_requesters;
        let places = self.flight.places.get();
        let position = places.map_or(0, |places| places.position(&self.who, places_max, Instant::now()));
        Progress { fetched, total: reader.len(), position, max_requesters: places_max as u64 }
    }

    async fn tell(&self, event: &Event) {
        // An error means that the client has left, which the loop sees.
        let _ = self.send.send(Ok(event.to_text().into())).await;
    }
}
