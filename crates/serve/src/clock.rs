//! What time it is, as text. Formatting a date costs more than answering from memory, so it is done once per second.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::timestamp;

/// The texts of one second.
pub(crate) struct Clock {
    second: Option<u64>,
    server_line: String,
    stamp: Vec<u8>,
    common_log: String,
    rfc3339: String,
}

impl Clock {
    /// For answers that carry this `Server` field.
    pub(crate) fn new(server_name: &str) -> Self {
        let printable: String = server_name.chars().filter(|c| (' '..='~').contains(c)).collect();
        let server_line = format!("Server: {printable}\r\n");
        Self { second: None, server_line, stamp: Vec::new(), common_log: String::new(), rfc3339: String::new() }
    }

    /// Makes the texts those of `now`, if the second has changed.
    pub(crate) fn turn_to(&mut self, now: SystemTime) -> &Self {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.second != Some(second) {
            self.second = Some(second);
            self.format(now);
        }
        self
    }

    fn format(&mut self, now: SystemTime) {
        // `Sun, 06 Nov 1994 08:49:37 GMT`: the log's form has the same parts in another order.
        let date = timestamp::http_date(now);
        let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
        self.common_log = format!("{day}/{month}/{year}:{time} +0000");
        self.rfc3339 = timestamp::rfc3339(now);
        self.stamp = format!("{}Date: {date}\r\n", self.server_line).into_bytes();
    }

    /// The lines `Server` and `Date`.
    pub(crate) fn stamp(&self) -> &[u8] {
        &self.stamp
    }

    /// `10/Oct/2000:13:55:36 +0000`
    pub(crate) fn common_log(&self) -> &str {
        &self.common_log
    }

    /// `2000-10-10T13:55:36Z`
    pub(crate) fn rfc3339(&self) -> &str {
        &self.rfc3339
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn gives_one_second_in_three_forms() {
        let mut clock = Clock::new("outpost/0\r\nX: 1");
        let clock = clock.turn_to(UNIX_EPOCH + Duration::from_millis(784_111_777_900));
        assert_eq!(clock.stamp(), b"Server: outpost/0X: 1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(clock.common_log(), "06/Nov/1994:08:49:37 +0000");
        assert_eq!(clock.rfc3339(), "1994-11-06T08:49:37Z");
    }
}
