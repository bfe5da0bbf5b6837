//! Statements of one program said again in another: renamed, made to fit, or left out.
//!
//! What mutation, crossover and reduction do to a program ends here, so that whatever they cut or paste comes out canonical and
//! without a static mistake: it prints, and its print lowers to it.

use super::scale::pairs;
use super::sketch::{Made, Sketch};
use super::{Limits, Settings, rows};
use crate::ir::{Actor, Area, Backing, Ending, FileKind, Instr, MemKind, Op, Program, RefArea, Sharing, Slot, Verb, Who};
use crate::types::{FileId, MemId, Pc, ProcId, RefId, ValueId, WordId};

/// How closely a statement is to be said again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// As it was, or not at all: for programs that are cut down.
    Exactly,
    /// With what is there in place of what is not: for programs that are pasted together. Values come out new.
    Loosely,
}

/// What the names of one program became in another.
#[derive(Clone, Debug)]
pub struct Renames {
    manner: Manner,
    procs: Vec<Option<ProcId>>,
    mems: Vec<Option<MemId>>,
    refs: Vec<Option<RefId>>,
    files: Vec<Option<FileId>>,
    values: Vec<Option<ValueId>>,
}

impl Renames {
    /// Nothing has been said again; the first process is the first process.
    pub fn of(program: &Program, manner: Manner) -> Self {
        let mut procs = vec![None; program.procs.len()];
        if let Some(first) = procs.first_mut() {
            *first = Some(ProcId(0));
        }
        Self {
            manner,
            procs,
            mems: vec![None; program.mems.len()],
            refs: vec![None; program.refs.len()],
            files: vec![None; program.files.len()],
            values: vec![None; program.values.len()],
        }
    }

    fn loose(&self) -> bool {
        self.manner == Manner::Loosely
    }

    fn proc(&self, sketch: &Sketch, old: ProcId) -> Option<ProcId> {
        let there = sketch.procs.len();
        let instead = || self.loose().then(|| ProcId::at(old.idx() % there));
        self.procs.get(old.idx()).copied().flatten().or_else(instead).filter(|proc| !sketch.procs[proc.idx()].exited)
    }
}

/// Says one program again from its beginning.
pub fn again(from: &Program, code: impl IntoIterator<Item = Instr>, settings: &Settings, manner: Manner) -> Program {
    let mut sketch = Sketch::new(settings.limits, settings.wild_percent, from.pmd_order).on(from.system);
    let mut renames = Renames::of(from, manner);
    for instr in code {
        if sketch.program().code.len() == settings.statements {
            break;
        }
        admit(&mut sketch, &mut renames, from, &instr, settings.modelled);
    }
    sketch.finish()
}

/// Settings under which any program is said again whole: everything fits that lowering lets through, and nothing is new.
pub fn whole(modelled: fn(&Program, Op) -> bool) -> Settings {
    Settings { statements: usize::MAX, limits: Limits::of::<crate::types::Large>(), ..Settings::new(modelled) }
}

/// Whether a store that is announced to be stopped is one that userfaultfd stops, by what was said before it.
pub fn foresees_event(program: &Program, pc: Pc) -> bool {
    let mut sketch = Sketch::new(Limits::of::<crate::types::Large>(), 0, program.pmd_order).on(program.system);
    let mut renames = Renames::of(program, Manner::Exactly);
    for instr in &program.code[..pc.idx()] {
        admit(&mut sketch, &mut renames, program, instr, |_, _| true);
    }
    let Instr { op, ending, .. } = program.code[pc.idx()];
    let there = |area: &Area| {
        usize::from(area.start.0 + area.len) <= sketch.procs.get(area.proc.idx()).map_or(0, |proc| proc.pages.len())
    };
    matches!(ending, Ending::Event(_)) && op.area().filter(there).is_some_and(|area| sketch.is_stopped(area))
}

/// Says one statement of another program again; whether it could. Claims, observations and races stay behind.
pub fn admit(
    sketch: &mut Sketch,
    renames: &mut Renames,
    from: &Program,
    instr: &Instr,
    modelled: fn(&Program, Op) -> bool,
) -> bool {
    let mut made_of = None;
    let added = sketch.attempt(
        |sketch| {
            let made = renamed(sketch, renames, from, instr)?;
            made_of = Some(made.op);
            Some(made)
        },
        modelled,
    );
    if let (true, Some(op)) = (added, made_of) {
        remember(renames, instr.op, op);
    } else {
        // A value that only this statement would have brought is not there.
        let there = sketch.program().values.len();
        renames.values.iter_mut().filter(|new| new.is_some_and(|new| there <= new.idx())).for_each(|new| *new = None);
    }
    added
}

/// What a statement named is known by its new number from now on.
fn remember(renames: &mut Renames, old: Op, new: Op) {
    let mut mem = |old: MemId, new: MemId| renames.mems[old.idx()] = Some(new);
    match (old, new) {
        (Op::Mmap { area: old, backing: was, .. }, Op::Mmap { area: new, backing: is, .. }) => {
            mem(old.mem, new.mem);
            if let (Backing::File(was), Backing::File(is)) = (was, is) {
                renames.files[was.idx()] = Some(is);
            }
        }
        (Op::Mremap { to: old, .. }, Op::Mremap { to: new, .. }) => mem(old.mem, new.mem),
        (Op::Name { to: old, .. }, Op::Name { to: new, .. }) => mem(old, new),
        (Op::Fork { child: old }, Op::Fork { child: new }) => renames.procs[old.idx()] = Some(new),
        _ => {}
    }
    if let (Some(old), Some(new)) = (old.takes(), new.takes()) {
        renames.refs[old.idx()] = Some(new);
    }
}

fn renamed(sketch: &mut Sketch, renames: &mut Renames, from: &Program, instr: &Instr) -> Option<Made> {
    let actor = actor(sketch, renames, from.tasks[instr.task.idx()])?;
    let verb = instr.op.verb();
    let may_say = match verb.info().who {
        Who::Process => matches!(actor, Actor::Thread { .. }),
        Who::Kernel => matches!(actor, Actor::Kernel(_)),
        Who::Device => actor == Actor::Device,
        Who::HolderOrDevice => !matches!(actor, Actor::Kernel(_)),
        Who::KernelOrDevice => !matches!(actor, Actor::Thread { .. }),
    };
    if !may_say {
        return None;
    }
    let mut to = To { sketch, renames, from, actor, gone: false };
    let op = to.op(instr.op)?;
    let gone = to.gone;
    let loose = to.renames.loose();
    let ending = match (gone, instr.ending) {
        (true, Ending::Fails(_)) => instr.ending,
        (true, _) if loose => rows::of_nothing(verb)?,
        (true, _) => return None,
        (false, Ending::Fails(_)) if loose => Ending::Succeeds,
        (false, ending) => ending,
    };
    let registered = |area: Area| sketch.is_registered(verb, area);
    let asks = matches!(verb, Verb::UffdWp | Verb::UffdUnwp | Verb::UffdCopy | Verb::UffdZeropage | Verb::UffdContinue);
    if asks && !matches!(ending, Ending::Fails(_)) && !op.area().is_some_and(registered) {
        return None;
    }
    let ending = match ending {
        // What is not registered raises no event, so none is owed.
        Ending::Event(_) if !op.area().is_some_and(registered) => Ending::Succeeds,
        Ending::Event(_) if loose && !op.area().is_some_and(|area| sketch.is_stopped(area)) => Ending::Succeeds,
        ending => ending,
    };
    Some(Made { actor, op, ending })
}

/// Who says it; another thread of the process where the one that said it cannot.
fn actor(sketch: &Sketch, renames: &Renames, old: Actor) -> Option<Actor> {
    let Actor::Thread { proc, thread } = old else { return sketch.can_act(old).then_some(old) };
    let actor = Actor::Thread { proc: renames.proc(sketch, proc)?, thread };
    match sketch.can_act(actor) {
        true => Some(actor),
        false if renames.loose() => sketch.thread(renames.proc(sketch, proc)?),
        false => None,
    }
}

/// One statement on its way.
struct To<'a> {
    sketch: &'a mut Sketch,
    renames: &'a mut Renames,
    from: &'a Program,
    actor: Actor,
    /// All memory that it names is unmapped.
    gone: bool,
}

impl To<'_> {
    fn op(&mut self, op: Op) -> Option<Op> {
        Some(match op {
            Op::Mmap { area, backing, sharing, prot } => {
                let proc = self.actor.proc()?;
                let kind = self.from.mems[area.mem.idx()].kind;
                let large = matches!(kind, MemKind::Thp | MemKind::Mthp { .. });
                let kind = if large && backing != Backing::Anon { MemKind::Pages } else { kind };
                let area = self.new_mem(proc, area.len, kind)?;
                if self.renames.loose() && matches!(kind, MemKind::Hugetlb { .. }) {
                    rows::has_pool(self.sketch)?;
                }
                Op::Mmap { area, backing: self.backing(backing, sharing, area.len)?, sharing, prot }
            }
            Op::Mremap { from, .. } => {
                let from = self.area(from, Verb::Mremap)?;
                let kind = self.sketch.program().mems[from.mem.idx()].kind;
                let to = self.sketch.new_mem(from.proc, from.len.into(), kind)?;
                (to.len == from.len).then_some(Op::Mremap { from, to })?
            }
            Op::Name { area, .. } => {
                let area = self.area(area, Verb::Name)?;
                Op::Name { area, to: self.sketch.new_name(area) }
            }
            Op::Fork { .. } => {
                let child = ProcId::at(self.sketch.procs.len());
                self.sketch.has_free_proc().then_some(Op::Fork { child })?
            }
            Op::Wait { child } => {
                let child = self.renames.procs.get(child.idx()).copied().flatten()?;
                let of = &self.sketch.procs[child.idx()];
                (of.parent == self.actor.proc() && of.exited && !of.waited).then_some(Op::Wait { child })?
            }
            Op::Put { name } => Op::Put { name: self.released(name, Verb::Put)? },
            Op::Unpin { name, dirty } => Op::Unpin { name: self.released(name, Verb::Unpin)?, dirty },
            Op::Drop { name } => Op::Drop { name: self.released(name, Verb::Drop)? },
            Op::Peek { held } => Op::Peek { held: self.held(held, false)? },
            Op::Dma { held, value } => Op::Dma { held: self.held(held, true)?, value: self.value(value)? },
            Op::UffdMove { from, to } => {
                let (from, to) = (self.area(from, Verb::UffdMove)?, self.area(to, Verb::UffdMove)?);
                pairs(self.sketch.program(), from, to).then_some(Op::UffdMove { from, to })?
            }
            Op::KsmMerge { a, b } => {
                let (a, b) = (self.area(a, Verb::KsmMerge)?, self.area(b, Verb::KsmMerge)?);
                pairs(self.sketch.program(), a, b).then_some(Op::KsmMerge { a, b })?
            }
            Op::Exit | Op::ClearRefs | Op::Swapoff | Op::Drain => op,
            op => self.on_memory(op)?,
        })
    }

    /// An operation about one piece of memory, which may take a reference or store a value.
    fn on_memory(&mut self, op: Op) -> Option<Op> {
        let area = self.area(op.area()?, op.verb())?;
        let value = match op.stores() {
            Some(value) => self.value(value)?,
            None => ValueId(0),
        };
        let name = match op.takes() {
            Some(_) => self.sketch.new_ref(area.len)?,
            None => RefId(0),
        };
        Some(op.with(area, value, name))
    }

    fn new_mem(&mut self, proc: ProcId, len: u16, kind: MemKind) -> Option<Area> {
        let order = match kind {
            MemKind::Thp => Some(self.sketch.program().pmd_order),
            MemKind::Mthp { order } => Some(order),
            MemKind::Pages | MemKind::Hugetlb { .. } => None,
        };
        // A large folio of the size of a PMD is a THP, and what is no multiple of either is base pages.
        let fits = order.is_none_or(|order| len.is_multiple_of(1 << order))
            && (kind == MemKind::Thp || order < Some(self.sketch.program().pmd_order));
        if !fits && !self.renames.loose() {
            return None;
        }
        let kind = if fits { kind } else { MemKind::Pages };
        let area = self.sketch.new_mem(proc, len.into(), kind)?;
        (area.len == len || (self.renames.loose() && order.is_none())).then_some(area)
    }

    fn backing(&mut self, backing: Backing, sharing: Sharing, len: u16) -> Option<Backing> {
        let Backing::File(file) = backing else { return Some(backing) };
        let decl = &self.from.files[file.idx()];
        if decl.name.is_empty() {
            let fits = sharing == Sharing::Shared || decl.kind == FileKind::Device;
            debug_assert!(fits, "cowl bug: a nameless file is behind shared memory, or a device's");
            return Some(Backing::File(self.sketch.new_file(decl.kind, false, len)?));
        }
        let known = self.renames.files[file.idx()];
        Some(Backing::File(match known {
            Some(known) => self.sketch.old_file(known, len)?,
            None => self.sketch.new_file(decl.kind, true, len)?,
        }))
    }

    fn area(&mut self, old: Area, verb: Verb) -> Option<Area> {
        let loose = self.renames.loose();
        let own = verb.info().slots.contains(&Slot::Own);
        let proc = match self.actor.proc() {
            Some(proc) if own => proc,
            _ => self.renames.proc(self.sketch, old.proc)?,
        };
        let mems = &self.sketch.procs[proc.idx()].mems;
        let known = self.renames.mems[old.mem.idx()].filter(|mem| mems.contains(mem));
        let instead = || if loose { mems.get(old.mem.idx() % mems.len().max(1)).copied() } else { None };
        let mem = known.or_else(instead)?;
        let (was, is) = (self.from.mems[old.mem.idx()].area, self.sketch.program().mems[mem.idx()].area);
        let (mut start, mut len) = (old.start.0 - was.start.0, old.len);
        if is.len < start + len {
            if !loose {
                return None;
            }
            (start, len) = if len == was.len { (0, is.len) } else { (start % is.len, 1) };
        }
        let word = match old.word {
            Some(word) => Some(self.sketch.old_word(self.from.words[word.idx()])?),
            None => None,
        };
        let area = Area { proc, mem, start: crate::types::Vpn(is.start.0 + start), len, word };
        if self.sketch.pages(area).iter().all(|page| page.unmapped) {
            self.gone = true;
        }
        Some(area)
    }

    fn value(&mut self, old: ValueId) -> Option<ValueId> {
        if let Some(known) = self.renames.values[old.idx()] {
            return Some(known);
        }
        let value = self.from.values[old.idx()];
        let new = if self.renames.loose() && old != ValueId(0) {
            self.sketch.fresh_value(old)
        } else {
            self.sketch.old_value(value)?
        };
        self.renames.values[old.idx()] = Some(new);
        Some(new)
    }

    fn reference(&self, old: RefId, test: impl Fn(&super::sketch::Held) -> bool) -> Option<RefId> {
        let open = |name: RefId| self.sketch.refs.get(name.idx()).is_some_and(|held| held.open && test(held));
        let known = self.renames.refs.get(old.idx()).copied().flatten();
        match known {
            Some(known) => open(known).then_some(known),
            None if self.renames.loose() => (0..self.sketch.refs.len()).map(RefId::at).find(|name| open(*name)),
            None => None,
        }
    }

    fn released(&self, old: RefId, verb: Verb) -> Option<RefId> {
        let holder = self.actor.proc();
        self.reference(old, |held| held.holder == holder && held.released_by() == verb)
    }

    fn held(&mut self, old: RefArea, write: bool) -> Option<RefArea> {
        let holder = self.actor.proc();
        let device = self.actor == Actor::Device;
        debug_assert!(!write || device || Verb::Dma.info().who != Who::Device, "cowl bug: only the device writes so");
        let name = self.reference(old.name, |held| (device || held.holder == holder) && (held.write || !write))?;
        let (was, is) = (self.from.refs[old.name.idx()].len, self.sketch.program().refs[name.idx()].len);
        let (mut start, mut len) = (old.start, old.len);
        if is < start + len {
            if !self.renames.loose() {
                return None;
            }
            (start, len) = if len == was { (0, is) } else { (start % is, 1) };
        }
        let word = match old.word {
            Some(word) => Some(WordId(self.sketch.old_word(self.from.words[word.idx()])?.0)),
            None => None,
        };
        Some(RefArea { name, start, len, word })
    }
}
