//! Each knob has one home, each defect one place where it acts, and nothing is decided by "everything else".

use std::collections::{BTreeMap, BTreeSet};

use quote::ToTokens;
use syn::visit::{self, Visit};

use super::source::{Source, for_tests, repository_sources};
use super::{finds, keeps};
use crate::policy::KNOBS;

/// A knob's enum and the path of the one function that matches it.
type Home<'a> = (&'a str, &'a str);

fn homes() -> Vec<Home<'static>> {
    KNOBS.iter().map(|knob| (knob.type_name(), knob.home())).collect()
}

/// Outside `policy` and tests a knob's enum is named in its home's file only, and only its home's body names it.
fn strayed_knobs(sources: &[Source], homes: &[Home]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, home) in homes {
        let mut decides: BTreeSet<String> = BTreeSet::new();
        let found_before = complaints.len();
        for source in sources.iter().filter(|source| !source.is_test() && source.top().is_some_and(|top| top != "policy")) {
            let Some(mention) = source.paths().into_iter().find(|path| comes_from_policy(&path.words, name)) else { continue };
            let module = source.module().unwrap_or_default().join("::");
            if home.rsplit_once("::").is_none_or(|(file, _)| file != module) {
                complaints
                    .push(format!("{}:{}: `{name}` is named outside its home, which is {home}", source.path, mention.line));
            }
            decides.extend(functions_naming(source, name).into_iter().map(|function| format!("{module}::{function}")));
        }
        let expected = BTreeSet::from([(*home).to_owned()]);
        if decides != expected && complaints.len() == found_before {
            complaints.push(format!("`{name}` is matched in {decides:?}; its documentation says {expected:?}"));
        }
    }
    complaints
}

/// `policy::ReuseSmall`: by whatever import or path. Other types may have a variant of that name.
fn comes_from_policy(words: &[String], name: &str) -> bool {
    let policy = words.iter().position(|word| word == "policy");
    policy.is_some_and(|policy| words[policy + 1..].iter().any(|word| word == name))
}

/// Names come from `policy` one by one, or nobody could say where a knob is named.
fn policy_globs(sources: &[Source]) -> Vec<String> {
    struct Globs<'a> {
        path: &'a str,
        complaints: Vec<String>,
    }
    impl<'ast> Visit<'ast> for Globs<'_> {
        fn visit_use_path(&mut self, path: &'ast syn::UsePath) {
            if path.ident == "policy" && names_all(&path.tree) {
                self.complaints.push(format!("{}:{}: `policy::*`", self.path, path.ident.span().start().line));
            }
            visit::visit_use_path(self, path);
        }
    }
    fn names_all(tree: &syn::UseTree) -> bool {
        match tree {
            syn::UseTree::Glob(_) => true,
            syn::UseTree::Group(group) => group.items.iter().any(names_all),
            _ => false,
        }
    }
    let outside = sources.iter().filter(|source| !source.is_test() && source.top().is_some_and(|top| top != "policy"));
    outside
        .flat_map(|source| {
            let mut globs = Globs { path: &source.path, complaints: Vec::new() };
            globs.visit_file(&source.tree);
            globs.complaints
        })
        .collect()
}

/// The functions of a source whose bodies name a type.
fn functions_naming(source: &Source, name: &str) -> Vec<String> {
    struct Bodies<'a> {
        name: &'a str,
        found: Vec<String>,
    }
    impl Bodies<'_> {
        fn judge(&mut self, attrs: &[syn::Attribute], signature: &syn::Signature, body: &syn::Block) {
            if !for_tests(attrs) && names(body.to_token_stream(), self.name) {
                self.found.push(signature.ident.to_string());
            }
        }
    }
    impl<'ast> Visit<'ast> for Bodies<'_> {
        fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
            if !for_tests(&module.attrs) {
                visit::visit_item_mod(self, module);
            }
        }
        fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
            self.judge(&function.attrs, &function.sig, &function.block);
        }
        fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
            self.judge(&function.attrs, &function.sig, &function.block);
        }
    }
    let mut bodies = Bodies { name, found: Vec::new() };
    bodies.visit_file(&source.tree);
    bodies.found
}

fn names(tokens: proc_macro2::TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        proc_macro2::TokenTree::Ident(word) => word == name,
        proc_macro2::TokenTree::Group(group) => names(group.stream(), name),
        _ => false,
    })
}

/// A defect acts in one place: outside `policy` and tests each is asked for once.
fn scattered_defects(sources: &[Source]) -> Vec<String> {
    let mut asked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // `policy` lists them and the bank of `campaign` plants them.
    let asks = |source: &&Source| !source.is_test() && source.top().is_some_and(|top| !["policy", "campaign"].contains(&top));
    for source in sources.iter().filter(asks) {
        for path in source.paths() {
            let at = path.words.iter().position(|word| word == "Defect");
            if let Some(defect) = at.and_then(|at| path.words.get(at + 1)) {
                asked.entry(defect.clone()).or_default().push(format!("{}:{}", source.path, path.line));
            }
        }
    }
    let scattered = asked.into_iter().filter(|(_, places)| 1 < places.len());
    scattered.map(|(defect, places)| format!("`Defect::{defect}` is asked for in {}", places.join(" and "))).collect()
}

/// An enum and its variants.
type Enum = (String, BTreeSet<String>);

/// Every knob's enum, and `Op`.
fn closed_enums(sources: &[Source]) -> Vec<Enum> {
    let mut enums: Vec<Enum> = Vec::new();
    for knob in KNOBS {
        let pascal = |name: &str| name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect::<String>();
        enums.push((knob.type_name().into(), knob.values().iter().map(|value| pascal(value.name)).collect()));
    }
    let items = sources.iter().filter(|source| source.path == "src/ir/op.rs").flat_map(|source| &source.tree.items);
    for item in items {
        if let syn::Item::Enum(item) = item
            && item.ident == "Op"
        {
            enums.push(("Op".into(), item.variants.iter().map(|variant| variant.ident.to_string()).collect()));
        }
    }
    enums
}

/// Where a new operation or a new answer must not fall through unseen.
const CLOSED: &[&str] = &["engine", "ideal", "printer"];

fn wildcards(sources: &[Source], enums: &[Enum]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.top().is_some_and(|top| CLOSED.contains(&top)) && !source.is_test()) {
        let mut matches = Matches { path: &source.path, enums, complaints: &mut complaints };
        matches.visit_file(&source.tree);
    }
    complaints
}

struct Matches<'a> {
    path: &'a str,
    enums: &'a [Enum],
    complaints: &'a mut Vec<String>,
}

impl<'ast> Visit<'ast> for Matches<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        let open = |arm: &&syn::Arm| !matches!(arm.pat, syn::Pat::Guard(_)) && !is_our_bug(&arm.body);
        let rows: Vec<Vec<&syn::Pat>> = expr.arms.iter().filter(open).flat_map(|arm| rows(&arm.pat)).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        for column in 0..columns {
            // A row shorter than others is one pattern for the whole, `_` or a name.
            let cells: Vec<&syn::Pat> = rows.iter().filter_map(|row| row.get(column).or(row.first())).copied().collect();
            let named: BTreeSet<String> = cells.iter().flat_map(|pat| variants(pat)).collect();
            let of = self.enums.iter().find(|(name, variants)| belongs(&named, name, variants));
            if let Some((name, _)) = of
                && cells.iter().any(|pat| takes_all(pat))
            {
                let line = expr.match_token.span.start().line;
                self.complaints.push(format!("{}:{line}: a match over `{name}` with an arm for everything else", self.path));
            }
        }
        visit::visit_expr_match(self, expr);
    }
}

/// An arm that says by a panic that nothing else comes here lets nothing through unseen.
fn is_our_bug(body: &syn::Expr) -> bool {
    matches!(body, syn::Expr::Macro(call) if call.mac.path.is_ident("panic") || call.mac.path.is_ident("unreachable"))
}

/// Whether the names are all of this enum: `Op::Read`, or `Read` where it was imported. A bare name alone proves nothing.
fn belongs(named: &BTreeSet<String>, name: &str, variants: &BTreeSet<String>) -> bool {
    let bare = |word: &String| word.rsplit("::").next().is_some_and(|last| variants.contains(last));
    let qualified = |word: &String| word.split_once("::").is_none_or(|(of, _)| of == name);
    !named.is_empty() && named.iter().all(|word| bare(word) && qualified(word))
}

/// A pattern's alternatives, each as the columns of its tuple.
fn rows(pat: &syn::Pat) -> Vec<Vec<&syn::Pat>> {
    match pat {
        syn::Pat::Or(or) => or.cases.iter().flat_map(rows).collect(),
        syn::Pat::Paren(inner) => rows(&inner.pat),
        syn::Pat::Tuple(tuple) => vec![tuple.elems.iter().collect()],
        other => vec![vec![other]],
    }
}

/// The variants that a pattern names at its top: `Op::Read`, `Read`.
fn variants(pat: &syn::Pat) -> Vec<String> {
    let path = |path: &syn::Path| {
        let words: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        vec![words[words.len().saturating_sub(2)..].join("::")]
    };
    match pat {
        syn::Pat::Or(or) => or.cases.iter().flat_map(variants).collect(),
        syn::Pat::Paren(inner) => variants(&inner.pat),
        syn::Pat::Reference(inner) => variants(&inner.pat),
        syn::Pat::Struct(inner) => path(&inner.path),
        syn::Pat::TupleStruct(inner) => path(&inner.path),
        syn::Pat::Path(inner) => path(&inner.path),
        syn::Pat::Ident(inner) => match &inner.subpat {
            Some((_, sub)) => variants(sub),
            None if inner.ident.to_string().starts_with(char::is_uppercase) => vec![inner.ident.to_string()],
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// `_`, `..`, or a name that takes whatever is there.
fn takes_all(pat: &syn::Pat) -> bool {
    match pat {
        syn::Pat::Wild(_) | syn::Pat::Rest(_) => true,
        syn::Pat::Or(or) => or.cases.iter().any(takes_all),
        syn::Pat::Paren(inner) => takes_all(&inner.pat),
        syn::Pat::Ident(inner) => inner.subpat.is_none() && inner.ident.to_string().starts_with(char::is_lowercase),
        _ => false,
    }
}

#[test]
fn every_knob_is_matched_in_its_home_and_nowhere_else() {
    keeps(|sources| strayed_knobs(sources, &homes()));
    let home: &[Home] = &[("ReuseSmall", "engine::wp::decide_small")];
    let rule = |sources: &[Source]| strayed_knobs(sources, home);
    let good = "use crate::policy::ReuseSmall;\nfn decide_small(knob: ReuseSmall) { match knob { ReuseSmall::Ref1 => {} } }";
    finds(rule, "src/engine/wp.rs", good, &[]);
    let stray = "use crate::policy::{Policy, ReuseSmall}; fn f(p: Policy) { p.reuse_small == ReuseSmall::Ref1 }";
    let complaint = ["src/engine/gup.rs:1: `ReuseSmall` is named outside its home, which is engine::wp::decide_small"];
    finds(rule, "src/engine/gup.rs", stray, &complaint);
    let twice = format!("{good}\n{stray}");
    let complaint = "`ReuseSmall` is matched in {\"engine::wp::decide_small\", \"engine::wp::f\"}; \
                     its documentation says {\"engine::wp::decide_small\"}";
    finds(rule, "src/engine/wp.rs", &twice, &[complaint]);
    let complaint = "`ReuseSmall` is matched in {}; its documentation says {\"engine::wp::decide_small\"}";
    finds(rule, "src/engine/wp.rs", "fn g() {}", &[complaint]);
    finds(rule, "src/engine/gup.rs", "fn f() { Op::ReuseSmall }", &[complaint]); // Another type's variant.
    keeps(policy_globs);
    finds(policy_globs, "src/engine/a.rs", "use crate::{policy::{self, *}};", &["src/engine/a.rs:1: `policy::*`"]);
    finds(policy_globs, "src/engine/a.rs", "use crate::policy::ReuseSmall::*;", &[]);
}

#[test]
fn every_defect_acts_in_one_place() {
    keeps(scattered_defects);
    let twice = "fn f() { d.has(Defect::B35) }\nfn g() { d.has(Defect::B35) }";
    let complaint = ["`Defect::B35` is asked for in src/engine/a.rs:1 and src/engine/a.rs:2"];
    finds(scattered_defects, "src/engine/a.rs", twice, &complaint);
}

#[test]
fn nothing_new_falls_through_a_match() {
    keeps(|sources| wildcards(sources, &closed_enums(sources)));
    let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<BTreeSet<_>>();
    let enums = [("Op".to_string(), words(&["Read", "Exit"])), ("ForkSeq".to_string(), words(&["Off", "On"]))];
    let rule = |sources: &[Source]| wildcards(sources, &enums);
    let ideal = |arms: &str| format!("fn f(op: Op, knob: ForkSeq) {{ match (op, knob) {{ {arms} }} }}");
    let over = |name: &str| [format!("src/ideal.rs:1: a match over `{name}` with an arm for everything else")];
    let found = |arms: &str| rule(&[Source::new("src/ideal.rs", &ideal(arms))]);
    assert_eq!(found("Op::Read { .. } => 1, _ => 0"), over("Op"));
    assert_eq!(found("Op::Read { .. } => 1, other => 0"), over("Op"));
    assert_eq!(found("(Op::Read { .. } | Op::Exit, On) => 1, (_, Off) => 0"), over("Op"));
    assert_eq!(found("(x, ForkSeq::On) => 1, (y, _) => 0"), over("ForkSeq"));
    assert_eq!(found("On => 1, _ => 0"), over("ForkSeq"));
    assert_eq!(found("(true, On) => 1, (_, On) => 0, (_, Off) => 2"), <[String; 0]>::default());
    assert_eq!(found("Op::Read { area } if area.len == 1 => 1, Op::Read { .. } | Op::Exit => 0"), <[String; 0]>::default());
    assert_eq!(found("Verdict::On => 1, _ => 0"), <[String; 0]>::default());
    assert_eq!(found("Op::Read { .. } => 1, other => panic!(\"cowl bug: {other:?}\")"), <[String; 0]>::default());
    finds(rule, "src/lower/mod.rs", &ideal("Op::Read { .. } => 1, _ => 0"), &[]);
}

#[test]
fn the_closed_enums_are_seen_as_the_compiler_sees_them() {
    let sources = repository_sources();
    let enums = closed_enums(&sources);
    assert!(enums.iter().any(|(name, variants)| name == "Op" && variants.contains("Vmsplice")));
    let policy = sources.iter().filter(|source| source.top() == Some("policy")).map(|source| source.text.as_str());
    let policy: String = policy.collect();
    for (name, variants) in enums.iter().filter(|(name, _)| name != "Op") {
        for variant in variants {
            assert!(policy.contains(&format!("{variant},")), "`{name}::{variant}` is not written so in src/policy");
        }
    }
}
