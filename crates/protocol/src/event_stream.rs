//! `text/event-stream` as programs of ours write and read it (WHATWG HTML, section 9.2): one event is some lines and an empty one.

/// Bytes of one event; a longer one is no event of ours.
pub const EVENT_BYTES_MAX: usize = 64 << 10;

/// One event as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawEvent {
    /// `message` where nothing is said.
    pub name: String,
    /// Of one line, or of several with line ends between them.
    pub data: String,
    /// What is said to have been seen last when one comes again.
    pub id: Option<String>,
}

/// An event that does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {EVENT_BYTES_MAX} bytes")]
pub struct TooLong;

/// An event as text. `data` is one line: JSON escapes line ends.
pub fn write(name: &str, id: Option<u64>, data: &impl serde::Serialize) -> String {
    let data = serde_json::to_string(data).unwrap_or_default();
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("event: {name}\n{id}data: {data}\n\n")
}

/// What is sent when there is nothing to say, so that who listens knows that the line is up.
pub const HEARTBEAT: &str = ":\n\n";

/// Reads events from bytes as they come.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    event: RawEvent,
    has_data: bool,
    /// The last byte was a carriage return: a line feed behind it ends no further line.
    after_return: bool,
    bytes: usize,
}

impl Reader {
    /// Takes some bytes, and hands over each event that is complete.
    pub fn take(&mut self, bytes: &[u8], mut event: impl FnMut(RawEvent)) -> Result<(), TooLong> {
        for byte in bytes {
            let ends_line = match byte {
                b'\n' if std::mem::take(&mut self.after_return) => continue,
                b'\r' => {
                    self.after_return = true;
                    true
                }
                b'\n' => true,
                _ => false,
            };
            if ends_line {
                if let Some(complete) = self.end_line() {
                    event(complete);
                }
                continue;
            }
            self.after_return = false;
            self.bytes += 1;
            if self.bytes > EVENT_BYTES_MAX {
                return Err(TooLong);
            }
            self.line.push(*byte);
        }
        Ok(())
    }

    fn end_line(&mut self) -> Option<RawEvent> {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if line.is_empty() {
            self.bytes = 0;
            let event = std::mem::take(&mut self.event);
            let name = if event.name.is_empty() { "message".to_owned() } else { event.name };
            return std::mem::take(&mut self.has_data).then_some(RawEvent { name, ..event });
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.name = value.to_owned(),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments, and what a later release may say.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<RawEvent>, TooLong> {
        let (mut reader, mut events) = (Reader::default(), Vec::new());
        pieces.iter().try_for_each(|piece| reader.take(piece, |event| events.push(event)))?;
        Ok(events)
    }

    fn event(name: &str, data: &str, id: Option<&str>) -> RawEvent {
        RawEvent { name: name.into(), data: data.into(), id: id.map(Into::into) }
    }

    #[test]
    fn what_is_written_is_read_wherever_it_is_cut() {
        let text = write("file", Some(7), &serde_json::json!({"path": "/a\nb"})) + HEARTBEAT + &write("gone", None, &1);
        let expected = [event("file", r#"{"path":"/a\nb"}"#, Some("7")), event("gone", "1", None)];
        for cut in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            assert_eq!(read(&[head, tail]).unwrap(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn lines_end_in_three_ways_and_odd_fields_are_passed_over() {
        for text in ["data: a\n\n", "data: a\r\n\r\n", "data: a\r\r", ":x\nretry: 5\nodd\ndata:a\n\n"] {
            assert_eq!(read(&[text.as_bytes()]).unwrap(), [event("message", "a", None)], "{text:?}");
        }
        assert_eq!(read(&[b"data: a\ndata: b\n\n"]).unwrap(), [event("message", "a\nb", None)]);
        assert_eq!(read(&[b"event: x\n\ndata\n\n"]).unwrap(), [event("message", "", None)]);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let line = [b"data: ".as_slice(), &vec![b'a'; EVENT_BYTES_MAX]].concat();
        assert_eq!(read(&[&line]), Err(TooLong));
        let many = "data: a\n".repeat(EVENT_BYTES_MAX);
        assert_eq!(read(&[many.as_bytes()]), Err(TooLong));
    }
}
