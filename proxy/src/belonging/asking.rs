//! Who we are, and what the origin wants of us.

use std::time::Duration;

use http::Method;
use protocol::{
    enrolment::{Configuration, Enrol, Enrolled, Role},
    info::{CONFIGURATION, ENROL},
    membership::{As, Meaning},
    report::Refusal,
};

use super::{
    called::{Called, read},
    identity::network_cards,
    keep,
    member::{Member, now},
    status::State,
};
use crate::{life, token};

/// The configuration is asked for so often even if nothing says that it has changed.
const ASK_EVERY: Duration = Duration::from_secs(1800);
/// An origin without the interface may have been replaced by a newer one.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

impl Member {
    /// What comes next of enrolling and of asking for the configuration.
    pub(super) async fn ask(&mut self) {
        match self.standing.next() {
            As::Newcomer => self.enrol().await,
            As::Member | As::Nameless => self.configure().await,
        }
    }

    async fn enrol(&mut self) {
        let Some(file) = self.identity.token_file.clone() else { return };
        let token = match token::secret(&file) {
            Ok(token) => token,
            Err(refused) => return self.fails(refused.to_string()),
        };
        let enrol = Enrol {
            name: self.identity.node.clone(),
            role: Role::Proxy,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            url: self.url().await,
            machines: network_cards(),
            // Another origin of the site may have given it: then it is the same one everywhere.
            credential: keep::credential(&self.options(), &self.identity.node).ok().flatten(),
        };
        let body = serde_json::to_vec(&enrol).unwrap_or_default();
        let Some(called) = self.link.call_with(&token, Method::POST, ENROL, body.into()).await else {
            return self.fails(format!("the token in {} cannot be sent", file.display()));
        };
        match Called::of(called) {
            Called::Answered(Meaning::Taken, body, _) => match read::<Enrolled>(&body) {
                Ok(enrolled) => self.enrolled(&enrolled.credential),
                Err(reason) => self.fails(reason),
            },
            Called::Answered(Meaning::NoInterface, ..) => self.waits_outside(),
            Called::Answered(Meaning::Unknown | Meaning::Forbidden, _, told) => {
                self.state = State::Refused;
                self.fails(format!("it does not enrol '{}': {told}", self.identity.node));
            }
            Called::Answered(_, _, told) => self.fails(told),
            Called::Silent(reason, retry_after) => self.waits(reason, retry_after),
        }
    }

    fn enrolled(&mut self, credential: &str) {
        if !self.link.set_credential(Some(credential)) {
            return self.fails("the credential that it gave cannot be sent".into());
        }
        let (options, node) = (self.options(), self.identity.node.clone());
        if let Err(error) = keep::keep_credential(&options, &node, credential) {
            let path = options.credential_file();
            tracing::error!(
                "the credential cannot be kept in {}, and the next start enrols again: {error}; give origin.state_dir a directory that this user may write",
                path.display()
            );
        }
        tracing::info!(upstream = self.identity.upstream, node, "this proxy has enrolled at its origin");
        self.standing.enrolled();
        self.is_fresh = true;
        self.asking.more(now());
    }

    async fn configure(&mut self) {
        let called = self.link.call(Method::GET, CONFIGURATION, bytes::Bytes::new()).await;
        let called = Called::of(called);
        if let Called::Answered(meaning, ..) = &called {
            self.standing.answered(*meaning);
        }
        match called {
            Called::Answered(Meaning::Taken, body, _) => match read::<Configuration>(&body) {
                Ok(configuration) => self.is_configured(configuration).await,
                Err(reason) => self.fails(reason),
            },
            Called::Answered(Meaning::NoInterface, ..) => self.waits_outside(),
            Called::Answered(Meaning::Unknown, _, told) => self.is_unknown(&told),
            Called::Answered(Meaning::Forbidden, _, told) => {
                self.state = State::Refused;
                self.fails(told);
            }
            Called::Answered(_, _, told) => self.fails(told),
            Called::Silent(reason, retry_after) => self.waits(reason, retry_after),
        }
    }

    /// It enrols again if it can; but one that was given just now and is not taken is a fault that more of it does not mend.
    pub(super) fn is_unknown(&mut self, told: &str) {
        self.state = State::Refused;
        let node = &self.identity.node;
        match (self.standing.next(), self.is_fresh) {
            (As::Newcomer, false) => {
                tracing::info!(node, "the origin does not know this proxy any more, which enrols again: {told}");
                self.asking.more(now());
            }
            (As::Nameless, _) => {
                self.fails(format!("it wants proxies to enrol, and origin.token_file names no token: {told}"));
            }
            _ => self.fails(format!("it does not take the credential of '{node}': {told}")),
        }
    }

    async fn is_configured(&mut self, configuration: Configuration) {
        self.is_fresh = false;
        if self.state != State::Member {
            let domain = configuration.domain.as_ref().map_or_else(|| "no domain".to_owned(), ToString::to_string);
            let (upstream, node) = (&self.identity.upstream, &self.identity.node);
            tracing::info!(upstream, node, domain, "this proxy belongs to its origin");
            self.state = State::Member;
            self.telling.forgive(now());
        }
        self.has_none();
        self.take(&configuration).await;
        let mut status = self.app.belonging.lock();
        (status.domain, status.tier) = (configuration.domain, Some(configuration.tier));
        drop(status);
        self.asking.done(now(), ASK_EVERY);
    }

    /// Takes it as a whole or not at all, and once.
    async fn take(&mut self, configuration: &Configuration) {
        let delivered = config::Delivered::from(configuration);
        let is_known = self.app.sources.lock().delivered.as_ref() == Some(&delivered);
        let was_refused = self.refused.as_ref().is_some_and(|(refused, _)| *refused == delivered);
        if was_refused {
            return;
        }
        if !is_known {
            let (app, layer, generation) = (self.app.clone(), delivered.clone(), delivered.generation);
            // It looks into directories, as a reload does.
            let taken = tokio::task::spawn_blocking(move || life::deliver(&app, layer)).await;
            // The report tells whether it was taken.
            self.telling.soon(now());
            match taken.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(()) => self.refused = None,
                Err(reason) => {
                    tracing::error!(
                        generation,
                        "the configuration that the origin delivers is not used, and the old one stays in use: {reason}"
                    );
                    self.refused = Some((delivered, reason));
                    return;
                }
            }
        }
        let (options, node) = (self.options(), self.identity.node.clone());
        let is_kept = keep::configuration(&options, &node).is_ok_and(|kept| kept.as_ref() == Some(configuration));
        if !is_kept && let Err(error) = keep::keep_configuration(&options, &node, configuration) {
            let path = options.configuration_file();
            tracing::error!(
                "the configuration that the origin delivered is in use, but cannot be kept in {} for the next start: {error}",
                path.display()
            );
        }
    }

    /// For the report: why all of it was refused.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let (delivered, reason) = self.refused.as_ref()?;
        let reason = format!("generation {}: {reason}", delivered.generation);
        Some(Refusal { option: String::new(), reason })
    }

    fn fails(&mut self, trouble: String) {
        self.has_trouble(trouble);
        self.asking.failed(now());
    }

    fn waits(&mut self, trouble: String, retry_after: Option<Duration>) {
        match retry_after {
            Some(retry_after) => self.asking.busy(now(), retry_after),
            None => self.fails(trouble),
        }
    }

    fn waits_outside(&mut self) {
        self.is_outside();
        self.asking.done(now(), LOOK_AGAIN);
    }
}
