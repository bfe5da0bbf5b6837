//! Where a scenario's memory lies, and what of it cannot be said to this kernel.

use super::sys::{ARENA, PAGE, Stretch};
use crate::ir::{Actor, Advice, Area, Backing, MemKind, Op, Program, Speed, UffdMode, Verb};
use crate::lower::lower;
use crate::syntax::parse;
use crate::types::{ProcId, Vpn};

/// Mappings begin at multiples of this, in page tables of their own, and never touch.
const ALIGN: usize = 2 << 20;

/// A program and the address of each of its pages.
pub(super) struct Plan {
    pub program: Program,
    places: Vec<usize>,
}

impl Plan {
    /// Reads the text of one scenario.
    ///
    /// # Errors
    /// Why it is not the text of one scenario.
    pub fn read(text: &str) -> Result<Self, String> {
        let (file, syntax) = parse(text);
        let (lowered, mistakes) = lower("job", &file, &syntax, &mut |_, path| Err(format!("`{path}` was not sent along")));
        if let Some(mistake) = syntax.iter().map(ToString::to_string).chain(mistakes.iter().map(|m| m.error.to_string())).next()
        {
            return Err(mistake);
        }
        let [scenario] =
            <[_; 1]>::try_from(lowered.scenarios).map_err(|all| format!("{} scenarios instead of one", all.len()))?;
        Ok(Self::new(scenario.program))
    }

    pub fn new(program: Program) -> Self {
        let mut places = vec![0; usize::from(program.pages)];
        let mut next = ARENA.start;
        for instr in &program.code {
            let (Op::Mmap { area, .. } | Op::Mremap { to: area, .. }) = instr.op else { continue };
            for (nth, page) in area.pages().enumerate() {
                places[usize::from(page.0)] = next + nth * PAGE;
            }
            next += (usize::from(area.len) * PAGE).next_multiple_of(ALIGN) + ALIGN;
        }
        Self { program, places }
    }

    /// All pages of an area.
    pub fn stretch(&self, area: Area) -> Stretch {
        Stretch::new(self.places[usize::from(area.start.0)], usize::from(area.len) * PAGE)
    }

    /// One page.
    pub fn page(&self, vpn: Vpn) -> Stretch {
        Stretch::new(self.places[usize::from(vpn.0)], PAGE)
    }

    /// The page of an address.
    pub fn vpn(&self, at: usize) -> Option<Vpn> {
        let page = at & !(PAGE - 1);
        self.places.iter().position(|place| *place == page).map(|place| Vpn(place as u16))
    }

    /// The process that must hold the reference of a `peek` or `dma`, or that acts otherwise.
    pub fn acting(&self, pc: usize) -> Option<ProcId> {
        let instr = &self.program.code[pc];
        match (instr.op, self.program.tasks[instr.task.idx()]) {
            (Op::Peek { held } | Op::Dma { held, .. }, _) => {
                self.program.taker(held.name).and_then(|taker| self.program.tasks[taker.task.idx()].proc())
            }
            (_, actor) => actor.proc(),
        }
    }

    /// Why the scenario cannot be said to a real kernel, before it is asked what it can.
    pub fn unsayable(&self) -> Option<String> {
        let program = &self.program;
        if program.code.iter().any(|instr| instr.race.is_some()) {
            return Some("races are not yet repeated on real kernels".to_owned());
        }
        if program.system.hugetlb.is_some() || program.system.swap.is_some() {
            return Some("what the machine has is not yet arranged".to_owned());
        }
        program.code.iter().find_map(|instr| {
            let kernel = matches!(program.tasks[instr.task.idx()], Actor::Kernel(_));
            operation(program, instr.op, kernel)
        })
    }
}

fn operation(program: &Program, op: Op, kernel: bool) -> Option<String> {
    let not_yet = |verb: Verb| Some(format!("`{verb}` is not yet realised"));
    match op {
        Op::Mmap { area, backing, .. } => match (program.mems[area.mem.idx()].kind, backing) {
            (MemKind::Pages, Backing::Anon) => None,
            (MemKind::Pages, Backing::File(file)) if program.files[file.idx()].name.is_empty() => None,
            _ => Some("only anonymous base pages are realised yet".to_owned()),
        },
        Op::Get { write: true, .. } => Some("no system call holds a writable get".to_owned()),
        Op::Get { speed: Speed::Slow, .. } => Some("no system call takes a get the slow way alone".to_owned()),
        Op::Pin { write: true, longterm: true, .. } => None,
        Op::Pin { write: true, .. } => Some("no system call holds a short pin".to_owned()),
        Op::Pin { .. } => Some("no system call holds a read-only pin; the kernel's gup_test would".to_owned()),
        Op::Dma { held, .. } => match program.taker(held.name).map(|taker| taker.op) {
            Some(Op::Pin { .. }) => None,
            _ => Some("no device writes through a get".to_owned()),
        },
        Op::Hold { .. } | Op::Drop { .. } => Some("a transient reference cannot be held from outside".to_owned()),
        Op::LruAdd { .. } => Some("LRU batches are emptied after each line, to be deterministic".to_owned()),
        Op::UffdRegister { mode: UffdMode::Wp, .. } => None,
        Op::UffdRegister { .. } | Op::UffdCopy { .. } | Op::UffdZeropage { .. } => not_yet(op.verb()),
        Op::UffdContinue { .. } | Op::UffdMove { .. } | Op::Mremap { .. } => not_yet(op.verb()),
        Op::Madvise { advice: Advice::Pageout | Advice::Collapse | Advice::Mergeable | Advice::Unmergeable, .. } => {
            Some("`madvise` that moves pages is not yet realised".to_owned())
        }
        Op::Drain if kernel => None,
        op if kernel => not_yet(op.verb()),
        _ => None,
    }
}
