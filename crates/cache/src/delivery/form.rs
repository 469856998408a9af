//! What a client of Windows asks a cache host for: `/path?query&cacheHostOrigin=HOST` stands for `http://HOST/path?query`. Pure.

use protocol::target::Target;

use crate::hosts::Host;

const PARAMETER: &str = "cacheHostOrigin";

/// A target in that form.
#[derive(Debug, PartialEq)]
pub(super) struct Form {
    pub(super) host: Host,
    /// What the server is asked for.
    pub(super) asked: Target,
    /// The name under which it is kept: likewise, without what is not of the content.
    pub(super) named: Target,
}

/// The parameter is there, and names no server, or several.
#[derive(Debug, PartialEq)]
pub(super) struct BadForm;

/// Reads a target; `None` if it is not of that form. `tokens` are parameters that are sent and take no part in the name.
pub(super) fn read(target: &Target, tokens: &[String]) -> Option<Result<Form, BadForm>> {
    let pairs = || target.query().into_iter().flat_map(|query| query.split('&'));
    let mut named = pairs().filter(|pair| is_named(pair, PARAMETER));
    let first = named.next()?;
    let host = target.query_value(first.split('=').next().unwrap_or_default());
    let host = host.and_then(|host| Host::parse(str::from_utf8(&host).ok()?));
    let (Some(host), None) = (host, named.next()) else { return Some(Err(BadForm)) };
    let without = |dropped: &dyn Fn(&str) -> bool| {
        let kept: Vec<&str> = pairs().filter(|pair| !is_named(pair, PARAMETER) && !dropped(pair)).collect();
        let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
        Target::parse(format!("{}{query}", target.path()).as_bytes())
    };
    let is_token = |pair: &str| tokens.iter().any(|token| is_named(pair, token));
    match (without(&|_| false), without(&is_token)) {
        (Ok(asked), Ok(named)) => Some(Ok(Form { host, asked, named })),
        _ => Some(Err(BadForm)),
    }
}

fn is_named(pair: &str, name: &str) -> bool {
    pair.split('=').next().is_some_and(|found| found.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str) -> Option<Result<(String, String, String), BadForm>> {
        let tokens = ["P1".to_owned(), "p2".into()];
        let read = read(&Target::parse(target.as_bytes()).unwrap(), &tokens)?;
        Some(read.map(|form| (form.host.as_str().into(), form.asked.to_string(), form.named.to_string())))
    }

    #[test]
    fn the_host_and_the_rest() {
        for (target, expected) in [
            ("/f/guid?P1=1&P2=2&cacheHostOrigin=dl.example.com", ("dl.example.com", "/f/guid?P1=1&P2=2", "/f/guid")),
            ("/f?cacheHostOrigin=A.example%3A8080&x=y%2F&P1=", ("a.example:8080", "/f?x=y%2F&P1=", "/f?x=y%2F")),
            ("/f?CACHEHOSTORIGIN=a.example", ("a.example", "/f", "/f")),
            ("/f?P1x=1&cacheHostOrigin=a.example", ("a.example", "/f?P1x=1", "/f?P1x=1")),
        ] {
            let (host, asked, named) = expected;
            assert_eq!(of(target), Some(Ok((host.into(), asked.into(), named.into()))), "{target}");
        }
        for target in ["/f", "/f?x=1", "/f?xcacheHostOrigin=a.example", "/cacheHostOrigin=a.example"] {
            assert_eq!(of(target), None, "{target}");
        }
        for target in [
            "/f?cacheHostOrigin=",
            "/f?cacheHostOrigin",
            "/f?cacheHostOrigin=a.example&cacheHostOrigin=b.example",
            "/f?cacheHostOrigin=a.example&cachehostorigin=a.example",
            "/f?cacheHostOrigin=a.example%2Fx",
            "/f?cacheHostOrigin=user%40a.example",
            "/f?cacheHostOrigin=%FF",
        ] {
            assert_eq!(of(target), Some(Err(BadForm)), "{target}");
        }
    }
}
