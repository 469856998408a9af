//! The tables are sound, the annotated example is complete and true, and what a person sees when a configuration is refused.

use std::{collections::HashSet, path::Path};

use super::{
    blocks::{DOMAIN, JOB, NODE, SHARE},
    table::SETTINGS,
    *,
};
use crate::{
    ConfigFile, Origin, Refused, Sources,
    layers::Said,
    option::{Kind, Setting},
    raw::Raw,
};

fn sources(text: &str) -> Sources {
    let file = ConfigFile { path: "origin.toml".into(), text: text.into() };
    let directory = Said { key: "catalogue.directory", flag: "--share".into(), value: "/srv".into() };
    Sources { file: Some(file), flags: vec![directory], working_directory: "/etc/outpost".into(), ..Sources::default() }
}

/// Behind everything that has sections of its own.
const SHARED: &str = "[[share]]\nname = \"prod\"\npath = \"/prod\"\n";

fn good(text: &str) -> Settings {
    load(&sources(&format!("{text}\n{SHARED}"))).unwrap_or_else(|refused| panic!("{}", refused.render(false))).settings
}

fn refused(text: &str) -> Refused {
    load(&sources(&format!("{text}\n{SHARED}"))).err().unwrap_or_else(|| panic!("was accepted:\n{text}"))
}

fn example() -> Loaded {
    let file = ConfigFile::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("origin.toml")).unwrap();
    load(&Sources { file: Some(file), working_directory: "/etc/outpost".into(), ..Sources::default() })
        .unwrap_or_else(|refused| panic!("{}", refused.render(false)))
}

fn keys<T>(rows: &'static [Setting<T>]) -> Vec<&'static str> {
    rows.iter().map(|row| row.key).collect()
}

#[test]
fn every_key_and_flag_is_defined_once() {
    let flags: Vec<_> = SETTINGS.iter().filter_map(|row| row.flag).collect();
    for names in [keys(SETTINGS), keys(SHARE), keys(DOMAIN), keys(NODE), keys(JOB), flags] {
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{names:?}");
    }
}

#[test]
fn words_stand_in_the_order_of_their_values() {
    for row in SETTINGS {
        let Kind::Word { words, get, .. } = &row.kind else { continue };
        for (place, word) in words.iter().enumerate() {
            let mut settings = Settings::default();
            row.put(&mut settings, &Raw::Text((*word).to_owned()), Path::new("/")).unwrap();
            assert_eq!(get(&settings), place, "{} = {word}", row.key);
        }
    }
}

#[test]
fn every_option_stands_in_the_example_with_its_default() {
    let (example, defaults) = (example(), Settings::default());
    for row in SETTINGS {
        assert!(matches!(example.origin(row.key), Origin::File(_)), "{} is missing", row.key);
        if row.key == "catalogue.directory" {
            continue;
        }
        let shown = row.show(&example.settings);
        let shown = shown.replace("/etc/outpost/", "");
        assert_eq!(shown, row.show(&defaults), "{}", row.key);
    }
    let blocks = [("share", keys(SHARE)), ("domain", keys(DOMAIN)), ("node", keys(NODE))];
    for (block, keys) in blocks {
        for key in keys {
            let is_there = |place: usize| matches!(example.origin(&format!("{block}[{place}].{key}")), Origin::File(_));
            assert!((0..8).any(is_there), "{key} of [[{block}]] is missing");
        }
    }
    let settings = example.settings;
    assert!(settings.domains.iter().any(|domain| !domain.proxy.is_empty()));
    assert!(settings.domains.iter().any(|domain| !domain.agent.is_empty()));
    assert!(settings.nodes.iter().any(|node| !node.proxy.is_empty()));
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let first = reference::effective(&example());
    let again = reference::effective(
        &load(&Sources { flags: Vec::new(), ..sources(&first) })
            .unwrap_or_else(|refused| panic!("{}", refused.render(false))),
    );
    let without_notes =
        |text: &str| text.lines().map(|line| line.split("  # ").next().unwrap_or(line).to_owned()).collect::<Vec<_>>();
    assert_eq!(without_notes(&first), without_notes(&again));
    assert!(needs_restart(&example(), &example()).is_empty());
}

#[test]
fn the_page_in_docs_is_the_generated_one() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/origin-config.md")).unwrap_or_default();
    assert!(
        page == reference::markdown(),
        "docs/origin-config.md is not what the tables say; run: cargo run -p outpost-config --example reference -- origin > docs/origin-config.md"
    );
}

#[test]
fn what_is_delivered_is_checked_against_the_options_of_a_proxy_and_told_with_its_line() {
    let refused = refused("[[domain]]\nname = \"hq\"\n[domain.proxy]\nmode = \"preload\"\nserve.max_requestors = 3\n");
    let expected = "  × there is no option 'serve.max_requestors'
   ╭─[origin.toml:5:7]
 4 │ mode = \"preload\"
 5 │ serve.max_requestors = 3
   ·       ───────┬──────
   ·              ╰── this key
 6 │ 
   ╰────
  help: did you mean serve.max_requesters?
";
    let plain = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(plain(refused.render(false).trim_end()), plain(expected.trim_end()));
}

#[test]
fn faults_of_the_site_name_their_lines() {
    let domain = "[[domain]]\nname = \"hq\"\n";
    for (text, line, part) in [
        (format!("{domain}[domain.proxy]\nmode = \"sometimes\"\n"), 4, "mode: 'sometimes'"),
        (format!("{domain}[domain.proxy.serve]\nmax_requesters = \"many\"\n"), 4, "serve.max_requesters: 'many'"),
        (format!("{domain}[domain.proxy]\nlisten = [\"0.0.0.0:1\"]\n"), 4, "listen cannot be delivered"),
        (format!("{domain}[domain.proxy]\ntls.key = \"/k\"\n"), 4, "tls.key cannot be delivered"),
        (format!("{domain}proxy = 5\n"), 3, "what is delivered is a table of options"),
        (format!("{domain}[domain.agent]\nCache = 1\n"), 4, "'Cache' is not the name of an option"),
        (format!("{domain}[domain.agent]\ncache.max_age = 1.5\n"), 4, "cache.max_age: a value of type float"),
        (format!("{domain}[[domain]]\nname = \"HQ\"\n"), 2, "the domain hq is there twice"),
        (format!("{domain}rangs = []\n"), 3, "a domain has no key 'rangs' (did you mean ranges?)"),
        (format!("{domain}ranges = [\"10.0.0.1/8\"]\n"), 3, "10.0.0.0/8 is meant"),
        (
            format!("{domain}ranges = [\"10.0.0.0/8\"]\n[[domain]]\nname = \"b\"\nranges = [\"10.0.0.0/8\"]\n"),
            3,
            "the range 10.0.0.0/8 is in both",
        ),
        (
            format!(
                "{domain}proxies = [{{ name = \"a\", url = \"http://a/\" }}, {{ name = \"a\", url = \"http://b/\" }}]\n"
            ),
            3,
            "two proxies are named 'a'",
        ),
        ("[[domain]]\nranges = []\n".into(), 1, "this domain has no name"),
        ("[[node]]\nname = \"a\"\n[[node]]\nname = \"a\"\n".into(), 2, "the node 'a' is there twice"),
        ("[[node]]\nname = \"a b\"\n".into(), 2, "'a b' is not the name of a proxy or an agent"),
        ("[sources]\nexpiry = \"8d\"\n".into(), 2, "8d is out of range: 1s to 7d is possible"),
        ("[sources]\nexpiry = \"1h\"\n[blackout]\nclient = [\"0 8 * * *\"]\n".into(), 4, "not when it ends"),
        ("[sorces]\nexpiry = \"1h\"\n".into(), 1, "there is no section [sorces] (did you mean [sources]?)"),
        ("[enrolment]\nrequired = \"yes\"\n".into(), 2, "'yes' stands where true or false is expected"),
        ("[enrolment]\nrequired = true\n".into(), 2, "there is no way to enrol"),
        ("[registry]\nexpiry = \"1m\"\n".into(), 2, "leaves no room for a report that is late"),
        ("[catalogue]\ndatabase = \"/srv/prod/o.db\"\n".into(), 2, "lies in /srv, where clients could fetch it"),
        ("[tls]\nlisten = [\"127.0.0.1:8453\"]\n".into(), 2, "there is no certificate"),
        ("origins = [\"outpost+http://hq/\"]\n".into(), 1, "is not where files are served"),
        ("[[share]]\nname = \"prod\"\npath = \"/other\"\n".into(), 2, "two shares are named 'prod'"),
        ("[[share]]\nname = \"x\"\npath = \"/prod/\"\n".into(), 3, "are the same folder"),
        ("[[share]]\nname = \"x\"\npath = \"/a/../b\"\n".into(), 3, "is not a folder of what is published"),
        ("[[share]]\nname = \"x\"\npath = \"/x\"\npackages = [\"/a/[z\"]\n".into(), 4, "packages: "),
    ] {
        let refused = refused(&text);
        let [fault] = refused.faults.as_slice() else { panic!("{text}: {refused}") };
        let shown = refused.to_string();
        assert!(shown.contains(part), "{text}: {shown}");
        assert_eq!(fault.place().map(|(_, line)| line), Some(line), "{text}: {shown}");
    }
}

#[test]
fn options_that_are_delivered_may_be_written_as_keys_or_as_sections() {
    let settings = good(
        "[[domain]]\nname = \"hq\"\n[domain.proxy]\nmode = \"preload\"\n\"serve.retry_delay\" = \"5s\"\n[domain.proxy.access]\n\
         allow = [\"10.0.0.0/8\"]\n[domain.agent]\npeers.port = 7778\npeers.on = true\n",
    );
    let domain = &settings.domains[0];
    let text = |delivered: &Delivered| serde_json::to_string(delivered).unwrap();
    assert_eq!(text(&domain.proxy), r#"{"access.allow":["10.0.0.0/8"],"mode":"preload","serve.retry_delay":"5s"}"#);
    assert_eq!(text(&domain.agent), r#"{"peers.on":true,"peers.port":7778}"#);
}

#[test]
fn later_layers_win() {
    let environment = vec![
        ("OUTPOST__SOURCES__STAGING".to_owned(), "false".to_owned()),
        ("OUTPOST__CATALOGUE__DIRECTORY".into(), "/e".into()),
    ];
    let text = format!("[sources]\nstaging = true\n[catalogue]\ndirectory = \"/f\"\n{SHARED}");
    let loaded = load(&Sources { environment, ..sources(&text) }).unwrap();
    assert_eq!(loaded.settings.directory.to_str(), Some("/srv"));
    assert!(!loaded.settings.sources.staging);
    assert_eq!(loaded.origin("catalogue.directory"), Origin::Flag("--share".into()));
}

#[test]
fn an_origin_without_a_directory_says_how_to_name_one() {
    let refused = load(&Sources { flags: Vec::new(), ..sources("") }).err();
    let refused = refused.map(|refused| refused.to_string()).unwrap_or_default();
    assert!(refused.contains("give --share DIR, or catalogue.directory"), "{refused}");
}

const JOB_OF_HQ: &str =
    "[[domain]]\nname = \"hq.b7\"\n[[job]]\nname = \"office\"\npackage = \"/prod/Redist/office-16/\"\n";

#[test]
fn a_job_is_for_domains_with_all_below_them_and_for_nodes_by_their_names() {
    let text = format!(
        "{JOB_OF_HQ}domains = [\"hq\"]\nnodes = [\"pc-*\", \"x\"]\non_ready = [\"./a\", \"b c\"]\ntime_limit = \"5m\"\n"
    );
    let settings = good(&text);
    let job = &settings.jobs[0];
    for (node, domain, expected) in [
        ("a", Some("hq"), true),
        ("a", Some("hq.b7.lab"), true),
        ("a", Some("lab"), false),
        ("a", None, false),
        ("pc-1", None, true),
        ("x", Some("lab"), true),
    ] {
        let domain = domain.map(|name| name.parse().unwrap());
        assert_eq!(job.is_for(Some(node), domain.as_ref()), expected, "{node} {domain:?}");
    }
    let told = job.job();
    assert_eq!((told.dir.as_str(), told.time_limit, told.on_ready.len()), ("office", 300, 2));
}

#[test]
fn what_is_wrong_with_a_job_is_told_with_its_line() {
    for (more, word, line) in [
        ("domains = [\"hq\", \"hq.b8\"]", "there is no domain 'hq.b8'", "domains = ["),
        ("", "nobody keeps the job 'office'", "name = \"office\""),
        ("domains = [\"hq\"]\ndir = \"../etc\"", "no place below", "dir = "),
        ("domains = [\"hq\"]\ndir = \"/etc\"", "no place below", "dir = "),
        ("domains = [\"hq\"]\non_ready = [\"\"]", "begins with the name of a program", "on_ready = "),
        ("domains = [\"hq\"]\ntime_limit = \"0s\"", "time_limit", "time_limit = "),
        ("domains = [\"hq\"]\ncommand = \"x\"", "no key 'command'", "command = "),
    ] {
        let shown = refused(&format!("{JOB_OF_HQ}{more}\n")).render(false);
        assert!(shown.contains(word) && shown.contains(line), "{more}: {shown}");
    }
    let of = |package: &str| JOB_OF_HQ.replace("/prod/Redist/office-16/", package) + "domains = [\"hq\"]\n";
    for package in ["/Redist/office/", "/prod/office/", "/prod/Redist/office/sub/", "/prod/Redist/"] {
        let shown = refused(&of(package)).render(false);
        assert!(shown.contains("not a package of any share") && shown.contains("package = "), "{package}: {shown}");
    }
    for package in ["prod", "/prod/../x/", "/prod/Redist/office"] {
        assert!(refused(&of(package)).render(false).contains("is not the folder of a package"), "{package}");
    }
    let twice = format!(
        "{0}domains = [\"hq\"]\n{1}domains = [\"hq\"]\n",
        JOB_OF_HQ,
        JOB_OF_HQ.split("hq.b7\"\n").nth(1).unwrap()
    );
    assert!(refused(&twice).render(false).contains("two jobs are named 'office'"));
}

#[test]
fn no_agent_is_given_more_jobs_than_it_can_keep() {
    let job = |number: usize| {
        format!("[[job]]\nname = \"j{number}\"\npackage = \"/prod/Redist/p{number}/\"\ndomains = [\"hq\"]\n")
    };
    let many = |count: usize| "[[domain]]\nname = \"hq.b7\"\n".to_owned() + &(0..count).map(job).collect::<String>();
    assert_eq!(good(&many(protocol::jobs::JOBS_MAX)).jobs.len(), protocol::jobs::JOBS_MAX);
    assert!(refused(&many(protocol::jobs::JOBS_MAX + 1)).render(false).contains("more than 64 jobs"));
}
