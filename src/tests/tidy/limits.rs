//! No file over 600 lines, no function over 70; fuzz targets under 15.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::source::Source;
use super::{finds, keeps};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const FUZZ_TARGET_LINES_MAX: usize = 14;

fn long_files(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let lines = source.text.lines().count();
        let lines_max = if source.path.starts_with("fuzz/fuzz_targets/") { FUZZ_TARGET_LINES_MAX } else { FILE_LINES_MAX };
        if lines_max < lines {
            complaints.push(format!("{}: {lines} lines; {lines_max} are allowed", source.path));
        }
    }
    complaints
}

fn long_functions(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let mut functions = Functions { path: &source.path, complaints: &mut complaints };
        functions.visit_file(&source.tree);
    }
    complaints
}

struct Functions<'a> {
    path: &'a str,
    complaints: &'a mut Vec<String>,
}

impl Functions<'_> {
    /// From the line of the signature to the line of the closing brace; attributes and docs do not count.
    fn judge(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let first = signature.span().start().line;
        let lines = body.brace_token.span.close().end().line - first + 1;
        if FUNCTION_LINES_MAX < lines {
            let name = &signature.ident;
            self.complaints
                .push(format!("{}:{first}: `{name}` has {lines} lines; {FUNCTION_LINES_MAX} are allowed", self.path));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.judge(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.judge(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.judge(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[test]
fn no_file_is_long() {
    keeps(long_files);
    finds(long_files, "src/a.rs", &"// x\n".repeat(601), &["src/a.rs: 601 lines; 600 are allowed"]);
    finds(long_files, "src/a.rs", &"// x\n".repeat(600), &[]);
    let target = "fuzz/fuzz_targets/a.rs";
    finds(long_files, target, &"// x\n".repeat(15), &["fuzz/fuzz_targets/a.rs: 15 lines; 14 are allowed"]);
}

#[test]
fn no_function_is_long() {
    keeps(long_functions);
    let body = "    x();\n".repeat(69);
    let complaint = ["src/a.rs:2: `f` has 71 lines; 70 are allowed"];
    finds(long_functions, "src/a.rs", &format!("/// Doc.\npub fn f() {{\n{body}}}\n"), &complaint);
    let nested = format!("mod a {{\n    pub fn f() {{\n{body}}}\n}}\n");
    finds(long_functions, "src/a.rs", &nested, &complaint);
    let method = format!("impl A {{\n    fn f(&self) {{\n{body}}}\n}}\n");
    finds(long_functions, "src/a.rs", &method, &complaint);
    let shorter = "    x();\n".repeat(68);
    finds(long_functions, "src/a.rs", &format!("pub fn f() {{\n{shorter}}}\n"), &[]);
}
