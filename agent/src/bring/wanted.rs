//! What somebody asked for, as people write it: a URL, a path, or a digest.

use protocol::{
    digest::{Md5, Sha256},
    target::Target,
};

use crate::decide::resume::Identity;

/// What is to be brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// As it was written.
    pub(crate) text: String,
    /// The server of a URL.
    pub(crate) server: Option<String>,
    /// Path and query, encoded, where it is known.
    pub(crate) target: Option<String>,
    /// As far as it is known.
    pub(crate) identity: Identity,
    /// Whether the identity is what was asked for (or what an origin says); else it is what the first answer said, and may change with the next.
    pub(crate) is_given: bool,
    /// What the list of its pieces is known by, where an origin said.
    pub(crate) pieces: Option<Sha256>,
}

/// Text that names nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotWanted {
    /// None of the three.
    #[error("'{0}' is neither http://HOST/PATH, nor a path that begins with '/', nor an MD5 of 32 hexadecimal digits")]
    Form(String),
    /// A folder.
    #[error("'{0}' names a directory; name a file")]
    Directory(String),
    /// A path that no server would take.
    #[error("'{0}' cannot be asked for: {1}")]
    Path(String, String),
}

impl Wanted {
    /// Reads it.
    pub(crate) fn parse(text: &str) -> Result<Self, NotWanted> {
        let bare = text.strip_prefix("outpost+").unwrap_or(text);
        let of = |server: Option<String>, target: Option<String>, identity| {
            let is_given = server.is_none() && target.is_none();
            Self { text: text.into(), server, target, identity, is_given, pieces: None }
        };
        if let Ok(md5) = text.parse::<Md5>() {
            return Ok(of(None, None, Identity::of(md5)));
        }
        let (server, path) = match ["http://", "https://"].iter().find(|scheme| bare.starts_with(**scheme)) {
            Some(scheme) => {
                let at = bare[scheme.len()..].find('/').map(|at| at + scheme.len());
                let (server, path) = at.map_or((bare, "/"), |at| bare.split_at(at));
                if server.len() == scheme.len() {
                    return Err(NotWanted::Form(text.into()));
                }
                (Some(format!("{server}/")), path)
            }
            None if text.starts_with('/') => (None, text),
            None => return Err(NotWanted::Form(text.into())),
        };
        let path = path.split('#').next().unwrap_or(path);
        let target = Target::parse(path.replace(' ', "%20").as_bytes())
            .map_err(|bad| NotWanted::Path(text.into(), bad.to_string()))?;
        if target.is_directory() {
            return Err(NotWanted::Directory(text.into()));
        }
        Ok(of(server, Some(target.as_str().into()), Identity::default()))
    }

    /// The name of its file, where nobody says another.
    pub(crate) fn file_name(&self) -> String {
        let of_path = self.target.as_deref().and_then(|target| {
            let path = Target::parse(target.as_bytes()).ok()?.decode().ok()?;
            let name = path.rsplit(|byte| *byte == b'/').next()?.to_vec();
            String::from_utf8(name).ok().filter(|name| !name.is_empty() && name != "." && name != "..")
        });
        of_path.or_else(|| self.identity.md5.map(|md5| md5.to_string())).unwrap_or_else(|| "download".into())
    }

    /// Its path without the query.
    pub(crate) fn path(&self) -> Option<&str> {
        self.target.as_deref().map(|target| target.split('?').next().unwrap_or(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_three_things() {
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        for (text, server, target, name) in [
            ("http://hq:8090/prod/a%20b.zip", Some("http://hq:8090/"), Some("/prod/a%20b.zip"), "a b.zip"),
            ("outpost+https://hq/a.zip?v=1#x", Some("https://hq/"), Some("/a.zip?v=1"), "a.zip"),
            ("/prod/a b.zip", None, Some("/prod/a%20b.zip"), "a b.zip"),
            (md5, None, None, md5),
        ] {
            let wanted = Wanted::parse(text).unwrap();
            assert_eq!((wanted.server.as_deref(), wanted.target.as_deref()), (server, target), "{text}");
            assert_eq!((wanted.file_name().as_str(), wanted.is_given), (name, target.is_none()), "{text}");
        }
        for text in
            ["", "a.zip", "http://", "http:///x", "ftp://a/b", "http://hq", "http://hq/dir/", "/", "/a/../b", "/%zz"]
        {
            assert!(Wanted::parse(text).is_err(), "{text}");
        }
    }
}
