//! One request to whichever of an upstream's servers answers it. Who is asked is for [`origins`](super::origins) to say.

use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Response, StatusCode, header};
use hyper::body::Incoming;
use serve::interim::InterimSender;

use super::{error::AskError, heads::retry_after, http::Http, sent::SentBody};

impl Http {
    /// One request up to the head of its answer. Where one server fails the next is asked, unless the first may have done what nobody wants done
    /// twice.
    pub(super) async fn send_with(
        &self,
        method: Method,
        path: &str,
        fields: HeaderMap,
        body: SentBody,
        interims: Option<&InterimSender>,
    ) -> Result<Response<Incoming>, AskError> {
        let may_repeat = method.is_safe() || body.is_whole();
        let (mut body, mut tried, mut last) = (Some(body), Vec::new(), None);
        while let Some(choice) = self.origins.next(&tried, Instant::now()) {
            if let Some(server) = choice.probe {
                self.probe_beside(server);
            }
            let Some(sent) = body.take() else { break };
            body = sent.again().filter(|_| may_repeat);
            let asked = self.send_to(choice.server, &method, path, fields.clone(), sent, interims).await;
            match asked.as_ref().map_or_else(|error| Some(error.to_string()), is_failure) {
                None => {
                    self.origins.answered(choice.server);
                    return asked;
                }
                Some(error) => self.origins.failed(choice.server, &error, Instant::now()),
            }
            tried.push(choice.server);
            // An answer that tells of a failure says more than none.
            if asked.is_ok() || last.is_none() {
                last = Some(asked);
            }
        }
        last.unwrap_or_else(|| Err(AskError::Unreachable("the upstream has no server".into())))
    }

    /// Finds out whether a server is back, while the requests go to another. One at a time.
    fn probe_beside(&self, server: usize) {
        if !self.origins.begin_probe() {
            return;
        }
        let (http, path) = (self.clone(), self.path_of("/"));
        tokio::spawn(async move {
            let none = (HeaderMap::new(), SentBody::none());
            let asked = http.send_to(server, &Method::HEAD, &path, none.0, none.1, None).await;
            let now = Instant::now();
            match asked {
                Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    http.origins.busy(server, Duration::from_secs(retry_after(answer.headers())), now);
                }
                Ok(answer) => match is_failure(&answer) {
                    None => http.origins.answered(server),
                    Some(error) => http.origins.failed(server, &error, now),
                },
                Err(error) => http.origins.failed(server, &error.to_string(), now),
            }
            http.origins.end_probe();
        });
    }
}

/// Whether an answer tells that the server failed at it, and how; one that asks to come back later is well.
fn is_failure(answer: &Response<Incoming>) -> Option<String> {
    let status = answer.status();
    let asks_for_patience =
        status == StatusCode::SERVICE_UNAVAILABLE && answer.headers().contains_key(header::RETRY_AFTER);
    (status.is_server_error() && !asks_for_patience).then(|| format!("it answered {status}"))
}
