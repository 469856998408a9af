//! The few lines at the start: what is served, from where, on which addresses, with which cache and limits. Pure, so that it can be tested.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use config::{
    AdminAddress, Settings,
    value::{human_size, show_duration},
};

use crate::self_signed::SelfSigned;

/// What only the running program knows.
pub(crate) struct Facts {
    /// With the ports that were chosen.
    pub(crate) listen: Vec<SocketAddr>,
    /// Likewise, over TLS.
    pub(crate) tls_listen: Vec<SocketAddr>,
    /// Likewise, of what only sends on.
    pub(crate) redirect: Vec<SocketAddr>,
    /// The certificate that was made for want of another.
    pub(crate) own: Option<SelfSigned>,
    /// Likewise.
    pub(crate) admin: AdminAddress,
    /// Of the store.
    pub(crate) report: store::Report,
    /// How the disk is reached.
    pub(crate) engine: String,
    /// That serve clients.
    pub(crate) threads: usize,
}

/// The lines.
pub(crate) fn text(settings: &Settings, facts: &Facts) -> String {
    let mut lines = vec![format!("Outpost {}", env!("CARGO_PKG_VERSION"))];
    let plain = facts.listen.iter().map(|address| clickable("http", *address));
    let secure = facts.tls_listen.iter().map(|address| clickable("https", *address));
    for (place, text) in plain.chain(secure).enumerate() {
        lines.push(row(if place == 0 { "serves" } else { "" }, &text));
    }
    for address in &facts.redirect {
        lines.push(row("", &format!("{}, which sends on to https", clickable("http", *address))));
    }
    if let Some(own) = &facts.own {
        lines.push(row("as", &format!("{}, self-signed, until {}", own.names.join(", "), own.until)));
        lines.push(row("", &format!("clients believe it by {} (curl --cacert)", own.public.display())));
        lines.push(row("", &format!("SHA-256 {}", own.fingerprint)));
    }
    let width = settings.upstreams().iter().map(|upstream| upstream.mount.len()).max().unwrap_or(1);
    for (place, upstream) in settings.upstreams().iter().enumerate() {
        let text = format!("{:width$}  {} ({})", upstream.mount, upstream.location, upstream.name);
        lines.push(row(if place == 0 { "from" } else { "" }, &text));
    }
    lines.push(row("cache", &cache(settings, facts)));
    lines.push(row("clients", &clients(settings)));
    lines.push(row(
        "engine",
        &format!("{} for the disk, {}", facts.engine, counted(facts.threads as u64, "serving thread")),
    ));
    lines.push(row("admin", &admin(settings, &facts.admin)));
    if let Some(path) = &settings.access_log {
        lines.push(row(
            "log",
            &if path.as_os_str() == "-" { "to standard output".into() } else { path.display().to_string() },
        ));
    }
    lines.join("\n")
}

fn row(label: &str, text: &str) -> String {
    format!("  {label:<8} {text}")
}

/// An address with what else it stands for.
fn clickable(scheme: &str, address: SocketAddr) -> String {
    let also = match (address.ip().is_unspecified(), address.is_ipv6()) {
        (true, true) => " (and every address of this machine)",
        (true, false) => " (and every IPv4 address of this machine)",
        (false, _) => "",
    };
    url(scheme, address) + also
}

/// What a terminal can open: an address on all networks is reached on this machine under the loopback address.
fn url(scheme: &str, mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() });
    }
    format!("{scheme}://{address}/")
}

fn cache(settings: &Settings, facts: &Facts) -> String {
    let report = &facts.report;
    format!(
        "{}\n           {} in {}, at most {}; {} free, keeps {} free",
        settings.store.dir.display(),
        human_size(report.used),
        counted(report.objects, "object"),
        human_size(report.max_size),
        human_size(report.disk_available),
        human_size(report.min_free),
    )
}

fn admin(settings: &Settings, address: &AdminAddress) -> String {
    match address {
        AdminAddress::Tcp(address) => {
            let token = if settings.admin_token_file.is_some() { ", with a token" } else { "" };
            format!("{}v1/status  /metrics  /readyz{token}", url("http", *address))
        }
        AdminAddress::Unix(_) => address.to_string(),
    }
}

fn clients(settings: &Settings) -> String {
    let cache = &settings.cache;
    match cache.max_requesters {
        0 => "any number at once per file".into(),
        1 => format!("1 at once per file; others come back after {}", show_duration(cache.retry_delay)),
        most => format!("{most} at once per file; others come back after {}", show_duration(cache.retry_delay)),
    }
}

/// A number with its noun.
pub(crate) fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use cache::options::{Location, UpstreamOptions};

    use super::*;

    #[test]
    fn the_start_lines() {
        let mut settings = Settings::default();
        settings.store.dir = "/var/cache/outpost".into();
        settings.cache.upstreams = vec![
            UpstreamOptions::new("prod", "/", Location::Directory("/srv/share".into())),
            UpstreamOptions::new("test", "/test", Location::Directory("/srv/test".into())),
        ];
        let facts = Facts {
            listen: vec!["0.0.0.0:8080".parse().unwrap(), "192.0.2.1:80".parse().unwrap()],
            tls_listen: vec!["0.0.0.0:8443".parse().unwrap()],
            redirect: vec!["192.0.2.1:8000".parse().unwrap()],
            own: Some(SelfSigned {
                file: "/var/lib/outpost/self-signed.pem".into(),
                public: "/var/lib/outpost/certificate.pem".into(),
                names: vec!["branch7".into(), "localhost".into()],
                fingerprint: "0A:FF".into(),
                until: "Thu, 01 Feb 2029 00:00:00 GMT".into(),
            }),
            admin: AdminAddress::Tcp("[::]:8081".parse().unwrap()),
            report: store::Report {
                used: 12_300_000_000,
                objects: 1,
                max_size: 400_000_000_000,
                min_free: 25_000_000_000,
                disk_available: 300_000_000_000,
                ..store::Report::default()
            },
            engine: "threads".into(),
            threads: 4,
        };
        let expected = format!(
            "Outpost {}
  serves   http://127.0.0.1:8080/ (and every IPv4 address of this machine)
           http://192.0.2.1:80/
           https://127.0.0.1:8443/ (and every IPv4 address of this machine)
           http://192.0.2.1:8000/, which sends on to https
  as       branch7, localhost, self-signed, until Thu, 01 Feb 2029 00:00:00 GMT
           clients believe it by /var/lib/outpost/certificate.pem (curl --cacert)
           SHA-256 0A:FF
  from     /      /srv/share (prod)
           /test  /srv/test (test)
  cache    /var/cache/outpost
           12.3 GB in 1 object, at most 400 GB; 300 GB free, keeps 25.0 GB free
  clients  5 at once per file; others come back after 90s
  engine   threads for the disk, 4 serving threads
  admin    http://[::1]:8081/v1/status  /metrics  /readyz",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(text(&settings, &facts), expected);
    }
}
