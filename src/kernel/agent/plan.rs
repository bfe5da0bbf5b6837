//! Where a scenario's memory lies, and what of it cannot be said to any kernel.

use super::stretch::{ARENA, PAGE, Stretch};
use crate::ir::{Actor, Area, Backing, MemKind, Op, Program, Sharing, Speed};
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
    places: Vec<Place>,
}

impl Plan {
    /// Reads the text of one scenario. What the engine cannot run yet is no reason to refuse it.
    ///
    /// # Errors
    /// Why it is not the text of one scenario.
    pub fn read(text: &str) -> Result<Self, String> {
        let (file, syntax) = parse(text);
        let (lowered, mistakes) = lower("job", &file, &syntax, &mut |_, path| Err(format!("`{path}` was not sent along")));
        let mistakes = mistakes.iter().filter(|_| lowered.unmodelled.is_empty()).map(|mistake| mistake.error.to_string());
        if let Some(mistake) = syntax.iter().map(ToString::to_string).chain(mistakes).next() {
            return Err(mistake);
        }
        let scenarios: Vec<_> = lowered.scenarios.into_iter().chain(lowered.unmodelled).collect();
        let [scenario] = <[_; 1]>::try_from(scenarios).map_err(|all| format!("{} scenarios instead of one", all.len()))?;
        Ok(Self::new(scenario.program))
    }

    pub fn new(program: Program) -> Self {
        let mut plan = Self { places: vec![Place::default(); usize::from(program.pages)], program };
        let mut next = ARENA.start;
        for nth in 0..plan.program.code.len() {
            let (area, offset) = match plan.program.code[nth].op {
                Op::Mmap { area, .. } => (area, 0),
                // Whole PMDs can only move where both places begin alike.
                Op::Mremap { from, to } => (to, plan.places[usize::from(from.start.0)].at % ALIGN),
                _ => continue,
            };
            let log2 = plan.log2(plan.program.mems[area.mem.idx()].kind);
            next = next.next_multiple_of(ALIGN.max(1 << log2));
            for (nth, page) in area.pages().enumerate() {
                plan.places[usize::from(page.0)] = Place { at: next + offset + (nth << log2), log2 };
            }
            next += offset + (usize::from(area.len) << log2) + ALIGN;
        }
        plan
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
        let place = self.places[usize::from(area.start.0)];
        Stretch::new(place.at, usize::from(area.len) << place.log2)
    }

    /// One page; of a hugetlb page its first base page, which stands for it.
    pub fn page(&self, vpn: Vpn) -> Stretch {
        Stretch::new(self.places[usize::from(vpn.0)].at, PAGE)
    }

    /// One page, all of it.
    pub fn whole(&self, vpn: Vpn) -> Stretch {
        let place = self.places[usize::from(vpn.0)];
        Stretch::new(place.at, 1 << place.log2)
    }

    /// What a reference to an area is taken of: base pages in as few pieces as can be.
    pub fn pieces(&self, area: Area) -> Vec<Stretch> {
        match self.places[usize::from(area.start.0)].log2 {
            PAGE_LOG2 => vec![self.stretch(area)],
            _ => area.pages().map(|page| self.page(page)).collect(),
        }
    }

    /// The page of an address.
    pub fn vpn(&self, at: usize) -> Option<Vpn> {
        let is_in = |place: &Place| place.at != 0 && (at ^ place.at) >> place.log2 == 0;
        self.places.iter().position(is_in).map(|place| Vpn(place as u16))
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
        program.code.iter().find_map(|instr| operation(program, instr.op))
    }
}

/// Whether an operation is realised by the kernel's own test of pins: user space has no other pin that only reads.
pub(super) fn is_gup_test(op: Op) -> bool {
    matches!(op, Op::Pin { write: false, longterm: true, .. } | Op::Pin { longterm: true, speed: Speed::Slow, .. })
}

fn operation(program: &Program, op: Op) -> Option<String> {
    let why = match op {
        Op::Mmap { area, backing, sharing, .. } => mapping(program, program.mems[area.mem.idx()].kind, backing, sharing)?,
        Op::Get { write: true, .. } => "no system call holds a writable get",
        Op::Get { speed: Speed::Slow, .. } => "no system call takes a get the slow way alone",
        Op::Pin { longterm: true, .. } => return None,
        Op::Pin { .. } => "no system call holds a short pin",
        Op::Dma { held, .. } => match program.taker(held.name).map(|taker| taker.op) {
            Some(op @ Op::Pin { .. }) if !is_gup_test(op) => return None,
            Some(Op::Pin { .. }) => "no device writes through a pin of the kernel's gup_test",
            _ => "no device writes through a get",
        },
        Op::Hold { .. } | Op::Drop { .. } => "a transient reference cannot be held from outside",
        Op::LruAdd { .. } => "LRU batches are emptied after each line, to be deterministic",
        Op::NumaHint { .. } => "NUMA balancing comes when it likes, and needs two nodes",
        _ => return None,
    };
    Some(why.to_owned())
}

fn mapping(program: &Program, kind: MemKind, backing: Backing, sharing: Sharing) -> Option<&'static str> {
    let named = |file: crate::types::FileId| !program.files[file.idx()].name.is_empty();
    match (kind, backing) {
        (_, Backing::Special) => Some("no file maps special ptes without a driver of its own"),
        (_, Backing::Device) => Some("ZONE_DEVICE pages need a device that has memory"),
        (MemKind::Mthp { .. }, Backing::File(_)) => {
            Some("large folios of files below the size of a PMD come when the kernel likes")
        }
        (MemKind::Thp, Backing::File(file)) if named(file) && !program.files[file.idx()].memfd => {
            Some("huge pages of files of a disk come when the kernel likes")
        }
        (MemKind::Hugetlb { .. }, Backing::File(file)) if named(file) && !program.files[file.idx()].memfd => {
            Some("hugetlb memory is of no file but a memfd's")
        }
        (MemKind::Thp | MemKind::Hugetlb { .. } | MemKind::Pages, Backing::File(_)) => None,
        (MemKind::Pages | MemKind::Thp | MemKind::Mthp { .. } | MemKind::Hugetlb { .. }, Backing::Anon) => {
            debug_assert!(sharing == Sharing::Private, "cowl bug: shared anonymous memory has a nameless file");
            None
        }
    }
}

/// Whether an instruction is one of the kernel's own, that no process asks for.
pub(super) fn is_kernels(program: &Program, pc: usize) -> bool {
    matches!(program.tasks[program.code[pc].task.idx()], Actor::Kernel(_))
}
