//! A start with what the origin delivered last. What is wrong with that never keeps the agent from starting: then it starts with its own file.

use config::{
    Refused, Sources,
    agent::{self, Loaded},
};
use protocol::enrolment::Configuration;

use super::kept;
use crate::host_name;

/// What a start has to go by.
pub(crate) struct Begun {
    /// The options in force, and what they were made from.
    pub(crate) loaded: Loaded,
    pub(crate) sources: Sources,
    /// This machine's name.
    pub(crate) name: String,
    /// What was delivered last.
    pub(crate) configuration: Option<Configuration>,
    /// Why its options are not in force.
    pub(crate) complaint: Option<String>,
}

impl Begun {
    /// Reads the configuration, with what was delivered where there is something.
    pub(crate) fn load(sources: Sources) -> Result<Self, Refused> {
        let loaded = agent::load(&sources)?;
        let origins = &loaded.settings.origins;
        let name = if origins.name.is_empty() { host_name() } else { origins.name.clone() };
        let configuration = if origins.urls.is_empty() { None } else { kept::configuration(origins, &name) };
        let plain = Self { loaded, sources, name, configuration, complaint: None };
        let Some(configuration) = &plain.configuration else { return Ok(plain) };
        let sources = Sources { delivered: Some(configuration.into()), ..plain.sources.clone() };
        Ok(match agent::load(&sources) {
            Ok(loaded) => Self { loaded, sources, ..plain },
            Err(refused) => Self { complaint: Some(refused.to_string()), ..plain },
        })
    }
}

#[cfg(test)]
mod tests {
    use protocol::topology::Tier;
    use serde_json::json;

    use super::*;

    fn configuration(options: &[(&str, serde_json::Value)]) -> Configuration {
        Configuration {
            generation: 7,
            domain: None,
            tier: Tier::Client,
            options: options.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
            proxies: Vec::new(),
            origins: Vec::new(),
            jobs: Vec::new(),
            source_expiry: 600,
        }
    }

    #[test]
    fn what_was_delivered_holds_from_the_start_if_it_can() {
        for (options, uploads, complains) in [
            (vec![("peers.uploads", json!(7)), ("nonsense", json!(1))], 7, false),
            (vec![("peers.uploads", json!("many"))], 2, true),
            (vec![], 2, false),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let environment = [
                ("OUTPOST__ORIGIN__URLS", "http://hq:1/"),
                ("OUTPOST__ORIGIN__NAME", "pc1"),
                ("OUTPOST__ORIGIN__STATE_DIR", directory.path().to_str().unwrap()),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let sources = Sources {
                environment: environment.into(),
                working_directory: directory.path().into(),
                ..Sources::default()
            };
            let origins = agent::load(&sources).unwrap().settings.origins;
            kept::keep_configuration(&origins, "pc1", &configuration(&options)).unwrap();
            let begun = Begun::load(sources).unwrap();
            assert_eq!(begun.loaded.settings.peers.uploads, uploads, "{options:?}");
            assert_eq!(begun.complaint.is_some(), complains, "{:?}", begun.complaint);
            assert!(begun.configuration.is_some());
        }
    }
}
