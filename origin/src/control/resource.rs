//! Which resources there are, and what may be done with each: a pure function of the target.

use http::Method;
use protocol::{
    digest::Md5,
    info::{
        CATALOG, CHANGES, CONFIGURATION, ENROL, HOLDERS, JOBS, NODES, OBJECTS, PACKAGES, REPORTS, SOURCES, TOPOLOGY,
    },
    target::Target,
};

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// What there is.
    Catalog,
    /// Which packages there are.
    Packages,
    /// What is in a package.
    Package,
    /// What changes.
    Changes,
    /// Where contents are to be had.
    Sources,
    /// Who stands where.
    Topology,
    /// What somebody holds.
    Reports,
    /// Who belongs to this origin.
    Enrol,
    /// What is wanted of who asks.
    Configuration,
    /// Who holds a content.
    Holders(Md5),
    /// Who has reported.
    Nodes,
    /// One of them.
    Node,
    /// How jobs stand.
    Jobs,
    /// One of them.
    Job,
}

impl Resource {
    /// The resource of a target; `None` of files and of what there is not.
    pub(crate) fn of(target: &Target) -> Option<Self> {
        let path = target.path();
        Some(match path {
            CATALOG => Self::Catalog,
            PACKAGES => Self::Packages,
            CHANGES => Self::Changes,
            SOURCES => Self::Sources,
            TOPOLOGY => Self::Topology,
            REPORTS => Self::Reports,
            ENROL => Self::Enrol,
            CONFIGURATION => Self::Configuration,
            NODES => Self::Nodes,
            JOBS => Self::Jobs,
            _ if is_named(NODES, path) => Self::Node,
            _ if is_named(JOBS, path) => Self::Job,
            _ if is_package(path) => Self::Package,
            _ => Self::Holders(path.strip_prefix(OBJECTS)?.strip_suffix(HOLDERS)?.parse().ok()?),
        })
    }

    /// What `Allow` says.
    pub(crate) fn methods(self) -> &'static str {
        match self {
            Self::Sources | Self::Reports | Self::Enrol => "POST",
            Self::Catalog | Self::Packages | Self::Package | Self::Changes | Self::Configuration => "GET, HEAD",
            Self::Holders(_) | Self::Topology | Self::Nodes | Self::Node | Self::Jobs | Self::Job => "GET, HEAD",
        }
    }

    /// Whether a method may be used.
    pub(crate) fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|name| name == method.as_str())
    }
}

/// A name behind the path of all.
fn is_named(all: &str, path: &str) -> bool {
    let name = path.strip_prefix(all).and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// A folder behind the prefix of packages.
fn is_package(path: &str) -> bool {
    path.strip_prefix(PACKAGES)
        .is_some_and(|folder| folder.len() > 1 && folder.starts_with('/') && folder.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_and_their_methods() {
        let md5 = Md5::of(b"");
        for (text, expected) in [
            ("/.outpost/v1/catalog?share=prod&since=7".to_owned(), Some(Resource::Catalog)),
            ("/.outpost/v1/packages?share=prod".into(), Some(Resource::Packages)),
            ("/.outpost/v1/packages/prod/office-16/".into(), Some(Resource::Package)),
            ("/.outpost/v1/packages/prod/office-16".into(), None),
            ("/.outpost/v1/packages/".into(), None),
            ("/.outpost/v1/changes".into(), Some(Resource::Changes)),
            ("/.outpost/v1/sources".into(), Some(Resource::Sources)),
            ("/.outpost/v1/topology?domain=hq".into(), Some(Resource::Topology)),
            (format!("/.outpost/v1/objects/{md5}/holders"), Some(Resource::Holders(md5))),
            (format!("/.outpost/v1/objects/{md5}"), None),
            ("/.outpost/v1/objects/abc/holders".into(), None),
            ("/.outpost/v1/nodes?cursor=a".into(), Some(Resource::Nodes)),
            ("/.outpost/v1/nodes/b7-proxy".into(), Some(Resource::Node)),
            ("/.outpost/v1/jobs".into(), Some(Resource::Jobs)),
            ("/.outpost/v1/jobs/office?cursor=a".into(), Some(Resource::Job)),
            ("/.outpost/v1/jobs/".into(), None),
            ("/.outpost/v1/nodes/".into(), None),
            ("/.outpost/v1/nodes/a/b".into(), None),
            ("/.outpost/v1/catalog/".into(), None),
            ("/catalog".into(), None),
        ] {
            let target = Target::parse(text.as_bytes()).expect("valid");
            assert_eq!(Resource::of(&target), expected, "{text}");
        }
        assert!(Resource::Sources.takes(&Method::POST) && !Resource::Sources.takes(&Method::GET));
        assert!(Resource::Catalog.takes(&Method::HEAD) && !Resource::Catalog.takes(&Method::POST));
    }
}
