//! Asks one source for the bytes that are missing, and takes them.

use std::time::SystemTime;

use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Incoming;
use protocol::{
    digest::{Claims, Digests},
    etag::ETag,
    info::{INFO, Info, OBJECTS},
};

use super::{
    blame::Blame,
    sink::Sink,
    told::{Stage, Told},
    trouble::SinkError,
    wanted::Wanted,
};
use crate::{
    decide::{
        outcome::Outcome,
        resume::{Head, Identity, Verdict},
        source::{Rank, Source},
    },
    net::{
        client::{Ask, Client},
        error::NetError,
        json,
    },
};

/// How often a web server may send us elsewhere.
const REDIRECTS_MAX: usize = 5;

/// What came of it.
pub(crate) enum Came {
    /// Everything, verified.
    All(Digests),
    /// Not everything.
    Not(Outcome),
    /// Our own line was closed on the way.
    Closed,
}

/// One source is asked for one content.
pub(crate) struct Attempt<'a> {
    pub(crate) client: &'a Client,
    pub(crate) source: &'a Source,
    /// Whether the source is asked by the digest first.
    pub(crate) by_digest: bool,
    pub(crate) wanted: &'a mut Wanted,
    pub(crate) sink: &'a mut Sink,
    pub(crate) blame: &'a mut Blame,
    pub(crate) told: &'a Told,
    /// The source has begun to send.
    pub(crate) began: &'a mut (dyn FnMut() + Send + Sync),
}

impl Attempt<'_> {
    /// Asks. An error is one of our own disk.
    pub(crate) async fn make(&mut self) -> Result<Came, SinkError> {
        if let Some(digests) = self.whole().await? {
            return Ok(Came::All(digests));
        }
        let targets = targets(self.wanted, self.source.rank, self.by_digest);
        let mut came = Came::Not(Outcome::Absent);
        for target in targets {
            came = self.ask(&target).await?;
            if !matches!(came, Came::Not(Outcome::Absent)) {
                break;
            }
        }
        Ok(came)
    }

    /// All is here, as it is after an end that came just behind the last byte: then nobody is asked, and a part that is none of a file would be refused.
    async fn whole(&mut self) -> Result<Option<Digests>, SinkError> {
        let (position, identity) = (self.sink.position(), self.sink.identity());
        let is_all = identity.md5.is_some() && identity.size.or(self.wanted.identity.size) == Some(position);
        if position == 0 || !is_all {
            return Ok(None);
        }
        match self.sink.finish().await {
            Ok(digests) => Ok(Some(digests)),
            Err(SinkError::Wrong(why)) => {
                tracing::warn!(why, "what was here of a file is wrong; it is thrown away, and the file is begun anew");
                self.sink.anew().await?;
                self.blame.anew();
                self.told.at(0);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(&mut self, target: &str) -> Result<Came, SinkError> {
        // Nobody can tell whether what comes now continues what came then; or it would be a mixture again.
        let is_continued = self.sink.identity().is_known() && self.blame.may_continue(&self.source.url);
        if self.sink.position() > 0 && !is_continued {
            self.sink.anew().await?;
            self.blame.anew();
            self.told.at(0);
        }
        // Once for what is continued, once more where it turns out to be another content.
        for _ in 0..2 {
            let answer = match self.send(target).await {
                Ok(answer) => answer,
                Err(error) => return Ok(self.failed(&error, 0)),
            };
            if !matches!(answer.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
                return Ok(self.refused(answer).await);
            }
            let head = head(&answer);
            let verdict =
                if is_coded(&answer) { Verdict::Senseless } else { self.known().judge(self.sink.position(), &head) };
            match verdict {
                Verdict::Takes(from) => {
                    if let Some(digests) = self.learn(&head).await? {
                        return Ok(Came::All(digests));
                    }
                    let is_ours = is_outpost(&answer);
                    return self.take(answer.into_body(), from, target, is_ours).await;
                }
                Verdict::Other if !self.wanted.is_given && self.sink.identity().is_known() => {
                    // The file has changed since: what is here is of the one before.
                    tracing::info!(source = self.source.name, "the file has changed there; it is begun anew");
                    self.wanted.identity = Identity::default();
                    self.sink.anew().await?;
                    self.blame.anew();
                }
                Verdict::Other => return Ok(Came::Not(Outcome::Absent)),
                Verdict::Senseless => {
                    let error = NetError::Senseless("it is not the part that was asked for".into());
                    return Ok(self.failed(&error, 0));
                }
            }
        }
        Ok(Came::Not(Outcome::Failed { got: 0 }))
    }

    /// What an answer is compared with.
    fn known(&self) -> Identity {
        if self.sink.position() > 0 { self.sink.identity().clone() } else { self.wanted.identity.clone() }
    }

    /// `Some`: all of what it turns out to be is here already.
    async fn learn(&mut self, head: &Head<'_>) -> Result<Option<Digests>, SinkError> {
        if self.sink.position() > 0 {
            self.wanted.identity.add(self.sink.identity());
        }
        self.wanted.identity.learn(head);
        self.told.say(|state| state.size = self.wanted.identity.size);
        self.sink.know(&self.wanted.identity).await
    }

    async fn send(&self, target: &str) -> Result<Response<Incoming>, NetError> {
        let (mut server, mut target) = (self.source.url.clone(), target.to_owned());
        let known = self.known();
        let position = self.sink.position();
        for _ in 0..=REDIRECTS_MAX {
            let mut ask = Ask::get(&server, &target).over_line(self.source.rank.is_behind_line());
            if position > 0 && known.is_known() {
                ask = ask.with("Range", &format!("bytes={position}-"));
                if let Some(tag) = known.condition() {
                    ask = ask.with("If-Range", tag.as_str());
                }
            }
            let answer = self.client.send(ask).await?;
            let location = answer.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
            match location.filter(|_| answer.status().is_redirection() && self.source.rank == Rank::Origin) {
                Some(location) => (server, target) = elsewhere(&server, location),
                None => return Ok(answer),
            }
        }
        Err(NetError::Senseless("it sends us elsewhere again and again".into()))
    }

    async fn refused(&self, answer: Response<Incoming>) -> Came {
        let refusal = json::refusal(answer).await;
        let retry_after = refusal.fields.get(header::RETRY_AFTER).map(|field| field.as_bytes());
        let outcome = Outcome::of(refusal.status, refusal.problem.as_ref(), retry_after, SystemTime::now());
        let detail = refusal.problem.map(|problem| problem.detail).unwrap_or_default();
        let status = refusal.status.as_u16();
        tracing::debug!(source = self.source.name, status, detail, "a source does not send");
        let said = if detail.is_empty() { format!("status {status}") } else { detail };
        self.told.say(|state| state.trouble = Some(format!("{}: {said}", self.source.name)));
        Came::Not(outcome)
    }

    fn failed(&self, error: &NetError, got: u64) -> Came {
        tracing::debug!(source = self.source.name, %error, got, "a source failed");
        self.told.say(|state| state.trouble = Some(format!("{}: {error}", self.source.name)));
        Came::Not(Outcome::Failed { got })
    }

    /// Takes a body that begins at byte `from`.
    async fn take(&mut self, body: Incoming, from: u64, target: &str, is_ours: bool) -> Result<Came, SinkError> {
        (self.began)();
        let source = (self.source.name.as_str(), self.source.rank.name());
        self.told.stage(Stage::Receiving, Some(source));
        self.blame.brought(&self.source.url);
        let mut pieces = self.client.pieces(body, self.source.rank.is_behind_line());
        let (mut at, mut got) = (from, 0);
        while let Some(piece) = pieces.next().await {
            let mut piece = match piece {
                Ok(piece) => piece,
                Err(NetError::Closed(_)) => return Ok(Came::Closed),
                Err(error) => return Ok(self.failed(&error, got)),
            };
            let len = piece.len() as u64;
            // What is here already is passed over.
            let known = self.sink.position().saturating_sub(at).min(len);
            at += len;
            if self.wanted.identity.size.is_some_and(|size| at > size) {
                return self.wrong("more bytes came than were announced").await;
            }
            if known < len {
                got += len - known;
                self.sink.push(piece.split_off(known as usize)).await?;
                self.told.at(self.sink.position());
            }
        }
        if self.wanted.identity.size.is_some_and(|size| self.sink.position() < size) {
            return Ok(self.failed(&NetError::Broken("it ended too early".into()), got));
        }
        self.verify(target, is_ours).await
    }

    async fn verify(&mut self, target: &str, is_ours: bool) -> Result<Came, SinkError> {
        self.told.stage(Stage::Verifying, Some((&self.source.name, self.source.rank.name())));
        if self.wanted.identity.md5.is_none() && is_ours && !target.starts_with(OBJECTS) {
            self.ask_for_digest(target).await?;
        }
        match self.sink.finish().await {
            Ok(digests) => Ok(Came::All(digests)),
            Err(SinkError::Wrong(why)) => self.wrong(&why).await,
            Err(error) => Err(error),
        }
    }

    /// A server of ours that did not know the digest beforehand knows it now.
    async fn ask_for_digest(&mut self, target: &str) -> Result<(), SinkError> {
        let path = target.split('?').next().unwrap_or(target);
        let info = format!("{}{path}", INFO.trim_end_matches('/'));
        let answer = match self.client.send(Ask::get(&self.source.url, &info)).await {
            Ok(answer) => json::read::<Info>(answer).await,
            Err(error) => Err(error),
        };
        // Who does not know it either leaves the file as any web server would.
        let Ok(Ok(info)) = answer else { return Ok(()) };
        if info.size == self.sink.position() {
            self.wanted.identity.md5 = info.md5.parse().ok();
            self.wanted.identity.sha256 = info.sha256.parse().ok();
            self.sink.know(&self.wanted.identity).await?;
        }
        Ok(())
    }

    async fn wrong(&mut self, why: &str) -> Result<Came, SinkError> {
        tracing::warn!(
            source = self.source.name,
            why,
            "wrong bytes came; they are thrown away, and the file is begun anew"
        );
        self.told.say(|state| state.trouble = Some(format!("{}: {why}", self.source.name)));
        self.sink.anew().await?;
        self.told.at(0);
        if !self.wanted.is_given {
            self.wanted.identity = Identity::default();
        }
        let is_banned = self.blame.is_wrong(&self.source.url);
        Ok(Came::Not(if is_banned { Outcome::Wrong } else { Outcome::Failed { got: 0 } }))
    }
}

/// Where a source is asked for it, in turn.
fn targets(wanted: &Wanted, rank: Rank, by_digest: bool) -> Vec<String> {
    let path = wanted.target.clone();
    let object = wanted.identity.md5.filter(|_| by_digest || path.is_none()).map(|md5| match wanted.path() {
        // What separates parameters must not stand in one.
        Some(path) => format!("{OBJECTS}{md5}?path={}", path.replace('&', "%26")),
        None => format!("{OBJECTS}{md5}"),
    });
    // A peer knows contents, and no paths.
    object.into_iter().chain(path.filter(|_| rank != Rank::Peer)).collect()
}

/// Another place, as a `Location` names it.
fn elsewhere(server: &str, location: &str) -> (String, String) {
    let scheme_end = location.find("://").map(|at| at + 3);
    match scheme_end {
        Some(begin) => {
            let at = location[begin..].find('/').map_or(location.len(), |at| at + begin);
            let target = if at == location.len() { "/" } else { &location[at..] };
            (location[..at].to_owned(), target.to_owned())
        }
        None => (server.to_owned(), format!("/{}", location.trim_start_matches('/'))),
    }
}

pub(super) fn head(answer: &Response<Incoming>) -> Head<'_> {
    let fields = answer.headers();
    let field = |name: &str| fields.get(name).map(|value| value.as_bytes());
    let len = fields.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
    Head {
        status: answer.status(),
        content_range: field("Content-Range"),
        len,
        claims: claims(fields, answer.status()),
        etag: field("ETag").and_then(ETag::parse),
    }
}

/// `Repr-Digest` is of the whole file, whatever part is sent; its older kin are of what is sent.
fn claims(fields: &HeaderMap, status: StatusCode) -> Claims {
    let field = |name: &str| fields.get(name).map(|value| value.as_bytes());
    let is_whole = status == StatusCode::OK;
    let older = |name: &str| field(name).filter(|_| is_whole);
    Claims::from_fields(field("Repr-Digest"), older("Digest"), older("Content-MD5"))
}

/// Whether the bytes are not the file's, but those of a coding that nobody asked for.
pub(super) fn is_coded(answer: &Response<Incoming>) -> bool {
    let coding = answer.headers().get(header::CONTENT_ENCODING);
    coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn is_outpost(answer: &Response<Incoming>) -> bool {
    answer.headers().get(header::SERVER).is_some_and(|server| server.as_bytes().starts_with(b"outpost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_asked_by_digest_then_by_path() {
        let mut wanted = Wanted::parse("http://hq/a&b%20c?x=1").unwrap();
        assert_eq!(targets(&wanted, Rank::Proxy, true), ["/a&b%20c?x=1"]);
        wanted.identity.md5 = Some(protocol::digest::Md5([0xab; 16]));
        let object = format!("/.outpost/v1/objects/{}?path=/a%26b%20c", "ab".repeat(16));
        assert_eq!(targets(&wanted, Rank::Proxy, true), [object.as_str(), "/a&b%20c?x=1"]);
        assert_eq!(targets(&wanted, Rank::Origin, false), ["/a&b%20c?x=1"]);
        assert_eq!(targets(&wanted, Rank::Peer, true), [object.as_str()]);
        wanted.target = None;
        assert_eq!(targets(&wanted, Rank::Proxy, false), [object.split('?').next().unwrap()]);
    }

    #[test]
    fn elsewhere_is_another_server_or_another_path() {
        for (location, expected) in
            [("https://b/x?y", ("https://b", "/x?y")), ("http://b", ("http://b", "/")), ("/x", ("http://a/", "/x"))]
        {
            let (server, target) = elsewhere("http://a/", location);
            assert_eq!((server.as_str(), target.as_str()), expected, "{location}");
        }
    }
}
