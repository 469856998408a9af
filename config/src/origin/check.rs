//! What makes no sense together. Pure: whether a directory exists is for the program to see.

use std::{collections::BTreeMap, path::Path, time::Duration};

use protocol::topology::{Domain, Topology};
use serve::tls::clients::Wanted;

use super::{jobs, settings::Settings};
use crate::check::{Complaint, complaint};

/// Reports that may be lost before one counts as away.
const REPORTS_LEAST: u32 = 2;

/// All contradictions.
pub(super) fn complaints(settings: &Settings) -> Vec<Complaint> {
    [
        shares(settings),
        databases(settings),
        tls(settings),
        times(settings),
        tree(settings),
        nodes(settings),
        jobs::complaints(settings),
    ]
    .concat()
}

fn key(block: &str, place: usize, name: &str) -> String {
    format!("{block}[{place}].{name}")
}

fn shares(settings: &Settings) -> Vec<Complaint> {
    let mut found = Vec::new();
    if settings.directory.as_os_str().is_empty() {
        let help = "give --share DIR, or catalogue.directory in the file of --config";
        found.push(complaint("there is no directory: nothing to publish", &["catalogue.directory"], help));
    }
    let folder = |path: &str| path.trim_end_matches('/').to_owned();
    for (place, share) in settings.shares.iter().enumerate() {
        for (first, other) in settings.shares[..place].iter().enumerate() {
            if other.name == share.name {
                found.push(complaint(
                    format!("two shares are named '{}'", share.name),
                    &[&key("share", first, "name"), &key("share", place, "name")],
                    "give each a name of its own",
                ));
            } else if folder(&other.path) == folder(&share.path) {
                found.push(complaint(
                    format!("the shares '{}' and '{}' are the same folder", other.name, share.name),
                    &[&key("share", first, "path"), &key("share", place, "path")],
                    "leave one of them out",
                ));
            }
        }
    }
    found
}

/// Clients could fetch them.
fn databases(settings: &Settings) -> Vec<Complaint> {
    let tokens = settings.enrolment.tokens_file.as_deref();
    let files: [(&str, Option<&Path>); 4] = [
        ("catalogue.database", Some(&settings.database)),
        ("registry.database", Some(&settings.registry.database)),
        ("enrolment.database", Some(&settings.enrolment.database)),
        ("enrolment.tokens_file", tokens),
    ];
    let mut found = Vec::new();
    let directory = &settings.directory;
    let is_inside = |file: &Path| !directory.as_os_str().is_empty() && file.starts_with(directory);
    for (option, file) in files.iter().filter_map(|(option, file)| Some((option, (*file)?))) {
        if is_inside(file) {
            found.push(complaint(
                format!("{} lies in {}, where clients could fetch it", file.display(), directory.display()),
                &[option, "catalogue.directory"],
                format!("give {option} a file outside of it"),
            ));
        }
    }
    let three = &files[..3];
    for (place, (option, file)) in three.iter().enumerate() {
        if let Some((other, _)) = three[..place].iter().find(|(_, other)| other == file) {
            found.push(complaint(
                format!("{other} and {option} cannot be the same file"),
                &[other, option],
                "give each a file of its own",
            ));
        }
    }
    found
}

fn tls(settings: &Settings) -> Vec<Complaint> {
    let tls = &settings.serve.tls;
    let mut found = Vec::new();
    let is_whole = tls.certificate.is_some() && tls.key.is_some();
    if tls.is_on() && !is_whole {
        found.push(complaint(
            "TLS is to be spoken, and there is no certificate",
            &["tls.listen", "tls.certificate", "tls.key"],
            "give tls.certificate and tls.key the paths of two PEM files, or leave tls.listen out",
        ));
    }
    if !tls.is_on() && tls.clients.wanted != Wanted::Off {
        found.push(complaint(
            "clients are asked for certificates, and TLS is spoken nowhere",
            &["tls.client_certificates", "tls.listen"],
            "give tls.listen an address, or leave tls.client_certificates out",
        ));
    }
    if tls.clients.wanted != Wanted::Off && tls.clients.authorities.is_none() {
        found.push(complaint(
            "tls.client_certificates asks clients for certificates, and tls.client_ca does not say who signs them",
            &["tls.client_certificates", "tls.client_ca"],
            "give tls.client_ca the path of a PEM file with the certificates of the authorities that do",
        ));
    }
    if settings.enrolment.required && settings.enrolment.tokens_file.is_none() {
        found.push(complaint(
            "enrolment is required, and there is no way to enrol",
            &["enrolment.required", "enrolment.tokens_file"],
            "give enrolment.tokens_file the path of a file with tokens",
        ));
    }
    found
}

fn times(settings: &Settings) -> Vec<Complaint> {
    let (sources, registry) = (&settings.sources, &settings.registry);
    let mut found = Vec::new();
    if sources.retry_min > sources.retry_max {
        found.push(complaint(
            "sources.retry_min is longer than sources.retry_max",
            &["sources.retry_min", "sources.retry_max"],
            "retry_min is the shortest wait, retry_max the longest: lower the one or raise the other",
        ));
    }
    let least: Duration = registry.report_every.saturating_mul(REPORTS_LEAST);
    if registry.expiry < least {
        found.push(complaint(
            "registry.expiry leaves no room for a report that is late",
            &["registry.expiry", "registry.report_every"],
            "make expiry at least twice as long as report_every",
        ));
    }
    found
}

/// What is no tree is told at the blocks that are to blame.
fn tree(settings: &Settings) -> Vec<Complaint> {
    let domains: Vec<Domain> = settings.domains.iter().map(|domain| domain.domain.clone()).collect();
    let Err(error) = Topology::new(domains) else { return Vec::new() };
    let message = error.to_string();
    let (what, help) = message.split_once("; ").unwrap_or((&message, "write a tree"));
    vec![Complaint { keys: to_blame(settings), ..complaint(what, &[], help) }]
}

/// Keys of domains that share what only one may have.
fn to_blame(settings: &Settings) -> Vec<String> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (place, domain) in settings.domains.iter().enumerate() {
        let of = &domain.domain;
        let names = [("name", of.name.to_string())];
        let ranges = of.ranges.iter().map(|range| ("ranges", range.to_string()));
        let machines = of.machines.iter().map(|machines| ("machines", machines.to_string()));
        let proxies = of.proxies.iter().map(|proxy| ("proxies", proxy.name.clone()));
        for (option, what) in names.into_iter().chain(ranges).chain(machines).chain(proxies) {
            let own = key("domain", place, option);
            if let Some(first) = seen.insert(format!("{option} {what}"), own.clone()) {
                return if first == own { vec![own] } else { vec![first, own] };
            }
        }
    }
    Vec::new()
}

fn nodes(settings: &Settings) -> Vec<Complaint> {
    let mut seen = BTreeMap::new();
    let twice = settings.nodes.iter().enumerate().filter_map(|(place, node)| {
        let first = seen.insert(node.name.as_str(), place)?;
        Some(complaint(
            format!("the node '{}' is there twice", node.name),
            &[&key("node", first, "name"), &key("node", place, "name")],
            "write it once",
        ))
    });
    twice.collect()
}
