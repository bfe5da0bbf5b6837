//! The smallest program on which two policies part: every program of one statement, of two, and so on; then the hunt.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::reduce;
use crate::generate::everything;
use crate::generate::sketch::{Made, Sketch};
use crate::generate::{self, Limits, Seeded, Settings};
use crate::ir::{Actor, Advice, Area, Backing, MemKind, Op, Program, Prot, RefArea, Sharing, Speed, UffdMode, Verb};
use crate::observe::Seen;
use crate::policy::Policy;
use crate::run::{End, Watch, World, drive};
use crate::types::{PMD_ORDER, Pc, ProcId, RefId, Small, ValueId};

/// What a search for the smallest came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Smallest {
    /// The program, and the first instruction at which user space sees a difference.
    pub parts: Option<(Program, Pc)>,
    /// Every program of up to this many statements was tried, over the alphabet of `alphabet`.
    pub complete: usize,
    /// Programs run under both.
    pub tried: u64,
}

/// What user space saw of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Shown {
    seen: Vec<(Pc, u16, Seen)>,
    ends: Vec<(Pc, End)>,
}

impl Watch<Small, ()> for Shown {
    fn committed(&mut self, _: &World<'_, Small, ()>, pc: Pc, page: u16, len: u16, seen: Seen) {
        if seen != Seen::Nothing {
            (page..page + len).for_each(|page| self.seen.push((pc, page, seen)));
        }
    }
    fn ended(&mut self, _: &World<'_, Small, ()>, pc: Pc, end: End) -> ControlFlow<()> {
        self.ends.push((pc, end));
        match end {
            End::Stuck | End::Exhausted(_) => ControlFlow::Break(()),
            End::Finished | End::Failed(_) | End::Asleep(_) => ControlFlow::Continue(()),
        }
    }
}

/// What user space sees under a policy, and the state it ends in.
fn shown(program: &Program, policy: &Policy) -> (Shown, u64) {
    let mut shown = Shown::default();
    let mut world = World::<Small, ()>::new(program, policy, ());
    drive(&mut world, &mut shown);
    (shown, world.st.fingerprint())
}

/// The first instruction at which user space sees a difference.
pub fn part(program: &Program, one: &Policy, other: &Policy) -> Option<Pc> {
    let ((one, _), (other, _)) = (shown(program, one), shown(program, other));
    parting(&one, &other)
}

fn parting(one: &Shown, other: &Shown) -> Option<Pc> {
    let seen = one.seen.iter().zip(&other.seen).find(|(one, other)| one != other).map(|(one, _)| one.0);
    let ends = one.ends.iter().zip(&other.ends).find(|(one, other)| one != other).map(|(one, _)| one.0);
    seen.into_iter().chain(ends).min()
}

/// Searches. At most `programs_max` programs are enumerated, then as many are drawn; `stop` is asked now and then.
pub fn smallest(one: &Policy, other: &Policy, programs_max: u64, stop: &dyn Fn() -> bool) -> Smallest {
    let mut found = Smallest { parts: None, complete: 0, tried: 0 };
    if one == other {
        return found;
    }
    let mut level = vec![Sketch::new(Limits::of::<Small>(), 0, PMD_ORDER)];
    let mut reached = BTreeSet::new();
    while !level.is_empty() {
        let mut next = Vec::new();
        for sketch in &level {
            for made in alphabet(sketch) {
                if programs_max <= found.tried || stop() {
                    return drawn(one, other, found, programs_max, stop);
                }
                let mut longer = sketch.clone();
                if !longer.attempt(made, everything) {
                    continue;
                }
                found.tried += 1;
                let program = longer.program();
                let ((a, state), (b, twin)) = (shown(program, one), shown(program, other));
                if let Some(pc) = parting(&a, &b) {
                    return Smallest { parts: Some((longer.finish(), pc)), ..found };
                }
                let known = program.procs.len() as u64 | (program.refs.len() as u64) << 8;
                if reached.insert((state, twin, known, longer.outlook())) {
                    next.push(longer);
                }
            }
        }
        found.complete += 1;
        level = next;
    }
    found
}

/// Goes on by drawing; what is found is cut down until no statement can go.
fn drawn(one: &Policy, other: &Policy, mut found: Smallest, programs_max: u64, stop: &dyn Fn() -> bool) -> Smallest {
    let settings = Settings::new(everything).scaled();
    for nth in 0..programs_max {
        if stop() {
            return found;
        }
        let program = generate::program(&mut Seeded::of(1, nth), &settings);
        found.tried += 1;
        if part(&program, one, other).is_some() {
            let small = reduce::cut_while(program, |program| part(program, one, other).is_some());
            let pc = part(&small, one, other).unwrap_or_default();
            found.parts = Some((small, pc));
            return found;
        }
    }
    found
}

type Make = Box<dyn FnOnce(&mut Sketch) -> Option<Made>>;

/// Every next statement: one page, two processes, two references, each value new.
fn alphabet(sketch: &Sketch) -> Vec<Make> {
    let mut all: Vec<Make> = Vec::new();
    if sketch.program().mems.is_empty() {
        all.push(Box::new(|sketch: &mut Sketch| {
            let area = sketch.new_mem(ProcId(0), 1, MemKind::Pages)?;
            let (backing, sharing) = (Backing::Anon, Sharing::Private);
            Some(Made::new(sketch.thread(ProcId(0))?, Op::Mmap { area, backing, sharing, prot: Prot::Rw }))
        }));
        return all;
    }
    let whole = sketch.program().mems[0].area;
    for proc in sketch.living() {
        let area = Area { proc, ..whole };
        let Some(actor) = sketch.thread(proc).filter(|_| sketch.pages(area).iter().any(|page| !page.unmapped)) else {
            continue;
        };
        let by = move |op: Op| -> Make { Box::new(move |_: &mut Sketch| Some(Made::new(actor, op))) };
        let advices = [Advice::Dontneed, Advice::PopulateRead, Advice::PopulateWrite, Advice::Wipeonfork]
            .map(|advice| Op::Madvise { area, advice });
        let prots = [Prot::Ro, Prot::Rw].map(|prot| Op::Mprotect { area, prot });
        all.extend([Op::Read { area }, Op::Munmap { area }, Op::ClearRefs, Op::SoftDirty { area }].map(by));
        all.extend(advices.into_iter().chain(prots).map(by));
        all.extend([Op::PeekMem { area }, Op::UffdRegister { area, mode: UffdMode::Wp }].map(by));
        if sketch.is_registered(Verb::UffdWp, area) {
            all.extend([Op::UffdWp { area }, Op::UffdUnwp { area }].map(by));
        }
        if proc != ProcId(0) {
            all.push(by(Op::Exit));
        } else if sketch.procs.len() == 1 {
            all.push(by(Op::Fork { child: ProcId(1) }));
        }
        for store in [
            |area, value| Op::Write { area, value },
            |area, value| Op::Poke { area, value },
            |area, value| Op::DirectRead { area, value },
        ] {
            all.push(Box::new(move |sketch: &mut Sketch| Some(Made::new(actor, store(area, sketch.fresh_value(ValueId(0)))))));
        }
        if sketch.refs.len() < 2 {
            all.extend(takes().into_iter().map(|take| -> Make {
                Box::new(move |sketch: &mut Sketch| Some(Made::new(actor, take.with(area, ValueId(0), sketch.new_ref(1)?))))
            }));
        }
    }
    all.extend(references(sketch));
    let kernel = Actor::Kernel(1);
    if sketch.can_act(kernel) {
        let area = whole;
        for op in [Op::Pageout { area }, Op::Swapin { area }, Op::Migrate { area }, Op::LruAdd { area }, Op::Drain] {
            if sketch.pages(area).iter().any(|page| !page.unmapped) && !sketch.procs[0].exited {
                all.push(Box::new(move |_: &mut Sketch| Some(Made::new(kernel, op))));
            }
        }
    }
    all
}

/// The ways to take a reference; the memory is filled in later.
fn takes() -> [Op; 6] {
    let (area, name, speed) = (
        Area { proc: ProcId(0), mem: crate::types::MemId(0), start: crate::types::Vpn(0), len: 1, word: None },
        RefId(0),
        Speed::Fast,
    );
    let pin = |write, longterm| Op::Pin { area, write, longterm, speed, name };
    let get = |write| Op::Get { area, write, speed, name };
    [Op::Vmsplice { area, name }, get(false), get(true), pin(false, false), pin(false, true), pin(true, false)]
}

/// What can be said about references.
fn references(sketch: &Sketch) -> Vec<Make> {
    let mut all: Vec<Make> = Vec::new();
    for (at, held) in sketch.refs.iter().enumerate().filter(|(_, held)| held.open) {
        let name = RefId::at(at);
        let pages = RefArea { name, start: 0, len: 1, word: None };
        let Some(holder) = held.holder.and_then(|holder| sketch.thread(holder)) else { continue };
        all.push(Box::new(move |_: &mut Sketch| Some(Made::new(holder, Op::Peek { held: pages }))));
        let release = match held.released_by() {
            crate::ir::Verb::Unpin => Op::Unpin { name, dirty: false },
            _ => Op::Put { name },
        };
        all.push(Box::new(move |_: &mut Sketch| Some(Made::new(holder, release))));
        if held.write && sketch.can_act(Actor::Device) {
            all.push(Box::new(move |sketch: &mut Sketch| {
                let value = sketch.fresh_value(ValueId(0));
                Some(Made::new(Actor::Device, Op::Dma { held: pages, value }))
            }));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{KNOBS, find};

    fn between(one: &str, other: &str) -> Smallest {
        let policy = |name| find(name).expect("a built-in policy").policy;
        smallest(&policy(one), &policy(other), 20_000, &|| false)
    }

    #[test]
    fn two_policies_part_where_user_space_sees_it_first() {
        let found = between("linux-6.1", "linux-6.2");
        let (program, pc) = found.parts.expect("a longterm read pin of untouched memory tells them apart");
        assert!(program.code.len() <= 5, "{}", crate::printer::program(&program));
        assert_eq!(pc, Pc::at(program.code.len() - 1));
    }

    #[test]
    fn none_is_an_answer_with_its_bound() {
        // Which of two flushes comes first shows in races alone.
        let latest = find("latest").expect("a built-in policy").policy;
        let knob = KNOBS.iter().find(|knob| knob.name == "uffd_wp_tlb").expect("a knob");
        let mut other = latest;
        knob.set(&mut other, 1 - knob.get(&latest));
        let found = smallest(&latest, &other, 20_000, &|| false);
        assert_eq!(found.parts, None);
        assert!(2 <= found.complete && 20_000 <= found.tried);
        assert_eq!(between("latest", "latest").tried, 0);
    }

    /// M7: a writable pte alone proves what the test on mapcount 1 asks for.
    #[test]
    fn no_small_program_tells_the_two_forms_of_the_clear_refs_test_apart() {
        let merged = find("linus-2021").expect("a built-in policy").policy;
        let first = Policy { clear_refs_pinned: crate::policy::ClearRefsPinned::SkipMapcount1, ..merged };
        let found = smallest(&first, &merged, 20_000, &|| false);
        assert_eq!(found.parts, None);
        assert_eq!((found.complete, found.tried), (4, 40_000));
    }
}
