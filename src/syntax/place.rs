//! Which lines may stand in which blocks, and what a first word was meant to be.

use super::cut::{self, Shape};
use super::grammar::Rule;

/// What may stand in a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Scenario,
    Prepare,
    Policy,
    Race,
    /// A brace that should not be there. Lines in it are read as if it were not.
    Stray,
}

impl Place {
    /// The word its head begins with.
    pub fn name(self) -> &'static str {
        match self {
            Place::Scenario | Place::Stray => "scenario",
            Place::Prepare => "prepare",
            Place::Policy => "policy",
            Place::Race => "race",
        }
    }
}

/// The rule that the first word of a line asks for; `None` where it asks for none.
pub(super) fn rule_of(text: &str) -> Option<Rule> {
    match cut::shape(text.as_bytes()) {
        Shape::Action => Some(Rule::action),
        Shape::Setting => Some(Rule::setting),
        Shape::Keyword => match cut::first_word(text.as_bytes()) {
            b"title" => Some(Rule::title),
            b"origin" => Some(Rule::origin),
            b"system" => Some(Rule::system),
            b"expect" => Some(Rule::expect),
            b"assert" => Some(Rule::assert),
            b"use" => Some(Rule::use_lines),
            b"race" => Some(Rule::race),
            _ => None,
        },
        Shape::Other => None,
    }
}

/// Why a line cannot stand in a block: what it is, and what to do instead.
pub(super) fn misplaced(rule: Rule, place: Place) -> Option<(String, String)> {
    let fits = match place {
        Place::Stray => true,
        Place::Scenario => rule != Rule::setting,
        Place::Prepare => matches!(rule, Rule::action | Rule::use_lines | Rule::assert | Rule::race),
        // A race in a race has a mistake of its own.
        Place::Race => matches!(rule, Rule::action | Rule::race),
        Place::Policy => rule == Rule::setting,
    };
    if fits {
        return None;
    }
    let what = match rule {
        Rule::title => "a title",
        Rule::origin => "an origin",
        Rule::system => "`system`",
        Rule::expect => "an expectation",
        Rule::assert => "an assertion",
        Rule::use_lines => "`use`",
        Rule::race => "a race",
        Rule::setting => "a setting",
        _ => "a statement",
    };
    let help = match (place, rule) {
        (Place::Policy, _) => "write `knob = value` here; statements stand in a `scenario`",
        (_, Rule::setting) => {
            "put it into a policy: `policy NAME = BASE { … }`; a statement begins with its actor: `parent: …`"
        }
        (Place::Race, _) => "close the race with `}` before this line; only lines of actors run in a race",
        _ => "move it into the scenario that uses this",
    };
    Some((what.into(), help.into()))
}

/// The first word of a text was probably meant to be this one.
pub(super) fn is_near(text: &str, word: &str) -> bool {
    let said = text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    // Longer words cannot be near; they need not be compared.
    let len_max = word.len() + 3;
    said.len() <= len_max && strsim::osa_distance(&said.to_lowercase(), word) <= word.len().div_ceil(4)
}

/// The word of an item that the first word of a text was probably meant to be.
pub(super) fn near_item(text: &str) -> Option<&'static str> {
    cut::ITEMS.into_iter().find(|item| is_near(text, item))
}

/// The block that an unknown head was probably meant to open.
pub(super) fn meant(text: &str) -> Place {
    match near_item(text) {
        Some("policy") => Place::Policy,
        Some("prepare") => Place::Prepare,
        _ => Place::Scenario,
    }
}
