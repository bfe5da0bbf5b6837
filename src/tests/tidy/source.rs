//! Sources, read and parsed once, and the paths named in them.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};

/// A Rust file of the repository.
pub(super) struct Source {
    /// From the repository's root, with `/`.
    pub path: String,
    pub text: String,
    pub tree: syn::File,
    /// Its tokens without comments and without what only tests see.
    pub tokens: TokenStream,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let tree = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}:{}: {error}", error.span().start().line));
        let mut product = tree.clone();
        DropTests.visit_file_mut(&mut product);
        Self { path: path.into(), text: text.into(), tree, tokens: product.into_token_stream() }
    }

    /// The modules it is nested in, outermost first: `engine`, `wp`. `None` outside the library.
    pub fn module(&self) -> Option<Vec<&str>> {
        let inner = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let parts: Vec<&str> = inner.split('/').filter(|part| *part != "mod").collect();
        (parts != ["main"]).then(|| if parts == ["lib"] { Vec::new() } else { parts })
    }

    /// The module under the root that it belongs to; empty for the root itself.
    pub fn top(&self) -> Option<&str> {
        self.module().map(|module| module.first().copied().unwrap_or(""))
    }

    /// Whether all of it is there for tests only.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.module().is_some_and(|module| module.contains(&"tests"))
    }

    /// Every path named outside of tests, `use` lists unfolded, with its line.
    pub fn paths(&self) -> Vec<NamedPath> {
        let mut found = Vec::new();
        collect_paths(self.tokens.clone(), &mut found);
        found
    }

    /// Every literal outside of tests and docs, as written, with its line.
    pub fn literals(&self) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        collect_literals(self.tokens.clone(), &mut found);
        found
    }
}

/// A path of one or more words and the line it stands on.
pub(super) struct NamedPath {
    pub words: Vec<String>,
    pub line: usize,
}

/// Takes out items and fields that only tests see.
struct DropTests;

impl VisitMut for DropTests {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        file.items.retain(|item| !for_tests(item_attrs(item)));
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_mod_mut(&mut self, module: &mut syn::ItemMod) {
        if let Some((_, items)) = &mut module.content {
            items.retain(|item| !for_tests(item_attrs(item)));
        }
        visit_mut::visit_item_mod_mut(self, module);
    }

    fn visit_item_impl_mut(&mut self, block: &mut syn::ItemImpl) {
        block.items.retain(|item| !matches!(item, syn::ImplItem::Fn(function) if for_tests(&function.attrs)));
        visit_mut::visit_item_impl_mut(self, block);
    }
}

fn item_attrs(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[test]` or `#[cfg(test)]`, and nothing weaker: `cfg(any(test, ..))` is product code.
pub(super) fn for_tests(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let text = attr.meta.to_token_stream().to_string().replace(' ', "");
        text == "test" || text == "cfg(test)"
    })
}

/// Walks tokens, so that paths inside macro calls are seen too; comments and doc comments are not tokens of paths.
fn collect_paths(tokens: TokenStream, found: &mut Vec<NamedPath>) {
    let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
    tokens.reverse(); // The next one is at the end.
    while let Some(token) = tokens.pop() {
        match token {
            TokenTree::Ident(first) => collect_path(vec![first.to_string()], first.span().start().line, &mut tokens, found),
            TokenTree::Group(group) => collect_paths(group.stream(), found),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn collect_literals(tokens: TokenStream, found: &mut Vec<(String, usize)>) {
    let mut in_attribute = false;
    for token in tokens {
        match token {
            TokenTree::Literal(literal) => found.push((literal.to_string(), literal.span().start().line)),
            TokenTree::Group(group) if !(in_attribute && group.delimiter() == Delimiter::Bracket) => {
                collect_literals(group.stream(), found);
                in_attribute = false;
            }
            TokenTree::Group(_) => in_attribute = false, // Docs are attributes.
            TokenTree::Punct(punct) => in_attribute = punct.as_char() == '#' || (in_attribute && punct.as_char() == '!'),
            TokenTree::Ident(_) => in_attribute = false,
        }
    }
}

/// Goes on from `words`; `rest` is what follows, next token last.
fn collect_path(mut words: Vec<String>, line: usize, rest: &mut Vec<TokenTree>, found: &mut Vec<NamedPath>) {
    while next_is_path_separator(rest) {
        match rest.len().checked_sub(3).map(|third| rest[third].clone()) {
            Some(TokenTree::Ident(word)) => {
                rest.truncate(rest.len() - 3);
                words.push(word.to_string());
            }
            Some(TokenTree::Group(list)) if list.delimiter() == Delimiter::Brace => {
                rest.truncate(rest.len() - 3);
                return collect_use_list(&words, list.stream(), found);
            }
            _ => break, // A glob or a turbofish: the path ends here.
        }
    }
    found.push(NamedPath { words, line });
}

/// Unfolds `{a, b::{c, d}}` behind `prefix`.
fn collect_use_list(prefix: &[String], list: TokenStream, found: &mut Vec<NamedPath>) {
    let mut tokens: Vec<TokenTree> = list.into_iter().collect();
    tokens.reverse();
    while let Some(token) = tokens.pop() {
        if let TokenTree::Ident(word) = token {
            let mut words = prefix.to_vec();
            let line = word.span().start().line;
            words.push(word.to_string());
            collect_path(words, line, &mut tokens, found);
        }
    }
}

fn next_is_path_separator(rest: &[TokenTree]) -> bool {
    let colon = |back: usize| matches!(rest.len().checked_sub(back).map(|at| &rest[at]), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(1) && colon(2)
}

/// The repository's root.
pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below the repository's root that people write: no build output, nothing of git's.
pub(super) fn repository_files() -> Vec<String> {
    let mut files = Vec::new();
    walk(&root(), &mut files);
    files.sort();
    assert!(files.iter().any(|file| file == "src/lib.rs"), "cowl bug: the walk did not find the sources");
    files
}

fn walk(folder: &Path, files: &mut Vec<String>) {
    const SKIPPED: &[&str] = &["target", ".git", "book", "fuzz/corpus", "fuzz/artifacts", "fuzz/coverage"];
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a readable folder").path();
        let below_root = path.strip_prefix(root()).expect("below the root").to_str().expect("UTF-8 names").to_owned();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if SKIPPED.contains(&name) || SKIPPED.contains(&&*below_root) {
            continue;
        }
        if path.is_dir() { walk(&path, files) } else { files.push(below_root) }
    }
}

/// The text of a file of the repository; `None` where it is not text.
pub(super) fn read(path: &str) -> Option<String> {
    let bytes = fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    String::from_utf8(bytes).ok()
}

/// Every Rust file of the repository.
pub(super) fn repository_sources() -> Vec<Source> {
    let rust = repository_files().into_iter().filter(|file| file.ends_with(".rs"));
    rust.map(|path| Source::new(&path, &read(&path).expect("Rust is text"))).collect()
}

#[test]
fn paths_are_unfolded_from_lists_and_found_in_macros() {
    let source = Source::new("src/engine/wp.rs", "use crate::{a::{B, c::D}, e};\nfn f() { dbg!(std::fs::read::<u8>(x)) }");
    let paths: Vec<String> = source.paths().iter().map(|path| path.words.join("::")).collect();
    for path in ["crate::a::B", "crate::a::c::D", "crate::e", "std::fs::read"] {
        assert!(paths.iter().any(|found| found == path), "{path} not in {paths:?}");
    }
}

#[test]
fn what_only_tests_see_is_not_product() {
    let source =
        Source::new("src/a.rs", "fn f() {}\n#[test]\nfn g() { crate::b::h() }\n#[cfg(test)]\nmod tests { use std::fs; }");
    assert!(source.paths().iter().all(|path| path.words[0] != "crate" && path.words[0] != "std"));
}

#[test]
fn a_source_knows_its_module() {
    let module = |path| Source::new(path, "").module().map(|module| module.join("::"));
    assert_eq!(module("src/engine/wp.rs").as_deref(), Some("engine::wp"));
    assert_eq!(module("src/engine/mod.rs").as_deref(), Some("engine"));
    assert_eq!(module("src/lib.rs").as_deref(), Some(""));
    assert_eq!(module("src/main.rs"), None);
    assert_eq!(module("tests/cli.rs"), None);
}
