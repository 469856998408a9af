//! What makes no sense together. Pure: each rule looks at the settings alone; whether a directory exists is for the program to see.

use std::{net::SocketAddr, path::Path};

use cache::options::{Background, Location, PreloadOptions, UpstreamOptions};
use protocol::rate::{Rates, Rule};
use serve::{clients::forwarded::Told, options::ProxyHeader, tls::clients::Wanted};
use store::Limit;

use crate::{
    admin::AdminAddress,
    belonging::{BelongsTo, is_outpost},
    settings::Settings,
};

/// The smallest cache that can hold its own tables and anything besides.
const MAX_SIZE_LEAST: u64 = 1 << 20;

/// Bytes per second.
const RATE_LEAST: u64 = 1000;

/// A contradiction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// What is wrong.
    pub(crate) message: String,
    /// The keys it is about.
    pub(crate) keys: Vec<String>,
    /// What to do.
    pub(crate) help: String,
}

/// All contradictions.
pub(crate) fn complaints(settings: &Settings) -> Vec<Complaint> {
    [
        preload(settings),
        sizes(settings),
        addresses(settings),
        admin(settings),
        tls(settings),
        clients(settings),
        rates("serve.rate", "serve", &settings.serve.shares.total),
        upstreams(settings),
        directories(settings),
        origin(settings),
    ]
    .concat()
}

pub(crate) fn complaint(message: impl Into<String>, keys: &[&str], help: impl Into<String>) -> Complaint {
    Complaint { message: message.into(), keys: keys.iter().map(|key| (*key).to_owned()).collect(), help: help.into() }
}

/// A time to be ready by stands in place of windows, and neither means anything where nothing is preloaded.
fn preload(settings: &Settings) -> Vec<Complaint> {
    let of_all = &settings.preload;
    let mut found: Vec<Complaint> = two_times(of_all, "preload.").into_iter().collect();
    for (place, upstream) in settings.upstreams().iter().enumerate() {
        let (own, key) = (&upstream.preload, format!("upstream[{place}]."));
        if (&own.schedule, &own.ready_by) == (&of_all.schedule, &of_all.ready_by) {
            continue;
        }
        found.extend(two_times(own, &key));
        if !upstream.mode.preloads() && (!own.schedule.texts().is_empty() || own.ready_by.is_some()) {
            let given = if own.ready_by.is_some() { "ready_by" } else { "schedule" };
            found.push(complaint(
                format!(
                    "upstream '{}' has a time for preload, and nothing is preloaded in mode \"fetch\"",
                    upstream.name
                ),
                &[&format!("{key}{given}"), &format!("{key}mode")],
                "write mode = \"fetch-and-preload\", or leave the time out",
            ));
        }
    }
    found
}

fn two_times(preload: &PreloadOptions, key: &str) -> Option<Complaint> {
    let are_both = !preload.schedule.texts().is_empty() && preload.ready_by.is_some();
    are_both.then(|| {
        complaint(
            "schedule and ready_by are both given, and only one of them can say when it is preloaded",
            &[&format!("{key}schedule"), &format!("{key}ready_by")],
            "leave one out: schedule says when it may be fetched, ready_by when it should be here",
        )
    })
}

fn sizes(settings: &Settings) -> Vec<Complaint> {
    let (max_size, min_free) = (settings.store.max_size, settings.store.min_free);
    let mut found = Vec::new();
    if matches!(max_size, Limit::Bytes(bytes) if bytes < MAX_SIZE_LEAST) || max_size == Limit::Percent(0.0) {
        found.push(complaint(
            "cache.max_size leaves no room for a cache",
            &["cache.max_size"],
            "give it at least 1MiB, and better as much as the files that are often asked for",
        ));
    }
    if min_free == Limit::Percent(100.0) {
        found.push(complaint(
            "cache.min_free leaves no room for a cache",
            &["cache.min_free"],
            "give it less than 100% of the disk",
        ));
    }
    if let (Limit::Percent(most), Limit::Percent(least)) = (max_size, min_free)
        && most + least > 100.0
    {
        found.push(complaint(
            format!("cache.max_size of {most}% and cache.min_free of {least}% are more than the whole disk"),
            &["cache.max_size", "cache.min_free"],
            "lower one of them, so that together they are at most 100%",
        ));
    }
    found
}

fn addresses(settings: &Settings) -> Vec<Complaint> {
    let plain = settings.serve.listen.iter().map(|address| ("listen", *address));
    let secure = settings.serve.tls.listen.iter().map(|address| ("tls.listen", *address));
    let redirect = settings.serve.tls.redirect.iter().map(|address| ("tls.redirect", *address));
    let listen: Vec<_> = plain.chain(secure).chain(redirect).collect();
    let mut found = Vec::new();
    for (place, (key, address)) in listen.iter().enumerate() {
        if let AdminAddress::Tcp(admin) = settings.admin
            && overlap(*address, admin)
        {
            found.push(complaint(
                format!("files ({address}) and the admin interface ({admin}) cannot share an address"),
                &[key, "admin"],
                "give one of them another port",
            ));
        }
        if let Some((other_key, other)) = listen[..place].iter().find(|(_, other)| overlap(*address, *other)) {
            let keys = if key == other_key { vec![*key] } else { vec![*other_key, *key] };
            found.push(complaint(
                format!("{other} and {address} cannot both be listened on"),
                &keys,
                "an address of 0.0.0.0 or [::] takes its port on every address of this machine: leave one out",
            ));
        }
    }
    found
}

/// Whether binding one keeps the other from being bound. Port 0 is a different port each time. `[::]` takes IPv4 too.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any_v6 = |address: SocketAddr| address.is_ipv6() && address.ip().is_unspecified();
    let any_of = |any: SocketAddr, address: SocketAddr| {
        any_v6(any) || (any.ip().is_unspecified() && any.is_ipv4() == address.is_ipv4())
    };
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || any_of(one, other) || any_of(other, one))
}

/// What can empty the cache is not open to whoever reaches its address.
fn admin(settings: &Settings) -> Vec<Complaint> {
    if settings.admin.is_local() || settings.admin_token_file.is_some() {
        return Vec::new();
    }
    vec![complaint(
        format!(
            "the admin interface on {} would obey whoever reaches it: other machines can, and it asks for no token",
            settings.admin
        ),
        &["admin", "access.admin_token_file"],
        "give access.admin_token_file a file with a token, made by (umask 077; head -c 32 /dev/urandom | base64 > FILE), or keep the admin interface on \
         this machine: 127.0.0.1:8081 or unix:/run/outpost/admin.sock",
    )]
}

/// Whether the files are good is for the program to see.
fn tls(settings: &Settings) -> Vec<Complaint> {
    let tls = &settings.serve.tls;
    let mut found = Vec::new();
    let (certificate, key) = (tls.certificate.is_some(), tls.key.is_some());
    for (given, missing, alone) in
        [("tls.certificate", "tls.key", certificate && !key), ("tls.key", "tls.certificate", key && !certificate)]
    {
        if alone {
            let help = "give the paths of two PEM files, the certificate and its key";
            found.push(complaint(format!("{given} is given without {missing}"), &[given], help));
        }
    }
    if !tls.redirect.is_empty() && !tls.is_on() && tls.redirect_port == 0 {
        found.push(complaint(
            "tls.redirect sends clients on to TLS, and TLS is spoken nowhere",
            &["tls.redirect"],
            "give tls.listen an address, or tls.redirect_port the port of whoever speaks TLS for this machine",
        ));
    }
    if tls.clients.wanted != Wanted::Off && tls.clients.authorities.is_none() {
        found.push(complaint(
            "tls.client_certificates asks clients for certificates, and tls.client_ca does not say who signs them",
            &["tls.client_certificates", "tls.client_ca"],
            "give tls.client_ca the path of a PEM file with the certificates of the authorities that do",
        ));
    }
    found
}

/// Whose word is to be taken must be said, or nobody's is.
fn clients(settings: &Settings) -> Vec<Complaint> {
    let clients = &settings.serve.clients;
    let asked = [
        ("serve.client_from", clients.told != Told::No),
        ("serve.proxy_protocol", clients.proxy_header != ProxyHeader::Off),
    ];
    let alone = asked.into_iter().filter(|(_, is_on)| *is_on && clients.trusted.is_empty());
    let about = |(key, _): (&str, bool)| {
        let help = "give serve.trusted the addresses of your proxies, such as [\"10.0.0.7\"]";
        complaint(format!("{key} believes proxies, and serve.trusted names none"), &[key, "serve.trusted"], help)
    };
    alone.map(about).collect()
}

fn upstreams(settings: &Settings) -> Vec<Complaint> {
    let upstreams = settings.upstreams();
    if upstreams.is_empty() {
        return vec![complaint(
            "there is no upstream: nothing to serve",
            &[],
            "give --upstream DIR_OR_URL, or write an [[upstream]] with name and url into the file of --config",
        )];
    }
    let mut found = Vec::new();
    for (place, upstream) in upstreams.iter().enumerate() {
        let key = |place: usize, name: &str| format!("upstream[{place}].{name}");
        if let Some(first) = upstreams[..place].iter().position(|other| other.name == upstream.name) {
            found.push(complaint(
                format!("two upstreams are named '{}'", upstream.name),
                &[&key(first, "name"), &key(place, "name")],
                "give each a name of its own",
            ));
        }
        if let Some(first) = upstreams[..place].iter().position(|other| other.mount == upstream.mount) {
            found.push(complaint(
                format!("two upstreams are mounted at '{}'", upstream.mount),
                &[&key(first, "mount"), &key(place, "mount")],
                "give each a mount of its own, such as /prod and /test",
            ));
        }
        found.extend(upstream_tls(place, upstream));
        found.extend(upstream.origins.iter().filter_map(|origin| other_kind(place, upstream, origin)));
        if upstream.line.background != Background::Off && matches!(upstream.location, Location::Directory(_)) {
            found.push(complaint(
                format!(
                    "upstream '{}': of a directory nothing can be seen by which background could yield",
                    upstream.name
                ),
                &[&key(place, "background")],
                "give it a rate instead, with rate_rules for the hours in which others need the line",
            ));
        }
        found.extend(rates(&key(place, "rate"), &format!("upstream '{}'", upstream.name), &upstream.line.rates));
        if upstream.retry_backoff > upstream.retry_backoff_max {
            found.push(complaint(
                format!("upstream '{}': retry_backoff is longer than retry_backoff_max", upstream.name),
                &[&key(place, "retry_backoff"), &key(place, "retry_backoff_max")],
                "retry_backoff is the first wait, retry_backoff_max the longest: lower the one or raise the other",
            ));
        }
    }
    found
}

/// What is known of names holds wherever they are asked, so all servers must be alike.
fn other_kind(place: usize, upstream: &UpstreamOptions, origin: &Location) -> Option<Complaint> {
    let parts = |location: &Location| {
        let text = location.to_string();
        let (scheme, rest) = text.split_once("://")?;
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        Some((scheme.to_owned(), path.trim_end_matches('/').to_owned()))
    };
    let wanted = parts(&upstream.location);
    (wanted.is_none() || parts(origin) != wanted).then(|| {
        complaint(
            format!("upstream '{}': {origin} cannot stand in for {}", upstream.name, upstream.location),
            &[&format!("upstream[{place}].origins"), &format!("upstream[{place}].url")],
            "write URLs with the same scheme (outpost+https, https...) and the same path as url; for a directory there are none",
        )
    })
}

/// A line so slow that heads alone take seconds is a mistake in the unit.
pub(crate) fn rates(key: &str, whose: &str, rates: &Rates) -> Vec<Complaint> {
    let all = rates.rules.iter().map(Rule::rate).chain([rates.otherwise]);
    let least = all.filter(|rate| *rate > 0).min().filter(|rate| *rate < RATE_LEAST);
    let about = |rate: u64| {
        complaint(
            format!("{whose}: a rate of {rate} bytes per second is too slow to be meant"),
            &[key],
            "write at least \"8kbit/s\", or \"0\" for no limit",
        )
    };
    least.map(about).into_iter().collect()
}

fn upstream_tls(place: usize, upstream: &UpstreamOptions) -> Vec<Complaint> {
    let given = [("ca", &upstream.authorities), ("certificate", &upstream.certificate), ("key", &upstream.key)]
        .map(|(key, file)| file.is_some().then(|| format!("upstream[{place}].{key}")));
    let url = format!("upstream[{place}].url");
    let keys: Vec<&str> = given.iter().flatten().map(String::as_str).collect();
    let mut found = Vec::new();
    if !keys.is_empty() && !upstream.location.is_tls() {
        found.push(complaint(
            format!("upstream '{}' is not asked over TLS, so certificates mean nothing there", upstream.name),
            &[keys.as_slice(), &[&url]].concat(),
            "write an url that begins with https:// or outpost+https://, or leave ca, certificate and key out",
        ));
    }
    if upstream.certificate.is_some() != upstream.key.is_some() {
        found.push(complaint(
            format!("upstream '{}': of certificate and key only one is given", upstream.name),
            &keys,
            "give the paths of two PEM files, the certificate and its key",
        ));
    }
    found
}

/// A cache inside a share would be served as part of it, and a share inside a cache would be refused or evicted.
fn directories(settings: &Settings) -> Vec<Complaint> {
    let (cache, tls) = (&settings.store.dir, &settings.serve.tls);
    let mut found = Vec::new();
    let is_self_signed = tls.is_on() && tls.certificate.is_none() && tls.more.is_empty();
    let keys = Some(&settings.self_signed_dir).filter(|_| is_self_signed);
    if keys.is_some_and(|keys| inside(keys, cache)) {
        found.push(complaint(
            "tls.state_dir lies in the cache's directory, where nothing else may lie",
            &["tls.state_dir", "cache.dir"],
            "give tls.state_dir a directory of its own, such as /var/lib/outpost",
        ));
    }
    for (place, upstream) in settings.upstreams().iter().enumerate() {
        let Location::Directory(share) = &upstream.location else { continue };
        if keys.is_some_and(|keys| inside(keys, share)) {
            found.push(complaint(
                format!("tls.state_dir lies in the upstream ({}), where clients could fetch the key", share.display()),
                &["tls.state_dir", &format!("upstream[{place}].url")],
                "give tls.state_dir a directory outside of the share, such as /var/lib/outpost",
            ));
        }
        if inside(cache, share) || inside(share, cache) {
            found.push(complaint(
                format!("the cache ({}) and the upstream ({}) lie one in the other", cache.display(), share.display()),
                &["cache.dir", &format!("upstream[{place}].url")],
                "give the cache a directory outside of the share with --cache-dir DIR",
            ));
        }
    }
    found
}

/// To whom one can belong, and where a credential may lie.
fn origin(settings: &Settings) -> Vec<Complaint> {
    let belonging = &settings.belonging;
    let mut found = Vec::new();
    let upstream = belonging.upstream(settings.upstreams());
    if let BelongsTo::Upstream(name) = &belonging.to
        && !upstream.is_some_and(is_outpost)
    {
        let what = if upstream.is_some() { "it is no Outpost" } else { "there is no such upstream" };
        found.push(complaint(
            format!("origin.belong names the upstream '{name}', and {what}"),
            &["origin.belong"],
            "name an upstream whose url begins with outpost+, or write \"none\"",
        ));
    }
    if upstream.is_none() {
        return found;
    }
    let help = "give origin.state_dir a directory of its own, such as /var/lib/outpost/origin";
    if belonging.is_kept_in(&settings.store.dir) {
        let message = "origin.state_dir lies in the cache's directory, where nothing else may lie";
        found.push(complaint(message, &["origin.state_dir", "cache.dir"], help));
    }
    for (place, upstream) in settings.upstreams().iter().enumerate() {
        if let Location::Directory(share) = &upstream.location
            && belonging.is_kept_in(share)
        {
            let share = share.display();
            found.push(complaint(
                format!("origin.state_dir lies in the upstream ({share}), where clients could fetch the credential"),
                &["origin.state_dir", &format!("upstream[{place}].url")],
                help,
            ));
        }
    }
    found
}

fn inside(path: &Path, directory: &Path) -> bool {
    path.starts_with(directory)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cache::options::{Mode, ReadyBy, Schedule};
    use protocol::schedule::Zone;

    use super::*;

    fn windows() -> Schedule {
        Schedule::parse(&["02:00-04:00".to_owned()], &Zone::default()).unwrap()
    }

    fn ready_by() -> Option<ReadyBy> {
        ReadyBy::parse("Mon 08:00", &Zone::default()).ok()
    }

    fn settings() -> Settings {
        let mut settings = Settings::default();
        settings.store.dir = "/var/cache/outpost".into();
        settings.cache.upstreams = vec![UpstreamOptions::new("a", "/", Location::Directory("/srv/a".into()))];
        settings
    }

    fn outpost() -> UpstreamOptions {
        UpstreamOptions::new("hq", "/hq", "outpost+http://hq:8090/".parse().unwrap())
    }

    fn messages(change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let mut settings = settings();
        change(&mut settings);
        complaints(&settings).into_iter().map(|complaint| complaint.message).collect()
    }

    #[test]
    fn defaults_with_an_upstream_make_sense() {
        assert_eq!(messages(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn each_contradiction_is_told_once() {
        type Change = fn(&mut Settings);
        let cases: &[(Change, &str)] = &[
            (
                |s| {
                    s.preload.schedule = windows();
                    s.preload.ready_by = ready_by();
                },
                "schedule and ready_by are both given",
            ),
            (
                |s| {
                    s.cache.upstreams[0].preload.schedule = windows();
                    s.cache.upstreams[0].preload.ready_by = ready_by();
                },
                "schedule and ready_by are both given",
            ),
            (
                |s| {
                    s.cache.upstreams[0].mode = Mode::Fetch;
                    s.cache.upstreams[0].preload.ready_by = ready_by();
                },
                "nothing is preloaded in mode",
            ),
            (|s| s.cache.upstreams.clear(), "there is no upstream"),
            (|s| s.belonging.to = BelongsTo::of("b"), "names the upstream 'b', and there is no such upstream"),
            (
                |s| {
                    s.cache.upstreams.push(outpost());
                    s.belonging.state_dir = "/var/cache/outpost/origin".into();
                },
                "origin.state_dir lies in the cache's directory",
            ),
            (
                |s| {
                    s.cache.upstreams.push(outpost());
                    s.belonging.state_dir = "/srv/a/x".into();
                },
                "origin.state_dir lies in the upstream (/srv/a)",
            ),
            (|s| s.store.max_size = Limit::Bytes(1000), "max_size leaves no room"),
            (|s| s.store.max_size = Limit::Percent(0.0), "max_size leaves no room"),
            (|s| s.store.min_free = Limit::Percent(30.0), "more than the whole disk"),
            (|s| s.admin = AdminAddress::Tcp("127.0.0.1:8080".parse().unwrap()), "cannot share an address"),
            (|s| s.admin = AdminAddress::Tcp("0.0.0.0:8081".parse().unwrap()), "would obey whoever reaches it"),
            (|s| s.serve.listen.push("127.0.0.1:8080".parse().unwrap()), "cannot both be listened on"),
            (|s| s.serve.tls.redirect = vec!["0.0.0.0:80".parse().unwrap()], "TLS is spoken nowhere"),
            (|s| s.serve.clients.told = Told::Forwarded, "serve.client_from believes proxies"),
            (|s| s.serve.clients.proxy_header = ProxyHeader::Optional, "serve.proxy_protocol believes proxies"),
            (|s| s.serve.tls.certificate = Some("/c.pem".into()), "tls.certificate is given without tls.key"),
            (|s| s.serve.tls.key = Some("/k.pem".into()), "tls.key is given without tls.certificate"),
            (|s| s.serve.tls.clients.wanted = Wanted::Optional, "tls.client_ca does not say who signs them"),
            (
                |s| {
                    s.serve.tls.listen = vec!["127.0.0.1:8080".parse().unwrap()];
                    (s.serve.tls.certificate, s.serve.tls.key) = (Some("/c.pem".into()), Some("/k.pem".into()));
                },
                "cannot both be listened on",
            ),
            (|s| s.store.dir = "/srv/a/cache".into(), "lie one in the other"),
            (
                |s| {
                    s.serve.tls.listen = vec!["127.0.0.1:8443".parse().unwrap()];
                    s.self_signed_dir = "/srv/a/keys".into();
                },
                "where clients could fetch the key",
            ),
            (
                |s| {
                    s.serve.tls.listen = vec!["127.0.0.1:8443".parse().unwrap()];
                    s.self_signed_dir = s.store.dir.join("keys");
                },
                "where nothing else may lie",
            ),
            (|s| s.store.dir = "/srv".into(), "lie one in the other"),
            (|s| s.cache.upstreams[0].authorities = Some("/ca.pem".into()), "is not asked over TLS"),
            (
                |s| {
                    s.cache.upstreams[0].location = "https://a.example/".parse().unwrap();
                    s.cache.upstreams[0].key = Some("/key.pem".into());
                },
                "of certificate and key only one is given",
            ),
            (|s| s.serve.shares.total.otherwise = 999, "serve: a rate of 999 bytes per second"),
            (|s| s.cache.upstreams[0].line.background = Background::All, "of a directory nothing can be seen"),
            (|s| s.cache.upstreams[0].line.rates.otherwise = 50, "too slow to be meant"),
            (|s| s.cache.upstreams[0].retry_backoff = Duration::from_secs(60), "retry_backoff is longer"),
            (
                |s| s.cache.upstreams[0].origins = vec!["http://b.example/".parse().unwrap()],
                "cannot stand in for /srv/a",
            ),
            (
                |s| {
                    s.cache.upstreams[0].location = "outpost+https://a.example/".parse().unwrap();
                    s.cache.upstreams[0].origins = vec!["outpost+http://b.example/".parse().unwrap()];
                },
                "cannot stand in for outpost+https://a.example/",
            ),
            (
                |s| {
                    let again = UpstreamOptions { mount: "/b".into(), ..s.cache.upstreams[0].clone() };
                    s.cache.upstreams.push(again);
                },
                "two upstreams are named 'a'",
            ),
            (
                |s| {
                    let again = UpstreamOptions { name: "b".into(), ..s.cache.upstreams[0].clone() };
                    s.cache.upstreams.push(again);
                },
                "two upstreams are mounted at '/'",
            ),
        ];
        for (change, expected) in cases {
            let found = messages(change);
            assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
        }
    }

    #[test]
    fn addresses_that_exclude_each_other() {
        for (one, other, expected) in [
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:80", "127.0.0.1:81", false),
        ] {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }
}
