use super::*;
use crate::ideal::sample::*;
use crate::ir::{Advice, Claim, Comparison, Ending, ObsDecl, Op, Operand, Program};
use crate::types::{ClaimId, Event, Failure, ObsId, RaceId, TaskId, ValueId};

/// A scenario of these instructions, in which instruction n stands at bytes 10 n to 10 n + 5.
fn scenario(code: &[(TaskId, Op)]) -> Scenario {
    let spans = (0..code.len() as u32).map(|pc| Span { start: 10 * pc, end: 10 * pc + 5 }).collect();
    Scenario {
        name: "sample".to_owned(),
        title: String::new(),
        origin: String::new(),
        kind: None,
        program: Program { obs: vec![ObsDecl { name: "x".to_owned(), len: 1 }], ..program(code) },
        asserts: Vec::new(),
        expects: Vec::new(),
        span: Span::default(),
        spans,
    }
}

/// Gives an instruction a claim.
fn claim(scenario: &mut Scenario, pc: usize, comparison: Comparison, any_of: &[Operand]) {
    let program = &mut scenario.program;
    program.code[pc].claim = Some(ClaimId::at(program.claims.len()));
    program.claims.push(Claim { comparison, any_of: any_of.to_vec() });
}

/// The claims that do not hold when the last instruction of `code` claims one of these values.
fn last_claims(code: &[(TaskId, Op)], any_of: &[u8]) -> Vec<ContradictedClaim> {
    let mut scenario = scenario(code);
    let any_of = any_of.iter().map(|value| Operand::Value(ValueId(*value))).collect::<Vec<_>>();
    claim(&mut scenario, code.len() - 1, Comparison::Eq, &any_of);
    let found = contradictions(&scenario);
    assert_eq!(found.incomplete, None);
    found.claims
}

fn labels(claim: &ContradictedClaim) -> Vec<(usize, &str)> {
    claim.labels.iter().map(|label| (label.offset() / 10, label.label().unwrap_or_default())).collect()
}

#[test]
fn a_claim_on_anothers_store_names_both_stores() {
    let code = [anon(P), write(P, 1), fork(), write(P, 2), read(C)];
    assert_eq!(last_claims(&code, &[1]), []);
    let found = last_claims(&code, &[2]);
    assert_eq!(found[0].to_string(), "the claim `== 2` is not promised: `c.buf` is 1");
    assert_eq!(found[0].help, "write `== 1`, or name what is seen by `-> NAME`, then `assert NAME == …`");
    assert_eq!(
        labels(&found[0]),
        [
            (4, "here 1 is promised"),
            (1, "1 is stored here"),
            (3, "2 is stored here by `p`, to the page of `p`: fork gave each process pages of its own"),
        ]
    );
}

#[test]
fn a_claim_on_a_store_that_a_reference_missed_says_what_took_its_page_away() {
    let code = [anon(P), write(P, 1), pin(P, true, true, A), advise(P, Advice::Dontneed), write(P, 2), peek(A)];
    let found = last_claims(&code, &[2]);
    assert_eq!(found[0].to_string(), "the claim `== 2` is not promised: `a` is 1");
    let why = "2 is stored here by `p`, to another page: `madvise dontneed` took the one that `a` holds from its address";
    assert_eq!(labels(&found[0])[2], (4, why));
    let found = last_claims(&[anon(P), write(P, 1), advise(P, Advice::Dontneed), read(P)], &[1]);
    assert_eq!(
        labels(&found[0]),
        [(3, "here 0 is promised"), (1, "1 is stored here by `p`, and given up by `madvise dontneed`")]
    );
}

#[test]
fn a_get_is_promised_no_later_store() {
    let code = [anon(P), write(P, 1), vmsplice(P, A), write(P, 2), peek(A)];
    let found = last_claims(&code, &[2]);
    assert_eq!(found[0].promised, "1 or 2");
    assert!(found[0].help.contains("assert NAME == …"), "{}", found[0].help);
    assert_eq!(last_claims(&code, &[1, 2]), []);
    let pinned = [anon(P), write(P, 1), pin(P, true, true, A), write(P, 2), peek(A)];
    assert_eq!(last_claims(&pinned, &[2]), []);
}

#[test]
fn a_clear_soft_dirty_bit_is_never_promised() {
    let start = [anon(P), (TaskId(0), Op::ClearRefs)];
    assert_eq!(last_claims(&[&start[..], &[soft_dirty(P)]].concat(), &[0])[0].promised, "0 or 1");
    assert_eq!(last_claims(&[&start[..], &[write(P, 1), soft_dirty(P)]].concat(), &[1]), []);
}

/// Puts these instructions into one race.
fn race(scenario: &mut Scenario, lines: std::ops::Range<usize>) {
    scenario.program.code[lines].iter_mut().for_each(|instr| instr.race = Some(RaceId(0)));
}

#[test]
fn a_claim_behind_a_race_must_hold_in_every_order() {
    let code = [anon(P), write(P, 1), fork(), (P2, write(P, 2).1), read(P), read(C)];
    let found = |any_of: &[u8]| {
        let mut scenario = scenario(&code);
        race(&mut scenario, 2..4);
        claim(&mut scenario, 4, Comparison::Eq, &[Operand::Value(ValueId(2))]);
        claim(&mut scenario, 5, Comparison::Eq, &any_of.iter().map(|id| Operand::Value(ValueId(*id))).collect::<Vec<_>>());
        contradictions(&scenario).claims.iter().map(|claim| (claim.pc, claim.promised.clone())).collect::<Vec<_>>()
    };
    assert_eq!(found(&[1, 2]), []);
    assert_eq!(found(&[1]), [(Pc(5), "2".to_owned())]);
    assert_eq!(found(&[2]), [(Pc(5), "1".to_owned())]);
}

#[test]
fn in_a_race_a_child_starts_behind_its_fork_and_wait_behind_its_exit() {
    let wait = (TaskId(0), Op::Wait { child: C });
    let code = [
        anon(P),
        fork(),
        wait,
        write(P, 2),
        pin(C, true, true, A),
        write(C, 3),
        (TaskId(1), peek(A).1),
        (TaskId(1), Op::Exit),
        read(P),
    ];
    let mut scenario = scenario(&code);
    race(&mut scenario, 1..8);
    claim(&mut scenario, 6, Comparison::Eq, &[Operand::Value(ValueId(3))]);
    claim(&mut scenario, 8, Comparison::Eq, &[Operand::Value(ValueId(2))]);
    assert_eq!(contradictions(&scenario), Contradictions { claims: Vec::new(), incomplete: None });
}

#[test]
fn a_line_that_fails_does_nothing_and_one_that_sleeps_does_it_later() {
    let unwp = (TaskId(0), Op::UffdUnwp { area: at(P, 0) });
    let code = [anon(P), write(P, 1), (P2, write(P, 2).1), read(P), unwp, read(P)];
    let values = |ending| {
        let mut scenario = scenario(&code);
        scenario.program.code[2].ending = ending;
        for pc in [3, 5] {
            claim(&mut scenario, pc, Comparison::Eq, &[Operand::Value(ValueId(7))]);
        }
        contradictions(&scenario).claims.into_iter().map(|claim| claim.promised).collect::<Vec<_>>()
    };
    assert_eq!(values(Ending::Fails(Failure::SIGSEGV)), ["1", "1"]);
    assert_eq!(values(Ending::Event(Event::Wp)), ["1", "2"]);
    assert_eq!(values(Ending::Succeeds), ["2", "2"]);
}

#[test]
fn a_claim_on_an_observation_must_hold_for_all_it_may_be() {
    let x = [Operand::Obs(ObsId(0))];
    let unmet = |code: &[(TaskId, Op)], comparison| {
        let mut scenario = scenario(code);
        scenario.program.code[code.len() - 2].observe = Some(ObsId(0));
        claim(&mut scenario, code.len() - 1, comparison, &x);
        contradictions(&scenario).claims.len()
    };
    let load = [anon(P), write(P, 1), read(P), read(P)];
    assert_eq!((unmet(&load, Comparison::Eq), unmet(&load, Comparison::Ne)), (0, 1));
    let get = [anon(P), write(P, 1), vmsplice(P, A), write(P, 2), peek(A), read(P)];
    assert_eq!((unmet(&get, Comparison::Eq), unmet(&get, Comparison::Ge)), (1, 0));
}

#[test]
fn a_race_with_too_many_orders_says_that_not_all_were_tried() {
    let code = [anon(P), write(P, 1), write(P, 1), (P2, write(P, 2).1), (P2, write(P, 2).1), (DEVICE, write(P, 3).1)];
    let mut scenario = scenario(&code);
    race(&mut scenario, 1..6);
    let complete = |states_max| orders::search::<Small>(&scenario.program, states_max).complete;
    assert_eq!((complete(10), complete(100)), (false, true));
}
