//! A web server's page of a folder, asked for and read to its end.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};

use super::{
    Question, autoindex,
    error::AskError,
    http::Http,
    listed::{self, Folder},
};

/// Bytes of a page; one of 100,000 entries has some ten million.
const PAGE_BYTES_MAX: usize = 32 << 20;
/// What is said of a folder that is not there.
pub(super) const NOT_THERE: &str = "the upstream has no such folder";
/// From the head of a page to its end.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

impl Http {
    /// What a folder holds, as its page says.
    pub(super) async fn list(&self, question: &Question) -> Result<Folder, AskError> {
        let path = self.path_of(question.target.path());
        let mut fields = HeaderMap::new();
        fields.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
        let answer = self.send(Method::GET, &path, fields).await?;
        match answer.status() {
            StatusCode::OK => {}
            status if status.is_server_error() => {
                return Err(AskError::Failing(format!("the upstream answers {status} where its index should be")));
            }
            StatusCode::NOT_FOUND => return Ok(Folder::No(NOT_THERE.into())),
            status => return Ok(Folder::No(format!("the upstream answers {status} where its index should be"))),
        }
        let too_long = || Folder::No(format!("its index has more than {PAGE_BYTES_MAX} bytes"));
        let reading = Limited::new(answer.into_body(), PAGE_BYTES_MAX).collect();
        let page = match tokio::time::timeout(PAGE_TIMEOUT, reading).await {
            Ok(Ok(page)) => page.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Ok(too_long()),
            Ok(Err(_)) => return Err(AskError::cut()),
            Err(_) => {
                let seconds = PAGE_TIMEOUT.as_secs();
                return Err(AskError::TimedOut(format!("the upstream's answer did not end within {seconds} s")));
            }
        };
        // A page of a hundred thousand entries takes a while to read.
        let read = tokio::task::spawn_blocking(move || autoindex::parse(&page, &path)).await;
        let links = read.map_err(|_| AskError::Unreachable("this server is stopping".into()))?;
        Ok(match links {
            Some(links) => Folder::Entries(listed::of_links(&question.target, links)),
            None => Folder::No(
                "what stands there is no index that nginx, Apache or IIS make; switch theirs on (autoindex), or give a list of paths".into(),
            ),
        })
    }
}
