//! Directory indexes, and the index of mounts where nothing is mounted at `/`. Both pages are made once per listing, off the reactors, and
//! kept for as long as a name of the upstream is believed.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http::StatusCode;
use protocol::{
    cache_status::CacheStatus,
    condition::{Conditions, Validators, Verdict, decide},
    digest::Md5,
    etag::ETag,
    listing::{Listing, PAGE_POLICY, RawEntry},
    target::Target,
};
use serve::response::{Body, Response};

use crate::{asked::Asked, bounded::Bounded};

/// Pages larger than this are made anew for each flight: memory is for more than one directory.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// Directories whose pages are kept.
const KEPT_MAX: usize = 16;

/// One directory's pages.
pub(crate) struct Pages {
    /// What they were made from.
    pub(crate) listing: Arc<Listing>,
    html: Page,
    json: Page,
}

struct Page {
    body: Bytes,
    etag: ETag,
}

impl Page {
    fn new(body: Vec<u8>) -> Self {
        Self { etag: ETag::of(&Md5::of(&body)), body: body.into() }
    }
}

impl Pages {
    pub(crate) fn of(listing: Listing) -> Arc<Self> {
        // A listing is plain data: it always has a JSON form.
        let json = serde_json::to_vec(&listing).unwrap_or_default();
        let html = Page::new(listing.to_html().into_bytes());
        Arc::new(Self { html, json: Page::new(json), listing: Arc::new(listing) })
    }

    /// Bytes, with some for the listing, which is as long as its JSON form.
    fn len(&self) -> usize {
        self.html.body.len() + 2 * self.json.body.len()
    }

    /// The page that was asked for.
    pub(crate) fn respond(&self, asked: &Asked<'_>, via: &str, status: CacheStatus, now: SystemTime) -> Response {
        let (page, content_type) = match asked.wants_json {
            true => (&self.json, "application/json"),
            false => (&self.html, "text/html; charset=utf-8"),
        };
        let conditions = Conditions { if_none_match: asked.conditions.if_none_match, ..Conditions::default() };
        let validators = Validators { etag: Some(&page.etag), etag_before: None, last_modified: None, len: None, now };
        let is_known = decide(&conditions, &validators) == Verdict::NotModified;
        let mut response = Response::new(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
        response.fields.push("ETag", page.etag.as_str());
        response.fields.push("Cache-Control", "no-cache").push("Vary", "Accept").push("Via", format!("1.1 {via}"));
        if !is_known {
            response.fields.push("Content-Type", content_type);
            response.fields.push("Content-Security-Policy", PAGE_POLICY);
            response.body = Body::Memory(page.body.clone());
        }
        response.cache_status = Some(status);
        response
    }
}

/// Pages that are shown again without asking, each for its time.
pub(crate) struct KeptPages(Bounded<(Arc<Pages>, Instant)>);

impl Default for KeptPages {
    fn default() -> Self {
        Self(Bounded::new(KEPT_MAX))
    }
}

impl KeptPages {
    pub(crate) fn of(&self, key: &[u8], now: Instant) -> Option<Arc<Pages>> {
        let (pages, until) = self.0.find(key)?;
        (until > now).then_some(pages)
    }

    pub(crate) fn keep(&self, key: &[u8], pages: &Arc<Pages>, until: Instant) {
        if pages.len() <= KEPT_BYTES_MAX {
            self.0.put(key, (pages.clone(), until));
        }
    }

    pub(crate) fn forget(&self, key: &[u8]) {
        self.0.remove(key);
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}

/// The mounts below a path as a directory; `None` if there are none, or the path is none of theirs.
pub(crate) fn of_mounts<'a>(target: &Target, mounts: impl Iterator<Item = &'a str>) -> Option<Listing> {
    let path = target.path();
    let below = mounts.filter_map(|mount| mount.strip_prefix(path)).filter(|_| path.ends_with('/'));
    // Each next segment once, in its order.
    let segments: BTreeMap<&str, ()> = below
        .filter_map(|rest| rest.split('/').next())
        .filter(|name| !name.is_empty())
        .map(|name| (name, ()))
        .collect();
    let entry = |name: &str| {
        let decoded = Target::parse(format!("/{name}").as_bytes()).ok().and_then(|name| name.decode().ok());
        RawEntry { name: decoded.unwrap_or_else(|| name.into()), directory: true, size: 0, modified: None }
    };
    let entries: Vec<RawEntry> = segments.keys().map(|name| entry(name)).collect();
    (!entries.is_empty()).then(|| Listing::new(path, entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_listed_by_their_next_segment() {
        let mounts = ["/prod", "/test/a", "/test/b", "/t%20x"];
        let names = |path: &str| {
            of_mounts(&Target::parse(path.as_bytes()).unwrap(), mounts.into_iter())
                .map(|listing| listing.entries.into_iter().map(|entry| entry.href).collect::<Vec<_>>())
        };
        assert_eq!(names("/"), Some(vec!["prod/".into(), "t%20x/".into(), "test/".into()]));
        assert_eq!(names("/test/"), Some(vec!["a/".into(), "b/".into()]));
        assert_eq!(names("/none/"), None);
        assert_eq!(names("/test"), None);
    }
}
