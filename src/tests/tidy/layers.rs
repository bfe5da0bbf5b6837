//! Who may name whom, and what core modules may not touch.

use std::collections::BTreeSet;

use super::source::{Source, repository_sources};
use super::{finds, keeps};

/// Who may name whom, lowest first. A missing word here is a design decision, not an oversight.
const LAYERS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("ir", &["types"]),
    ("policy", &["types"]),
    ("state", &["types", "ir"]), // `ir` to build a state as large as a program needs.
    ("trace", &["types"]),
    ("observe", &["types", "ir"]),
    ("printer", &["types", "ir"]),
    ("case", &["types", "ir", "policy"]),
    ("engine", &["types", "ir", "policy", "state", "trace", "observe"]), // Never `ideal`, `syntax`; of `policy` never the releases.
    ("ideal", &["types", "ir", "observe"]),                              // Never `engine`, `state`, `policy`.
    ("run", &["types", "ir", "policy", "state", "trace", "case", "observe", "engine"]),
    ("check", &["types", "ir", "policy", "state", "trace", "case", "observe", "printer", "engine", "ideal", "run"]),
    ("explore", &["types", "ir", "policy", "state", "trace", "case", "observe", "engine", "ideal", "run", "check"]),
    ("syntax", &["types", "ir"]), // Of `ir` the table of verbs, for suggestions.
    ("lower", &["types", "ir", "policy", "syntax", "ideal", "observe"]), // `policy` for names and users' policies, `ideal` to judge claims.
    ("generate", &["types", "ir"]),                                      // A generator must not know outcomes.
    ("kernel", &["types", "ir", "observe", "syntax", "lower", "printer"]), // Text in, so that an agent needs no runner; never `engine`: it must not be able to peek.
];

/// May name all of [`LAYERS`] and what stands before them here; none of those names them.
const EDGES: &[&str] = &["diag", "analysis", "render", "export", "metal", "campaign", "cli", "lsp", "wasm"];

/// Edges and all that talks to the outside: everything else is core.
const OUTSIDE: &[&str] = &["kernel", "cli", "lsp", "wasm", "tests"];

/// What core modules may not name: the outside world, and tables whose order is not the program's.
const NOT_IN_CORE: &[&[&str]] = &[
    &["std", "fs"],
    &["std", "env"],
    &["std", "io"],
    &["std", "process"],
    &["std", "time"],
    &["std", "thread"],
    &["std", "net"],
    &["std", "collections", "HashMap"],
    &["std", "collections", "HashSet"],
    &["HashMap"],
    &["HashSet"],
];

/// The modules that `top` may name besides itself; `None` for a module no table knows.
fn allowed(top: &str) -> Option<Vec<&'static str>> {
    if let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == top) {
        return Some(below.to_vec());
    }
    let place = EDGES.iter().position(|name| *name == top)?;
    Some(LAYERS.iter().map(|(name, _)| *name).chain(EDGES[..place].iter().copied()).collect())
}

fn is_module(name: &str) -> bool {
    LAYERS.iter().any(|(layer, _)| *layer == name) || EDGES.contains(&name)
}

fn broken_layers(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let Some(module) = source.module() else { continue };
        let Some(top) = module.first() else { continue };
        let Some(allowed) = allowed(top) else {
            complaints.push(format!("{}: module `{top}` stands in no layer; see LAYERS", source.path));
            continue;
        };
        for path in source.paths() {
            // `crate::x`, or as many `super` as lead to the root.
            let up = path.words.iter().take_while(|word| *word == "super").count();
            let from_root = if path.words[0] == "crate" { 1 } else { up };
            if from_root == 0 || (path.words[0] != "crate" && up < module.len()) {
                continue;
            }
            let Some(named) = path.words.get(from_root) else { continue };
            if named != top && is_module(named) && !allowed.contains(&&**named) {
                complaints.push(format!("{}:{}: `{top}` may not name `{named}`", source.path, path.line));
            }
        }
    }
    complaints
}

fn worldly_core(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        if source.top().is_none_or(|top| OUTSIDE.contains(&top)) {
            continue;
        }
        for path in source.paths() {
            let begins_with = |refused: &[&str]| path.words.iter().take(refused.len()).eq(refused);
            if NOT_IN_CORE.iter().any(|refused| begins_with(refused)) {
                complaints.push(format!("{}:{}: `{}` in a core module", source.path, path.line, path.words.join("::")));
            }
        }
    }
    complaints
}

/// `unsafe` stands in one file, or nowhere.
fn unsafe_code(sources: &[Source]) -> Vec<String> {
    let elsewhere = sources.iter().filter(|source| source.path != "src/kernel/agent/sys.rs");
    let found = elsewhere.flat_map(|source| source.paths().into_iter().map(move |path| (source, path)));
    found
        .filter(|(_, path)| path.words[0] == "unsafe")
        .map(|(source, path)| format!("{}:{}: `unsafe` outside src/kernel/agent/sys.rs", source.path, path.line))
        .collect()
}

#[test]
fn modules_name_only_what_lies_below_them() {
    keeps(broken_layers);
    let complaint = ["src/engine/wp.rs:1: `engine` may not name `ideal`"];
    finds(broken_layers, "src/engine/wp.rs", "use crate::ideal::Ideal;", &complaint);
    finds(broken_layers, "src/engine/wp.rs", "use crate::{ideal, types};", &complaint);
    finds(broken_layers, "src/engine/wp.rs", "use super::super::ideal;", &complaint);
    finds(broken_layers, "src/engine/wp.rs", "fn f() { assert!(crate::ideal::g()) }", &complaint);
    finds(broken_layers, "src/ideal.rs", "use super::engine;", &["src/ideal.rs:1: `ideal` may not name `engine`"]);
    finds(broken_layers, "src/render/text.rs", "use crate::cli;", &["src/render/text.rs:1: `render` may not name `cli`"]);
    finds(broken_layers, "src/other.rs", "", &["src/other.rs: module `other` stands in no layer; see LAYERS"]);
    finds(broken_layers, "src/cli/mod.rs", "use crate::{engine, render};", &[]);
    finds(broken_layers, "src/engine/wp.rs", "#[cfg(test)]\nmod tests { use crate::ideal; }", &[]);
}

#[test]
fn core_modules_do_no_io_and_hash_nothing_in_order() {
    keeps(worldly_core);
    let complaint = ["src/engine/wp.rs:1: `std::fs::read` in a core module"];
    finds(worldly_core, "src/engine/wp.rs", "fn f() { std::fs::read(p); }", &complaint);
    finds(worldly_core, "src/engine/wp.rs", "use std::{fmt, time};", &["src/engine/wp.rs:1: `std::time` in a core module"]);
    let complaint = ["src/check/mod.rs:1: `std::collections::HashMap` in a core module"];
    finds(worldly_core, "src/check/mod.rs", "use std::collections::HashMap;", &complaint);
    finds(worldly_core, "src/cli/mod.rs", "use std::fs;", &[]);
}

#[test]
fn unsafe_stands_in_one_file() {
    keeps(unsafe_code);
    let text = "fn f() { unsafe { g() } }";
    finds(unsafe_code, "src/engine/wp.rs", text, &["src/engine/wp.rs:1: `unsafe` outside src/kernel/agent/sys.rs"]);
    finds(unsafe_code, "src/kernel/agent/sys.rs", text, &[]);
}

#[test]
fn the_root_denies_unsafe_code() {
    let sources = repository_sources();
    let root = sources.iter().find(|source| source.path == "src/lib.rs").expect("the library's root");
    assert!(root.text.contains("#![deny(unsafe_code)]"));
}

/// A layer that lists what does not lie below it would let a circle pass.
#[test]
fn the_table_of_layers_has_no_circle() {
    let mut below = BTreeSet::new();
    let mut waiting: Vec<_> = LAYERS.to_vec();
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|(name, names)| {
            let ready = names.iter().all(|name| below.contains(name));
            if ready {
                below.insert(*name);
            }
            !ready
        });
        assert!(waiting.len() < before, "these name each other in a circle: {waiting:?}");
    }
}
