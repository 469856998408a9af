//! `GET` and `POST /v1/catalogue?upstream=NAME`: what is known of an upstream's names, told and learnt part by part, so that neither side holds all of it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::JsonRejection},
    http::StatusCode,
    response::Response,
};
use cache::{Cache, CataloguedFile};
use protocol::{
    digest::{Md5, Sha256},
    problem::Kind,
    target::Target,
    timestamp,
};
use serde::{Deserialize, Serialize};

use super::{aside, json, problem, starting};
use crate::app::App;

/// Files that are learnt at once.
pub(crate) const FILES_MAX: usize = 1000;

/// Bytes of them, as JSON.
pub(crate) const LIST_BYTES_MAX: usize = 8 << 20;

#[derive(Deserialize)]
pub(super) struct Wanted {
    upstream: String,
    /// From 0; there is another where the answer has `next`.
    #[serde(default)]
    part: usize,
}

/// One file, as in a catalogue that is carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    /// Below the upstream's mount, encoded.
    path: String,
    size: u64,
    md5: Md5,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256>,
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
}

/// A part.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) files: Vec<File>,
    pub(crate) next: Option<usize>,
}

/// What was learnt.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Learnt {
    pub(crate) learnt: u64,
    /// Of which the upstream itself, or another catalogue, had said something already.
    pub(crate) known: u64,
}

/// To be learnt.
#[derive(Serialize, Deserialize)]
pub(crate) struct List {
    pub(crate) files: Vec<File>,
}

pub(super) async fn show(State(app): State<Arc<App>>, Query(wanted): Query<Wanted>) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let (cache, part) = (parts.cache.clone(), wanted.part);
    if part >= Cache::CATALOGUE_PARTS {
        return problem(Kind::BadRequest, format!("there are {} parts, counted from 0", Cache::CATALOGUE_PARTS));
    }
    match aside(&app, move |_| cache.catalogue(&wanted.upstream, part)).await {
        Ok(files) => {
            let next = Some(part + 1).filter(|next| *next < Cache::CATALOGUE_PARTS);
            json(StatusCode::OK, &Part { files: files.into_iter().map(File::from).collect(), next })
        }
        Err(error) => problem(Kind::NotFound, error.to_string()),
    }
}

pub(super) async fn learn(
    State(app): State<Arc<App>>,
    Query(wanted): Query<Wanted>,
    body: Result<Json<List>, JsonRejection>,
) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let Ok(Json(List { files })) = body else {
        return problem(
            Kind::BadRequest,
            "send {\"files\": [{\"path\", \"size\", \"md5\"}]} with Content-Type: application/json",
        );
    };
    if files.len() > FILES_MAX {
        return problem(
            Kind::BadRequest,
            format!("{} files are more than the {FILES_MAX} that are learnt at once", files.len()),
        );
    }
    let files: Result<Vec<_>, String> = files.into_iter().map(TryInto::try_into).collect();
    let files: Vec<CataloguedFile> = match files {
        Ok(files) => files,
        Err(detail) => return problem(Kind::BadRequest, detail),
    };
    let cache = parts.cache.clone();
    let learning = move |_: &App| {
        let mut all = Learnt::default();
        for file in &files {
            match cache.learn(&wanted.upstream, file)? {
                true => all.learnt += 1,
                false => all.known += 1,
            }
        }
        Ok::<_, cache::NoUpstream>(all)
    };
    match aside(&app, learning).await {
        Ok(learnt) => json(StatusCode::OK, &learnt),
        Err(error) => problem(Kind::NotFound, error.to_string()),
    }
}

impl From<CataloguedFile> for File {
    fn from(file: CataloguedFile) -> Self {
        let CataloguedFile { path, len, md5, sha256, modified } = file;
        Self { path: path.path().into(), size: len, md5, sha256, modified: modified.map(timestamp::rfc3339) }
    }
}

impl TryFrom<File> for CataloguedFile {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        let File { path, size: len, md5, sha256, modified } = file;
        let target = Target::parse(path.as_bytes()).ok();
        let target = target.filter(|target| target.query().is_none() && !target.is_directory());
        let path = target.ok_or_else(|| format!("'{path}' is no path of a file"))?;
        Ok(Self { path, len, md5, sha256, modified: modified.as_deref().and_then(timestamp::parse_rfc3339) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_as_it_was() {
        let digests = protocol::digest::Digests::of(b"x");
        let file = CataloguedFile {
            path: Target::parse(b"/a%20b").unwrap(),
            len: 1,
            md5: digests.md5,
            sha256: Some(digests.sha256),
            modified: timestamp::parse_rfc3339("2026-11-22T01:41:00Z"),
        };
        let text = serde_json::to_string(&File::from(file.clone())).unwrap();
        assert_eq!(CataloguedFile::try_from(serde_json::from_str::<File>(&text).unwrap()), Ok(file));
        let short = format!("{{\"path\": \"/a\", \"size\": 1, \"md5\": \"{}\"}}", digests.md5);
        let file: File = serde_json::from_str(&short).unwrap();
        assert!(CataloguedFile::try_from(file.clone()).is_ok());
        for path in ["a", "/", "/a/", "/a?b", ""] {
            assert!(CataloguedFile::try_from(File { path: path.into(), ..file.clone() }).is_err(), "{path}");
        }
    }
}
