//! That what is drawn is canonical, varied, bounded, and the same for the same choices.

use arbitrary::Unstructured;
use strum::VariantArray;

use super::*;
use crate::lower;
use crate::{printer, syntax};

/// Programs that a property is held against.
const PROGRAMS: u64 = 500;

fn drawn() -> impl Iterator<Item = Program> {
    let settings = Settings::new(everything).scaled();
    (0..PROGRAMS).map(move |nth| program(&mut Seeded::of(1, nth), &settings))
}

/// What a text says, where it has no mistake.
pub fn lowered(text: &str) -> Result<Program, String> {
    let (file, mistakes) = syntax::parse(text);
    let (lowered, errors) = lower::lower("drawn", &file, &mistakes, &mut |_, _| Err("no files here".to_owned()));
    match lowered.scenarios.into_iter().next() {
        Some(scenario) if mistakes.is_empty() && errors.is_empty() => Ok(scenario.program),
        _ => Err(errors.iter().map(|error| format!("{}\n", error.error)).collect()),
    }
}

#[test]
fn what_is_drawn_is_what_its_print_says() {
    for program in drawn() {
        let large = scale::grown(&program);
        let text = printer::program(&large);
        let said = lowered(&text).unwrap_or_else(|why| panic!("{why}{text}"));
        assert_eq!(said, large, "{text}");
        assert_eq!(scale::shrunk(&said), program, "{text}");
    }
}

/// The verbs of programs, of those operations that `counts`.
fn verbs(programs: impl Iterator<Item = Program>, counts: fn(&Program, Op) -> bool) -> Vec<Verb> {
    let mut said = vec![false; Verb::VARIANTS.len()];
    for program in programs {
        let counted = program.code.iter().filter(|instr| counts(&program, instr.op));
        counted.for_each(|instr| said[instr.op.verb() as usize] = true);
    }
    Verb::VARIANTS.iter().copied().filter(|verb| said[*verb as usize]).collect()
}

#[test]
fn every_verb_can_be_drawn() {
    let settings = Settings::new(|_, _| true);
    let anything = || (0..PROGRAMS).map(|nth| program(&mut Seeded::of(1, nth), &settings));
    assert_eq!(verbs(anything(), |_, _| true), Verb::VARIANTS);
    assert_eq!(verbs(drawn(), |_, _| true), Verb::VARIANTS);
}

#[test]
fn every_verb_has_one_row() {
    assert_eq!(ROWS.iter().map(|row| row.verb).collect::<Vec<_>>(), Verb::VARIANTS);
}

#[test]
fn programs_fit_a_small_world_and_are_as_long_as_they_were_asked_to_be() {
    let mut longest = 0;
    for program in drawn() {
        assert_eq!(program.exceeds::<Small>(), None);
        assert!((STATEMENTS / 4..=STATEMENTS).contains(&program.code.len()), "{}", program.code.len());
        longest = longest.max(program.code.len());
    }
    assert_eq!(longest, STATEMENTS);
    let few = Settings { statements: 3, ..Settings::new(everything) };
    assert!((0..100).all(|nth| program(&mut Seeded::of(2, nth), &few).code.len() <= 3));
}

#[test]
fn the_same_choices_make_the_same_program() {
    let settings = Settings::new(everything);
    let of = |seed| program(&mut Seeded::new(seed), &settings);
    assert_eq!(of(3), of(3));
    assert_ne!(of(3), of(4));
    let bytes: Vec<u8> = (0..600).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let of = |bytes: &[u8]| program(&mut Unstructured::new(bytes), &settings);
    assert_eq!(of(&bytes), of(&bytes));
    assert!(of(&bytes).code.len() > 1);
    of(&[]); // Choices that have run out end, too.
}

#[test]
fn some_operands_are_wrong_on_purpose() {
    let announced = |program: &Program| program.code.iter().any(|instr| instr.ending != crate::ir::Ending::Succeeds);
    let wild = drawn().filter(announced).count() as u64;
    assert!((PROGRAMS / 100..PROGRAMS / 2).contains(&wild), "{wild} of {PROGRAMS}");
}

/// Swarm: what repairs a state is missing from many programs.
#[test]
fn many_programs_do_without_what_repairs() {
    for verb in [Verb::Exit, Verb::Munmap, Verb::Unpin, Verb::ClearRefs] {
        let without = drawn().filter(|program| program.code.iter().all(|instr| instr.op.verb() != verb)).count() as u64;
        assert!((PROGRAMS / 4..PROGRAMS).contains(&without), "{verb}: {without} of {PROGRAMS}");
    }
}
