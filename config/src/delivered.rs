//! What an origin wants of a proxy: a layer above the file and below the environment and the flags.
//!
//! | an option of it | what becomes of it |
//! | --- | --- |
//! | that this release does not know | left out, and told |
//! | that is this machine's own affair | left out, and told |
//! | that is said by the environment or a flag | that holds |
//! | whose value is none, or that contradicts others | all of the layer is refused |

use std::collections::BTreeMap;

use protocol::enrolment::Configuration;

/// What was delivered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivered {
    /// Which it is of all that the origin has made.
    pub generation: u64,
    /// By their names in the file; `upstream.NAME.KEY` is one of the upstream of that name.
    pub options: BTreeMap<String, serde_json::Value>,
}

impl From<&Configuration> for Delivered {
    fn from(configuration: &Configuration) -> Self {
        Self { generation: configuration.generation, options: configuration.options.clone() }
    }
}

/// An option that was delivered and is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub option: String,
    /// Why, for a person.
    pub reason: String,
}

/// The upstream and the key of `upstream.NAME.KEY`. A name may have dots in it, a key has none.
pub(crate) fn of_upstream(option: &str) -> Option<(&str, &str)> {
    option.strip_prefix("upstream.")?.rsplit_once('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{SETTINGS, UPSTREAM};

    #[test]
    fn what_is_a_machine_s_own_affair() {
        let own: Vec<_> = SETTINGS.iter().filter(|row| row.is_own().is_some()).map(|row| row.key).collect();
        for key in
            ["listen", "admin", "cache.dir", "access.admin_token_file", "tls.key", "access_log.path", "origin.name"]
        {
            assert!(own.contains(&key), "{key}: {own:?}");
        }
        for key in ["mode", "preload.schedule", "serve.max_requesters", "access.allow", "cache.max_size", "time_zone"] {
            assert!(!own.contains(&key), "{key}");
        }
        let own: Vec<_> = UPSTREAM.iter().filter(|row| row.is_own().is_some()).map(|row| row.key).collect();
        for key in ["name", "mount", "url", "ca", "certificate", "key"] {
            assert!(own.contains(&key), "{key}: {own:?}");
        }
    }

    #[test]
    fn options_of_an_upstream() {
        for (option, expected) in [
            ("upstream.prod.rate", Some(("prod", "rate"))),
            ("upstream.hq.north.mode", Some(("hq.north", "mode"))),
            ("upstream.prod", None),
            ("serve.name", None),
        ] {
            assert_eq!(of_upstream(option), expected, "{option}");
        }
    }
}
