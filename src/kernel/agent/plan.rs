//! Where a scenario's memory lies, and what of it cannot be said to any kernel.

use super::stretch::{ARENA, PAGE, Stretch};
use crate::ir::{Actor, Area, MemKind, Op, Program};
use crate::kernel::sayable::{is_gup_test, why_not_by};
use crate::lower::lower;
use crate::syntax::parse;
use crate::types::{ProcId, Vpn};

/// Mappings begin at multiples of this, in page tables of their own, and never touch.
const ALIGN: usize = 2 << 20;

/// log2 of [`PAGE`].
const PAGE_LOG2: u32 = PAGE.trailing_zeros();

/// log2 of the bytes of a hugetlb page that is not said otherwise.
const HUGETLB_LOG2: u32 = 21;

/// Where one page lies.
#[derive(Clone, Copy, Default)]
struct Place {
    at: usize,
    /// log2 of its bytes: those of a hugetlb page are more.
    log2: u32,
}

/// A program and the address of each of its pages.
pub(super) struct Plan {
    pub program: Program,
    /// For each process and page; what a process inherits lies where its parent has it.
    places: Vec<Vec<Place>>,
}

impl Plan {
    /// Reads the text of one scenario.
    ///
    /// # Errors
    /// Why it is not the text of one scenario.
    pub fn read(text: &str) -> Result<Self, String> {
        let (file, syntax) = parse(text);
        let (lowered, mistakes) = lower("job", &file, &syntax, &mut |_, path| Err(format!("`{path}` was not sent along")));
        let mistakes = mistakes.iter().map(|mistake| mistake.error.to_string());
        if let Some(mistake) = syntax.iter().map(ToString::to_string).chain(mistakes).next() {
            return Err(mistake);
        }
        let [scenario] =
            <[_; 1]>::try_from(lowered.scenarios).map_err(|all| format!("{} scenarios instead of one", all.len()))?;
        Ok(Self::new(scenario.program))
    }

    pub fn new(program: Program) -> Self {
        let places = vec![vec![Place::default(); usize::from(program.pages)]; program.procs.len()];
        let mut plan = Self { places, program };
        let mut next = ARENA.start;
        for nth in 0..plan.program.code.len() {
            let instr = plan.program.code[nth];
            let (area, offset) = match (instr.op, plan.program.tasks[instr.task.idx()].proc()) {
                (Op::Fork { child }, Some(parent)) => {
                    plan.places[child.idx()] = plan.places[parent.idx()].clone();
                    continue;
                }
                (Op::Mmap { area, .. }, _) => (area, 0),
                // Whole PMDs can only move where both places begin alike.
                (Op::Mremap { from, to }, _) => (to, plan.place(from.proc, from.start).at % ALIGN),
                _ => continue,
            };
            let log2 = plan.log2(plan.program.mems[area.mem.idx()].kind);
            next = next.next_multiple_of(ALIGN.max(1 << log2));
            for (nth, page) in area.pages().enumerate() {
                plan.places[area.proc.idx()][usize::from(page.0)] = Place { at: next + offset + (nth << log2), log2 };
            }
            next += offset + (usize::from(area.len) << log2) + ALIGN;
        }
        plan
    }

    fn place(&self, proc: ProcId, vpn: Vpn) -> Place {
        self.places[proc.idx()][usize::from(vpn.0)]
    }

    /// log2 of the bytes of what an index counts.
    fn log2(&self, kind: MemKind) -> u32 {
        match kind {
            MemKind::Hugetlb { order } => order.map_or(HUGETLB_LOG2, |order| PAGE_LOG2 + u32::from(order)),
            MemKind::Pages | MemKind::Thp | MemKind::Mthp { .. } => PAGE_LOG2,
        }
    }

    /// log2 of the bytes of the hugetlb pages of a name, if it has such.
    pub fn huge(&self, area: Area) -> Option<u32> {
        let kind = self.program.mems[area.mem.idx()].kind;
        matches!(kind, MemKind::Hugetlb { .. }).then(|| self.log2(kind))
    }

    /// All of an area.
    pub fn stretch(&self, area: Area) -> Stretch {
        let place = self.place(area.proc, area.start);
        Stretch::new(place.at, usize::from(area.len) << place.log2)
    }

    /// One page; of a hugetlb page its first base page, which stands for it.
    pub fn page(&self, proc: ProcId, vpn: Vpn) -> Stretch {
        Stretch::new(self.place(proc, vpn).at, PAGE)
    }

    /// One page, all of it.
    pub fn whole(&self, proc: ProcId, vpn: Vpn) -> Stretch {
        let place = self.place(proc, vpn);
        Stretch::new(place.at, 1 << place.log2)
    }

    /// What a reference to an area is taken of: base pages in as few pieces as can be.
    pub fn pieces(&self, area: Area) -> Vec<Stretch> {
        match self.place(area.proc, area.start).log2 {
            PAGE_LOG2 => vec![self.stretch(area)],
            _ => area.pages().map(|page| self.page(area.proc, page)).collect(),
        }
    }

    /// The page of an address.
    pub fn vpn(&self, proc: ProcId, at: usize) -> Option<Vpn> {
        let is_in = |place: &Place| place.at != 0 && (at ^ place.at) >> place.log2 == 0;
        self.places[proc.idx()].iter().position(is_in).map(|place| Vpn(place as u16))
    }

    /// The process that must hold the reference of a `peek` or `dma`, whose memory the kernel moves, or that acts otherwise.
    pub fn acting(&self, pc: usize) -> Option<ProcId> {
        let instr = &self.program.code[pc];
        match (instr.op, self.program.tasks[instr.task.idx()]) {
            (Op::Peek { held } | Op::Dma { held, .. }, _) => {
                self.program.taker(held.name).and_then(|taker| self.program.tasks[taker.task.idx()].proc())
            }
            (_, actor) => actor.proc(),
        }
    }

    /// Why the scenario cannot be said to any kernel, before this one is asked what it can.
    pub fn unsayable(&self) -> Option<String> {
        let program = &self.program;
        let longterm = program.code.iter().filter(|instr| is_gup_test(instr.op)).count();
        if 1 < longterm {
            return Some("the kernel's gup_test holds one pin at a time".to_owned());
        }
        program.code.iter().find_map(|instr| why_not_by(program, instr)).map(str::to_owned)
    }
}

/// Whether an instruction is one of the kernel's own, that no process asks for.
pub(super) fn is_kernels(program: &Program, pc: usize) -> bool {
    matches!(program.tasks[program.code[pc].task.idx()], Actor::Kernel(_))
}
