//! What an upstream does not say for itself holds as it was said for all. Done when all layers are read, for the time zone and what holds for all
//! may stand anywhere.

use cache::options::{PreloadOptions, UpstreamOptions};

use crate::settings::Settings;

/// One option that is said for all upstreams unless one says it for itself.
type Inherited = (&'static str, fn(&mut PreloadOptions, &PreloadOptions));

static PRELOAD: &[Inherited] = &[
    ("include", |own, of_all| own.include = of_all.include.clone()),
    ("exclude", |own, of_all| own.exclude = of_all.exclude.clone()),
    ("priority", |own, of_all| own.priority = of_all.priority.clone()),
    ("preload_concurrency", |own, of_all| own.concurrency = of_all.concurrency),
    ("at_close", |own, of_all| own.at_close = of_all.at_close),
    ("relist", |own, of_all| own.relist = of_all.relist),
];

/// Fills in what upstreams did not say, and reads times of day by the clocks that they are meant by. `was_said` knows keys such as `upstream[0].mode`.
pub(crate) fn fill_in(settings: &mut Settings, was_said: impl Fn(&str) -> bool) {
    let zone = settings.zone.clone();
    // Each text was read before, when it was written: what a zone cannot show is the same everywhere.
    let timed = |preload: &PreloadOptions| preload.in_zone(&zone).unwrap_or_else(|_| preload.clone());
    settings.preload = timed(&settings.preload);
    let total = &mut settings.serve.shares.total;
    *total = total.in_zone(&zone).unwrap_or_else(|_| total.clone());
    settings.cache.delivery.mode = settings.mode;
    for (place, upstream) in settings.cache.upstreams.iter_mut().enumerate() {
        let is_said = |key: &str| was_said(&format!("upstream[{place}].{key}"));
        let UpstreamOptions { mode, preload, line, .. } = upstream;
        if !is_said("mode") {
            *mode = settings.mode;
        }
        // Both say when: who says one does not want the other.
        if !is_said("schedule") && !is_said("ready_by") {
            preload.schedule = settings.preload.schedule.clone();
            preload.ready_by = settings.preload.ready_by.clone();
        }
        for (_, inherit) in PRELOAD.iter().filter(|(key, _)| !is_said(key)) {
            inherit(preload, &settings.preload);
        }
        *preload = timed(preload);
        line.rates = line.rates.in_zone(&zone).unwrap_or_else(|_| line.rates.clone());
    }
}
