//! A start with what the origin delivered last. What is wrong with that never keeps the proxy from starting: then it starts with its own file.

use config::{Loaded, Refused, Sources};
use protocol::enrolment::Configuration;

use super::{identity, keep};
use crate::{arguments::Arguments, preflight};

/// What a start has to go by.
pub(crate) struct Begun {
    /// The configuration.
    pub(crate) loaded: Loaded,
    /// What it was made from.
    pub(crate) sources: Sources,
    /// Why what was delivered is not in use.
    pub(crate) complaint: Option<String>,
}

/// Reads the configuration with its delivered layer, if there is one.
pub(crate) fn load(arguments: &Arguments) -> Result<Begun, Refused> {
    let sources = arguments.sources()?;
    let loaded = config::load(&sources)?;
    Ok(with_delivered(sources, loaded))
}

fn with_delivered(sources: Sources, plain: Loaded) -> Begun {
    let kept = match kept(&plain) {
        Ok(Some(kept)) => kept,
        Ok(None) => return Begun { loaded: plain, sources, complaint: None },
        Err(error) => {
            let path = plain.settings.belonging.configuration_file();
            let complaint = format!("{} cannot be read: {error}", path.display());
            return Begun { loaded: plain, sources, complaint: Some(complaint) };
        }
    };
    let with = Sources { delivered: Some((&kept).into()), ..sources.clone() };
    let tried = config::load(&with).and_then(|loaded| preflight::all(&loaded.settings).map(|()| loaded));
    match tried {
        Ok(loaded) => Begun { loaded, sources: with, complaint: None },
        // What is wrong without it too is not its fault.
        Err(_) if preflight::all(&plain.settings).is_err() => Begun { loaded: plain, sources, complaint: None },
        Err(refused) => Begun { loaded: plain, sources, complaint: Some(refused.to_string()) },
    }
}

fn kept(plain: &Loaded) -> std::io::Result<Option<Configuration>> {
    let options = &plain.settings.belonging;
    match options.upstream(plain.settings.upstreams()) {
        Some(_) => keep::configuration(options, &identity::node(options)),
        None => Ok(None),
    }
}
