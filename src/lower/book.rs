//! What a file and the files it uses offer: prepares, lists of kinds, policies, and which words stand on lines nobody could read.

use std::collections::{BTreeMap, BTreeSet};

use super::env::Arg;
use super::error::{Errors, ItemError, NameError, Place};
use super::limits::{DAMAGE_BYTES_MAX, KINDS_MAX, LISTS_MAX};
use super::near::Near;
use crate::ir::{Kind, OPS, Slot};
use crate::policy::Policy;
use crate::syntax::SyntaxError;
use crate::syntax::ast::{Block, Bound, File, ItemKind, KindRef, Word};
use crate::types::Span;

/// A file's tree, and what could not be read of it.
pub(super) struct Read<'a> {
    pub file: &'a File<'a>,
    pub mistakes: &'a [SyntaxError],
}

/// A `prepare`.
pub(super) struct Prepare<'a> {
    /// Where its name stands.
    pub at: Place,
    /// The whole item.
    pub span: Span,
    pub body: Body<'a>,
    /// A mistake was reported in it.
    pub broken: bool,
}

/// What a `prepare` is.
pub(super) enum Body<'a> {
    Lines { params: Vec<Word<'a>>, block: Block<'a> },
    List(Vec<KindRef<'a>>),
}

/// A kind of memory that a scenario is over.
#[derive(Clone)]
pub(super) struct Chosen<'a> {
    /// The prepare that makes it.
    pub name: &'a str,
    /// What it is given behind the actor.
    pub args: Vec<Arg<'a>>,
    pub kind: Kind,
}

/// A policy of a user.
pub(super) struct User<'a> {
    pub name: &'a str,
    /// `None` where something is wrong with it.
    pub policy: Option<Policy>,
}

/// All of it.
#[derive(Default)]
pub(super) struct Book<'a> {
    texts: Vec<&'a str>,
    pub prepares: BTreeMap<&'a str, Prepare<'a>>,
    /// In the order in which they are counted behind the built-in ones.
    pub users: Vec<User<'a>>,
    /// Lines that cannot be read.
    damage: Vec<Place>,
    /// Words on such lines that may be names given there.
    given: BTreeSet<&'a str>,
    /// All words on such lines.
    words: BTreeSet<&'a str>,
}

impl<'a> Book<'a> {
    /// Takes in the prepares of all files; policies are added by [`super::users`].
    pub fn new(files: &[Read<'a>], errors: &mut Errors) -> Self {
        let mut book = Book { texts: files.iter().map(|read| read.file.text()).collect(), ..Self::default() };
        for (idx, read) in files.iter().enumerate() {
            book.note_damage(idx, read);
        }
        for (idx, read) in files.iter().enumerate() {
            for item in read.file.items() {
                let (name, body) = match item.kind {
                    ItemKind::Prepare { name, params, body } => (name, Body::Lines { params, block: body }),
                    ItemKind::PrepareList { name, kinds } => (name, Body::List(kinds)),
                    ItemKind::Scenario { .. } | ItemKind::Policy { .. } | ItemKind::Use { .. } => continue,
                };
                let at = Place { file: idx, span: name.span };
                if let Some(first) = book.prepares.get(name.node) {
                    // The file's own comes first and the used one is second in line; what is said lies in the file itself.
                    let (first, again) = if first.at.file == 0 && idx != 0 { (at, first.at) } else { (first.at, at) };
                    let (what, first, name) = ("the prepare", first.beside(again), name.node.to_owned());
                    let help = "rename or drop one of the two; a used file's prepares count too".to_owned();
                    errors.report::<()>(again, NameError::ItemTwice { what, name, help, first, again: again.label() });
                    continue;
                }
                book.prepares.insert(name.node, Prepare { at, span: item.span, body, broken: item.broken });
            }
        }
        book
    }

    /// The text of a place.
    pub fn text(&self, at: Place) -> &'a str {
        &self.texts[at.file][at.span.start as usize..at.span.end as usize]
    }

    /// Whether a line that cannot be read may have given this name.
    pub fn may_give(&self, name: &str) -> bool {
        self.given.contains(name)
    }

    /// Whether a word stands on a line that cannot be read.
    pub fn may_say(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// Whether a `use` in these lines cannot be read, so that any name may be given by what it would have run.
    pub fn lacks_a_use(&self, file: usize, span: Span) -> bool {
        let inside = |place: &&Place| place.file == file && span.start <= place.span.start && place.span.end <= span.end;
        let mut lines = self.damage.iter().filter(inside).map(|place| self.text(*place).trim_start());
        lines.any(|line| line.starts_with("us") || line.starts_with("{"))
    }

    fn note_damage(&mut self, file: usize, read: &Read<'a>) {
        let text = self.texts[file];
        for mistake in read.mistakes {
            let span = mistake.span();
            let start = text[..floor(text, span.start)].rfind(['\n', ';', '{']).map_or(0, |end| end + 1);
            let from = floor(text, span.end).max(start);
            let end = text[from..].find(['\n', ';']).map_or(text.len(), |len| from + len);
            let end = floor(text, end.min(start + DAMAGE_BYTES_MAX) as u32);
            let line = &text[start..end.max(start)];
            self.damage.push(Place { file, span: Span { start: start as u32, end: end.max(start) as u32 } });
            let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).filter(|word| !word.is_empty());
            let gives = line.contains("->") || gives_names(line);
            for word in words {
                self.words.insert(word);
                if gives {
                    self.given.insert(word.trim_end_matches('-'));
                }
            }
        }
    }

    /// The kinds behind `over`, those of lists among them, each once.
    pub fn kinds(&self, over: &[KindRef<'a>], file: usize, errors: &mut Errors) -> Vec<Chosen<'a>> {
        let mut kinds: Vec<Chosen<'a>> = Vec::new();
        let mut lists: BTreeSet<&'a str> = BTreeSet::new();
        let mut todo: Vec<(KindRef<'a>, usize)> = over.iter().rev().map(|kind| (kind.clone(), file)).collect();
        while let Some((kind, file)) = todo.pop() {
            let Some(name) = self.kind(&kind, file, errors) else { continue };
            match &self.prepares[name].body {
                Body::List(inner) if lists.insert(name) => {
                    let file = self.prepares[name].at.file;
                    todo.extend(inner.iter().rev().map(|kind| (kind.clone(), file)));
                }
                Body::List(_) => {} // Its kinds are in already.
                Body::Lines { .. } => {
                    let args = kind.args.iter().map(|arg| Arg { value: arg.node, at: Place { file, span: arg.span } });
                    let chosen = Kind { name: name.to_owned(), args: kind.args.iter().map(|arg| written(arg.node)).collect() };
                    if kinds.iter().all(|kind| kind.kind != chosen) {
                        kinds.push(Chosen { name, args: args.collect(), kind: chosen });
                    }
                }
            }
            if KINDS_MAX < kinds.len() || LISTS_MAX < lists.len() {
                let (has, what) = (kinds.len().to_string(), "kinds of memory in one scenario");
                let (at, help) = (Place { file, span: kind.span }, "make several scenarios of it");
                errors.report::<()>(at, ItemError::TooLarge { what, has, max: KINDS_MAX, help, at: at.label() });
                return kinds;
            }
        }
        kinds
    }

    /// The prepare of one kind, or the list, with as many arguments as it takes.
    pub fn kind(&self, kind: &KindRef<'a>, file: usize, errors: &mut Errors) -> Option<&'a str> {
        let name = self.prepare(kind.name, Place { file, span: kind.name.span }, errors)?;
        let (at, prepare) = (Place { file, span: kind.span }, &self.prepares[name]);
        match &prepare.body {
            Body::Lines { params, .. } => self.count(kind, params, prepare.at, at, errors)?,
            Body::List(_) if !kind.args.is_empty() => {
                let (wants, has) = ("no argument: it is a list".to_owned(), counted_are(kind.args.len()));
                let (name, help, declared) = (name.to_owned(), name.to_owned(), prepare.at.beside(at));
                return errors.report(at, ItemError::Arguments { name, wants, has, help, at: at.label(), declared });
            }
            Body::List(_) => {}
        }
        Some(name)
    }

    /// That a kind has what its prepare takes behind the actor.
    fn count(&self, kind: &KindRef<'a>, params: &[Word<'a>], declared: Place, at: Place, errors: &mut Errors) -> Option<()> {
        let wants = params.len().saturating_sub(1);
        if kind.args.len() == wants {
            return Some(());
        }
        let names: Vec<&str> = params.iter().skip(1).map(|param| param.node).collect();
        let help = match wants {
            0 => kind.name.node.to_owned(),
            _ => format!("{}({})", kind.name.node, names.join(", ")),
        };
        let (name, declared) = (kind.name.node.to_owned(), declared.beside(at));
        let (wants, has) = (counted(wants, "argument behind the actor"), counted_are(kind.args.len()));
        errors.report(at, ItemError::Arguments { name, wants, has, help, at: at.label(), declared })
    }

    /// A prepare by name.
    pub fn prepare(&self, name: Word<'a>, at: Place, errors: &mut Errors) -> Option<&'a str> {
        if let Some((name, _)) = self.prepares.get_key_value(name.node) {
            return Some(name);
        }
        if self.may_say(name.node) {
            return None;
        }
        let known = self.prepares.keys().copied();
        let otherwise = format!("write `prepare {}(p) {{ … }}` in this file, or `use` the file that has it", name.node);
        let help = Near::among(name.node, known).named(otherwise);
        errors.report(at, NameError::UnknownPrepare { name: name.node.to_owned(), help, at: at.label() })
    }
}

/// An argument as it is written.
pub(super) fn written(bound: Bound) -> String {
    match bound {
        Bound::Number(number) => number.to_string(),
        Bound::Word(word) => word.to_owned(),
    }
}

/// "1 argument", "2 arguments", "no argument".
pub(super) fn counted(number: usize, what: &str) -> String {
    let (noun, rest) = what.split_once(' ').unwrap_or((what, ""));
    let plural = if number == 1 { "" } else { "s" };
    let number = if number == 0 { "no".to_owned() } else { number.to_string() };
    format!("{number} {noun}{plural} {rest}").trim_end().to_owned()
}

/// "1 is", "2 are", "none is".
pub(super) fn counted_are(number: usize) -> String {
    match number {
        0 => "none is".to_owned(),
        1 => "1 is".to_owned(),
        _ => format!("{number} are"),
    }
}

/// Whether the verb of a line that cannot be read is unknown or gives a name.
fn gives_names(line: &str) -> bool {
    let Some((_, behind)) = line.split_once(':') else { return true };
    let verb = behind.split_whitespace().next().unwrap_or_default();
    let known = OPS.iter().find(|info| info.verb.keyword() == verb);
    known.is_none_or(|info| info.slots.iter().any(|slot| matches!(slot, Slot::NewMem | Slot::NewProc)))
}

/// The start of the character that a byte is in.
fn floor(text: &str, at: u32) -> usize {
    let mut at = (at as usize).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
