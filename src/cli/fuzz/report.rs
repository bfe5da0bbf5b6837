//! What a campaign came to, for people.

use std::collections::BTreeSet;

use super::Fuzz;
use crate::campaign::hunt::{Catch, Claim, Hunt};
use crate::campaign::tell;
use crate::generate::scale::grown;
use crate::ir::Program;
use crate::policy::KNOBS;

/// How many rules a campaign reached: knobs of which an answer was asked for.
pub fn rules(hunt: &Hunt) -> (usize, usize) {
    let knobs: BTreeSet<&str> = hunt.hits.rows().iter().map(|row| row.knob).filter(|knob| !knob.is_empty()).collect();
    (knobs.len(), KNOBS.len())
}

/// Whether a campaign came upon something that nobody knows.
pub fn news(hunt: &Hunt) -> bool {
    hunt.news().next().is_some() || !hunt.unbalanced.is_empty() || !hunt.unexplained.is_empty() || !hunt.crashes.is_empty()
}

/// The report: what was run, what was reached, what was found.
pub fn text(args: &Fuzz, hunt: &Hunt) -> String {
    let counts = hunt.counts;
    let (hit, all) = rules(hunt);
    let mut text = format!(
        "fuzz of {}: seed {}, shard {}/{}, {} statements at most\n\
         {} programs, {} operations; {hit} of {all} rules hit in {} rows, {} features, {} programs kept\n",
        match hunt.plan.claim {
            Claim::Promise => format!("the promises of {}", hunt.plan.policy_name),
            Claim::Books => "the books under any policy".to_owned(),
        },
        args.seed,
        args.shard.0,
        args.shard.1,
        args.statements,
        counts.programs,
        counts.operations,
        hunt.hits.rows().len(),
        hunt.hits.features(),
        hunt.corpus.len(),
    );
    if 0 < counts.cut_short {
        text.push_str(&format!("{} programs were cut short by a bound of the model\n", counts.cut_short));
    }
    if counts.operations == 0 {
        text.push_str("nothing was executed: this campaign says nothing\n");
    }
    let known: Vec<&Catch> = hunt.caught.values().filter(|caught| caught.known.is_some()).collect();
    let says: BTreeSet<&str> = known.iter().filter_map(|caught| caught.known).collect();
    for says in says {
        let kinds = known.iter().filter(|caught| caught.known == Some(says)).count();
        text.push_str(&format!("known, in {kinds} signatures: {says}\n"));
    }
    for caught in hunt.news() {
        let finding = &caught.finding;
        text.push_str(&format!(
            "\nnew: {}, seen {} times, {}\n  {}\n",
            finding.signature,
            caught.times,
            caught.program.map_or("found before".to_owned(), |program| format!("first in program {program}")),
            finding.violation.message
        ));
        lines(&mut text, &finding.scenario.program);
    }
    if !hunt.unexplained.is_empty() {
        text.push_str(&format!("cowl bug: the judge finds nothing in {} programs that went wrong\n", hunt.unexplained.len()));
    }
    for crash in hunt.crashes.values() {
        text.push_str(&format!("\na bug of cowl itself, seen {} times: {}\n", crash.times, crash.message));
        lines(&mut text, &crash.program);
    }
    for found in hunt.unbalanced.values() {
        text.push_str(&format!("\nnew: {}, seen {} times\n  {}\n", found.key(), found.times, found.rule.says));
        text.push_str(&tell::unbalanced(&hunt.plan, found));
    }
    let news = hunt.news().count() + hunt.unbalanced.len() + hunt.crashes.len();
    text.push_str(&format!("{news} new kinds of violations; everything is in {}\n", args.dir.display()));
    text
}

fn lines(text: &mut String, program: &Program) {
    let program = &grown(program);
    for instr in &program.code {
        text.push_str(&format!("    {}\n", crate::printer::statement(program, instr)));
    }
}
