//! What a reading comes to, and whether what a run came to was expected.

use super::claim;
use super::report::{Expected, Met, Run, Verdict};
use crate::ideal::{EverHeld, Ideal, Promise};
use crate::ir::{Expect, Frequency, Op, Outcome, Program};
use crate::observe::{Seen, word_of};
use crate::types::{Large, Pc, WordId};

/// What it comes to that instruction `pc` saw this of page `page`; `None` where it is as promised and as claimed.
///
/// `observed` is what was seen before by named observations, page by page ([`claim::observed_at`]). `ever` is asked only
/// where the promise is broken: for what the reader's page ever held ([`Ideal::ever_held`]). A value that it never held is
/// a leak, for someone's store to memory that the reader does not share is seen; any other is a loss.
pub fn of_reading(
    program: &Program,
    (pc, page): (Pc, u16),
    promise: &Promise,
    seen: Seen,
    observed: &[Seen],
    ever: impl FnOnce() -> Option<EverHeld>,
) -> Option<Outcome> {
    let op = program.code[pc.idx()].op;
    if promise.allows(seen) {
        let unmet = || if matches!(op, Op::SoftDirty { .. }) { Outcome::Missed } else { Outcome::Lost };
        return (!claim::holds(program, pc, page, seen, observed)).then(unmet);
    }
    let (Seen::Words(words), Some(allowed)) = (seen, promise.allowed()) else { return Some(Outcome::Missed) };
    let ever = ever();
    let leaks = words.as_slice().iter().zip(allowed.as_slice()).enumerate().any(|(nth, (value, allowed))| {
        let word = word_of(op).map_or(nth, WordId::idx);
        !allowed.contains(*value) && ever.is_some_and(|ever| !ever.0[word].contains(*value))
    });
    Some(if leaks { Outcome::Leak } else { Outcome::Lost })
}

/// The ideal world after these parts of instructions took effect, in which every page knows what it ever held.
///
/// A search keeps neither; where it finds a violation it asks here.
pub fn replay(program: &Program, commits: impl IntoIterator<Item = (Pc, u16)>) -> Ideal<Large, EverHeld> {
    let mut ideal = Ideal::new(program);
    for (pc, page) in commits {
        ideal.apply(program, pc, page);
    }
    ideal
}

/// Holds an expectation against a run.
pub fn expected(expect: &Expect, run: &Run) -> Expected {
    Expected { text: text(expect), met: met(expect, run), reason: expect.reason.clone(), span: expect.span }
}

/// As it would be written: `leak`, `never lost`, `copies 2`.
pub fn text(expect: &Expect) -> String {
    match expect.frequency {
        Frequency::Always => expect.outcome.to_string(),
        Frequency::Sometimes | Frequency::Never => format!("{} {}", expect.frequency, expect.outcome),
    }
}

/// One schedule of a race can refute that something comes in each of its orders, or in none, and proves nothing. A scenario without a
/// race has one order, of which nothing can come in some but not in each.
fn met(expect: &Expect, run: &Run) -> Met {
    let Verdict::Came(verdict) = &run.verdict else { return Met::NotJudged };
    if let (Some(race), false) = (&run.race, matches!(expect.outcome, Outcome::Copies(_))) {
        return race.meets(expect.frequency, expect.outcome);
    }
    let came = match expect.outcome {
        Outcome::Copies(pages) => run.copies == u32::from(pages),
        outcome => *verdict == outcome,
    };
    match (run.one_schedule, expect.frequency, came) {
        (false, Frequency::Always, true) | (false, Frequency::Never, false) => Met::Yes,
        (false, Frequency::Always, false) | (false, Frequency::Never, true) | (false, Frequency::Sometimes, _) => Met::No,
        (true, Frequency::Always, false) | (true, Frequency::Never, true) => Met::No,
        (true, Frequency::Always, true) | (true, Frequency::Never, false) | (true, Frequency::Sometimes, _) => Met::NotJudged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ideal::sample::*;
    use crate::ir::{Advice, Claim, Comparison, Operand};
    use crate::observe::Words;
    use crate::types::{ClaimId, Span, TaskId, ValueId};

    /// What it comes to when the last of these instructions sees `seen`.
    fn sees(code: &[(TaskId, Op)], seen: Seen) -> Option<Outcome> {
        let program = program(code);
        let last = Pc::at(code.len() - 1);
        let mut ideal = replay(&program, (0..code.len() - 1).map(|pc| (Pc::at(pc), 0)));
        let promise = ideal.apply(&program, last, 0);
        of_reading(&program, (last, 0), &promise, seen, &[], || ideal.ever_held(&program, last, 0))
    }

    fn words(rest: u8, named: u8) -> Seen {
        Seen::Words(Words::from_slice(&[ValueId(rest), ValueId(named)]))
    }

    #[test]
    fn a_value_that_the_page_never_held_is_a_leak_and_one_it_held_is_a_loss() {
        let child_reads = [anon(P), write(P, 1), write(P, 2), fork(), write(P, 3), read(C)];
        let results = [0, 1, 2, 3, 4].map(|value| sees(&child_reads, words(value, value)));
        assert_eq!(results, [Some(Outcome::Lost), Some(Outcome::Lost), None, Some(Outcome::Leak), Some(Outcome::Leak)]);
        assert_eq!(sees(&child_reads, words(2, 1)), Some(Outcome::Lost));
        assert_eq!(sees(&child_reads, words(1, 3)), Some(Outcome::Leak));
    }

    #[test]
    fn after_dontneed_the_old_page_is_someone_elses() {
        let code = [anon(P), write(P, 1), advise(P, Advice::Dontneed), read(P)];
        assert_eq!(sees(&code, words(1, 1)), Some(Outcome::Leak));
    }

    #[test]
    fn a_get_may_see_old_and_new_but_not_the_childs() {
        let code = [anon(P), write(P, 1), vmsplice(P, A), write(P, 2), fork(), write(C, 3), peek(A)];
        let results = [0, 1, 2, 3].map(|value| sees(&code, words(value, value)));
        assert_eq!(results, [Some(Outcome::Lost), None, None, Some(Outcome::Leak)]);
    }

    #[test]
    fn a_soft_dirty_bit_too_few_is_missed_and_one_too_many_is_nothing() {
        let clear = (TaskId(0), Op::ClearRefs);
        let stored = [anon(P), clear, write(P, 1), soft_dirty(P)];
        assert_eq!([false, true].map(|bit| sees(&stored, Seen::Bit(bit))), [Some(Outcome::Missed), None]);
        assert_eq!([false, true].map(|bit| sees(&[anon(P), clear, soft_dirty(P)], Seen::Bit(bit))), [None, None]);
    }

    #[test]
    fn a_claim_on_what_is_not_promised_is_lost_where_it_is_unmet() {
        let mut program = program(&[anon(P), write(P, 1), vmsplice(P, A), write(P, 2), peek(A)]);
        program.claims.push(Claim { comparison: Comparison::Eq, any_of: vec![Operand::Value(ValueId(2))] });
        program.code[4].claim = Some(ClaimId(0));
        let promise = replay(&program, (0..4).map(|pc| (Pc::at(pc), 0))).apply(&program, Pc(4), 0);
        let of = |seen| of_reading(&program, (Pc(4), 0), &promise, seen, &[], || None);
        assert_eq!([of(words(2, 2)), of(words(1, 1))], [None, Some(Outcome::Lost)]);
    }

    fn run(verdict: Verdict, one_schedule: bool) -> Run {
        Run {
            verdict,
            violations: Vec::new(),
            unmet: Vec::new(),
            copies: 2,
            gratuitous: 0,
            observations: Vec::new(),
            steps: Vec::new(),
            one_schedule,
            race: None,
        }
    }

    #[test]
    fn one_schedule_of_a_race_refutes_always_and_never_and_settles_nothing_else() {
        use {Frequency::*, Met::*};
        let leaked = |frequency, outcome, one_schedule| {
            let expect = Expect { frequency, outcome, on: Vec::new(), reason: "why".to_owned(), span: Span::default() };
            let expected = expected(&expect, &run(Verdict::Came(Outcome::Leak), one_schedule));
            assert_eq!(expected.reason, "why");
            expected.met
        };
        let table = [Always, Sometimes, Never].map(|frequency| {
            [(Outcome::Leak, false), (Outcome::Ok, false), (Outcome::Leak, true), (Outcome::Ok, true)]
                .map(|(outcome, one_schedule)| leaked(frequency, outcome, one_schedule))
        });
        assert_eq!(table, [[Yes, No, NotJudged, No], [No, No, NotJudged, NotJudged], [No, Yes, No, NotJudged]]);
        assert_eq!([Outcome::Copies(2), Outcome::Copies(1)].map(|copies| leaked(Always, copies, false)), [Yes, No]);
    }

    #[test]
    fn a_skip_neither_meets_nor_breaks_and_an_expectation_reads_as_it_was_written() {
        let expect =
            |frequency, outcome| Expect { frequency, outcome, on: Vec::new(), reason: String::new(), span: Span::default() };
        let skipped = run(Verdict::Skip("no swap".to_owned()), false);
        assert_eq!(met(&expect(Frequency::Never, Outcome::Leak), &skipped), Met::NotJudged);
        assert_eq!(text(&expect(Frequency::Always, Outcome::Breach(7))), "breach I7");
        assert_eq!(text(&expect(Frequency::Never, Outcome::Lost)), "never lost");
        assert_eq!(text(&expect(Frequency::Sometimes, Outcome::Copies(2))), "sometimes copies 2");
    }
}
