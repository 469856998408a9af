//! Times of the day or week, as they are written and as they are meant.

use protocol::schedule::{Windows, Zone};

/// Windows with their texts, which are shown again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    texts: Vec<String>,
    windows: Windows,
}

impl Times {
    /// Of texts that [`check`] has seen; one that is none is left out.
    pub(crate) fn of(texts: Vec<String>) -> Self {
        let windows = Windows::parse(&texts, &Zone::default()).unwrap_or_default();
        Self { texts, windows }
    }

    /// As they were written.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// When they are.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// The same, as the clocks of a zone show them.
    pub(crate) fn in_zone(&self, zone: &Zone) -> Self {
        let windows = Windows::parse(&self.texts, zone).unwrap_or_default();
        Self { texts: self.texts.clone(), windows }
    }
}

/// Whether a text says when something begins and when it ends: it is what those are told who have to wait.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let windows = Windows::parse(&[text], &Zone::default()).map_err(|bad| bad.to_string())?;
    if windows.has_starts() {
        return Err(format!("'{text}' says when it begins, and not when it ends: write 08:00-17:00"));
    }
    Ok(())
}
