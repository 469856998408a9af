//! Who imports whom inside of a crate: the arrows between files all point down, so there is no circle. That a folder's `mod.rs` names the files
//! of the folder is no arrow: it is made of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{expect_none, sources};

/// A file by its place in the crate: `fetch/ask.rs` is `["fetch", "ask"]`, and so is a folder's `mod.rs` without its last word.
type Module = Vec<String>;

/// The module that a file is.
fn module_of(path_in_crate: &str) -> Module {
    let path = path_in_crate.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').filter(|word| !["lib", "main"].contains(word)).map(str::to_owned).collect()
}

/// `a::{b, c::{d, self}}` as `a::b`, `a::c::d`, `a::c::self`.
fn expand(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else { return vec![tree.trim().to_owned()] };
    let (prefix, inner) = (tree[..open].trim(), &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())]);
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[begin..]);
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(part).into_iter().map(|rest| format!("{prefix}{rest}")).collect::<Vec<_>>()).collect()
}

/// The paths that code names: those of its `use` items, and those that begin with `crate` or `super` elsewhere.
fn paths_in(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let is_item =
            rest[..at].trim_end_matches(' ').chars().next_back().is_none_or(|before| "\n)}b".contains(before));
        rest = &rest[at + 4..];
        if is_item && let Some(end) = rest.find(';') {
            paths.extend(expand(&rest[..end].replace('\n', " ")));
            rest = &rest[end..];
        }
    }
    let is_of_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    for start in ["crate::", "super::"] {
        let inline = code.match_indices(start).map(|(at, _)| &code[at..]);
        paths.extend(inline.map(|path| path.split(|letter| !is_of_path(letter)).next().unwrap_or_default().to_owned()));
    }
    paths
}

/// The module of this crate that a path leads to, as seen from `from`.
fn target(path: &str, from: &Module, modules: &BTreeSet<Module>) -> Option<Module> {
    let mut words: Vec<&str> = path.split("::").map(|word| word.split(" as ").next().unwrap_or(word).trim()).collect();
    let mut base = match words.first().copied()? {
        "crate" => Vec::new(),
        "self" => from.clone(),
        "super" => from[..from.len().checked_sub(1)?].to_vec(),
        first => {
            let child = [from.as_slice(), &[first.to_owned()]].concat();
            return modules.contains(&child).then_some(child);
        }
    };
    words.remove(0);
    while words.first() == Some(&"super") {
        base.pop();
        words.remove(0);
    }
    base.extend(words.into_iter().map(str::to_owned));
    while !base.is_empty() && !modules.contains(&base) {
        base.pop();
    }
    (!base.is_empty()).then_some(base)
}

/// Who imports whom: every module with those that it names, its own files left out.
fn arrows(files: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let modules: BTreeSet<Module> = files.keys().cloned().collect();
    let of = |(from, code): (&Module, &String)| {
        let named = paths_in(code).into_iter().filter_map(|path| target(&path, from, &modules));
        (from.clone(), named.filter(|to| !to.starts_with(from)).collect())
    };
    files.iter().map(of).collect()
}

/// A way from a module back to itself, if there is one.
fn circle(start: &Module, arrows: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut ways = vec![vec![start.clone()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in way.last().and_then(|last| arrows.get(last)).into_iter().flatten() {
            let longer = [way.as_slice(), std::slice::from_ref(next)].concat();
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let mut crates: BTreeMap<String, BTreeMap<Module, String>> = BTreeMap::new();
    for source in sources() {
        if let Some((house, path)) = source.path.split_once("/src/")
            && !source.is_test_file()
        {
            let code = source.product_code().map(|(_, line)| format!("{line}\n")).collect();
            crates.entry(house.to_owned()).or_default().insert(module_of(path), code);
        }
    }
    let mut count = 0;
    let mut circles = BTreeSet::new();
    for (house, files) in &crates {
        let arrows = arrows(files);
        count += arrows.values().map(BTreeSet::len).sum::<usize>();
        let found = files.keys().filter_map(|start| circle(start, &arrows));
        circles.extend(found.map(|way| {
            let names: Vec<String> = way.iter().map(|module| module.join("/")).collect();
            format!("{house}: {}", names.join(" -> "))
        }));
    }
    assert!(count > 300, "only {count} arrows were found: nothing was checked");
    expect_none("files that import each other in a circle", circles);
}

#[test]
fn a_circle_is_found() {
    let file = |path: &str, code: &str| (module_of(path), code.to_owned());
    let files = BTreeMap::from([
        file("lib.rs", "mod a;\nmod b;\nuse a::A;"),
        file("a.rs", "use crate::{\n    b::{self, inner::I as J},\n    c,\n};"),
        file("b/mod.rs", "mod inner;\nuse self::inner::I;\nuse inner::Other;"),
        file("b/inner.rs", "use super::B;\nfn f() { crate::a::g(); }"),
        file("c.rs", "use std::io;\nfn g() { super::nothing(); }"),
    ]);
    let arrows = arrows(&files);
    let [a, inner] = ["a.rs", "b/inner.rs"].map(module_of);
    assert_eq!(circle(&a, &arrows), Some(vec![a.clone(), inner.clone(), a]));
    assert_eq!(circle(&module_of("b/mod.rs"), &arrows), None, "a folder is made of its files");
    assert_eq!(circle(&module_of("c.rs"), &arrows), None);
}
