//! What stands in the query of a question about the catalogue.

use protocol::{problem::Kind, target::Target};
use serve::response::Response;

use crate::{answer, catalogue::CatalogueError, shares::Share};

/// Folders of one question; who names more is told of everything.
const FOLDERS_MAX: usize = 256;

/// What is answered instead.
pub(super) type Refused = Box<Response>;

/// A number, if there is one.
pub(super) fn number(target: &Target, name: &str) -> Result<Option<u64>, Refused> {
    let Some(value) = target.query_value(name) else { return Ok(None) };
    let number = std::str::from_utf8(&value)
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|number| i64::try_from(*number).is_ok());
    let detail = || format!("{name}={} is no number; write digits only", value.escape_ascii());
    number.map(Some).ok_or_else(|| answer::problem(Kind::BadRequest, detail()).into())
}

/// How many entries are wanted; at least one, and not more than there may be.
pub(super) fn limit(target: &Target, default: usize, max: usize) -> Result<usize, Refused> {
    let asked = number(target, "limit")?.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(asked.unwrap_or(default).clamp(1, max))
}

/// Which numbering the generations are of that are asked with.
pub(super) fn epoch(target: &Target) -> Option<String> {
    target.query_value("epoch").map(|epoch| String::from_utf8_lossy(&epoch).into_owned())
}

/// The path of a file or folder, below the published directory.
pub(super) fn after(target: &Target) -> Result<Option<Vec<u8>>, Refused> {
    let Some(path) = target.query_value("after") else { return Ok(None) };
    let decoded = Target::from_file_path(&path).decode();
    decoded.map(Some).map_err(|error| answer::problem(Kind::BadRequest, error.to_string()).into())
}

/// The folders of the shares that are asked about, of which there may be several; none: everything.
pub(super) fn shares(shares: &[Share], target: &Target) -> Result<Vec<Box<[u8]>>, Refused> {
    let named = target.query_values("share").map(|name| {
        let found = shares.iter().find(|share| share.name.as_bytes() == name);
        found.map(|share| share.top.clone()).ok_or_else(|| no_share(shares, &name))
    });
    named.collect()
}

/// Likewise where folders may be named too: `below=/prod/office/`. Nothing lies below our own prefix, so that who names that is told of no files.
pub(super) fn folders(all: &[Share], target: &Target) -> Result<Vec<Box<[u8]>>, Refused> {
    let mut tops = shares(all, target)?;
    for folder in target.query_values("below").take(FOLDERS_MAX + 1) {
        let decoded = Target::parse(&folder).and_then(|folder| folder.decode());
        let decoded = decoded
            .map_err(|error| answer::problem(Kind::BadRequest, format!("below={}: {error}", folder.escape_ascii())));
        // What is not one folder is all of them.
        tops.push(decoded?.into());
    }
    if tops.iter().any(|top| top.is_empty()) || tops.len() > FOLDERS_MAX { Ok(Vec::new()) } else { Ok(tops) }
}

fn no_share(shares: &[Share], name: &[u8]) -> Refused {
    let names: Vec<_> = shares.iter().map(|share| share.name.as_str()).collect();
    let detail = format!("there is no share '{}' here; there are: {}", name.escape_ascii(), names.join(", "));
    answer::problem(Kind::NotFound, detail).into()
}

/// The database does not answer.
pub(super) fn failed(error: &CatalogueError) -> Refused {
    tracing::error!(%error, "a question about the catalogue cannot be answered; the client is told to ask later");
    answer::problem(Kind::Internal, "this server cannot read its catalogue; ask again later").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(query: &str) -> Target {
        Target::parse(format!("/x?{query}").as_bytes()).expect("valid")
    }

    #[test]
    fn numbers_are_checked_and_limits_kept() {
        for (query, expected) in [
            ("", Some(5)),
            ("limit=7", Some(7)),
            ("limit=0", Some(1)),
            ("limit=11", Some(10)),
            ("limit=9223372036854775807", Some(10)),
            ("limit=9223372036854775808", None),
            ("limit=-1", None),
            ("limit=", None),
            ("limit=%37", Some(7)),
            ("limit=7x", None),
        ] {
            assert_eq!(limit(&target(query), 5, 10).map_err(|refused| refused.status).ok(), expected, "{query}");
        }
    }

    #[test]
    fn shares_are_named_or_all() {
        let all = ["dev", "prod"].map(|name| Share::new(name, name, &[] as &[&str]).expect("valid"));
        let tops = |query| shares(&all, &target(query)).map_err(|refused| refused.status.as_u16());
        let top = |name: &str| Box::from(name.as_bytes());
        assert_eq!(tops(""), Ok(vec![]));
        assert_eq!(tops("share=prod"), Ok(vec![top("prod")]));
        assert_eq!(tops("share=prod&since=1&share=dev"), Ok(vec![top("prod"), top("dev")]));
        assert_eq!(tops("share=test"), Err(404));
        assert_eq!(tops("share="), Err(404));
    }

    #[test]
    fn folders_are_named_beside_shares() {
        let all = ["dev", "prod"].map(|name| Share::new(name, name, &[] as &[&str]).expect("valid"));
        let tops = |query: &str| folders(&all, &target(query)).map_err(|refused| refused.status.as_u16());
        let top = |name: &str| Box::from(name.as_bytes());
        assert_eq!(tops("below=/prod/a%2520b/&below=/.outpost/"), Ok(vec![top("prod/a b"), top(".outpost")]));
        assert_eq!(tops("share=dev&below=/prod/x/"), Ok(vec![top("dev"), top("prod/x")]));
        for everything in ["", "below=/", "share=dev&below=/", &"below=/a/&".repeat(FOLDERS_MAX + 1)] {
            assert_eq!(tops(everything), Ok(vec![]), "{everything}");
        }
        assert_eq!((tops("below=/a/../b/"), tops("share=x&below=/")), (Err(400), Err(404)));
    }

    #[test]
    fn paths_are_read_as_they_are_told() {
        let read = |query| after(&target(query)).map_err(|refused| refused.status.as_u16());
        assert_eq!(read("after=/a%20b/c"), Ok(Some(b"a b/c".to_vec())));
        assert_eq!(read("x=1"), Ok(None));
    }
}
