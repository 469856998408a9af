//! A file or a directory with its properties, as far as they are known.

use std::{borrow::Cow, time::SystemTime};

use super::property::Property;
use crate::{
    content_type,
    listing::{Entry, Listing},
    target::Target,
    timestamp,
};

/// One file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Its path, encoded; a directory's ends with `/`.
    pub href: Cow<'a, str>,
    /// For people.
    pub name: Cow<'a, str>,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Bytes of a file.
    pub len: Option<u64>,
    /// Last change.
    pub modified: Option<SystemTime>,
    /// Tag of a file.
    pub etag: Option<Cow<'a, str>>,
    /// Media type of a file.
    pub content_type: Option<Cow<'a, str>>,
}

impl Resource<'static> {
    /// A directory of which nothing is known but that it is there. The slash at its end is added where it is not.
    pub fn directory(target: &Target) -> Self {
        let path = target.path();
        let slash = if path.ends_with('/') { "" } else { "/" };
        Self {
            href: format!("{path}{slash}").into(),
            name: name(target).into(),
            is_directory: true,
            len: None,
            modified: None,
            etag: None,
            content_type: None,
        }
    }

    /// A file of which nothing is known but that it is there.
    pub fn file(target: &Target) -> Self {
        let href = target.path().trim_end_matches('/').to_owned().into();
        let content_type = Some(content_type::of_path(target.path()).into());
        Self { href, is_directory: false, content_type, ..Self::directory(target) }
    }
}

impl<'a> Resource<'a> {
    /// An entry of a listing.
    pub fn entry(listing: &'a Listing, entry: &'a Entry) -> Self {
        let href = entry.safe_href();
        let bare = href.strip_prefix("./").unwrap_or(&href);
        Self {
            href: format!("{}{bare}", listing.path).into(),
            name: entry.name.as_str().into(),
            is_directory: entry.directory,
            len: entry.size.filter(|_| !entry.directory),
            modified: entry.modified.as_deref().and_then(timestamp::parse_rfc3339),
            etag: None,
            content_type: (!entry.directory).then(|| content_type::of_path(bare).into()),
        }
    }

    /// A property as text that is not escaped yet; `None` if there is none. For [`Property::ResourceType`] and
    /// [`Property::SupportedLock`], which have no text, it is empty.
    pub(crate) fn value(&self, property: Property) -> Option<Cow<'_, str>> {
        match property {
            Property::CreationDate => self.modified.map(|modified| timestamp::rfc3339(modified).into()),
            Property::DisplayName => Some(self.name.as_ref().into()),
            Property::ContentLength => self.len.map(|len| len.to_string().into()),
            Property::ContentType => self.content_type.as_deref().filter(|text| !text.is_empty()).map(Cow::from),
            Property::ETag => self.etag.as_deref().map(Cow::from),
            Property::LastModified => self.modified.map(|modified| timestamp::http_date(modified).into()),
            Property::ResourceType | Property::SupportedLock => Some("".into()),
        }
    }
}

/// The last segment of a path as people read it.
fn name(target: &Target) -> String {
    let path = target.path().trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    let decoded = Target::parse(format!("/{last}").as_bytes()).and_then(|target| target.decode());
    match decoded {
        Ok(name) if name.is_empty() => "/".into(),
        Ok(name) => String::from_utf8_lossy(&name).into_owned(),
        Err(_) => last.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_files_have_their_names() {
        for (path, href, shown) in [
            ("/", "/", "/"),
            ("/a%20b", "/a%20b/", "a b"),
            ("/x/%C3%BC/?q", "/x/%C3%BC/", "\u{fc}"),
            ("/x/%FF", "/x/%FF/", "\u{fffd}"),
        ] {
            let directory = Resource::directory(&Target::parse(path.as_bytes()).unwrap());
            assert_eq!((&*directory.href, &*directory.name), (href, shown));
        }
        let file = Resource::file(&Target::parse(b"/x/a.zip").unwrap());
        assert_eq!(
            (&*file.href, &*file.name, file.content_type.as_deref()),
            ("/x/a.zip", "a.zip", Some("application/zip"))
        );
    }

    #[test]
    fn an_entry_of_a_foreign_listing_leads_nowhere_else() {
        let entry = |href: &str| Entry {
            name: "n".into(),
            href: href.into(),
            directory: false,
            size: Some(1),
            modified: Some("2026-11-22T01:41:00Z".into()),
        };
        let listing =
            Listing { path: "/prod/".into(), entries: vec![entry("../x"), entry("./a:b"), entry("https://evil/")] };
        let hrefs: Vec<_> =
            listing.entries.iter().map(|entry| Resource::entry(&listing, entry).href.into_owned()).collect();
        assert_eq!(hrefs, ["/prod/n", "/prod/a:b", "/prod/n"]);
    }
}
