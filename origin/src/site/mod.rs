//! What the configuration says of the site: who stands where, what each is given, and what is told to all. It is replaced as a whole when the configuration is
//! read again. `given` is what is delivered to whom, `tokens` by what one enrols.

mod given;
mod tokens;

use config::origin::{JobOptions, Settings};
use protocol::{
    enrolment::{Configuration, Role},
    jobs::{JOBS_MAX, Job},
    schedule::ScheduleError,
    topology::{Domain, DomainName, Tier, Topology, TopologyError},
};

use self::given::Given;
pub(crate) use self::tokens::Tokens;
pub use self::tokens::TokensError;
use crate::{
    registry::Intervals,
    sources::{Terms, near_to_far},
};

/// The site.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The tree.
    pub(crate) topology: Topology,
    /// How sources are told.
    pub(crate) terms: Terms,
    /// All origins, the first to be asked first.
    pub(crate) origins: Vec<String>,
    /// When everybody is to report.
    pub(crate) intervals: Intervals,
    /// By what one enrols.
    pub(crate) tokens: Tokens,
    /// Whether a name is believed only with its credential.
    pub(crate) enrolment_required: bool,
    /// Packages that agents keep.
    pub(crate) jobs: Vec<JobOptions>,
    given: Given,
    /// As they were written.
    domains: Vec<Domain>,
}

/// Why a configuration is no site.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The domains are no tree.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A window of time is none.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The file with the tokens cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokensError),
}

impl Site {
    /// As it is configured. Reads the file with the tokens.
    pub(crate) fn of(settings: &Settings) -> Result<Self, SiteError> {
        let domains: Vec<Domain> = settings.domains.iter().map(|domain| domain.domain.clone()).collect();
        let tokens = settings.enrolment.tokens_file.as_deref().map(Tokens::read).transpose()?;
        Ok(Self {
            topology: Topology::new(domains.clone())?,
            domains,
            terms: Terms::of(&settings.sources, &settings.blackout, &settings.zone)?,
            origins: settings.origins.clone(),
            intervals: Intervals { next_in: settings.registry.report_every, expires_in: settings.registry.expiry },
            tokens: tokens.unwrap_or_default(),
            enrolment_required: settings.enrolment.required,
            jobs: settings.jobs.clone(),
            given: Given::new(settings),
        })
    }

    /// Whether somebody is to be asked elsewhere than before.
    pub(crate) fn is_elsewhere(&self, old: &Self) -> bool {
        (&self.domains, &self.origins) != (&old.domains, &old.origins)
    }

    /// Whether a machine may be in another domain than before.
    pub(crate) fn is_placed_otherwise(&self, old: &Self) -> bool {
        let places = |site: &Self| -> Vec<_> {
            let of = |domain: &Domain| (domain.name.clone(), domain.ranges.clone(), domain.machines.clone());
            site.domains.iter().map(of).collect()
        };
        places(self) != places(old)
    }

    /// A number of the whole, which is another whenever the tree or the list of origins is.
    pub(crate) fn generation(&self) -> u64 {
        given::number(&(&self.domains, &self.origins))
    }

    /// Packages that an agent is to keep, in the order of the configuration.
    pub(crate) fn jobs_of(&self, node: Option<&str>, domain: Option<&DomainName>) -> Vec<Job> {
        self.jobs.iter().filter(|job| job.is_for(node, domain)).take(JOBS_MAX).map(JobOptions::job).collect()
    }

    /// What is wanted of a node, and what it needs to know to do without an origin for a while.
    pub(crate) fn configuration(&self, node: Option<&str>, role: Role, domain: Option<&DomainName>) -> Configuration {
        let proxies = near_to_far(&self.topology, node.filter(|_| role == Role::Proxy), domain);
        let tier = node.map_or(Tier::Client, |node| self.topology.tier_of(node));
        let mut configuration = Configuration {
            generation: 0,
            domain: domain.cloned(),
            tier,
            options: self.given.options(node, role, domain),
            proxies,
            origins: self.origins.clone(),
            jobs: if role == Role::Agent { self.jobs_of(node, domain) } else { Vec::new() },
            source_expiry: self.terms.source_expiry.as_secs(),
        };
        configuration.generation = given::generation(&configuration);
        configuration
    }
}

#[cfg(test)]
mod tests {
    use config::{
        ConfigFile, Sources,
        origin::{Loaded, load},
    };

    use super::*;

    const SITE: &str = r#"
        origins = ["http://hq.example:8090/"]
        [catalogue]
        directory = "/srv"
        [[domain]]
        name = "hq"
        tier = "unconstrained"
        ranges = ["10.0.0.0/8"]
        proxies = [{ name = "hq-1", url = "http://10.0.0.2:8080/" }]
        [domain.proxy]
        mode = "fetch"
        serve.max_requesters = 3
        [[domain]]
        name = "hq.b7"
        ranges = ["10.7.0.0/16"]
        proxies = [{ name = "b7-1", url = "http://10.7.0.2:8080/" }, { name = "b7-2", url = "http://10.7.0.3:8080/" }]
        [domain.proxy]
        mode = "preload"
        [domain.agent]
        peers.port = 1
        [[node]]
        name = "b7-2"
        [node.proxy]
        serve.max_requesters = 9
    "#;

    pub(crate) fn site(text: &str) -> Site {
        let file = ConfigFile { path: "origin.toml".into(), text: text.into() };
        let sources = Sources { file: Some(file), working_directory: "/w".into(), ..Sources::default() };
        let loaded: Loaded = load(&sources).unwrap_or_else(|refused| panic!("{refused}"));
        Site::of(&loaded.settings).unwrap()
    }

    fn of(site: &Site, node: &str, role: Role, domain: Option<&str>) -> Configuration {
        let domain = domain.map(|name| name.parse().unwrap());
        site.configuration(Some(node), role, domain.as_ref())
    }

    #[test]
    fn what_is_delivered_is_inherited_and_said_anew_by_domain_and_name() {
        let site = site(SITE);
        for (node, role, domain, expected) in [
            ("hq-1", Role::Proxy, Some("hq"), r#"{"mode":"fetch","serve.max_requesters":3}"#),
            ("b7-1", Role::Proxy, Some("hq.b7"), r#"{"mode":"preload","serve.max_requesters":3}"#),
            ("b7-2", Role::Proxy, Some("hq.b7"), r#"{"mode":"preload","serve.max_requesters":9}"#),
            ("pc-1", Role::Agent, Some("hq.b7.lab"), r#"{"peers.port":1}"#),
            ("pc-1", Role::Agent, Some("hq"), "{}"),
            ("b7-2", Role::Proxy, None, r#"{"serve.max_requesters":9}"#),
            ("b7-2", Role::Agent, None, "{}"),
        ] {
            let options = of(&site, node, role, domain).options;
            assert_eq!(serde_json::to_string(&options).unwrap(), expected, "{node} {role:?} {domain:?}");
        }
    }

    #[test]
    fn a_proxy_is_told_of_those_that_cannot_come_to_ask_it_and_an_agent_of_all() {
        let site = site(SITE);
        let names = |node, role| {
            let configuration = of(&site, node, role, Some("hq.b7"));
            configuration.proxies.iter().map(|proxy| proxy.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names("b7-1", Role::Proxy), ["hq-1"]);
        assert_eq!(names("b7-2", Role::Proxy), ["b7-1", "hq-1"]);
        assert_eq!(names("pc-1", Role::Agent), ["b7-1", "b7-2", "hq-1"]);
        assert_eq!(of(&site, "b7-1", Role::Proxy, Some("hq.b7")).tier, Tier::Constrained);
        assert_eq!(of(&site, "pc-1", Role::Agent, Some("hq.b7")).tier, Tier::Client);
    }

    #[test]
    fn an_agent_is_told_its_jobs_and_no_proxy_is() {
        let jobs = "[[job]]\nname = \"office\"\npackage = \"/Redist/office/\"\ndomains = [\"hq.b7\"]\n";
        let (before, after) = (site(SITE), site(&format!("{SITE}\n{jobs}")));
        let names = |node, role, domain| {
            of(&after, node, role, domain).jobs.into_iter().map(|job| job.name).collect::<Vec<_>>()
        };
        assert_eq!(names("pc-1", Role::Agent, Some("hq.b7.lab")), ["office"]);
        assert!(
            names("pc-1", Role::Agent, Some("hq")).is_empty() && names("b7-1", Role::Proxy, Some("hq.b7")).is_empty()
        );
        for (role, domain, is_other) in
            [(Role::Agent, "hq.b7", true), (Role::Agent, "hq", false), (Role::Proxy, "hq.b7", false)]
        {
            let generation = |site| of(site, "x", role, Some(domain)).generation;
            assert_eq!(generation(&before) != generation(&after), is_other, "{role:?} {domain}");
        }
    }

    #[test]
    fn the_generation_changes_exactly_when_what_it_says_does() {
        let generation = |text: &str, node| of(&site(text), node, Role::Proxy, Some("hq.b7")).generation;
        let changed = SITE.replace("serve.max_requesters = 9", "serve.max_requesters = 10");
        assert_eq!(generation(SITE, "b7-1"), generation(&changed, "b7-1"), "it is told nothing of the other's option");
        assert_ne!(generation(SITE, "b7-2"), generation(&changed, "b7-2"));
        let elsewhere = SITE.replace("10.0.0.2", "10.0.0.9");
        assert_ne!(generation(SITE, "b7-1"), generation(&elsewhere, "b7-1"));
        assert_eq!(
            generation(SITE, "b7-1"),
            generation(SITE, "b7-1"),
            "the same after a restart, and on another origin"
        );
        // JSON knows whole numbers up to 2^53 everywhere.
        assert!((1..1 << 53).contains(&generation(SITE, "b7-1")));
    }
}
