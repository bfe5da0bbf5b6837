//! The words of a statement or a head, with the blanks that belong between them.

use super::tree::{Kind, Node, Nodes};

/// A part of a line that is being laid out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Bit<'a> {
    Text(&'a str),
    /// What stands first in a statement that a semicolon joined to the one before.
    Lead(String),
    /// A list begins; where it goes on in another line, that line begins below this.
    List,
    /// A reason comes next; reasons of neighbouring lines stand below each other.
    Reason,
    /// Between a comma and the next entry; the line may be broken, and is where the author broke it.
    Entry {
        broken: bool,
    },
    /// A comment within a list.
    Comment {
        text: &'a str,
        own_line: bool,
    },
}

/// What lines up with the lines around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Align {
    Nothing,
    /// `parent:` and what it does.
    Action,
    /// `expect leak` and its policies.
    Expect,
    /// `assert p.buf exclusive` and its policies.
    Assert,
    /// `title` and `origin`.
    Text,
    /// The head of an item that stands in one line, and its block.
    Item,
    /// The name of a policy that stands in one line, and what it is.
    Policy,
}

/// A statement or a head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Statement<'a> {
    pub align: Align,
    /// What stands before the place that lines up.
    pub lead: String,
    /// What stands behind it, without a blank before it.
    pub rest: Vec<Bit<'a>>,
}

impl<'a> Statement<'a> {
    /// The statement that these nodes make, the first of them the line or the item.
    pub fn new(nodes: Nodes<'a>) -> Self {
        let mut writer = Writer { nodes, lead: String::new(), rest: Vec::new(), values: 0, listed: None };
        let align = writer.statement();
        Statement { align, lead: writer.lead, rest: writer.rest }
    }

    /// Puts another statement behind it, in the same line: its lists are not broken any more.
    pub fn append(&mut self, other: &Statement<'a>) {
        self.rest.push(Bit::Lead(other.lead.clone()));
        if !other.lead.is_empty() && !other.rest.is_empty() {
            self.rest.push(Bit::Text(" "));
        }
        self.rest.extend(other.rest.iter().cloned());
        self.unbreak();
    }

    /// Makes a plain blank of each place where a list could be broken.
    fn unbreak(&mut self) {
        for bit in &mut self.rest {
            if let Bit::Entry { .. } = bit {
                *bit = Bit::Text(" ");
            }
        }
    }

    /// Columns it takes where nothing is padded or broken.
    pub fn width(&self) -> usize {
        self.to_text().chars().count()
    }

    /// The statement as it stands where nothing is padded or broken.
    pub fn to_text(&self) -> String {
        let mut text = self.lead.clone();
        if !self.lead.is_empty() && !self.rest.is_empty() {
            text.push(' ');
        }
        for bit in &self.rest {
            match bit {
                Bit::Text(word) => text.push_str(word),
                Bit::Lead(word) => text.push_str(word),
                Bit::Entry { .. } => text.push(' '),
                Bit::Reason => text.push(' '),
                Bit::List | Bit::Comment { .. } => {}
            }
        }
        text
    }

    /// It stands in one line, unless it is too long.
    pub fn is_flat(&self) -> bool {
        let broken = |bit: &Bit<'_>| matches!(bit, Bit::Comment { .. } | Bit::Entry { broken: true });
        !self.rest.iter().any(broken)
    }
}

/// Puts words behind each other.
struct Writer<'a> {
    nodes: Nodes<'a>,
    lead: String,
    rest: Vec<Bit<'a>>,
    /// Values of the claim that are written.
    values: usize,
    /// The list that is being written.
    listed: Option<Kind>,
}

impl<'a> Writer<'a> {
    fn statement(&mut self) -> Align {
        let nodes = self.nodes.nodes;
        let Some(first) = nodes.first() else { return Align::Nothing };
        let (keyword, align) = match first.kind {
            Kind::Action => ("", Align::Action),
            Kind::Title => ("title", Align::Text),
            Kind::Origin => ("origin", Align::Text),
            Kind::Expect => ("expect", Align::Expect),
            Kind::Scenario => ("scenario", Align::Item),
            Kind::Prepare => ("prepare", Align::Item),
            Kind::PrepareList => ("prepare", Align::Nothing),
            Kind::Policy => ("policy", Align::Policy),
            Kind::Race => ("race", Align::Nothing),
            Kind::Use | Kind::UseFile => ("use", Align::Nothing),
            Kind::System => ("system", Align::Nothing),
            Kind::Assert => ("assert", Align::Assert),
            _ => ("", Align::Nothing),
        };
        self.lead.push_str(keyword);
        let mut done = first.span.start;
        for (place, node) in nodes.iter().enumerate().skip(1) {
            // Parts of a word that is written as a whole.
            if node.span.end <= done {
                continue;
            }
            self.word(first.kind, nodes, place);
            if matches!(node.kind, Kind::Address | Kind::PolicyRange) {
                done = node.span.end;
            }
        }
        let padded = align == Align::Item || !self.rest.is_empty();
        if padded { align } else { Align::Nothing }
    }

    fn text(&mut self, text: &'a str) {
        self.rest.push(Bit::Text(text));
    }

    fn lead(&mut self, before: &str, node: &Node, behind: &str) {
        let word = self.nodes.str(node.span);
        self.lead.extend([before, word, behind]);
    }

    fn word(&mut self, line: Kind, nodes: &[Node], place: usize) {
        let node = &nodes[place];
        let text = self.nodes.str(node.span);
        let next = nodes[place + 1..].iter().find(|node| !node.kind.is_layout()).map(|node| node.kind);
        match node.kind {
            Kind::Actor => self.lead("", node, if next == Some(Kind::Thread) { "/" } else { ":" }),
            Kind::Thread => self.lead("", node, ":"),
            Kind::Verb => self.text(text),
            Kind::Frequency | Kind::Outcome => self.lead(" ", node, ""),
            Kind::Value | Kind::Word | Kind::Address => self.operand(line, node, text),
            Kind::Not | Kind::Fact | Kind::Compare if line == Kind::Assert => self.lead(" ", node, ""),
            Kind::Compare | Kind::Arrow => self.spaced("", text),
            Kind::Fails => self.spaced("fails ", text),
            Kind::Event => self.spaced("event ", text),
            Kind::OnePolicy | Kind::PolicyRange => self.entry("on ", Kind::OnePolicy, node, text),
            Kind::Memory => self.entry(if line == Kind::PrepareList { "= " } else { "over " }, Kind::Memory, node, ""),
            Kind::Name if self.listed == Some(Kind::Memory) => self.named(text, next),
            Kind::Name => self.lead(" ", node, if matches!(next, Some(Kind::Arg | Kind::Param)) { "(" } else { "" }),
            Kind::Param | Kind::Arg => self.argument(node, text, next),
            Kind::Base => self.spaced("= ", text),
            Kind::Key => self.lead("", node, " ="),
            Kind::Text if line == Kind::Expect && !self.rest.is_empty() => {
                self.rest.push(Bit::Reason);
                self.text(text);
            }
            Kind::Text => self.spaced("", text),
            Kind::Behind => {
                let own_line = self.nodes.begins_line(node.span);
                self.rest.push(Bit::Comment { text, own_line });
            }
            _ => {}
        }
        if node.kind == Kind::Compare {
            self.values = 1;
        }
    }

    /// A word with a blank before it, if there is anything before it.
    fn spaced(&mut self, keyword: &'a str, text: &'a str) {
        if !self.rest.is_empty() {
            self.text(" ");
        }
        if !keyword.is_empty() {
            self.text(keyword);
        }
        self.text(text);
    }

    fn operand(&mut self, line: Kind, node: &Node, text: &'a str) {
        match (line, self.values) {
            // The copies, the errno or the like behind an outcome.
            (Kind::Expect, _) => self.lead(" ", node, ""),
            (Kind::Assert, 2) => self.lead(" or ", node, ""),
            (Kind::Assert, _) => {
                self.lead(" ", node, "");
                self.values *= 2;
            }
            (Kind::Setting, _) => self.entry("", Kind::Word, node, text),
            (_, 0) => self.spaced("", text),
            (_, 1) => {
                self.spaced("", text);
                self.values = 2;
            }
            _ => self.spaced("or ", text),
        }
    }

    /// An entry of a list, the keyword before the first.
    fn entry(&mut self, keyword: &'a str, list: Kind, node: &Node, text: &'a str) {
        if self.listed == Some(list) {
            self.comma(node);
        } else {
            self.listed = Some(list);
            self.spaced(keyword, "");
            self.rest.push(Bit::List);
        }
        self.text(text);
    }

    /// The comma before an entry. It goes before the comments that stand between.
    fn comma(&mut self, node: &Node) {
        let words = self.rest.iter().rposition(|bit| !matches!(bit, Bit::Comment { .. })).map_or(0, |last| last + 1);
        self.rest.insert(words, Bit::Text(","));
        self.rest.push(Bit::Entry { broken: self.nodes.begins_line(node.span) });
    }

    /// The name of a kind of memory.
    fn named(&mut self, text: &'a str, next: Option<Kind>) {
        self.text(text);
        if next == Some(Kind::Arg) {
            self.text("(");
        }
    }

    fn argument(&mut self, node: &Node, text: &'a str, next: Option<Kind>) {
        let more = next == Some(node.kind);
        let commented = self.rest.iter().any(|bit| matches!(bit, Bit::Comment { .. }));
        if self.listed.is_none() && !commented {
            return self.lead("", node, if more { ", " } else { ")" });
        }
        if matches!(self.rest.last(), Some(Bit::Comment { .. })) {
            self.rest.push(Bit::Entry { broken: true });
        }
        self.text(text);
        self.text(if more { ", " } else { ")" });
    }
}
