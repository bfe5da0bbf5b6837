//! That campaigns find what is there and nothing else, always the same, and that what they find becomes small and stays itself.

use super::exec::{self, Look};
use super::finding::{Finding, examine};
use super::hunt::{Claim, Hunt, Plan, Shard, Turn};

use super::{mutate, reduce};
use crate::generate::everything;
use crate::generate::scale::{grown, shrunk};
use crate::generate::{self, Manner, Seeded, Settings, program};
use crate::ir::{Instr, Op, Program};
use crate::policy::{self, Defect, Defects, Policy};
use crate::printer;

/// A campaign under a policy.
pub fn hunt(name: &str, policy: Policy, seed: u64) -> Hunt {
    let settings = Settings::new(everything).scaled();
    Hunt::new(Plan {
        seed,
        shard: Shard { nth: 0, of: 1 },
        policy_name: name.to_owned(),
        policy,
        claim: Claim::Promise,
        settings,
    })
}

fn named(name: &str) -> Policy {
    policy::find(name).expect("a built-in policy").policy
}

/// Programs until the first that is caught and new.
fn first_news(hunt: &mut Hunt, programs: u64) -> Option<Finding> {
    (0..programs).find_map(|_| match hunt.turn() {
        Turn::Caught(signature) => {
            let caught = &hunt.caught[&signature];
            caught.known.is_none().then(|| caught.finding.clone())
        }
        Turn::Crashed(key) => panic!("{key}"),
        Turn::Same | Turn::Kept | Turn::Unbalanced(_) => None,
    })
}

/// What a text says, where it has no mistake.
fn lowered(text: &str) -> Program {
    let (file, mistakes) = crate::syntax::parse(text);
    let (lowered, errors) = crate::lower::lower("drawn", &file, &mistakes, &mut |_, _| Err("no files here".to_owned()));
    assert!(mistakes.is_empty() && errors.is_empty(), "{errors:?}\n{text}");
    lowered.scenarios.into_iter().next().expect("a scenario").program
}

#[test]
fn nothing_new_is_found_under_the_newest_release() {
    let mut hunt = hunt("linux-7.3", named("latest"), 1);
    let news = first_news(&mut hunt, 4_000);
    if let Some(news) = news {
        panic!("{}\n{}", news.signature, printer::program(&news.scenario.program));
    }
    assert!(hunt.unexplained.is_empty(), "{}", printer::program(&hunt.unexplained[0]));
    assert!(40_000 < hunt.counts.operations, "a campaign that executes nothing: {:?}", hunt.counts);
    assert!(hunt.counts.cut_short < 40 && 8 < hunt.hits.rows().len() && 100 < hunt.corpus.len());
}

#[test]
fn what_an_old_release_breaks_is_found_and_reduced_until_no_statement_can_go() {
    let policy = named("linux-5.7");
    let mut hunt = hunt("linux-5.7", policy, 1);
    for _ in 0..3 {
        let found = first_news(&mut hunt, 20_000).expect("linux-5.7 breaks much");
        let program = &found.scenario.program;
        assert!((2..=10).contains(&program.code.len()), "{}", printer::program(program));
        for pc in 0..program.code.len() {
            let without: Vec<Instr> =
                program.code.iter().enumerate().filter(|(at, _)| *at != pc).map(|(_, instr)| *instr).collect();
            let less = generate::again(program, without, &generate::whole(everything), Manner::Exactly);
            let still = examine(&less, &policy).is_some_and(|less| less.signature == found.signature);
            assert!(!still, "line {pc} can go:\n{}", printer::program(program));
        }
    }
}

#[test]
fn a_reduction_shows_the_same_and_its_text_does_too() {
    let policy = named("linux-5.9");
    let settings = Settings::new(everything).scaled();
    let mut reduced = 0;
    for nth in 0..4_000 {
        let drawn = program(&mut Seeded::of(5, nth), &settings);
        if exec::run(&drawn, &policy, Look::Operations, &mut ()).wrong.is_none() {
            continue;
        }
        let Some(found) = examine(&drawn, &policy) else { continue };
        let small = reduce::reduced(found.clone(), &policy);
        assert_eq!(small.signature, found.signature);
        assert!(reduce::weight(&small.scenario.program) <= reduce::weight(&found.scenario.program));
        let said = shrunk(&lowered(&printer::program(&grown(&small.scenario.program))));
        assert_eq!(said, small.scenario.program);
        assert_eq!(examine(&said, &policy).map(|found| found.signature), Some(found.signature));
        reduced += 1;
        if reduced == 6 {
            return;
        }
    }
    panic!("of 4,000 programs {reduced} went wrong");
}

#[test]
fn a_policy_is_taken_back_as_far_as_the_bug_allows() {
    let broken = Policy { defects: Defects::of(&[Defect::ReuseShared, Defect::CopyForgetsMapcount]), ..named("linux-5.19") };
    let found = first_news(&mut hunt("broken", broken, 1), 2_000).expect("a defect");
    let needed = reduce::reduced_policy(&found, &broken, &named("latest"));
    assert_eq!(needed.defects.iter().count(), 1, "{}", needed.defects);
    assert_eq!(Policy { defects: Defects::NONE, ..needed }, Policy { defects: Defects::NONE, ..named("latest") });
}

#[test]
fn a_campaign_is_the_same_for_the_same_seed() {
    let of = |seed| {
        let mut hunt = hunt("linux-5.7", named("linux-5.7"), seed);
        for _ in 0..1_500 {
            let _ = hunt.turn();
        }
        (hunt.corpus, hunt.caught.keys().copied().collect::<Vec<_>>(), hunt.counts)
    };
    assert_eq!(of(3), of(3));
    assert_ne!(of(3).0, of(4).0);
}

#[test]
fn what_mutation_makes_is_what_its_print_says() {
    let settings = Settings::new(everything).scaled();
    let mut dice = Seeded::new(11);
    let mut pool: Vec<Program> = (0..40).map(|nth| program(&mut Seeded::of(9, nth), &settings)).collect();
    for at in 0..800 {
        let near = mutate::mutated(&pool[at % 40], |_| &pool[(at * 7) % 40], &mut dice, &settings);
        assert!(near.code.len() <= settings.statements && near.exceeds::<crate::types::Small>().is_none());
        // A scenario is one only where some process does something.
        if near.tasks.iter().any(|task| task.proc().is_some()) {
            assert_eq!(shrunk(&lowered(&printer::program(&grown(&near)))), near);
            pool[at % 40] = near;
        }
    }
}

#[test]
fn a_program_said_again_exactly_is_itself() {
    let settings = Settings::new(everything).scaled();
    for nth in 0..300 {
        let drawn = program(&mut Seeded::of(13, nth), &settings);
        let whole = generate::whole(everything);
        assert_eq!(generate::again(&drawn, drawn.code.clone(), &whole, Manner::Exactly), drawn);
        let without = drawn.code.iter().copied().filter(|instr| !matches!(instr.op, Op::Mmap { .. }));
        let nothing = generate::again(&drawn, without, &whole, Manner::Exactly);
        assert!(nothing.code.iter().all(|instr| instr.op.area().is_none()), "memory that nobody mapped");
    }
}

/// Found by the hunt: the lock of the other address space was given back.
#[test]
fn ksmd_gives_back_the_lock_that_it_took_where_both_sides_map_one_page() {
    let text = "scenario s { p: mmap m 1 page ; p: write m 1 ; p: fork c ; p: get m ro -> r ; kernel: ksm_merge p.m c.m ; \
                c: write m 2 ; p: read m }";
    let program = lowered(text);
    for named in policy::builtin() {
        let ran = exec::run(&program, &named.policy, Look::Steps, &mut ());
        assert!(!ran.cut_short && ran.operations == 7, "{}: {ran:?}", named.name);
    }
}

/// Found by the hunt: a value of a statement that was left out was taken for one of the program's.
#[test]
fn a_value_of_a_statement_that_has_no_place_is_brought_by_the_next() {
    let program = lowered("scenario s { p: mmap m 1 page ; p: poke m 5 ; p: write m 5 }");
    let no_poke = |_: &Program, op: Op| !matches!(op, Op::Poke { .. });
    let again = generate::again(&program, program.code.clone(), &generate::whole(no_poke), Manner::Exactly);
    assert_eq!(again.code.len(), 2);
    assert!(again.code.iter().filter_map(|instr| instr.op.stores()).all(|value| value.idx() < again.values.len()));
}

/// Found by the hunt: a reducer made a THP of one page.
#[test]
fn what_has_the_size_of_a_pmd_is_not_cut_down() {
    let mut program = shrunk(&lowered("scenario s { p: mmap m 1 thp ; p: write m 5 }"));
    program.mems[0].area.len = 1;
    for instr in &mut program.code {
        let area = instr.op.area().expect("memory");
        instr.op = instr.op.with(crate::ir::Area { len: 1, ..area }, instr.op.stores().unwrap_or_default(), Default::default());
    }
    assert!(generate::again(&program, program.code.clone(), &generate::whole(everything), Manner::Exactly).code.is_empty());
}

#[test]
fn a_panic_of_the_engine_is_a_finding_and_the_campaign_goes_on() {
    let mut hunt = hunt("linux-7.3", named("latest"), 1);
    let mut broken = lowered("scenario s { p: mmap m 1 page ; p: write m 1 ; kernel: drain ; p: read m }");
    // No process says this, and lowering would have refused it.
    broken.code[3].task = crate::types::TaskId(1);
    broken.code[3].op = Op::ClearRefs;
    let Turn::Crashed(key) = hunt.take(broken.clone(), 7) else { panic!("no panic was caught") };
    assert!(key.starts_with("cowl bug: a process's path") && hunt.crashes[&key].number == Some(7), "{key}");
    assert_eq!(hunt.take(broken, 8), Turn::Same);
    assert_eq!(hunt.crashes[&key].times, 2);
    let programs = hunt.counts.programs;
    assert!((0..50).all(|_| !matches!(hunt.turn(), Turn::Crashed(_))));
    assert_eq!(hunt.counts.programs, programs + 50);
}

#[test]
fn panics_are_told_apart_by_what_they_say_numbers_apart() {
    let key = super::crash::key;
    assert_eq!(key("index 12 of 4\nmore"), key("index 3 of 2048"));
    assert_ne!(key("index 12 of 4"), key("a count fell below zero"));
}
