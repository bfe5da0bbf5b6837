//! Words that are refused on sight, by place.

use syn::visit::{self, Visit};

use super::source::Source;
use super::{finds, keeps};

/// The engine asks knobs; which release answers how is known in `policy` alone.
fn versions_in_the_engine(sources: &[Source]) -> Vec<String> {
    let engine = sources.iter().filter(|source| source.top() == Some("engine") && !source.is_test());
    let mut complaints = Vec::new();
    for source in engine {
        for path in source.paths() {
            for word in path.words.iter().filter(|word| names_a_release(word)) {
                complaints.push(format!("{}:{}: the engine names a release: `{word}`", source.path, path.line));
            }
        }
        for (text, line) in source.literals() {
            if text.contains("linux-") || text.contains("-2021") {
                complaints.push(format!("{}:{line}: the engine names a release: {text}", source.path));
            }
        }
    }
    complaints
}

/// `era`, `Era`, `V5_19`, `LINUX_5_19`, `linux_5_19`.
fn names_a_release(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let number = word.strip_prefix("linux_").or(word.strip_prefix('v')).unwrap_or("");
    let mut parts = number.split('_');
    let is_number =
        |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    ["era", "eras"].contains(&&*word) || (is_number(parts.next()) && is_number(parts.next()))
}

/// Macros and attributes that promise work instead of doing it, or hide that nobody uses something.
fn unfinished(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let mut words = Unfinished { path: &source.path, complaints: &mut complaints };
        words.visit_file(&source.tree);
    }
    complaints
}

struct Unfinished<'a> {
    path: &'a str,
    complaints: &'a mut Vec<String>,
}

impl<'ast> Visit<'ast> for Unfinished<'_> {
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(name) = call.path.get_ident().filter(|name| *name == "todo" || *name == "unimplemented" || *name == "dbg") {
            self.complaints.push(format!("{}:{}: `{name}!`", self.path, name.span().start().line));
        }
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attr: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attr.meta
            && (list.path.is_ident("allow") || list.path.is_ident("expect"))
            && list.tokens.to_string().split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "dead_code")
        {
            let line = attr.pound_token.span.start().line;
            self.complaints.push(format!("{}:{line}: code that nobody uses is taken out, not allowed", self.path));
        }
        visit::visit_attribute(self, attr);
    }
}

/// What is written to JSON is built at the edge; nothing below knows that it will be.
fn serde_in_core(sources: &[Source]) -> Vec<String> {
    // `campaign` holds what was written against its form.
    const MAY: &[&str] = &["render", "campaign", "cli", "lsp", "wasm", "export", "kernel", "tests"];
    let below = sources.iter().filter(|source| source.top().is_some_and(|top| !MAY.contains(&top)));
    let mut complaints = Vec::new();
    for source in below {
        for path in source.paths() {
            if ["serde", "serde_json", "Serialize", "Deserialize"].contains(&&*path.words[0]) {
                complaints.push(format!("{}:{}: `{}` below `render`", source.path, path.line, path.words.join("::")));
            }
        }
    }
    complaints
}

/// A knob is an enum named by its question; a state holds numbers of a known width.
fn loose_fields(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let refused = match source.top() {
            Some("policy") => "bool",
            Some("state") => "usize",
            _ => continue,
        };
        for item in &source.tree.items {
            let syn::Item::Struct(item) = item else { continue };
            if refused == "bool" && item.ident != "Policy" {
                continue;
            }
            for field in &item.fields {
                if matches!(&field.ty, syn::Type::Path(ty) if ty.path.is_ident(refused)) {
                    let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
                    complaints.push(format!("{}: `{}::{name}` is a `{refused}`", source.path, item.ident));
                }
            }
        }
    }
    complaints
}

#[test]
fn the_engine_names_no_release() {
    keeps(versions_in_the_engine);
    let path = "src/engine/wp.rs";
    finds(versions_in_the_engine, path, "use crate::policy::era;", &["src/engine/wp.rs:1: the engine names a release: `era`"]);
    let complaint = ["src/engine/wp.rs:1: the engine names a release: `V5_19`"];
    finds(versions_in_the_engine, path, "fn f(p: P) -> bool { p == V5_19 }", &complaint);
    let complaint = ["src/engine/wp.rs:1: the engine names a release: \"linux-5.19\""];
    finds(versions_in_the_engine, path, "fn f(p: P) -> bool { p.name == \"linux-5.19\" }", &complaint);
    finds(versions_in_the_engine, path, "/// Since 6.7 `wp_can_reuse_anon_folio`; linux-5.19.\nfn f() {}", &[]);
    finds(versions_in_the_engine, path, "fn f(v: u8, v1: u8) {}", &[]);
}

#[test]
fn nothing_unfinished_is_called_done() {
    keeps(unfinished);
    finds(unfinished, "src/a.rs", "fn f() { todo!() }", &["src/a.rs:1: `todo!`"]);
    finds(unfinished, "src/a.rs", "fn f() { let x = dbg!(1); }", &["src/a.rs:1: `dbg!`"]);
    let complaint = ["src/a.rs:1: code that nobody uses is taken out, not allowed"];
    finds(unfinished, "src/a.rs", "#[allow(unused, dead_code)]\nfn f() {}", &complaint);
    finds(unfinished, "src/a.rs", "#![allow(dead_code)]\nfn f() {}", &complaint);
    finds(unfinished, "src/a.rs", "#[allow(clippy::upper_case_acronyms)]\nfn f() {}", &[]);
}

#[test]
fn core_types_know_nothing_of_json() {
    keeps(serde_in_core);
    let text = "#[derive(Serialize)]\nstruct S;";
    finds(serde_in_core, "src/check/report.rs", text, &["src/check/report.rs:1: `Serialize` below `render`"]);
    finds(serde_in_core, "src/ir/op.rs", "use serde::Serialize;", &["src/ir/op.rs:1: `serde::Serialize` below `render`"]);
    finds(serde_in_core, "src/render/json.rs", text, &[]);
}

#[test]
fn knobs_are_questions_and_states_have_widths() {
    keeps(loose_fields);
    let knob = "pub struct Policy { pub new_cow: bool }";
    finds(loose_fields, "src/policy/mod.rs", knob, &["src/policy/mod.rs: `Policy::new_cow` is a `bool`"]);
    let state = "pub struct Folio { refs: usize }";
    finds(loose_fields, "src/state/folio.rs", state, &["src/state/folio.rs: `Folio::refs` is a `usize`"]);
}
