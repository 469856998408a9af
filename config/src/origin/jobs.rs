//! What makes no sense of `[[job]]`: of the packages that agents keep. Pure.

use protocol::{glob::Globs, jobs::JOBS_MAX, target::Target, topology::DomainName};

use super::settings::{JobOptions, Settings, ShareOptions, USUAL_PACKAGES};
use crate::check::{Complaint, complaint};

/// What makes no sense of them.
pub(super) fn complaints(settings: &Settings) -> Vec<Complaint> {
    let each = settings.jobs.iter().enumerate().flat_map(|(place, job)| of(settings, place, job));
    each.chain(too_many(settings)).collect()
}

fn of(settings: &Settings, place: usize, job: &JobOptions) -> Vec<Complaint> {
    let mut found = Vec::new();
    let key = |place: usize, name: &str| format!("job[{place}].{name}");
    if let Some(first) = settings.jobs[..place].iter().position(|other| other.name == job.name) {
        found.push(complaint(
            format!("two jobs are named '{}'", job.name),
            &[&key(first, "name"), &key(place, "name")],
            "give each a name of its own",
        ));
    }
    if !job.package.is_empty() && !is_package(settings, &job.package) {
        found.push(complaint(
            format!("{} is not a package of any share", job.package),
            &[&key(place, "package")],
            "name a folder that is one by the packages of its share, such as /Redist/office-16/; GET /.outpost/v1/packages lists those that are there",
        ));
    }
    for name in &job.domains {
        let mut tree = settings.domains.iter().flat_map(|domain| with_those_above(&domain.domain.name));
        if !tree.any(|known| known == *name) {
            found.push(complaint(
                format!("there is no domain '{name}'"),
                &[&key(place, "domains")],
                "name one of the [[domain]] blocks, or one above them",
            ));
        }
    }
    if job.domains.is_empty() && job.nodes.is_empty() {
        found.push(complaint(
            format!("nobody keeps the job '{}'", job.name),
            &[&key(place, "name")],
            "say whose it is: domains = [\"hq\"], or nodes = [\"pc-*\"]",
        ));
    }
    found
}

fn with_those_above(name: &DomainName) -> impl Iterator<Item = DomainName> {
    std::iter::successors(Some(name.clone()), DomainName::parent)
}

/// An agent is told of a few only: those that one domain has, with those above it, must be no more.
fn too_many(settings: &Settings) -> Option<Complaint> {
    let crowded = settings.domains.iter().find(|domain| {
        settings.jobs.iter().filter(|job| job.is_for(None, Some(&domain.domain.name))).count() > JOBS_MAX
    })?;
    let message =
        format!("domain '{}' has more than {JOBS_MAX} jobs, which is what an agent can keep", crowded.domain.name);
    let keys: Vec<String> = (0..settings.jobs.len()).map(|place| format!("job[{place}].domains")).take(1).collect();
    Some(Complaint { keys, ..complaint(message, &[], "put what belongs together into one package") })
}

/// Whether a folder is a package of a share: it matches one of its patterns, and no folder above it does. Whether it is there is not looked at.
fn is_package(settings: &Settings, path: &str) -> bool {
    let Some(path) = Target::parse(path.as_bytes()).ok().and_then(|target| target.decode().ok()) else { return false };
    let all = [ShareOptions { path: "/".into(), ..ShareOptions::default() }];
    let shares = if settings.shares.is_empty() { &all[..] } else { &settings.shares };
    shares.iter().any(|share| is_package_of(share, &path))
}

fn is_package_of(share: &ShareOptions, path: &[u8]) -> bool {
    let top = Target::parse(share.path.as_bytes()).ok().and_then(|target| target.decode().ok()).unwrap_or_default();
    let below =
        if top.is_empty() { Some(path) } else { path.strip_prefix(&top[..]).and_then(|rest| rest.strip_prefix(b"/")) };
    let written: Vec<&str> = share.packages.iter().map(|pattern| pattern.trim_end_matches('/')).collect();
    let patterns = if written.is_empty() { &USUAL_PACKAGES[..] } else { &written };
    let (Some(below), Ok(patterns)) = (below, Globs::parse(patterns)) else { return false };
    let mut ends = below.iter().enumerate().filter(|(_, letter)| **letter == b'/').map(|(at, _)| at);
    patterns.matches(below) && !ends.any(|end| patterns.matches(&below[..end]))
}
