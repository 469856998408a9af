//! Another configuration while the service runs: read again after SIGHUP, or delivered by the origin. As a whole or not at all: what cannot be used leaves
//! the one before in force.

use std::sync::Arc;

use config::{
    Refused, Sources,
    agent::{self, Loaded, Settings, needs_restart},
};
use parking_lot::Mutex;
use protocol::{
    enrolment::Configuration,
    report::{REFUSED_MAX, Refusal},
};
use serve::{server::Server, shares::ShareOptions};

use super::{begin::Begun, downloads::Downloads, settled::Settled, sharing::Sharing, ways};

/// Takes another configuration.
pub(crate) struct Renewal {
    at_start: Loaded,
    state: Mutex<State>,
    pub(crate) settled: Arc<Settled>,
    downloads: Arc<Downloads>,
    sharing: Arc<Sharing>,
    /// Who answers neighbours.
    peers: Option<Arc<Server>>,
}

struct State {
    sources: Sources,
    /// What was delivered last, and which of its generations is in force.
    configuration: Option<Configuration>,
    generation: u64,
    taken: Taken,
}

/// What became of what was delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// What of it is not in force, and why.
    pub(crate) refused: Vec<Refusal>,
    /// What of it is, with the next start.
    pub(crate) needs_restart: Vec<String>,
}

impl Renewal {
    pub(super) fn new(
        begun: Begun,
        settled: Arc<Settled>,
        downloads: Arc<Downloads>,
        sharing: Arc<Sharing>,
        peers: Option<Arc<Server>>,
    ) -> Self {
        let Begun { loaded, sources, configuration, complaint, .. } = begun;
        let generation = loaded.generation().unwrap_or_default();
        let taken = complaint.map_or_else(|| taken(&loaded, &loaded), Taken::refused);
        let state = Mutex::new(State { sources, configuration, generation, taken });
        Self { at_start: loaded, state, settled, downloads, sharing, peers }
    }

    /// The generation of what was delivered that is in force, and what became of it.
    pub(crate) fn taken(&self) -> (u64, Taken) {
        let state = self.state.lock();
        (state.generation, state.taken.clone())
    }

    /// Takes file and environment as they are now. Blocks.
    pub(crate) fn reload(&self, read: Result<Sources, Refused>) {
        let mut state = self.state.lock();
        let renewed = read.map_err(|refused| refused.to_string()).and_then(|sources| {
            // What the origin has delivered stays above what the file says.
            let delivered = state.sources.delivered.clone();
            self.renew(&mut state, Sources { delivered, ..sources })
        });
        match renewed {
            Ok(restart) => {
                tracing::info!("the configuration was read again and is in use");
                tell_restart(&restart);
            }
            Err(why) => tracing::error!("the new configuration is not used, and the old one stays in use: {why}"),
        }
    }

    /// Takes what the origin delivers, over file and environment as they were read last: whoever is writing at the file has not sent SIGHUP yet. `true` if it
    /// is another than before. Blocks.
    pub(crate) fn deliver(&self, configuration: &Configuration) -> bool {
        let mut state = self.state.lock();
        if state.configuration.as_ref() == Some(configuration) {
            return false;
        }
        let generation = configuration.generation;
        tracing::info!(generation, "the origin has delivered a configuration");
        let sources = Sources { delivered: Some(configuration.into()), ..state.sources.clone() };
        state.configuration = Some(configuration.clone());
        match self.renew(&mut state, sources) {
            Ok(restart) => tell_restart(&restart),
            Err(why) => {
                tracing::warn!(generation, "the options that the origin delivers are not used: {why}");
                state.taken = Taken::refused(why);
                // Whom to ask is no option, and holds all the same.
                self.change_ways(&self.settled.now(), &state);
            }
        }
        true
    }

    /// The keys that are taken with the next start only.
    fn renew(&self, state: &mut State, sources: Sources) -> Result<Vec<&'static str>, String> {
        let new = agent::load(&sources).map_err(|refused| refused.to_string())?;
        self.limit_store(&new.settings)?;
        self.sharing.replace(&new.settings);
        if let Some(server) = &self.peers {
            server.replace_shares(shares(&new.settings));
        }
        self.change_ways(&new.settings, state);
        if self.settled.now().line != new.settings.line {
            self.downloads.ways().finder.client.line().renew(ways::line(&new.settings));
        }
        (state.taken, state.sources) = (taken(&self.at_start, &new), sources);
        state.generation = new.generation().unwrap_or_default();
        for refusal in &state.taken.refused {
            tracing::warn!(
                option = refusal.option,
                "the origin delivers an option that is left out: {}",
                refusal.reason
            );
        }
        let restart = needs_restart(&self.at_start, &new);
        self.settled.replace(new.settings);
        Ok(restart)
    }

    fn limit_store(&self, new: &Settings) -> Result<(), String> {
        let (now, new) = (&self.settled.now().store, &new.store);
        if (now.max_size, now.min_free) == (new.max_size, new.min_free) {
            return Ok(());
        }
        self.downloads.store().set_limits(new.max_size, new.min_free).map_err(|error| error.to_string())
    }

    fn change_ways(&self, settings: &Settings, state: &State) {
        let (origins, servers) = (&self.at_start.settings.origins.urls, &settings.servers.urls);
        self.downloads.change_ways(|finder| ways::renew(finder, origins, servers, state.configuration.as_ref()));
    }
}

impl Taken {
    /// None of it.
    fn refused(why: String) -> Self {
        Self { refused: vec![Refusal { option: String::new(), reason: why }], needs_restart: Vec::new() }
    }
}

/// How fast bytes leave for neighbours.
pub(super) fn shares(settings: &Settings) -> ShareOptions {
    ShareOptions { total: settings.peers.rates.clone(), per_client: 0 }
}

fn taken(at_start: &Loaded, new: &Loaded) -> Taken {
    let left_out = new.left_out().iter().take(REFUSED_MAX);
    let refused = left_out.map(|left| Refusal { option: left.option.clone(), reason: left.reason.clone() });
    let delivered: Vec<&str> = new.delivered().collect();
    let restart = needs_restart(at_start, new).into_iter().filter(|key| delivered.contains(key));
    Taken { refused: refused.collect(), needs_restart: restart.take(REFUSED_MAX).map(str::to_owned).collect() }
}

fn tell_restart(keys: &[&str]) {
    if !keys.is_empty() {
        tracing::warn!("these options were changed, but are only taken with the next start: {}", keys.join(", "));
    }
}
