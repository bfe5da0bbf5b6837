//! The files that a file uses, found through a callback: nothing here reads a disk.

use super::Included;
use super::error::{Errors, ItemError, Place};
use super::limits::FILES_USED_MAX;
use crate::syntax::ast::{File, ItemKind};
use crate::syntax::parse;

/// Hands over a used file: first the name of the file that uses it, then the path behind `use`. The name of what comes back is
/// the same however the file is reached; what is returned instead says in a few words why there is none.
pub type Include<'i> = dyn FnMut(&str, &str) -> Result<Included, String> + 'i;

/// All files used, by this one and by each other, each once, in the order in which they are met.
pub(super) fn load(name: &str, file: &File, include: &mut Include, errors: &mut Errors) -> Vec<Included> {
    let mut loader = Loader { include, errors, used: Vec::new(), chain: vec![name.to_owned()] };
    loader.uses(file, 0);
    loader.used
}

struct Loader<'l, 'i> {
    include: &'l mut Include<'i>,
    errors: &'l mut Errors,
    used: Vec<Included>,
    /// Files that are being looked at, each used by the one before it.
    chain: Vec<String>,
}

impl Loader<'_, '_> {
    fn uses(&mut self, file: &File, idx: usize) {
        for item in file.items() {
            let ItemKind::Use { path } = &item.kind else { continue };
            let at = Place { file: idx, span: path.span };
            let from = self.chain.last().map_or("", String::as_str);
            let included = match (self.include)(from, &path.node) {
                Ok(included) => included,
                Err(why) => {
                    let path = path.node.to_string();
                    self.errors.report::<()>(at, ItemError::UnreadableFile { path, why, at: at.label() });
                    continue;
                }
            };
            if let Some(start) = self.chain.iter().position(|name| *name == included.name) {
                let names: Vec<&str> = self.chain[start..].iter().map(String::as_str).chain([&*included.name]).collect();
                let chain = names.join(" → ");
                self.errors.report::<()>(at, ItemError::UseCycle { chain, at: at.label() });
                continue;
            }
            if self.used.iter().any(|used| used.name == included.name) {
                continue;
            }
            if FILES_USED_MAX <= self.used.len() {
                let (what, has, max) = ("files used", (self.used.len() + 1).to_string(), FILES_USED_MAX);
                let help = "put prepares that belong together into one file";
                self.errors.report::<()>(at, ItemError::TooLarge { what, has, max, help, at: at.label() });
                return;
            }
            let text = included.text.clone();
            self.chain.push(included.name.clone());
            self.used.push(included);
            let idx = self.used.len();
            let (file, _) = parse(&text); // Its mistakes are reported where it is read for good.
            self.uses(&file, idx);
            self.chain.pop();
        }
    }
}
