//! Sizes, durations, addresses and paths as people write them, and back. Only text and numbers; which values an option takes is said in its definition.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Component, Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use protocol::machines::Machines;
use serve::clients::{access::Rule, ranges::Range};
use store::Limit;

/// Bytes per unit, the larger first, so that the first that divides a size is the one to show it in.
const SIZE_UNITS: [(&str, u64); 11] = [
    ("PiB", 1 << 50),
    ("PB", 1_000_000_000_000_000),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// Bits per unit.
const RATE_UNITS: [(&str, u64); 4] = [("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

/// Milliseconds per unit, the larger first.
const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Bytes from `"200GB"`, `"10GiB"`, `"1.5 TB"` or `"4096"`. Units in any case; GB counts in thousands, GiB in 1024s.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let refuse = |reason: &str| format!("'{text}' is not a size: {reason}; write bytes, \"200GB\" or \"10GiB\"");
    let trimmed = text.trim();
    let (number, unit) = split_number(trimmed);
    if number.is_empty() {
        return Err(refuse("it does not begin with a number"));
    }
    if unit.is_empty() {
        return number.parse().map_err(|_| refuse("without a unit it must be a whole number of bytes"));
    }
    let Some((_, factor)) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
        let letter = unit.to_ascii_uppercase();
        return Err(match letter.as_str() {
            "K" | "M" | "G" | "T" | "P" => {
                refuse(&format!("'{unit}' could mean {letter}B (thousands) or {letter}iB (1024s)"))
            }
            _ => refuse(&format!("'{unit}' is not a unit of size")),
        });
    };
    scale(number, *factor).ok_or_else(|| refuse("the number is not valid or too large"))
}

/// A size, or `"30%"` of the disk.
pub(crate) fn parse_limit(text: &str) -> Result<Limit, String> {
    let Some(percent) = text.trim().strip_suffix('%') else {
        return parse_size(text).map(Limit::Bytes).map_err(|message| format!("{message}, or \"30%\" of the disk"));
    };
    match percent.trim().parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Limit::Percent(percent)),
        _ => Err(format!("'{text}' is not a part of the disk: write a percentage from \"0%\" to \"100%\"")),
    }
}

/// `"90s"`, `"1h30m"`, `"250ms"`, `"7d"`; a number alone counts seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse =
        |reason: String| format!("'{text}' is not a duration: {reason}; write \"90s\", \"1h30m\" or \"250ms\"");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(refuse("it is empty".into()));
    }
    if let Ok(seconds) = rest.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total_ms = 0_u64;
    while !rest.is_empty() {
        let (number, after) = split_number(rest);
        let unit_len = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        if number.is_empty() {
            return Err(refuse("a number is missing".into()));
        }
        let Some((_, factor)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(refuse(if unit.is_empty() {
                "a unit is missing".into()
            } else {
                format!("'{unit}' is not a unit of time (d, h, m, s, ms)")
            }));
        };
        let part = scale(number, *factor).ok_or_else(|| refuse("the number is not valid or too large".into()))?;
        total_ms = total_ms.checked_add(part).ok_or_else(|| refuse("it is too long".into()))?;
        rest = after.trim_start();
    }
    Ok(Duration::from_millis(total_ms))
}

/// `"0.0.0.0:8080"` or `"[::]:8080"`.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    text.parse().map_err(|_| {
        let port = text.strip_prefix(':').unwrap_or(text);
        if port.parse::<u16>().is_ok() {
            format!("'{text}' has no IP address: write 0.0.0.0:{port} for every network, or 127.0.0.1:{port} for this machine alone")
        } else {
            format!("'{text}' is not an address: write IP:PORT such as 0.0.0.0:8080 or [::]:8080 (names are not looked up)")
        }
    })
}

/// Bytes per second from `"1MiB/s"`, `"50Mbit/s"` or a number of bytes.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
    let refuse = |reason: &str| format!("'{text}' is not a rate: {reason}; write \"1MiB/s\" or \"50Mbit/s\"");
    let trimmed = text.trim();
    if let Ok(bytes) = trimmed.parse() {
        return Ok(bytes);
    }
    let per_second = trimmed.strip_suffix("/s").ok_or_else(|| refuse("it does not end with '/s'"))?.trim_end();
    let (number, unit) = split_number(per_second);
    match RATE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
        Some((_, bits)) => {
            scale(number, *bits).map(|bits| bits / 8).ok_or_else(|| refuse("the number is not valid or too large"))
        }
        None => {
            parse_size(per_second).map_err(|_| refuse("what stands before '/s' is neither a size nor a number of bits"))
        }
    }
}

/// The shortest text that [`parse_rate`] reads as these bytes per second.
pub(crate) fn show_rate(bytes: u64) -> String {
    let bits = bytes.saturating_mul(8);
    if bytes != 0 && bits.is_multiple_of(1_000_000) {
        return format!("{}Mbit/s", bits / 1_000_000);
    }
    format!("{}/s", show_size(bytes))
}

/// A range from `"10.0.0.0/8"`, `"10.0.0.1"` or `"10.0.0.1-10.0.0.9"`.
pub(crate) fn parse_range(text: &str) -> Result<Range, String> {
    let text = text.trim();
    text.parse().map_err(|reason| {
        format!(
            "'{text}' is not a range of addresses: {reason}; write ADDRESS/BITS such as 10.0.0.0/8, FIRST-LAST, or one address"
        )
    })
}

/// A network from `"10.7.0.0/16"`, or one address.
pub(crate) fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network: IpNet =
        network.map_err(|_| format!("'{text}' is not a range of addresses: write ADDRESS/BITS such as 10.7.0.0/16"))?;
    if network.trunc() == network {
        return Ok(network);
    }
    Err(format!("'{text}' has bits behind the first {}: {} is meant", network.prefix_len(), network.trunc()))
}

/// Network cards from `"52:54:00:12:34:56"` or `"52:54:00:00:00:00/24"`.
pub(crate) fn parse_machines(text: &str) -> Result<Machines, String> {
    let text = text.trim();
    text.parse().map_err(|()| {
        format!(
            "'{text}' is not the address of a network card: write 52:54:00:12:34:56, or 52:54:00:00:00:00/24 for many"
        )
    })
}

/// A range, or network cards from `"52:54:00:12:34:56"` or `"52:54:00:00:00:00/24"`.
pub(crate) fn parse_rule(text: &str) -> Result<Rule, String> {
    let text = text.trim();
    text.parse().map_err(|reason| {
        format!(
            "'{text}' names no clients: {reason}; write ADDRESS/BITS such as 10.0.0.0/8, FIRST-LAST, one address, or a MAC address such as \
             52:54:00:12:34:56"
        )
    })
}

/// Below `base` if it is relative; without `.` segments. `..` stays: what it means is for the file system to say.
pub(crate) fn absolute(path: &Path, base: &Path) -> PathBuf {
    base.join(path).components().filter(|component| *component != Component::CurDir).collect()
}

/// The shortest text that [`parse_size`] reads as these bytes.
pub(crate) fn show_size(bytes: u64) -> String {
    match SIZE_UNITS.iter().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => "0B".into(),
    }
}

/// Text that [`parse_limit`] reads as this limit.
pub(crate) fn show_limit(limit: Limit) -> String {
    match limit {
        Limit::Bytes(bytes) => show_size(bytes),
        Limit::Percent(percent) => format!("{percent}%"),
    }
}

/// Text that [`parse_duration`] reads as this duration, to the millisecond.
pub fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match DURATION_UNITS.iter().find(|(_, factor)| ms != 0 && ms.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", ms / factor),
        None => "0s".into(),
    }
}

/// Bytes for people: about three digits, in thousands. Not meant to be read back.
pub fn human_size(bytes: u64) -> String {
    let Some((unit, factor)) = SIZE_UNITS
        .iter()
        .filter(|(name, _)| !name.contains('i'))
        .find(|(_, factor)| bytes >= *factor)
        .filter(|(_, factor)| *factor > 1)
    else {
        return format!("{bytes} B");
    };
    let scaled = bytes as f64 / *factor as f64;
    let digits = if scaled < 10.0 { 2 } else { usize::from(scaled < 100.0) };
    format!("{scaled:.digits$} {unit}")
}

/// As a TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The leading number of a text, with at most one point in it, and what follows the number and spaces.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// `number * factor` exactly, without floating point; `None` if it is no number, not whole, or does not fit.
fn scale(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || fraction.len() > 15 {
        return None;
    }
    let fraction_value: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let denominator = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let whole_part = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let fraction_part = u64::try_from(fraction_value * u128::from(factor) / denominator).ok()?;
    whole_part.checked_add(fraction_part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("200GB", 200_000_000_000),
            ("10GiB", 10 << 30),
            ("1.5 TB", 1_500_000_000_000),
            ("64kib", 64 << 10),
            ("7B", 7),
            (" 2 MB ", 2_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_says_what_to_write() {
        for (text, part) in [
            ("", "does not begin with a number"),
            ("lots", "does not begin with a number"),
            ("-1", "does not begin with a number"),
            ("10G", "'G' could mean GB (thousands) or GiB (1024s)"),
            ("10parsec", "'parsec' is not a unit of size"),
            ("1.5", "whole number of bytes"),
            ("1..5GB", "not valid"),
            ("99999999PB", "too large"),
        ] {
            let message = parse_size(text).unwrap_err();
            assert!(message.contains(part) && message.contains("write bytes"), "{text}: {message}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!(parse_limit("30%"), Ok(Limit::Percent(30.0)));
        assert_eq!(parse_limit("2.5 %"), Ok(Limit::Percent(2.5)));
        assert_eq!(parse_limit("1GB"), Ok(Limit::Bytes(1_000_000_000)));
        for text in ["101%", "-1%", "%", "NaN%", "x"] {
            assert!(parse_limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("250ms", 250),
            ("1.5s", 1_500),
            ("7d", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "5 parsecs", "1h30", "-3s", "99999999999999999999d", "1.s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("1KiB/s", 1024),
            ("2 MB/s", 2_000_000),
            ("50Mbit/s", 6_250_000),
            ("2.5 Gbit/s", 312_500_000),
            ("8kbit/s", 1000),
        ] {
            assert_eq!(parse_rate(text), Ok(bytes), "{text}");
        }
        for text in ["", "1KiB", "fast", "50Mbit", "1G/s", "1parsec/s", "x Mbit/s"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
        for (bytes, text) in
            [(0, "0B/s"), (1024, "1KiB/s"), (125_000, "1Mbit/s"), (1000, "1KB/s"), (62_500, "62500B/s")]
        {
            assert_eq!(show_rate(bytes), text);
            assert_eq!(parse_rate(text), Ok(bytes));
        }
    }

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            (" 192.0.2.1 ", "192.0.2.1"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(parse_range(text).unwrap().to_string(), expected, "{text}");
        }
        for (text, part) in [
            ("10.0.0.1/8", "10.0.0.1 has bits behind the first 8"),
            ("10.0.0.0/33", "number of bits"),
            ("10.0.0/8", "no address"),
            ("office", "no address"),
            ("", "no address"),
        ] {
            let message = parse_range(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn sizes_for_people() {
        for (bytes, text) in
            [(0, "0 B"), (999, "999 B"), (1_000, "1.00 KB"), (12_345, "12.3 KB"), (512_000_000_000, "512 GB")]
        {
            assert_eq!(human_size(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn a_shown_size_reads_back(bytes: u64) {
            prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn a_shown_duration_reads_back(ms in 0_u64..1 << 50) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in ".{0,24}") {
            let _ = (parse_size(&text), parse_limit(&text), parse_duration(&text));
        }
    }
}
