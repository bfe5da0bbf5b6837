//! Facts stated on the way, held against the engine's state.

use super::facts;
use super::report::{PageFacts, Reading};
use crate::ir::{Area, Comparison, Count, Fact, Program, Statement};
use crate::state::State;
use crate::types::{ObsId, Size, Value, Vpn};

/// What named observations really saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seens(Vec<(ObsId, Reading)>);

impl Seens {
    pub fn push(&mut self, name: ObsId, seen: Reading) {
        self.0.push((name, seen));
    }

    fn of(&self, name: ObsId) -> impl Iterator<Item = &Reading> {
        self.0.iter().filter(move |(of, _)| *of == name).map(|(_, seen)| seen)
    }
}

/// All that an assertion can speak of.
pub(super) struct Moment<'a, B: Size> {
    pub program: &'a Program,
    pub st: &'a State<B>,
    pub seens: &'a Seens,
    pub copies: u32,
}

/// What is the case instead, in a sentence; `None` where the statement holds.
pub(super) fn unmet<B: Size>(moment: &Moment<'_, B>, says: &Statement) -> Option<String> {
    match says {
        Statement::Fact { area, not, fact } => pages(moment, *area).find_map(|(name, _, facts)| {
            (has(&facts, *fact) == *not).then(|| format!("{name} is {}{fact}", if *not { "" } else { "not " }))
        }),
        Statement::Shares { area, not, with } => {
            let others: Vec<_> = pages(moment, *with).collect();
            pages(moment, *area).zip(others).find_map(|((name, target, _), (other, with, _))| {
                let same = target.is_some() && target == with;
                let verb = if same { "are" } else { "are not" };
                (same == *not).then(|| format!("{name} and {other} {verb} the same page"))
            })
        }
        Statement::Count { area, count, comparison, number } => pages(moment, *area).find_map(|(name, _, facts)| {
            let is = u64::from(match count {
                Count::Refcount => facts.refcount,
                Count::Mapcount => facts.mapcount,
            });
            (!comparison.holds(is, *number)).then(|| format!("{name} has {count} {is}"))
        }),
        Statement::Copies { comparison, number } => {
            (!comparison.holds(u64::from(moment.copies), *number)).then(|| format!("copies is {}", moment.copies))
        }
        Statement::Seen { obs, comparison, any_of } => seen(moment, *obs, *comparison, any_of),
    }
}

fn seen<B: Size>(moment: &Moment<'_, B>, obs: ObsId, comparison: Comparison, any_of: &[Value]) -> Option<String> {
    let name = &moment.program.obs[obs.idx()].name;
    moment.seens.of(obs).find_map(|seen| {
        let ok = |value: u64| any_of.iter().any(|wanted| comparison.holds(value, wanted.bits));
        let met = match seen {
            Reading::Value(value) => ok(value.bits),
            Reading::Bit(bit) => ok((*bit).into()),
            Reading::Mixed { rest, words } => ok(rest.bits) && words.iter().all(|(_, value)| ok(value.bits)),
        };
        (!met).then(|| match seen {
            Reading::Value(value) => format!("{name} is {value}"),
            Reading::Bit(bit) => format!("{name} is {}", u8::from(*bit)),
            Reading::Mixed { .. } => format!("{name} is a page whose words differ"),
        })
    })
}

type Page = (String, Option<u32>, PageFacts);

fn pages<'a, B: Size>(moment: &'a Moment<'a, B>, area: Area) -> impl Iterator<Item = Page> + 'a {
    area.pages().map(move |vpn: Vpn| {
        let facts = facts::of(moment.program, moment.st, area.proc, vpn, |_| None);
        let frame = facts::struct_page(moment.st.slot(area.proc, vpn)).map(|pfn| pfn.idx() as u32);
        (facts::name(moment.program, area.proc, vpn), frame, facts)
    })
}

fn has(facts: &PageFacts, fact: Fact) -> bool {
    match fact {
        Fact::Exclusive => facts.exclusive,
        Fact::Writable => facts.writable,
        Fact::Dirty => facts.dirty,
        Fact::SoftDirty => facts.soft_dirty,
        Fact::UffdWp => facts.uffd_wp,
        Fact::Present => facts.present,
        Fact::Swapped => facts.swapped,
        Fact::Pinned => 0 < facts.pincount,
        Fact::Ksm => facts.kind == "ksm",
        Fact::Zeropage => facts.kind == "zero",
        Fact::PmdMapped => facts.pmd_mapped,
    }
}
