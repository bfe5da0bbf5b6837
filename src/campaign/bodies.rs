//! The bodies of the fuzz targets whose input is a program: each takes bytes and panics where a claim is broken.
//!
//! Bytes that [`super::encode`] cannot read are choices: half of a corpus that libFuzzer has spoiled still makes programs.

use arbitrary::Unstructured;

use super::books::{self, any_policy};
use super::encode::{Case, decode, encode};
use super::exec::{self, Look};
use super::finding::{self, Finding};
use super::{known, mutate, reduce};
use crate::analysis::{self, Options};
use crate::diag::Source;
use crate::generate::everything;
use crate::generate::scale::grown;
use crate::generate::{self, Dice, Manner, Seeded, Settings};
use crate::ir::Program;
use crate::policy;
use crate::printer;
use crate::render::{json, junit, ktap};

/// What some bytes mean.
pub fn case(data: &[u8]) -> Case {
    let settings = Settings::new(everything).scaled();
    decode(data, &settings, Manner::Loosely).unwrap_or_else(|| {
        let mut choices = Unstructured::new(data);
        let policy = any_policy(&mut choices);
        Case { program: generate::program(&mut choices, &settings), policy }
    })
}

/// Whatever the program and the answers, the books add up at every step.
///
/// # Panics
/// With `claim books:` where they do not. Answers that no kernel could mean together are not held against anything.
pub fn books(data: &[u8]) {
    let Case { program, policy } = case(data);
    if policy.coherent().is_err() || program.code.is_empty() {
        return;
    }
    if let Some(found) = books::unbalanced(&program, &policy) {
        broken_rule(found.rule.number, &text(&program));
    }
}

/// Whatever the program, the newest release keeps its promises, but for the breaches that it is known for. Whether the input is
/// worth keeping: one that shows a known breach is not, since what is near it shows the same, and looking closely takes long.
///
/// # Panics
/// With `claim promise:` where it does not; the text is the reduced scenario.
pub fn promise(data: &[u8]) -> bool {
    let program = case(data).program;
    let Some(latest) = policy::find(policy::LATEST_NAME).filter(|_| !program.code.is_empty()) else { return false };
    if exec::run(&program, &latest.policy, Look::Operations, &mut ()).wrong.is_none() {
        return true;
    }
    let Some(found) = finding::examine(&program, &latest.policy) else {
        panic!("claim promise: the judge finds nothing in\n{}", text(&program));
    };
    if known::of(latest.name, &found).is_none() {
        let found = reduce::reduced(found, &latest.policy);
        if known::of(latest.name, &found).is_none() {
            broken_promise(&found);
        }
    }
    false
}

/// A program as people read it.
fn text(program: &Program) -> String {
    printer::program(&grown(program))
}

/// A place of its own for each rule: services that gather crashes tell them apart by where they panic.
fn broken_rule(number: u8, text: &str) {
    macro_rules! sites {
        ($($number:literal: $site:ident),*) => {{
            $(
                #[inline(never)]
                fn $site(text: &str) -> ! {
                    panic!("claim books: I{} is broken by\n{text}", $number)
                }
            )*
            match number {
                $($number => $site(text),)*
                other => panic!("claim books: I{other} is broken by\n{text}"),
            }
        }};
    }
    sites!(6: i6, 7: i7, 8: i8, 9: i9, 10: i10, 13: i13, 14: i14, 15: i15, 19: i19, 20: i20, 22: i22, 23: i23, 26: i26, 28: i28)
}

fn broken_promise(found: &Finding) {
    #[inline(never)]
    fn leak(text: &str) -> ! {
        panic!("claim promise: a leak\n{text}")
    }
    #[inline(never)]
    fn lost(text: &str) -> ! {
        panic!("claim promise: a loss\n{text}")
    }
    #[inline(never)]
    fn missed(text: &str) -> ! {
        panic!("claim promise: something missed\n{text}")
    }
    let text = format!("{}\n{}", found.signature, text(&found.scenario.program));
    match (found.signature.what, found.violation.outcome) {
        ("leak", _) => leak(&text),
        ("lost", _) => lost(&text),
        (_, crate::ir::Outcome::Breach(number)) => broken_rule(number, &text),
        _ => missed(&text),
    }
}

/// Where two neighbouring releases show user space something different, some decision or some lacking verb differs before.
///
/// # Panics
/// With `claim eras:` where none does.
pub fn eras(data: &[u8]) {
    let program = case(data).program;
    if program.code.is_empty() {
        return;
    }
    let scenario = finding::scenario(program);
    let runs: Vec<_> = policy::builtin()
        .iter()
        .enumerate()
        .map(|(index, named)| {
            crate::check::judge(&scenario, crate::check::Under { policy: &named.policy, index }, crate::check::Story::Decisions)
        })
        .collect();
    for (at, pair) in runs.windows(2).enumerate() {
        let [one, other] = pair else { continue };
        let skipped = [one, other].iter().any(|run| matches!(run.verdict, crate::check::report::Verdict::Skip(_)));
        let told = |run: &crate::check::report::Run| -> Vec<_> {
            let row = |decision: &crate::trace::Decision| (decision.rule, decision.value, decision.verdict, decision.reason);
            run.steps.iter().flat_map(|step| step.decisions.iter().map(row)).collect()
        };
        let differs = policy::diff(&policy::builtin()[at].policy, &policy::builtin()[at + 1].policy);
        // A verb that one of them lacks fails by itself, and D7 is asked before there is a page to decide about.
        let silent = differs.iter().any(|of| matches!(of.name(), "lacks" | "proc_mem_force"));
        if !skipped && !silent && one.observations != other.observations && told(one) == told(other) {
            let (one, other) = (policy::builtin()[at].name, policy::builtin()[at + 1].name);
            panic!("claim eras: {one} and {other} part without a decision\n{}", text(&scenario.program));
        }
    }
}

/// A reduction shows the same, ends, and never grows.
///
/// # Panics
/// With `claim reduce:` where it does not.
pub fn reduce(data: &[u8]) {
    let Case { program, policy } = case(data);
    if policy.coherent().is_err() || exec::run(&program, &policy, Look::Operations, &mut ()).wrong.is_none() {
        return;
    }
    let Some(found) = finding::examine(&program, &policy) else { return };
    let small = reduce::reduced(found.clone(), &policy);
    let text = || text(&program);
    assert!(small.signature == found.signature, "claim reduce: {} became {}\n{}", found.signature, small.signature, text());
    let (before, after) = (reduce::weight(&found.scenario.program), reduce::weight(&small.scenario.program));
    assert!(after <= before, "claim reduce: it grew\n{}", text());
    assert!(!small.scenario.program.code.is_empty(), "claim reduce: nothing is left of\n{}", text());
}

/// Every form of output is well-formed, whatever was run.
///
/// # Panics
/// With `claim export:` where one is not.
pub fn export(data: &[u8]) {
    let program = case(data).program;
    if program.code.is_empty() {
        return;
    }
    let text = text(&program);
    let policies = ["linux-5.7".to_owned(), policy::LATEST_NAME.to_owned()];
    let options = Options { policies: &policies, story: crate::check::Story::Whole, ..Options::default() };
    let source = Source::new("drawn.cow".to_owned(), text.clone());
    let files = [analysis::run(source, &mut |_, _| Err("no files here".to_owned()), &options)];
    let object = serde_json::from_str::<serde_json::Value>(&json::text(&files, true));
    assert!(object.is_ok_and(|object| object.is_object()), "claim export: this is no JSON object\n{text}");
    let xml = junit::text(&files);
    let mut reader = quick_xml::Reader::from_str(&xml);
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Eof) => break,
            Ok(_) => {}
            Err(error) => panic!("claim export: this is no XML: {error}\n{text}"),
        }
    }
    let ktap = ktap::text(&files);
    assert!(ktap.starts_with("KTAP version 1\n") && ktap.contains("\n1.."), "claim export: this is no KTAP\n{ktap}");
}

/// Changes an encoded case in place, as libFuzzer asks for it: the new length. The same for the same seed.
///
/// What cannot be read is half the time changed byte by byte, half the time replaced; where `max` is less than the input's
/// length, statements are left out.
pub fn mutate(data: &mut [u8], size: usize, max: usize, seed: u32) -> usize {
    let mut dice = Seeded::new(seed.into());
    let settings = Settings::new(everything).scaled();
    let room = max.min(data.len());
    let read = decode(&data[..size.min(data.len())], &settings, Manner::Loosely);
    let case = match read {
        Some(mut case) if room < size => {
            case.program.code.pop();
            let code = case.program.code.clone();
            Case { program: generate::again(&case.program, code, &settings, Manner::Exactly), ..case }
        }
        Some(Case { program, policy }) if dice.percent(90) => {
            let other = |dice: &mut dyn Dice| generate::program(dice, &settings);
            Case { program: mutate::mutated(&program, other, &mut dice, &settings), policy }
        }
        Some(Case { program, .. }) => Case { program, policy: any_policy(&mut dice) },
        None if 0 < size && dice.percent(50) => {
            let at = dice.below(size.min(room) as u32) as usize;
            data[at] = dice.below(256) as u8;
            return size.min(room);
        }
        None => Case { policy: any_policy(&mut dice), program: generate::program(&mut dice, &settings) },
    };
    match encode(&case).filter(|bytes| bytes.len() <= room) {
        Some(bytes) => {
            data[..bytes.len()].copy_from_slice(&bytes);
            bytes.len()
        }
        None => size.min(room),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs of each body: choices, encoded cases, and both damaged.
    fn inputs() -> Vec<Vec<u8>> {
        let settings = Settings::new(everything).scaled();
        let mut inputs = vec![Vec::new(), b"cow\x01".to_vec()];
        for nth in 0..150 {
            let mut dice = Seeded::of(23, nth);
            inputs.push((0..200).map(|_| dice.below(256) as u8).collect());
            let case = Case { program: generate::program(&mut dice, &settings), policy: any_policy(&mut dice) };
            let Some(mut bytes) = encode(&case) else { continue };
            inputs.push(bytes.clone());
            let at = dice.below(bytes.len() as u32) as usize;
            bytes[at] = dice.below(256) as u8;
            inputs.push(bytes);
        }
        inputs
    }

    #[test]
    fn the_books_add_up_under_any_answers() {
        inputs().iter().for_each(|data| books(data));
    }

    #[test]
    fn the_newest_release_keeps_its_promises_but_for_what_is_known() {
        inputs().iter().for_each(|data| {
            let _ = promise(data);
        });
    }

    #[test]
    fn releases_part_at_a_decision() {
        inputs().iter().take(120).for_each(|data| eras(data));
    }

    #[test]
    fn a_reduction_keeps_its_signature_and_does_not_grow() {
        inputs().iter().for_each(|data| reduce(data));
    }

    #[test]
    fn every_form_of_output_is_well_formed() {
        inputs().iter().take(60).for_each(|data| export(data));
    }

    #[test]
    fn mutation_is_deterministic_stays_in_its_room_and_shrinks_where_it_is_told_to() {
        for (nth, input) in inputs().iter().enumerate().filter(|(_, input)| !input.is_empty()) {
            let mutated = |seed: u32, max: usize| {
                let mut data = input.clone();
                data.resize(600, 0);
                let len = mutate(&mut data, input.len(), max, seed);
                assert!(len <= max, "{len} of {max}");
                data.truncate(len);
                data
            };
            assert_eq!(mutated(nth as u32, 600), mutated(nth as u32, 600));
            assert!(mutated(nth as u32, input.len() / 2).len() <= input.len() / 2);
        }
    }
}
