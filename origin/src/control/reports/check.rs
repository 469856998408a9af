//! What of a report is believed before it goes to the registry: pure. Whether what it says is true is for those to see who fetch from the node, by digest; here it is kept from
//! doing harm to others.

use std::net::IpAddr;

use http::Uri;
use protocol::{
    jobs::{self, JOBS_MAX, JobState, OUTPUT_MAX},
    membership::{ENDED_MAX, OPEN_MAX},
    plain::DETAIL_MAX,
    report::{FETCHING_MAX, PAGE_MAX, REFUSED_MAX, Report},
    timestamp::parse_rfc3339,
};

use protocol::enrolment::is_name;

/// Letters of a release.
const VERSION_LEN_MAX: usize = 64;
/// Letters of a URL.
const URL_LEN_MAX: usize = 300;

/// Why a report is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// It has no name, or none that can be one.
    #[error("a report is of a node whose name has 1 to 64 letters, digits, '-', '_' or '.'")]
    Name,
    /// Somebody speaks for somebody else.
    #[error("the report is of {node}, but {asker} sent it; each reports for itself")]
    Other {
        /// Of whom it is.
        node: String,
        /// Who says that it asks.
        asker: String,
    },
    /// More than one report may tell.
    #[error("the report has {0} {1}, and one may have {2}; tell the rest in the next one")]
    TooMany(usize, &'static str, usize),
    /// Nothing that can be shown.
    #[error("the version of a report has 1 to {VERSION_LEN_MAX} printable letters of ASCII")]
    Version,
    /// A state of a job that is none.
    #[error(
        "a state of a job has the name of one, a time, at most {DETAIL_MAX} letters of detail and {OUTPUT_MAX} bytes of output; that of '{0}' has not"
    )]
    Job(String),
    /// Nothing that can be asked.
    #[error(
        "{0:?} is not where files can be fetched; write http://HOST:PORT/ or https://HOST:PORT/, without user, path or query"
    )]
    Url(String),
}

impl Unfit {
    /// Whether it would be fit if it were shorter.
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self, Self::TooMany(..))
    }

    /// Whether it is fit, but not from who sent it.
    pub(super) fn is_of_another(&self) -> bool {
        matches!(self, Self::Other { .. })
    }
}

/// Sees to everything but to whom its URL leads.
pub(super) fn check(report: &Report, asker: Option<&str>) -> Result<(), Unfit> {
    if !is_name(&report.node) {
        return Err(Unfit::Name);
    }
    if let Some(asker) = asker.filter(|asker| *asker != report.node) {
        return Err(Unfit::Other { node: report.node.clone(), asker: asker.into() });
    }
    for (count, what, max) in [
        (report.holds.len() + report.dropped.len(), "digests", PAGE_MAX),
        (report.fetching.len(), "contents on their way", FETCHING_MAX),
        (report.orders.len(), "orders", OPEN_MAX + ENDED_MAX),
        (report.refused.len(), "refusals", REFUSED_MAX),
        (report.needs_restart.len(), "options that need a restart", REFUSED_MAX),
        (report.jobs.iter().flatten().count(), "jobs", JOBS_MAX),
    ] {
        if count > max {
            return Err(Unfit::TooMany(count, what, max));
        }
    }
    if let Some(job) = report.jobs.iter().flatten().find(|job| !is_fit(job)) {
        return Err(Unfit::Job(job.name.chars().take(URL_LEN_MAX).collect()));
    }
    let is_shown = |version: &str| version.bytes().all(|letter| letter.is_ascii_graphic() || letter == b' ');
    if report.version.is_empty() || report.version.len() > VERSION_LEN_MAX || !is_shown(&report.version) {
        return Err(Unfit::Version);
    }
    match &report.url {
        Some(url) if host(url).is_none() => Err(Unfit::Url(url.chars().take(URL_LEN_MAX).collect())),
        _ => Ok(()),
    }
}

/// Whether it can be kept and shown.
fn is_fit(job: &JobState) -> bool {
    jobs::is_name(&job.name)
        && parse_rfc3339(&job.since).is_some()
        && job.since.len() <= VERSION_LEN_MAX
        && job.detail.chars().count() <= DETAIL_MAX
        && job.output.len() <= OUTPUT_MAX
        && job.version.as_ref().is_none_or(|version| version.len() <= URL_LEN_MAX)
}

/// Whether a URL leads to the address that names it, so that nobody can send others to a third machine. `known` is the URL that the administrator has written for this node: he may send
/// them wherever he wants.
pub(super) fn is_own(url: &str, address: IpAddr, known: Option<&str>) -> bool {
    let Some(said) = host(url) else { return false };
    let is_known = known.and_then(host).is_some_and(|known| known == said);
    is_known || said.parse().is_ok_and(|said: IpAddr| said.to_canonical() == address.to_canonical())
}

/// The host of a URL under which files can be fetched: an address without brackets, or a name in lower case.
fn host(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok().filter(|_| url.len() <= URL_LEN_MAX)?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority()?.as_str();
    let (host, port) = match authority.rsplit_once(':').filter(|_| !authority.ends_with(']')) {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_bare = uri.path() == "/" && uri.query().is_none() && !url.contains(['#', '@']);
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
        None => host.to_ascii_lowercase(),
    };
    (is_web && is_port && is_bare && is_host(&host)).then_some(host)
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_'))
    };
    host.parse::<IpAddr>().is_ok() || (host.len() <= 253 && host.trim_end_matches('.').split('.').all(is_label))
}

#[cfg(test)]
mod tests {
    use protocol::{digest::Md5, enrolment::Role, report::Fetching};

    use super::*;

    fn report() -> Report {
        Report {
            node: "a1".into(),
            role: Role::Agent,
            version: "0.1.0".into(),
            url: Some("http://10.7.0.9:7778/".into()),
            sequence: 1,
            full: true,
            holds: vec![],
            dropped: vec![],
            fetching: vec![],
            load: 0,
            free: 0,
            configuration: 0,
            orders: vec![],
            refused: vec![],
            needs_restart: vec![],
            jobs: None,
        }
    }

    #[test]
    fn a_report_is_of_who_sends_it_and_bounded() {
        assert_eq!(check(&report(), None), Ok(()));
        assert_eq!(check(&report(), Some("a1")), Ok(()));
        let other = check(&report(), Some("a2")).unwrap_err();
        assert!(other.is_of_another() && !other.is_too_large());
        assert_eq!(other.to_string(), "the report is of a1, but a2 sent it; each reports for itself");
        for node in ["", "a b", "../x", &"a".repeat(65), "\u{fc}"] {
            assert_eq!(check(&Report { node: node.into(), ..report() }, None), Err(Unfit::Name), "{node}");
        }
        for version in ["", "1\n2", &"1".repeat(65), "\u{fc}"] {
            let report = Report { version: version.into(), ..report() };
            assert_eq!(check(&report, None), Err(Unfit::Version), "{version}");
        }
        let md5 = Md5::of(b"");
        let page = Report { holds: vec![md5; PAGE_MAX - 1], dropped: vec![md5], ..report() };
        assert_eq!(check(&page, None), Ok(()));
        let more = Report { dropped: vec![md5; 2], ..page };
        assert_eq!(check(&more, None), Err(Unfit::TooMany(PAGE_MAX + 1, "digests", PAGE_MAX)));
        assert!(check(&more, None).unwrap_err().is_too_large());
        let fetching = vec![Fetching { md5, fetched: 0, total: 1, ready_in: None }; FETCHING_MAX + 1];
        assert!(check(&Report { fetching, ..report() }, None).unwrap_err().is_too_large());
        let needs_restart = vec![String::new(); REFUSED_MAX + 1];
        assert!(check(&Report { needs_restart, ..report() }, None).unwrap_err().is_too_large());
    }

    #[test]
    fn states_of_jobs_are_bounded() {
        let good = JobState {
            name: "office".into(),
            state: jobs::State::Failed,
            detail: "\u{fc}".repeat(DETAIL_MAX),
            since: "2026-11-22T00:00:00Z".into(),
            version: None,
            generation: 1,
            tree: None,
            exit: None,
            output: "x".repeat(OUTPUT_MAX),
        };
        let of = |states: Vec<JobState>| check(&Report { jobs: Some(states), ..report() }, None);
        assert_eq!((of(vec![good.clone(); JOBS_MAX]), of(Vec::new())), (Ok(()), Ok(())));
        assert!(of(vec![good.clone(); JOBS_MAX + 1]).unwrap_err().is_too_large());
        for bad in [
            JobState { name: "../x".into(), ..good.clone() },
            JobState { since: "yesterday".into(), ..good.clone() },
            JobState { detail: "x".repeat(DETAIL_MAX + 1), ..good.clone() },
            JobState { output: "x".repeat(OUTPUT_MAX + 1), ..good.clone() },
            JobState { version: Some("1".repeat(URL_LEN_MAX + 1)), ..good.clone() },
        ] {
            assert_eq!(of(vec![bad.clone()]), Err(Unfit::Job(bad.name)));
        }
    }

    #[test]
    fn urls_are_of_a_host_and_nothing_else() {
        for (url, expected) in [
            ("http://10.7.0.2:8080/", Some("10.7.0.2")),
            ("https://10.7.0.2", Some("10.7.0.2")),
            ("http://[fd00::0:1]:8080/", Some("fd00::1")),
            ("http://[fd00::1]/", Some("fd00::1")),
            ("http://B7.Example.:8080/", Some("b7.example.")),
            ("http://b_7/", Some("b_7")),
            ("ftp://10.7.0.2/", None),
            ("outpost+http://10.7.0.2/", None),
            ("http://user@10.7.0.2/", None),
            ("http://user:secret@10.7.0.2:8080/", None),
            ("http://10.7.0.2:8080/path", None),
            ("http://10.7.0.2:8080/?x", None),
            ("http://10.7.0.2:8080/#x", None),
            ("http://10.7.0.2:0/", None),
            ("http://10.7.0.2:99999/", None),
            ("http://10.7.0.2:/", None),
            ("http:///", None),
            ("http://-\u{fc}/", None),
            ("http://a..b/", None),
            ("http://[fd00::1%25eth0]/", None),
            ("http://[10.7.0.2]/", None),
            ("/path", None),
            ("10.7.0.2:8080", None),
            ("", None),
        ] {
            assert_eq!(host(url).as_deref(), expected, "{url}");
            let said = Report { url: Some(url.into()), ..report() };
            assert_eq!(check(&said, None).is_ok(), expected.is_some(), "{url}");
        }
        let long = format!("http://{}/", ["a".repeat(60).as_str(); 5].join("."));
        assert_eq!(host(&long), None);
    }

    #[test]
    fn nobody_sends_others_to_a_third_machine() {
        let known = Some("http://b7.example:8080/");
        for (url, address, known, expected) in [
            ("http://10.7.0.9:7778/", "10.7.0.9", None, true),
            ("http://10.7.0.9:7778/", "::ffff:10.7.0.9", None, true),
            ("http://[fd00::9]:7778/", "fd00:0::9", None, true),
            ("http://10.7.0.9:7778/", "10.7.0.8", None, false),
            ("http://[::ffff:10.7.0.8]:7778/", "10.7.0.8", None, true),
            // Who a name is, is not asked: it may be another machine tomorrow.
            ("http://b7.example:8080/", "10.7.0.9", None, false),
            ("http://B7.example/", "10.7.0.9", known, true),
            ("http://b8.example:8080/", "10.7.0.9", known, false),
            ("http://10.7.0.9:8080/", "10.7.0.9", known, true),
            ("nonsense", "10.7.0.9", known, false),
        ] {
            assert_eq!(is_own(url, address.parse().unwrap(), known), expected, "{url} from {address}");
        }
    }
}
