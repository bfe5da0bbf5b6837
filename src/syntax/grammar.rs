//! The grammar, and what its rules are in the tree.

use super::tree::Kind;

#[derive(pest_derive::Parser)]
#[grammar = "../grammar/cow.pest"]
pub(super) struct CowParser;

/// The node that a rule makes; `None` for rules that make none.
pub(super) fn kind_of(rule: Rule) -> Option<Kind> {
    Some(match rule {
        Rule::scenario => Kind::Scenario,
        Rule::prepare => Kind::Prepare,
        Rule::prepare_list => Kind::PrepareList,
        Rule::policy => Kind::Policy,
        Rule::use_file => Kind::UseFile,
        Rule::action => Kind::Action,
        Rule::race => Kind::Race,
        Rule::use_lines => Kind::Use,
        Rule::title => Kind::Title,
        Rule::origin => Kind::Origin,
        Rule::system => Kind::System,
        Rule::expect => Kind::Expect,
        Rule::assert => Kind::Assert,
        Rule::setting => Kind::Setting,
        Rule::name => Kind::Name,
        Rule::param => Kind::Param,
        Rule::base => Kind::Base,
        Rule::kind => Kind::Memory,
        Rule::arg => Kind::Arg,
        Rule::actor => Kind::Actor,
        Rule::thread => Kind::Thread,
        Rule::verb => Kind::Verb,
        Rule::plain => Kind::Word,
        Rule::address => Kind::Address,
        Rule::owner => Kind::Owner,
        Rule::one => Kind::One,
        Rule::range => Kind::Range,
        Rule::from | Rule::since => Kind::From,
        Rule::to | Rule::until => Kind::To,
        Rule::plus => Kind::Plus,
        Rule::value | Rule::number => Kind::Value,
        Rule::text => Kind::Text,
        Rule::compare => Kind::Compare,
        Rule::arrow => Kind::Arrow,
        Rule::fails => Kind::Fails,
        Rule::event => Kind::Event,
        Rule::frequency => Kind::Frequency,
        Rule::outcome => Kind::Outcome,
        Rule::one_policy => Kind::OnePolicy,
        Rule::policy_range => Kind::PolicyRange,
        Rule::not => Kind::Not,
        Rule::fact | Rule::shares => Kind::Fact,
        Rule::key => Kind::Key,
        Rule::comment => Kind::Behind,
        _ => return None,
    })
}
