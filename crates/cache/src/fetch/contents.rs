//! Contents that need no fill: an object that is here, and a file of a share that goes through uncached.

use std::sync::Arc;

use protocol::cache_status::CacheStatus;
use serve::source::{SharedFile, Source};
use store::Reader;

use super::outcome::Content;
use crate::{
    names::{
        book::Known,
        lines::Lines,
        representation::{Naming, Proof, Representation},
    },
    shared::Shared,
    upstream::{
        Question,
        reply::{Access, Head},
    },
};

impl Content {
    /// A sealed one under its name.
    pub(crate) fn of_name(
        shared: &Shared,
        known: &Known,
        reader: Reader,
        question: &Question,
        status: CacheStatus,
    ) -> Self {
        let (settings, relocate) = (shared.settings(), |location: &str| question.relocate(location));
        let naming = Naming { path: question.full.path(), via: &settings.options.via, relocate: &relocate };
        Self {
            representation: known.representation(&reader, &naming).clone(),
            source: Source::Object(reader),
            record: known.record.clone(),
            places: shared.requesters.of(&known.md5),
            first_status: status,
            withheld: Lines::default(),
        }
    }

    /// A file of a directory that goes through uncached, by `sendfile` from where it is. `None` if the head is not of one.
    pub(crate) fn of_shared_file(shared: &Shared, question: &Question, head: &Head) -> Option<Self> {
        let Access::File { file, identity, .. } = &head.access else { return None };
        let settings = shared.settings();
        let naming = Naming { path: question.full.path(), via: &settings.options.via, relocate: &|_| None };
        let representation = Representation::of_name(&head.record, Proof::Nothing, &naming);
        let engine = shared.store.engine().clone();
        Some(Self {
            representation: Arc::new(representation),
            source: Source::Shared(SharedFile { file: file.clone(), identity: *identity, engine }),
            record: head.record.clone(),
            places: shared.requesters.unnamed(),
            first_status: CacheStatus::Passed,
            withheld: Lines::default(),
        })
    }
}
