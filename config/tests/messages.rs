//! What a person sees when a configuration is refused, and which layer wins.

use config::{
    Delivered, Origin, Refused, Sources, load,
    load::{ConfigFile, Said},
    print,
};
use store::Limit;

const UPSTREAM: &str = "[[upstream]]\nname = \"a\"\nurl = \"/srv/a\"\n";

fn sources(text: &str) -> Sources {
    let file = ConfigFile { path: "proxy.toml".into(), text: text.into() };
    Sources { file: Some(file), working_directory: "/srv".into(), ..Sources::default() }
}

fn refused(text: &str) -> Refused {
    load(&sources(text)).err().unwrap_or_else(|| panic!("was accepted:\n{text}"))
}

#[test]
fn an_unknown_key_is_shown_with_its_line_and_the_nearest_key() {
    let refused = refused(&format!("[cache]\ndir = \"/c\"\nmax_sise = \"1GB\"\n{UPSTREAM}"));
    let expected = "  × there is no option 'cache.max_sise'
   ╭─[proxy.toml:3:1]
 2 │ dir = \"/c\"
 3 │ max_sise = \"1GB\"
   · ────┬───
   ·     ╰── unknown key
 4 │ [[upstream]]
   ╰────
  help: did you mean cache.max_size?
";
    assert_eq!(refused.render(false).trim_end(), expected.trim_end());
    assert_eq!(
        refused.to_string(),
        "proxy.toml line 3: there is no option 'cache.max_sise' (did you mean cache.max_size?)"
    );
}

#[test]
fn every_fault_is_told_in_the_order_of_the_file() {
    let refused = refused(
        "listen = \"8080\"\nmax_size = \"1GB\"\n[cahce]\ndir = \"/c\"\n[serve]\nretry_delay = \"soon\"\nmax_requesters = -1\n\
         [[upstream]]\nname = \"a b\"\nulr = \"/srv\"\n",
    );
    let messages: Vec<_> = refused.faults.iter().map(|fault| fault.message.as_str()).collect();
    let expected = [
        "listen: '8080' has no IP address: write 0.0.0.0:8080",
        "there is no option 'max_size'",
        "there is no section [cahce]",
        "serve.retry_delay: 'soon' is not a duration",
        "serve.max_requesters: -1 is not a whole number",
        "this upstream has no url",
        "name: 'a b' is not a name",
        "an upstream has no key 'ulr'",
    ];
    assert_eq!(messages.len(), expected.len(), "{messages:#?}");
    for (message, expected) in messages.iter().zip(expected) {
        assert!(message.starts_with(expected), "{message}");
    }
    let helps: Vec<_> = refused.faults.iter().filter_map(|fault| fault.help.as_deref()).collect();
    for help in ["max_size stands in section [cache]", "did you mean [cache]?", "did you mean url?"] {
        assert!(helps.contains(&help), "{help}: {helps:?}");
    }
}

#[test]
fn values_of_a_wrong_type_or_out_of_range_are_refused() {
    for (text, expected) in [
        ("mode = \"fast\"", "mode: 'fast' is none of: fetch, fetch-and-preload, preload"),
        ("listen = []", "the list is empty"),
        ("listen = [8080]", "has no IP address"),
        ("admin = true", "a value of type boolean stands where an address"),
        ("[cache]\nmax_size = \"10G\"", "'G' could mean GB (thousands) or GiB (1024s)"),
        ("[cache]\nmax_size = \"120%\"", "is not a part of the disk"),
        ("[cache]\nfills_max = 0", "0 is out of range: 1 to 65536"),
        ("[cache]\nfill_buffer_max = \"1KiB\"", "1KiB is out of range: 256KiB to 1GiB"),
        ("[serve]\nretry_delay = \"0s\"", "0s is out of range: 1s to 1d"),
        ("[serve]\nname = \"two words\"", "cannot stand in Via"),
        ("upstream = \"/srv\"", "an upstream is written as [[upstream]]"),
        ("[upstream]\nname = \"x\"", "an upstream is written as [[upstream]]"),
        ("listen = [", "not valid TOML"),
    ] {
        let message = refused(text).to_string();
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn contradictions_point_at_both_values() {
    let refused = refused(&format!("[cache]\nmax_size = \"97%\"\nmin_free = \"10%\"\n{UPSTREAM}"));
    let shown = refused.render(false);
    assert!(shown.contains("more than the whole disk"), "{shown}");
    assert!(shown.contains("cache.max_size\n") && shown.contains("cache.min_free\n"), "{shown}");
}

#[test]
fn a_contradiction_between_layers_names_the_flag() {
    let mut sources = sources(&format!("[cache]\nmin_free = \"10%\"\n{UPSTREAM}"));
    sources.flags.push(Said { key: "cache.max_size", flag: "--max-size".into(), value: "95%".into() });
    let message = load(&sources).unwrap_err().to_string();
    assert!(message.contains("cache.max_size comes from --max-size"), "{message}");
}

#[test]
fn no_upstream_says_what_to_do() {
    let message = refused("").to_string();
    assert!(message.contains("there is no upstream") && message.contains("--upstream DIR_OR_URL"), "{message}");
}

#[test]
fn the_later_layer_wins() {
    let mut sources = sources(&format!("[cache]\nmax_size = \"1GB\"\nmin_free = \"1GB\"\nfills_max = 7\n{UPSTREAM}"));
    sources.environment = [("OUTPOST__CACHE__MAX_SIZE", "2GB"), ("OUTPOST__CACHE__MIN_FREE", "2GB"), ("PATH", "/bin")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    sources.flags = vec![Said { key: "cache.max_size", flag: "--max-size".into(), value: "3GB".into() }];
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.store.max_size, Limit::Bytes(3_000_000_000));
    assert_eq!(loaded.settings.store.min_free, Limit::Bytes(2_000_000_000));
    assert_eq!(loaded.settings.cache.fills_max, 7);
    assert_eq!(loaded.origin("cache.max_size"), Origin::Flag("--max-size".into()));
    assert_eq!(loaded.origin("cache.min_free"), Origin::Environment("OUTPOST__CACHE__MIN_FREE".into()));
    assert_eq!(loaded.origin("mode"), Origin::Default);
}

#[test]
fn an_unknown_variable_of_ours_is_refused_with_the_nearest() {
    let sources = Sources {
        environment: vec![
            ("OUTPOST__CACHE__MAXSIZE".into(), "1GB".into()),
            ("OUTPOST__UPSTREAM".into(), "/srv".into()),
        ],
        working_directory: "/srv".into(),
        ..Sources::default()
    };
    let message = load(&sources).unwrap_err().to_string();
    assert!(message.contains("did you mean OUTPOST__CACHE__MAX_SIZE?"), "{message}");
}

#[test]
fn the_upstream_flag_stands_for_all_upstreams() {
    let mut sources = sources(UPSTREAM);
    sources.flags = vec![Said { key: "upstream", flag: "--upstream".into(), value: "./share".into() }];
    let loaded = load(&sources).unwrap();
    let upstreams = loaded.settings.upstreams();
    assert_eq!(upstreams.len(), 1);
    assert_eq!((upstreams[0].name.as_str(), upstreams[0].mount.as_str()), ("default", "/"));
    assert_eq!(upstreams[0].location, cache::options::Location::Directory("/srv/share".into()));
}

#[test]
fn a_missing_file_is_a_fault_not_a_default() {
    let message = ConfigFile::read("/nonexistent/proxy.toml".as_ref()).unwrap_err().to_string();
    assert!(message.contains("cannot read the configuration file /nonexistent/proxy.toml"), "{message}");
}

fn delivered(text: &str, options: serde_json::Value) -> Sources {
    let options = options.as_object().unwrap().clone().into_iter().collect();
    Sources { delivered: Some(Delivered { generation: 7, options }), ..sources(text) }
}

#[test]
fn what_the_origin_says_stands_above_the_file_and_below_environment_and_flags() {
    let options = serde_json::json!({
        "serve.max_requesters": 3, "serve.retry_delay": "40s", "cache.fills_max": 9, "mode": "preload",
        "upstream.a.rate": "1MiB/s", "access.allow": ["10.0.0.0/8"]
    });
    let mut sources = delivered(
        "[serve]\nmax_requesters = 8\nretry_delay = \"10s\"\n[[upstream]]\nname=\"a\"\nurl=\"/a\"\n",
        options,
    );
    sources.environment = vec![("OUTPOST__SERVE__RETRY_DELAY".into(), "50s".into())];
    sources.flags = vec![Said { key: "cache.fills_max", flag: "--fills-max".into(), value: "4".into() }];
    let loaded = load(&sources).unwrap();
    let cache = &loaded.settings.cache;
    assert_eq!((cache.max_requesters, cache.retry_delay.as_secs(), cache.fills_max), (3, 50, 4));
    assert_eq!(loaded.settings.upstreams()[0].line.rates.otherwise, 1 << 20);
    assert_eq!(loaded.settings.upstreams()[0].mode, cache::options::Mode::Preload, "what holds for all holds for it");
    assert_eq!((loaded.generation(), loaded.left_out()), (Some(7), &[][..]));
    let keys: Vec<_> = loaded.delivered().collect();
    assert_eq!(keys, ["access.allow", "mode", "serve.max_requesters", "upstream[0].rate"]);
    let printed = print::effective(&loaded);
    assert!(printed.contains("max_requesters = 3  # origin, generation 7\n"), "{printed}");
    assert!(printed.contains("rate = \"1MiB/s\"  # origin, generation 7\n"), "{printed}");
}

#[test]
fn what_is_not_known_or_not_the_origin_s_affair_is_left_out_and_told() {
    let options = serde_json::json!({
        "serve.max_requestres": 3, "access_log.path": "/etc/passwd", "origin.belong": "none", "upstream.a.url": "/etc",
        "upstream.b.rate": "1MiB/s", "upstream.a.speed": 1, "serve.max_requesters": 2
    });
    let loaded = load(&delivered("[[upstream]]\nname=\"a\"\nurl=\"/a\"\n", options)).unwrap();
    let left_out: Vec<_> = loaded.left_out().iter().map(|left| format!("{}: {}", left.option, left.reason)).collect();
    let expected = [
        "access_log.path: access_log.path is said by the machine itself, in its file, environment or flags",
        "origin.belong: origin.belong is said by the machine itself, in its file, environment or flags",
        "serve.max_requestres: there is no option 'serve.max_requestres'",
        "upstream.a.speed: an upstream has no key 'speed'",
        "upstream.a.url: url is said by the machine itself, in its file, environment or flags",
        "upstream.b.rate: there is no upstream 'b' here",
    ];
    assert_eq!(left_out, expected);
    assert_eq!((loaded.settings.cache.max_requesters, &loaded.settings.access_log), (2, &None));
}

#[test]
fn a_value_that_is_none_refuses_all_that_was_delivered() {
    let upstream = "[[upstream]]\nname=\"a\"\nurl=\"/a\"\n";
    for (options, expected) in [
        (
            serde_json::json!({ "serve.max_requesters": "many" }),
            "delivered by the origin: serve.max_requesters: 'many' is not a whole number",
        ),
        (
            serde_json::json!({ "upstream.a.rate": true }),
            "delivered by the origin: upstream.a.rate: a value of type boolean stands where",
        ),
        (
            serde_json::json!({ "cache.max_size": "90%", "cache.min_free": "20%" }),
            "cache.min_free comes from the origin",
        ),
    ] {
        let refused = load(&delivered(upstream, options)).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn who_one_belongs_to_is_an_outpost() {
    let text = "[origin]\nbelong = \"a\"\n[[upstream]]\nname=\"a\"\nurl=\"/a\"\n";
    let refused = refused(text).to_string();
    assert!(refused.contains("origin.belong names the upstream 'a', and it is no Outpost"), "{refused}");
    let loaded = load(&sources(
        "[[upstream]]\nname=\"w\"\nurl=\"http://w/\"\n[[upstream]]\nname=\"hq\"\nmount=\"/hq\"\nurl=\"outpost+http://hq:8090/\"\n",
    ));
    let settings = loaded.unwrap().settings;
    assert_eq!(settings.belonging.upstream(settings.upstreams()).map(|upstream| upstream.name.as_str()), Some("hq"));
}
