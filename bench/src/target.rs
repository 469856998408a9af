//! What is asked for: URLs, and the bytes of a request.

use std::{
    fs, io,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
    time::Duration,
};

use thiserror::Error;

/// Header lines that every request carries besides `Host`.
const ALWAYS: &str = "User-Agent: outpost-bench\r\nAccept: */*\r\n";

/// One server and the paths asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Targets {
    /// `host:port` as in the URLs.
    pub(crate) authority: String,
    /// At least one; each begins with `/`.
    pub(crate) paths: Vec<String>,
    /// Further header lines, each with its line end.
    headers: String,
}

/// Why URLs cannot be measured.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum BadTarget {
    /// No URL at all.
    #[error("give at least one --url or a file of them with --urls")]
    None,
    /// Only plain TCP is measured.
    #[error("'{0}' cannot be measured: only http:// can")]
    Scheme(String),
    /// Would make a broken request.
    #[error("'{0}' holds spaces or control characters; percent-encode them")]
    Characters(String),
    /// Connections are kept, so they must go to one place.
    #[error("{1} is another server than {0}; name the same one in all URLs of a run")]
    OtherServer(String, String),
    /// Not `Name: value`.
    #[error("the header '{0}' is not of the form \"Name: value\"")]
    Header(String),
}

impl Targets {
    /// From URLs and header lines as given on the command line.
    pub(crate) fn new(urls: &[String], headers: &[String]) -> Result<Self, BadTarget> {
        let mut authority = None::<String>;
        let mut paths = Vec::with_capacity(urls.len());
        for url in urls {
            let (server, path) = split(url)?;
            match &authority {
                None => authority = Some(server),
                Some(first) if *first != server => return Err(BadTarget::OtherServer(first.clone(), server)),
                Some(_) => {}
            }
            paths.push(path);
        }
        let headers = headers.iter().map(|header| header_line(header)).collect::<Result<_, _>>()?;
        Ok(Self { authority: authority.ok_or(BadTarget::None)?, paths, headers })
    }

    /// Where to connect.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.authority
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.authority)))
    }

    /// Writes the request for the path of this number (counted round) over what is in `request`.
    pub(crate) fn write_request(&self, number: usize, request: &mut Vec<u8>) {
        request.clear();
        let path = &self.paths[number % self.paths.len()];
        for part in ["GET ", path, " HTTP/1.1\r\nHost: ", &self.authority, "\r\n", ALWAYS, &self.headers, "\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
    }
}

/// The lines of a file of URLs; empty ones and those that begin with `#` are left out.
pub(crate) fn read_list(path: &Path) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// `host:port` and path of an URL; the port is 80 where none is given.
fn split(url: &str) -> Result<(String, String), BadTarget> {
    let rest = url.strip_prefix("http://").ok_or_else(|| BadTarget::Scheme(url.to_owned()))?;
    if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(BadTarget::Characters(url.to_owned()));
    }
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (server, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let has_port = server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let server = if has_port { server.to_owned() } else { format!("{server}:80") };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((server, path))
}

/// A header line with its end.
fn header_line(header: &str) -> Result<String, BadTarget> {
    let bad = || BadTarget::Header(header.to_owned());
    let (name, value) = header.split_once(':').ok_or_else(bad)?;
    if name.is_empty() || name.bytes().any(|byte| byte <= b' ') || value.bytes().any(|byte| byte < b' ') {
        return Err(bad());
    }
    Ok(format!("{name}: {}\r\n", value.trim()))
}

/// `10`, `10s`, `500ms` or `2m`, for the command line.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        _ => return Err(format!("{unit:?} is not a unit of time; use ms, s or m")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    Duration::try_from_secs_f64(number * factor).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let table = [
            ("http://a/b/c?d=e", "a:80", "/b/c?d=e"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/"),
            ("http://[::1]:8080/x#y", "[::1]:8080", "/x"),
            ("http://[::1]/x", "[::1]:80", "/x"),
            ("http://a?q", "a:80", "/?q"),
        ];
        for (url, server, path) in table {
            assert_eq!(split(url), Ok((server.to_owned(), path.to_owned())), "{url}");
        }
        assert!(matches!(split("https://a/"), Err(BadTarget::Scheme(_))));
        assert!(matches!(split("http://a/b c"), Err(BadTarget::Characters(_))));
    }

    #[test]
    fn one_run_has_one_server() {
        let urls = ["http://a:1/x".to_owned(), "http://a:2/x".to_owned()];
        assert!(matches!(Targets::new(&urls, &[]), Err(BadTarget::OtherServer(..))));
        assert_eq!(Targets::new(&[], &[]), Err(BadTarget::None));
    }

    #[test]
    fn requests_go_round_and_carry_the_headers() {
        let urls = ["http://a/x".to_owned(), "http://a/y".to_owned()];
        let targets = Targets::new(&urls, &["Range:bytes=0-9".to_owned()]).unwrap();
        let mut request = b"old".to_vec();
        targets.write_request(3, &mut request);
        let text = String::from_utf8(request).unwrap();
        assert!(text.starts_with("GET /y HTTP/1.1\r\nHost: a:80\r\n"), "{text}");
        assert!(text.ends_with("\r\nRange: bytes=0-9\r\n\r\n"), "{text}");
        for bad in ["Range", ": x", "A b: c", "A: b\r\nC: d"] {
            assert!(Targets::new(&urls, &[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "3h", "-1s", "1e400"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
