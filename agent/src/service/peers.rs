//! Answers neighbours: with contents that are here, whole, and no others, so that nobody waits for somebody who waits himself.
//!
//! | the content | answer |
//! | --- | --- |
//! | is here, and may be shared | its bytes, while a place is free; else 503 `max-requesters` with a short time |
//! | is not here, is too small, has another name than those that are shared | 404 |

use std::sync::Arc;

use http::Method;
use protocol::{
    digest::Md5,
    info::OBJECTS,
    problem::{Kind, Problem},
    target::Target,
};
use serve::{
    handler::{Answer, Client, Handler},
    request::Request,
    response::{Hold, Response},
};
use store::Store;
use tokio::sync::Semaphore;

use super::{
    content::{self, problem},
    names,
};

/// Seconds after which a neighbour that found no place may come again; it has others to ask.
const RETRY_AFTER: u64 = 5;

/// What may be shared.
pub(crate) struct Peers {
    pub(crate) store: Store,
    /// Free places.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) uploads: usize,
    pub(crate) shared: Shared,
}

/// Which files.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) extensions: Vec<String>,
    pub(crate) min_size: u64,
}

impl Shared {
    /// Whether a file of that name and size is one of them. Pure.
    pub(super) fn has(&self, name: Option<&str>, size: u64) -> bool {
        let ends_right = || {
            let name = name.unwrap_or_default();
            let file = name.split('?').next().unwrap_or(name).rsplit('/').next().unwrap_or(name);
            let end = file.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
            self.extensions.contains(&end)
        };
        size >= self.min_size && (self.extensions.is_empty() || ends_right())
    }
}

impl Handler for Peers {
    fn answer(&self, request: &Request<'_>, _client: &Client) -> Answer {
        Answer::Now(self.respond(request))
    }
}

impl Peers {
    fn respond(&self, request: &Request<'_>) -> Response {
        if request.method != Method::GET && request.method != Method::HEAD {
            return Response::method_not_allowed("GET, HEAD");
        }
        let asked = Target::parse(request.target).ok();
        let md5 = asked.as_ref().and_then(|target| target.path().strip_prefix(OBJECTS)?.parse::<Md5>().ok());
        let Some(md5) = md5 else {
            return problem(Kind::NotFound, "this machine has only contents by their digest; ask a proxy for a path");
        };
        let is_shared = self
            .store
            .peek(&md5)
            .is_some_and(|info| self.shared.has(names::name_of(&self.store, &md5).as_deref(), info.size));
        let reader = if is_shared { self.store.hit(&md5) } else { None };
        let Some(reader) = reader else { return content::not_here(&md5) };
        let Ok(place) = self.places.clone().try_acquire_owned() else { return self.no_place() };
        let mut response = content::answer(request, &md5, reader);
        response.hold = Some(Hold::new(place));
        response
    }

    fn no_place(&self) -> Response {
        let detail = format!(
            "this machine serves {} others already; ask again in {RETRY_AFTER} s, or another one",
            self.uploads
        );
        let mut problem = Problem::new(Kind::MaxRequesters, detail).retry_after(RETRY_AFTER);
        problem.max_requesters = Some(self.uploads as u64);
        Response::problem(&problem, Kind::MaxRequesters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_files_are_shared() {
        let shared = Shared { extensions: vec!["zip".into(), "msi".into()], min_size: 100 };
        for (name, size, expected) in [
            (Some("/prod/a.zip"), 100, true),
            (Some("/prod/a.ZIP?v=1.2"), 100, true),
            (Some("/prod/a.zip"), 99, false),
            (Some("/prod.zip/a"), 100, false),
            (Some("/prod/a.txt"), 100, false),
            (None, 100, false),
        ] {
            assert_eq!(shared.has(name, size), expected, "{name:?} {size}");
        }
        let all = Shared { extensions: Vec::new(), min_size: 0 };
        assert!(all.has(None, 0));
    }
}
