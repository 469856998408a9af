//! A rate for all connections together: a token bucket that is told the time and says how long to wait.

use std::time::Duration;

/// What may be sent at once after a pause, as a time: what waiting too long cost can be caught up within it.
const BURST: Duration = Duration::from_millis(20);

/// Bytes that may be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    /// Bytes a second; `None`: no limit.
    rate: Option<u64>,
    /// The time up to which what was taken so far is paid.
    paid: Duration,
}

impl Bucket {
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), paid: Duration::ZERO }
    }

    pub(crate) fn is_unlimited(&self) -> bool {
        self.rate.is_none()
    }

    /// Takes `bytes` at the time `now`, and answers how long to wait before they are sent. Who comes later waits for those before.
    pub(crate) fn take(&mut self, now: Duration, bytes: u64) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let start = self.paid.max(now.saturating_sub(BURST));
        self.paid = start + Duration::from_secs_f64(bytes as f64 / rate as f64);
        self.paid.saturating_sub(now)
    }
}

/// `100Mbit/s`, `12MB/s`, `1000000`: bytes a second, for the command line.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "B/s" => 1.0,
        "kbit/s" => 1e3 / 8.0,
        "Mbit/s" => 1e6 / 8.0,
        "Gbit/s" => 1e9 / 8.0,
        "kB/s" => 1e3,
        "MB/s" => 1e6,
        "GB/s" => 1e9,
        _ => return Err(format!("{unit:?} is not a unit of a rate; use Mbit/s, Gbit/s, MB/s or B/s")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    match (number * factor) as u64 {
        0 => Err("a rate is at least one byte a second".into()),
        rate => Ok(rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_is_taken_is_paid_in_time() {
        let mut bucket = Bucket::new(Some(1000));
        // At the beginning nothing is saved up.
        assert_eq!(bucket.take(ms(0), 10), ms(10));
        // A second taker at the same time waits for both.
        assert_eq!(bucket.take(ms(0), 10), ms(20));
        assert_eq!(bucket.take(ms(15), 10), ms(15));
        // Late by less than the burst: it is caught up.
        assert_eq!(bucket.take(ms(40), 10), ms(0));
        assert_eq!(bucket.take(ms(40), 10), ms(10));
        // After a long pause only the burst is there.
        assert_eq!(bucket.take(ms(10_000), 20), ms(0));
        assert_eq!(bucket.take(ms(10_000), 20), ms(20));
    }

    #[test]
    fn the_rate_is_kept_over_any_time() {
        let mut bucket = Bucket::new(Some(12_500_000));
        let mut now = ms(0);
        let mut taken = 0;
        while taken < 256 << 20 {
            now += bucket.take(now, 16 << 10) + Duration::from_micros(70);
            taken += 16 << 10;
        }
        let own = taken as f64 / 12_500_000.0;
        assert!((now.as_secs_f64() - own).abs() < 0.01, "{now:?}, not {own}");
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        assert_eq!(Bucket::new(None).take(ms(0), u64::MAX), ms(0));
        assert!(Bucket::new(Some(0)).is_unlimited());
    }

    #[test]
    fn rates_have_units() {
        let table = [("100Mbit/s", 12_500_000), ("1.5MB/s", 1_500_000), ("7", 7), ("8kbit/s", 1000)];
        for (text, bytes) in table {
            assert_eq!(rate(text), Ok(bytes), "{text}");
        }
        for bad in ["", "0", "Mbit/s", "3furlongs"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
