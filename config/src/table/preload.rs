//! What is fetched beforehand, and when: the same options for all upstreams, in `[preload]`, and for one, where they go before those.

use std::time::Duration;

use cache::options::{AtClose, Mode, PreloadOptions, ReadyBy, Schedule, UpstreamOptions};
use protocol::schedule::{Windows, Zone};

use crate::{
    option::{Kind, Setting},
    settings::Settings,
};

/// Where they stand.
pub(super) trait Preloads {
    fn preload(&self) -> &PreloadOptions;
    fn preload_mut(&mut self) -> &mut PreloadOptions;
}

impl Preloads for Settings {
    fn preload(&self) -> &PreloadOptions {
        &self.preload
    }

    fn preload_mut(&mut self) -> &mut PreloadOptions {
        &mut self.preload
    }
}

impl Preloads for UpstreamOptions {
    fn preload(&self) -> &PreloadOptions {
        &self.preload
    }

    fn preload_mut(&mut self) -> &mut PreloadOptions {
        &mut self.preload
    }
}

pub(super) const MODE: Setting<Settings> = Setting::reload(
    "mode",
    "How files come into the cache: when they are asked for (`fetch`), only beforehand (`preload`), or both. An upstream may have a mode of its own.",
    "With `preload` nothing that a client asks crosses the line: what is here is served without asking, all else is answered 503 `not-preloaded`.",
    Kind::Word {
        words: &["fetch", "fetch-and-preload", "preload"],
        put: |s: &mut Settings, v| s.mode = [Mode::Fetch, Mode::FetchAndPreload, Mode::Preload][v],
        get: |s| s.mode as usize,
    },
)
.flag("mode");

pub(super) const TIME_ZONE: Setting<Settings> = Setting::reload(
    "time_zone",
    "By whose clocks all times of day in this file are meant.",
    "`local` is what the machine is set to, which is UTC in most containers. Windows follow the clock on the wall when it is changed in spring and autumn.",
    Kind::Text {
        range: "`local`, `UTC`, or a name of the IANA database such as `Europe/Berlin`",
        check: |text| Zone::named(text).map(drop).map_err(|bad| bad.to_string()),
        put: |s: &mut Settings, v| s.zone = Zone::named(&v).unwrap_or_default(),
        get: |s| s.zone.name().to_owned(),
    },
);

pub(super) const fn schedule<T: Preloads>(key: &'static str) -> Setting<T> {
    Setting::reload(
        key,
        "When it is preloaded: windows of the day or week, or cron, by the clocks of `time_zone`. None: on demand only.",
        "What a window leaves undone goes on at its byte in the next. Cron without a length begins a round that goes on until it is done.",
        Kind::Texts {
            range: "such as `02:00-04:00`, `Mon-Fri 22:00-06:00`, `0 2 * * * for 2h`",
            check: |text| Windows::parse(&[text], &Zone::default()).map(drop).map_err(|bad| bad.to_string()),
            put: |t, v| t.preload_mut().schedule = Schedule::parse(&v, &Zone::default()).unwrap_or_default(),
            get: |t| t.preload().schedule.texts().to_vec(),
        },
    )
}

pub(super) const fn ready_by<T: Preloads>(key: &'static str) -> Setting<T> {
    Setting::reload(
        key,
        "When everything should be here, in place of `schedule`.",
        "Until then it is fetched behind what clients wait for, and beside it once there is no time to spare. A warning says when it will not be in time.",
        Kind::Text {
            range: "`08:00`, `Mon 08:00` or `Mon-Fri 08:00`; `\"\"` for none",
            check: |text| match text {
                "" => Ok(()),
                _ => ReadyBy::parse(text, &Zone::default()).map(drop).map_err(|bad| bad.to_string()),
            },
            put: |t, v| t.preload_mut().ready_by = ReadyBy::parse(&v, &Zone::default()).ok(),
            get: |t| t.preload().ready_by.as_ref().map_or_else(String::new, |ready_by| ready_by.text().to_owned()),
        },
    )
}

pub(super) const fn include<T: Preloads>(key: &'static str) -> Setting<T> {
    Setting::reload(
        key,
        "What is preloaded; none: everything. Paths are compared as they are below the mount.",
        "It is looked for below the folder that each pattern names before its first wildcard, and everywhere for one that does not begin with `/`.",
        Kind::Globs { put: |t, v| t.preload_mut().include = v, get: |t| t.preload().include.clone() },
    )
}

pub(super) const fn exclude<T: Preloads>(key: &'static str) -> Setting<T> {
    Setting::reload(
        key,
        "What is left out of that. A folder that matches (`/tmp/`, `/tmp/**`) is not looked into.",
        "What is left out can still be preloaded on demand, by its path.",
        Kind::Globs { put: |t, v| t.preload_mut().exclude = v, get: |t| t.preload().exclude.clone() },
    )
}

pub(super) const fn priority<T: Preloads>(key: &'static str) -> Setting<T> {
    Setting::reload(
        key,
        "What goes first: what matches the first pattern, then the second, and the rest last.",
        "Among files of one pattern the newest goes first.",
        Kind::Globs { put: |t, v| t.preload_mut().priority = v, get: |t| t.preload().priority.clone() },
    )
}

pub(super) const fn concurrency<T: Preloads>(key: &'static str) -> Setting<T> {
    Setting::reload(
        key,
        "Files of an upstream that are preloaded at once.",
        "More fill a line of long delays better, and press harder on the upstream. They count in `cache.fills_max`.",
        Kind::Count {
            min: 1,
            max: 256,
            put: |t, v| t.preload_mut().concurrency = v as usize,
            get: |t| t.preload().concurrency as u64,
        },
    )
}

pub(super) const fn at_close<T: Preloads>(key: &'static str) -> Setting<T> {
    Setting::reload(
        key,
        "What becomes of a file that is on its way when its window closes: it may `finish`, or it has to `stop` and goes on at its byte in the next.",
        "`finish` takes the line for as long as that file needs. One that a client waits for goes on, unless the mode is `preload`.",
        Kind::Word {
            words: &["finish", "stop"],
            put: |t, v| t.preload_mut().at_close = [AtClose::Finish, AtClose::Stop][v],
            get: |t| t.preload().at_close as usize,
        },
    )
}

pub(super) const fn relist<T: Preloads>(key: &'static str) -> Setting<T> {
    Setting::reload(
        key,
        "How long after the end of a round it is looked for changes again, while its window is open or its time to be ready has not come.",
        "Shorter brings new files sooner, and asks the upstream more often: for its listing, and of a web server about each file.",
        Kind::Duration {
            min: Duration::from_secs(10),
            max: Duration::from_secs(7 * 86_400),
            put: |t, v| t.preload_mut().relist = v,
            get: |t| t.preload().relist,
        },
    )
}
