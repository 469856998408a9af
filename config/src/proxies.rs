//! The proxies of a domain, as they are written: `[{ name = "b7", url = "http://10.7.0.2:8080/" }]`, or as `[[domain.proxies]]`.

use cache::options::Location;
use protocol::topology::Proxy;

use crate::{raw::Raw, value::quoted};

/// Proxies that one domain may have; each is told to everybody in it.
const PROXIES_MAX: usize = 256;

/// From what is written.
pub(crate) fn parse(raw: &Raw) -> Result<Vec<Proxy>, String> {
    let Raw::List(items) = raw else { return Err(unlike(raw)) };
    let proxies = items.iter().map(proxy).collect::<Result<Vec<_>, _>>()?;
    match proxies.len() {
        0..=PROXIES_MAX => Ok(proxies),
        count => Err(format!("there are {count} proxies, and {PROXIES_MAX} are possible in one domain")),
    }
}

/// As TOML.
pub(crate) fn show(proxies: &[Proxy]) -> String {
    let shown =
        proxies.iter().map(|proxy| format!("{{ name = {}, url = {} }}", quoted(&proxy.name), quoted(&proxy.url)));
    format!("[{}]", shown.collect::<Vec<_>>().join(", "))
}

fn proxy(raw: &Raw) -> Result<Proxy, String> {
    let Raw::Table(entries) = raw else { return Err(unlike(raw)) };
    let entry = |name: &str| {
        let text = entries.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.text());
        text.ok_or_else(|| unlike(raw))
    };
    let (name, url) = (entry("name")?, entry("url")?);
    if entries.len() != 2 {
        return Err(unlike(raw));
    }
    is_node(&name)?;
    is_server(&url)?;
    Ok(Proxy { name, url: with_slash(url) })
}

/// The name of a proxy or an agent.
pub(crate) fn is_node(name: &str) -> Result<(), String> {
    if protocol::enrolment::is_name(name) {
        return Ok(());
    }
    Err(format!("'{name}' is not the name of a proxy or an agent: write 1 to 64 letters, digits, '-', '_' or '.'"))
}

/// Where a program of ours serves files, as others see it.
pub(crate) fn is_server(url: &str) -> Result<(), String> {
    let is_plain = url.starts_with("http://") || url.starts_with("https://");
    match url.parse::<Location>() {
        Ok(_) if is_plain => Ok(()),
        Ok(_) => Err(format!("'{url}' is not where files are served: write http://HOST:PORT/ or https://HOST:PORT/")),
        Err(bad) => Err(bad.to_string()),
    }
}

/// With the `/` that paths are put behind.
pub(crate) fn with_slash(url: String) -> String {
    if url.ends_with('/') { url } else { url + "/" }
}

fn unlike(raw: &Raw) -> String {
    format!(
        "{} stands where a proxy is expected, which has two keys: name = \"b7\", url = \"http://10.7.0.2:8080/\"",
        raw.describe()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, &str)]) -> Raw {
        let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), Raw::Text((*value).to_owned())));
        Raw::List(vec![Raw::Table(entries.collect())])
    }

    #[test]
    fn proxies_are_read_and_shown() {
        let written = table(&[("name", "b7"), ("url", "http://10.7.0.2:8080")]);
        let shown = r#"[{ name = "b7", url = "http://10.7.0.2:8080/" }]"#;
        assert_eq!(parse(&written).map(|proxies| show(&proxies)).as_deref(), Ok(shown));
        assert_eq!(parse(&Raw::List(Vec::new())), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_proxy_says_what_to_write() {
        for (raw, part) in [
            (Raw::Text("b7".into()), "'b7' stands where a proxy is expected"),
            (table(&[("name", "b7")]), "a table stands where a proxy is expected"),
            (table(&[("name", "b7"), ("url", "http://b7/"), ("mount", "/")]), "a table stands where"),
            (table(&[("name", "b 7"), ("url", "http://b7/")]), "'b 7' is not the name of a proxy"),
            (table(&[("name", "b7"), ("url", "outpost+http://b7/")]), "is not where files are served"),
            (table(&[("name", "b7"), ("url", "/srv")]), "is not where files are served"),
            (table(&[("name", "b7"), ("url", "http:///")]), "http:///"),
        ] {
            let message = parse(&raw).unwrap_err();
            assert!(message.contains(part), "{raw:?}: {message}");
        }
    }
}
