//! Says what is wrong with a piece that the grammar refuses. The grammar tells how far it got; the words are found here.

use super::cut::{self, Shape};
use super::error::SyntaxError;
use super::grammar::Rule;
use super::lex::{self, Sort, Token};
use super::place;
use super::tree::{Kind, Node};
use crate::types::Span;

/// A piece that was refused, and where it stands.
pub(super) struct Refused<'a> {
    /// The rule that it was given to.
    pub rule: Rule,
    pub piece: &'a str,
    /// Its first byte in the text.
    pub base: u32,
    /// How many of its bytes the grammar understood.
    pub reached: usize,
    /// What was read before it.
    pub nodes: &'a [Node],
    pub text: &'a str,
}

/// What is wrong with a piece that the grammar refuses.
pub(super) fn of(refused: &Refused<'_>) -> SyntaxError {
    let tokens = match lex::tokens(refused.piece, refused.base) {
        Ok(tokens) => tokens,
        Err(mistake) => return mistake,
    };
    let end = refused.base + refused.piece.len() as u32;
    let known = match refused.rule {
        Rule::action => action(refused, &tokens),
        Rule::title | Rule::origin | Rule::use_file => unquoted(refused, &tokens),
        Rule::scenario | Rule::prepare | Rule::prepare_list | Rule::policy | Rule::use_lines => head(refused, &tokens),
        _ => None,
    };
    known
        .or_else(|| dangling(&tokens))
        .or_else(|| address(&tokens, end))
        .or_else(|| equals(refused.rule, &tokens))
        .unwrap_or_else(|| elsewhere(refused, &tokens))
}

/// How a line of a rule is written.
fn form(rule: Rule) -> &'static str {
    match rule {
        Rule::scenario => "`scenario NAME {` or `scenario NAME over KIND, KIND {`",
        Rule::prepare => "`prepare NAME(ACTOR) {`, or `prepare NAME = KIND, KIND`",
        Rule::prepare_list => "`prepare NAME = KIND, KIND`",
        Rule::policy => "`policy NAME = BASE {`",
        Rule::use_file => "`use \"path\"`",
        Rule::race => "`race {`",
        Rule::use_lines => "`use NAME(ACTOR)`",
        Rule::title => "`title \"text\"`",
        Rule::origin => "`origin \"text\"`",
        Rule::system => "`system hugetlb 2` or `system swap 8 zram`",
        Rule::expect => "`expect OUTCOME on POLICY, POLICY..POLICY over KIND \"reason\"`",
        Rule::assert => {
            "`assert ADDRESS FACT`, `assert ADDRESS shares ADDRESS` or `assert NAME == VALUE`, then `on` and `over`"
        }
        Rule::setting => "`knob = value` or `defect = B15, B21`",
        _ => "`ACTOR: VERB OPERANDS == VALUE fails ERROR`, or `-> NAME` in place of the claim",
    }
}

/// Nobody does it, nobody says who, or nothing is done.
fn action(refused: &Refused<'_>, tokens: &[Token<'_>]) -> Option<SyntaxError> {
    let (first, second) = (tokens.first()?, tokens.get(1));
    let colon = tokens.iter().position(|token| token.is(":"));
    if first.is(":") {
        let rest = refused.piece[1..].trim_start();
        let help = format!("write who does it in front: `parent: {rest}`");
        return Some(SyntaxError::MissingActor { at: first.span, help });
    }
    if first.sort != Sort::Word {
        let help = "begin the line with an actor: a name, then `:`".to_string();
        return Some(SyntaxError::Unexpected { found: first.text.into(), at: first.span, help });
    }
    if second.is_some_and(|second| second.is("/")) {
        let thread = tokens.get(2).filter(|thread| thread.sort != Sort::Number || thread.text.starts_with("0x"));
        if let Some(thread) = thread {
            let (found, actor) = (thread.text.to_string(), first.text.to_string());
            return Some(SyntaxError::Thread { found, actor, at: thread.span });
        }
    }
    match colon {
        None => Some(without_colon(refused, tokens)),
        Some(at) if at + 1 == tokens.len() => Some(SyntaxError::MissingVerb { actor: first.text.into(), at: tokens[at].span }),
        Some(_) => None,
    }
}

/// The actor is missing, or only the colon behind it: who acted before tells the two apart.
fn without_colon(refused: &Refused<'_>, tokens: &[Token<'_>]) -> SyntaxError {
    let first = tokens[0];
    // The nearest lines are enough, and keep many such mistakes cheap.
    let known = refused.nodes.iter().rev().take(4096).any(|node| {
        node.kind == Kind::Actor && refused.text.get(node.span.start as usize..node.span.end as usize) == Some(first.text)
    });
    let actor_len = match tokens {
        [_, slash, thread, ..] if slash.is("/") => (thread.span.end - refused.base) as usize,
        _ => first.text.len(),
    };
    let (actor, rest) = refused.piece.split_at(actor_len);
    let (actor, rest) = (actor.to_string(), rest.trim_start().to_string());
    if known || actor_len != first.text.len() || ["kernel", "device"].contains(&first.text) {
        let at = Span { start: refused.base, end: refused.base + actor_len as u32 };
        return SyntaxError::MissingColon { actor, rest, at };
    }
    let near = cut::LINES.into_iter().find(|line| *line != first.text && place::is_near(first.text, line));
    let help = match near {
        Some(line) if tokens.len() < 2 || line != "use" => {
            format!("write `{line}`, or who does it and a colon: `parent: {}`", refused.piece)
        }
        _ => format!("write who does it and a colon first: `parent: {}`", refused.piece),
    };
    SyntaxError::MissingActor { at: first.span, help }
}

/// A text without quotes, or with something behind it.
fn unquoted(refused: &Refused<'_>, tokens: &[Token<'_>]) -> Option<SyntaxError> {
    let (word, next) = (tokens.first()?, tokens.get(1)?);
    if next.sort == Sort::String {
        return None;
    }
    let last = tokens.last()?;
    let text = refused.piece[(next.span.start - refused.base) as usize..].replace('"', "");
    Some(SyntaxError::MissingQuotes { word: word.text.into(), text, at: next.span.to(last.span) })
}

/// The name of an item, or what must follow it.
fn head(refused: &Refused<'_>, tokens: &[Token<'_>]) -> Option<SyntaxError> {
    let keyword = tokens.first()?;
    let Some(name) = tokens.get(1).filter(|name| !["(", "="].iter().any(|sign| name.is(sign))) else {
        let at = keyword.span;
        let help = format!("give it a name: {}", form(refused.rule));
        return Some(SyntaxError::NothingBehind { word: keyword.text.into(), at, help });
    };
    if name.sort != Sort::Word {
        let help = "begin the name with a letter; letters, digits, `_` and `-` may follow".to_string();
        return Some(SyntaxError::Name { found: name.text.into(), at: name.span, help });
    }
    let sign = match refused.rule {
        Rule::prepare | Rule::use_lines => "(",
        Rule::prepare_list | Rule::policy => "=",
        _ => return dotted(name, tokens.get(2)?),
    };
    let help = format!("write {}", form(refused.rule));
    match tokens.get(2) {
        None => Some(SyntaxError::Incomplete { at: name.span, help }),
        Some(next) if next.is(sign) => None,
        Some(next) => {
            let unexpected = SyntaxError::Unexpected { found: next.text.into(), at: next.span, help };
            Some(dotted(name, next).unwrap_or(unexpected))
        }
    }
}

/// A dot in a name.
fn dotted(name: &Token<'_>, next: &Token<'_>) -> Option<SyntaxError> {
    let help = "use letters, digits, `_` and `-`; a dot stands before a digit only".to_string();
    let mistake = SyntaxError::Name { found: format!("{}.", name.text), at: name.span.to(next.span), help };
    (!next.apart && next.is(".")).then_some(mistake)
}

/// A sign or a word at the end of a line, or before another sign, that asks for more.
fn dangling(tokens: &[Token<'_>]) -> Option<SyntaxError> {
    const ASK: [(&str, &str); 12] = [
        ("->", "name what it gives: `-> pipe`"),
        ("==", "write the value that was promised: `== \"old\"`"),
        ("!=", "write the value that must not be seen: `!= 0`"),
        ("<=", "write the largest value: `<= 7`"),
        (">=", "write the smallest value: `>= 7`"),
        ("=", "write what stands for it: `knob = value`"),
        ("or", "write another value, or take the `or` away"),
        ("on", "write policies: `on linux-5.8..`, or `on all`"),
        ("over", "write kinds of memory: `over pmd-thp`"),
        ("fails", "write the error: `fails EBUSY`"),
        ("event", "write what userfaultfd stops: `event wp`"),
        ("shares", "write the other memory: `shares child.buf`"),
    ];
    let sign = |word: &str| !word.starts_with(|c: char| c.is_ascii_alphabetic());
    for (place, token) in tokens.iter().enumerate() {
        let next = tokens.get(place + 1);
        let ended = next.is_none_or(|next| next.sort == Sort::Sign && !next.is("..") && sign(token.text));
        // `over` is nobody's name.
        if token.is(",") && (ended || next.is_some_and(|next| next.is("over"))) {
            return Some(SyntaxError::DanglingComma { at: token.span });
        }
        if let Some((word, help)) = ASK.into_iter().find(|(word, _)| ended && token.is(word)) {
            return Some(SyntaxError::NothingBehind { word: word.into(), at: token.span, help: help.into() });
        }
    }
    None
}

/// Brackets and blanks of addresses, and the brackets of lists.
fn address(tokens: &[Token<'_>], end: u32) -> Option<SyntaxError> {
    let end = Span { start: end, end };
    for (place, token) in tokens.iter().enumerate() {
        let (before, after) = (place.checked_sub(1).map(|place| tokens[place]), tokens.get(place + 1));
        let closer = [("[", "]"), ("(", ")")].into_iter().find(|(open, _)| token.is(open)).map(|(_, close)| close);
        if let Some(close) = closer
            && !tokens[place..].iter().any(|token| token.is(close))
        {
            return Some(SyntaxError::OpenBracket { close, open: token.span, end });
        }
        if token.is("[") && after.is_some_and(|after| after.is("]")) {
            return Some(SyntaxError::Index { at: token.span.to(after.map_or(token.span, |after| after.span)) });
        }
        let inside = ["[", "+", "."].iter().any(|sign| token.is(sign)) || (token.is("..") && in_brackets(&tokens[..place]));
        let apart_before = token.apart && before.is_some() && (inside || token.is("]"));
        if apart_before || (inside && after.is_some_and(|after| after.apart)) {
            return Some(spaced(tokens, place));
        }
    }
    None
}

fn in_brackets(before: &[Token<'_>]) -> bool {
    let last = before.iter().rev().find(|token| token.is("[") || token.is("]"));
    last.is_some_and(|token| token.is("["))
}

/// An address with blanks in it, as it should be written.
fn spaced(tokens: &[Token<'_>], place: usize) -> SyntaxError {
    let glues = |token: &Token<'_>| ["[", "]", "+", ".", ".."].iter().any(|sign| token.is(sign));
    let joined = |at: usize| glues(&tokens[at]) || (glues(&tokens[at - 1]) && !tokens[at - 1].is("]"));
    let (mut from, mut to) = (place, place);
    while 0 < from && joined(from) {
        from -= 1;
    }
    while to + 1 < tokens.len() && joined(to + 1) {
        to += 1;
    }
    let tight = tokens[from..=to].iter().map(|token| token.text).collect();
    SyntaxError::SpaceInAddress { tight, at: tokens[from].span.to(tokens[to].span) }
}

/// `=` in a line that makes a claim.
fn equals(rule: Rule, tokens: &[Token<'_>]) -> Option<SyntaxError> {
    let claims = matches!(rule, Rule::action | Rule::assert);
    let sign = tokens.iter().find(|token| claims && token.is("="))?;
    Some(SyntaxError::SingleEquals { at: sign.span })
}

/// The first token that the grammar did not understand, or the end.
fn elsewhere(refused: &Refused<'_>, tokens: &[Token<'_>]) -> SyntaxError {
    let reached = refused.base + refused.reached as u32;
    let help = format!("write {}", form(refused.rule));
    let mut found = tokens.iter().position(|token| reached < token.span.end).unwrap_or(tokens.len());
    if found == 0 && tokens.first().is_some_and(|first| first.sort == Sort::Word) {
        // The first word chose the rule, so it is what follows that does not fit.
        found = 1;
    }
    match tokens.get(found) {
        Some(token) => {
            let help = because(refused.rule, tokens, token).unwrap_or(help);
            SyntaxError::Unexpected { found: token.text.into(), at: token.span, help }
        }
        None => {
            let end = refused.base + refused.piece.len() as u32;
            let at = tokens.last().map_or(Span { start: refused.base, end }, |last| last.span);
            SyntaxError::Incomplete { at, help }
        }
    }
}

/// What to do about a token that cannot stand where it is, where more can be said than how the line is written.
fn because(rule: Rule, tokens: &[Token<'_>], token: &Token<'_>) -> Option<String> {
    let before = tokens.iter().take_while(|before| before.span.start < token.span.start);
    let (mut claimed, mut named, mut listed) = (false, false, false);
    for before in before {
        claimed |= ["==", "!=", "<=", ">="].iter().any(|sign| before.is(sign));
        named |= before.is("->");
        listed |= before.is("on") || before.is("over");
    }
    match rule {
        Rule::action if (claimed && token.is("->")) || (named && token.text.ends_with('=')) => {
            Some("keep the claim or the `-> name`; a line has one of them".into())
        }
        Rule::action if token.is(",") => Some("put spaces between operands, no commas".into()),
        Rule::action if claimed || named => Some("move the operands before the claim or the `->`".into()),
        Rule::expect | Rule::scenario if listed && token.sort == Sort::Word && !token.is("on") => {
            Some("put commas between the entries of the list".into())
        }
        Rule::expect | Rule::assert if listed && token.is("on") => Some("write `on` before `over`".into()),
        Rule::expect | Rule::assert if token.is("..") => Some("write the range without spaces: `linux-5.9..linux-5.17`".into()),
        Rule::expect if token.is("copies") => Some("give the copies a line of their own: `expect copies 1 on all`".into()),
        _ => None,
    }
}

// ---- Heads

/// A `prepare` that gives a name to a list of kinds.
pub(super) fn is_list(head: &str) -> bool {
    head.find('=').is_some_and(|sign| !head[..sign].contains('('))
}

/// The name in a head that the grammar refuses, if it has one.
pub(super) fn name_in_head(head: &str, base: u32) -> Option<Span> {
    let tokens = lex::tokens(head, base).ok()?;
    tokens.get(1).filter(|name| name.sort == Sort::Word).map(|name| name.span)
}

/// A piece outside of any block that begins no item.
pub(super) fn no_item(piece: &str, span: Span) -> SyntaxError {
    let word = cut::first_word(piece.as_bytes()).len();
    if word == 0
        && let Err(mistake) = lex::tokens(piece, span.start)
    {
        return mistake;
    }
    let len = if word == 0 { piece.chars().next().map_or(0, char::len_utf8) } else { word };
    let help = match place::near_item(piece) {
        Some(item) => format!("write `{item}`"),
        None if cut::shape(piece.as_bytes()) == Shape::Keyword => "put this line into a scenario".into(),
        None => "begin with `scenario`, `prepare`, `policy` or `use \"path\"`".into(),
    };
    SyntaxError::Item { word: piece[..len].into(), at: Span { start: span.start, end: span.start + len as u32 }, help }
}

/// A head that was meant to be `race`.
pub(super) fn meant_race(piece: &str, at: Span) -> SyntaxError {
    SyntaxError::Unexpected { found: piece.into(), at, help: "write `race {`".into() }
}
