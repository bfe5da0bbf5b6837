//! What may not happen at this time: use after an end, waiting for ever, a sleeper that acts.

use super::env::Name;
use super::error::{OrderError, Place, StatementError};
use super::scene::{Ctx, Scene};
use super::world::{Sleep, Taken};
use crate::ir::{Actor, Area, Ending, Op, Verb, Who};
use crate::types::{ProcId, RefId, TaskId};

impl<'a> Scene<'_, 'a> {
    /// That nothing the operation needs is known to be gone.
    pub fn timely(&mut self, cx: Ctx<'_, 'a>, op: Op) -> Option<()> {
        match op {
            Op::Put { name } | Op::Unpin { name, .. } | Op::Drop { name } => return self.release(cx, name),
            Op::Peek { held } => return self.peek(cx, held.name),
            Op::Dma { held, .. } => return self.dma(cx, held.name),
            Op::Wait { child } => return self.wait(cx, child),
            Op::KsmMerge { a, b } => {
                self.mapped(cx, b)?;
                self.as_long(cx.at, a.len, cx.at, b.len)?;
            }
            Op::UffdWp { area } | Op::UffdUnwp { area } => self.registered(cx, area, "wp", |page| page.wp)?,
            Op::UffdCopy { area, .. } | Op::UffdZeropage { area } => {
                self.registered(cx, area, "missing", |page| page.wp || page.fills)?
            }
            Op::UffdContinue { area } => self.registered(cx, area, "minor", |page| page.wp || page.fills)?,
            _ => {}
        }
        op.area().map_or(Some(()), |area| self.mapped(cx, area))
    }

    /// That two ranges which are taken pairwise are equally long.
    pub fn as_long(&mut self, first: Place, first_len: u16, second: Place, second_len: u16) -> Option<()> {
        if first_len == second_len {
            return Some(());
        }
        let (first, at) = (first.label(), second);
        self.errors.report(at, StatementError::UnequalRanges { first_len, second_len, first, second: at.label() })
    }

    /// That not all pages are unmapped.
    fn mapped(&mut self, cx: Ctx<'_, 'a>, area: Area) -> Option<()> {
        let pages = &self.world.procs[area.proc.idx()].pages[area.start.idx()..][..usize::from(area.len)];
        let (race, tasks) = (self.race_id(), &self.program.tasks);
        let gone = |page: &super::world::Page| page.unmapped.filter(|mark| self.world.before(*mark, race, cx.task, tasks));
        let all_gone = pages.iter().map(gone).collect::<Option<Vec<_>>>();
        let (Some(gone), false) = (all_gone.and_then(|gone| gone.last().copied()), matches!(cx.ending, Ending::Fails(_)))
        else {
            return Some(());
        };
        let name = self.program.mems[area.mem.idx()].name.clone();
        let announce =
            |failure| format!("move the line above the `munmap`, or announce what happens: end it with `fails {failure}`");
        let help = match (cx.info.who, cx.info.verb) {
            (_, Verb::Munmap | Verb::Name) => "drop this line: nothing is left there".to_owned(),
            (Who::Kernel | Who::KernelOrDevice, _) => "move the line above the `munmap`".to_owned(),
            (_, Verb::Write | Verb::Read) => announce("SIGSEGV"),
            (_, Verb::Mprotect | Verb::Madvise) => announce("ENOMEM"),
            _ => announce("EFAULT"),
        };
        let at = cx.at;
        self.errors.report(at, OrderError::AfterMunmap { name, help, gone: gone.at.beside(at), at: at.label() })
    }

    /// That some page is registered with userfaultfd.
    fn registered(
        &mut self,
        cx: Ctx<'_, 'a>,
        area: Area,
        mode: &'static str,
        is: fn(&super::world::Page) -> bool,
    ) -> Option<()> {
        let pages = &self.world.procs[area.proc.idx()].pages[area.start.idx()..][..usize::from(area.len)];
        if pages.iter().any(is) || matches!(cx.ending, Ending::Fails(_)) || self.may_have_said("uffd register") {
            return Some(());
        }
        let name = self.program.mems[area.mem.idx()].name.clone();
        let (actor, at) = (self.program.procs[area.proc.idx()].clone(), cx.at);
        self.errors.report(at, OrderError::NotRegistered { name, actor, mode, at: at.label() })
    }

    /// That a thread is not asleep.
    pub fn awake(&mut self, actor: Actor, task: TaskId, name: Name<'a>) -> Option<()> {
        let sleep = self.world.asleep[task.idx()].filter(|sleep| !self.may_have_said(sleep.waker()));
        let Some(sleep) = sleep else { return Some(()) };
        let (since, at) = (sleep.since.beside(name.at), name.at);
        let other = match actor {
            Actor::Thread { thread: 1, .. } => format!("{}/2", name.text),
            _ => name.text.to_owned(),
        };
        let memory = sleep.area.map_or("buf", |area| self.program.mems[area.mem.idx()].name.as_str());
        let help = format!("wake it above this line: `{other}: {} {memory}`; or let another thread do it", sleep.waker());
        let actor = match actor {
            Actor::Thread { thread: number @ 2.., .. } => format!("{}/{number}", name.text),
            _ => name.text.to_owned(),
        };
        self.errors.report(at, OrderError::Sleeping { actor, help, since, at: at.label() })
    }

    /// That the reference is there and not released.
    fn held(&mut self, cx: Ctx<'_, 'a>, name: RefId) -> Option<()> {
        let (text, at) = (self.program.refs[name.idx()].name.clone(), cx.at);
        let state = self.world.refs[name.idx()];
        if state.never_taken {
            let taken = state.made.at.beside(at);
            return self.errors.report(at, OrderError::NeverTaken { name: text, taken, at: at.label() });
        }
        if !self.world.before(state.made, self.race_id(), cx.task, &self.program.tasks) {
            let made = state.made.at.beside(at);
            return self.errors.report(at, super::error::NameError::MadeInThisRace { name: text, made, at: at.label() });
        }
        Some(())
    }

    fn not_released(&mut self, cx: Ctx<'_, 'a>, name: RefId) -> Option<()> {
        let at = cx.at;
        match self.world.refs[name.idx()].released {
            Some(gone) if self.world.before(gone, self.race_id(), cx.task, &self.program.tasks) => {
                let (name, gone) = (self.program.refs[name.idx()].name.clone(), gone.at.beside(at));
                self.errors.report(at, OrderError::AfterRelease { name, gone, at: at.label() })
            }
            _ => Some(()),
        }
    }

    /// That the actor holds the reference, or is the device.
    fn holder(&mut self, cx: Ctx<'_, 'a>, name: RefId) -> Option<()> {
        let holder = self.world.refs[name.idx()].holder;
        let Some(process) = cx.actor.proc().filter(|proc| Some(*proc) != holder) else { return Some(()) };
        let (text, at) = (self.program.refs[name.idx()].name.clone(), cx.at);
        let process = self.program.procs[process.idx()].clone();
        let holder = holder.map_or("kernel".to_owned(), |holder| self.program.procs[holder.idx()].clone());
        let verb = cx.info.verb.keyword();
        let help = match cx.info.verb {
            Verb::Peek if holder == "kernel" => format!("write `device: peek {text}`"),
            Verb::Peek => format!("write `{holder}: peek {text}` or `device: peek {text}`: children do not inherit references"),
            _ => format!("write `{holder}: {verb} {text}`: children do not inherit references"),
        };
        let taken = self.world.refs[name.idx()].made.at.beside(at);
        let error = OrderError::NotTheHolder { process, name: text, holder, help, taken, at: at.label() };
        self.errors.report(at, error)
    }

    fn peek(&mut self, cx: Ctx<'_, 'a>, name: RefId) -> Option<()> {
        self.held(cx, name)?;
        self.holder(cx, name)?;
        self.not_released(cx, name)
    }

    fn dma(&mut self, cx: Ctx<'_, 'a>, name: RefId) -> Option<()> {
        self.held(cx, name)?;
        self.not_released(cx, name)?;
        let state = self.world.refs[name.idx()];
        if state.write {
            return Some(());
        }
        let (text, at, taken) = (self.program.refs[name.idx()].name.clone(), cx.at, state.made.at.beside(cx.at));
        let (is, help) = match state.taken {
            Taken::Pin => ("a read-only pin", "write `rw` where it is pinned"),
            Taken::Get => ("a read-only get", "write `rw` where it is taken"),
            Taken::Vmsplice => ("a pipe's reference, which only reads", "take it with `get … rw` or `pin … rw`"),
            Taken::Hold => (Taken::Hold.says(), "take it with `get … rw` or `pin … rw`"),
        };
        let error = OrderError::ReadOnlyDma { name: text, is, help: help.to_owned(), taken, at: at.label() };
        self.errors.report(at, error)
    }

    fn release(&mut self, cx: Ctx<'_, 'a>, name: RefId) -> Option<()> {
        self.held(cx, name)?;
        let state = self.world.refs[name.idx()];
        let (text, at) = (self.program.refs[name.idx()].name.clone(), cx.at);
        let (verb, right) = (cx.info.verb.keyword(), state.taken.released_by());
        if verb != right {
            let takes = match cx.info.verb {
                Verb::Put => "gets and pipes",
                Verb::Unpin => "pins",
                _ => "what `hold` takes",
            };
            let by = match state.holder.map(|holder| &self.program.procs[holder.idx()]) {
                _ if cx.actor.proc() == state.holder => String::new(),
                Some(holder) => format!(", said by `{holder}`"),
                None => ", said by `kernel`".to_owned(),
            };
            let taken = state.made.at.beside(at);
            let is = state.taken.says();
            let error = OrderError::WrongRelease { name: text, is, verb, takes, right, by, taken, at: at.label() };
            return self.errors.report(at, error);
        }
        self.holder(cx, name)?;
        match state.released {
            Some(_) if state.by_exit => self.not_released(cx, name),
            Some(first) => {
                let (first, again) = (first.at.beside(at), at.label());
                match state.taken {
                    Taken::Pin => self.errors.report(at, OrderError::DoubleUnpin { name: text, first, again }),
                    _ => self.errors.report(at, OrderError::DoublePut { name: text, verb, first, again }),
                }
            }
            None => Some(()),
        }
    }

    fn wait(&mut self, cx: Ctx<'_, 'a>, child: ProcId) -> Option<()> {
        let parent = cx.actor.proc()?;
        let at = cx.at;
        let state = &self.world.procs[child.idx()];
        let (fork, name) = (state.born.at.beside(at), self.program.procs[child.idx()].clone());
        if state.parent != Some(parent) {
            let process = self.program.procs[parent.idx()].clone();
            let help = match state.parent {
                Some(parent) => format!("write `{}: wait {name}`", self.program.procs[parent.idx()]),
                None => "drop the line: it is the first process, which nobody started".to_owned(),
            };
            return self.errors.report(at, OrderError::NotAChild { process, child: name, help, fork, at: at.label() });
        }
        if state.never_started {
            return self.errors.report(at, OrderError::NeverStarted { process: name, fork, at: at.label() });
        }
        if let Some(first) = state.waited {
            let (first, again) = (first.beside(at), at.label());
            return self.errors.report(at, OrderError::DoubleWait { child: name, first, again });
        }
        self.world.procs[child.idx()].waited = Some(at);
        if self.race.is_some() {
            self.waits.push((parent, child, at)); // The child may exit further down, in a lane of its own.
            return Some(());
        }
        self.exits_before(parent, child, at)
    }

    /// That a child that is waited for exits.
    pub fn exits_before(&mut self, parent: ProcId, child: ProcId, at: Place) -> Option<()> {
        let state = &self.world.procs[child.idx()];
        if state.exited.is_some() || self.may_have_said("exit") {
            return Some(());
        }
        let fork = state.born.at.beside(at);
        let (parent, child) = (self.program.procs[parent.idx()].clone(), self.program.procs[child.idx()].clone());
        self.errors.report(at, OrderError::EndlessWait { parent, child, fork, at: at.label() })
    }

    /// Notes what the operation changes.
    pub fn effect(&mut self, cx: Ctx<'_, 'a>, op: Op) {
        let mark = self.mark(cx.task, cx.at);
        if cx.ending == Ending::Succeeds {
            self.change(cx, op);
        } else if let (Ending::Event(event), None) = (cx.ending, self.race) {
            self.change(cx, op);
            self.world.asleep[cx.task.idx()] = Some(Sleep { since: mark.at, event, area: op.area() });
        }
    }

    fn change(&mut self, cx: Ctx<'_, 'a>, op: Op) {
        let mark = self.mark(cx.task, cx.at);
        match op {
            Op::Munmap { area } | Op::Mremap { from: area, .. } => {
                for page in self.pages(area) {
                    page.unmapped = page.unmapped.or(Some(mark));
                }
            }
            Op::UffdRegister { area, mode } => self.pages(area).iter_mut().for_each(|page| page.register(mode)),
            Op::UffdUnwp { area } | Op::UffdCopy { area, .. } | Op::UffdZeropage { area } | Op::UffdContinue { area } => {
                self.wake(area)
            }
            Op::UffdMove { to, .. } => self.wake(to),
            Op::Put { name } | Op::Unpin { name, .. } | Op::Drop { name } => {
                self.world.refs[name.idx()].released = Some(mark);
            }
            Op::Exit => {
                let Some(proc) = cx.actor.proc() else { return };
                self.world.procs[proc.idx()].exited = Some(mark);
                for held in self.world.refs.iter_mut().filter(|held| held.holder == Some(proc) && held.released.is_none()) {
                    held.released = Some(mark);
                    held.by_exit = true;
                }
            }
            _ => {}
        }
    }

    fn pages(&mut self, area: Area) -> &mut [super::world::Page] {
        &mut self.world.procs[area.proc.idx()].pages[area.start.idx()..][..usize::from(area.len)]
    }

    /// A page was resolved: who sleeps on it finishes before the next line.
    fn wake(&mut self, area: Area) {
        for sleep in &mut self.world.asleep {
            let on = sleep.and_then(|sleep| sleep.area).filter(|on| on.proc == area.proc);
            if on.is_some_and(|on| on.start.0 < area.start.0 + area.len && area.start.0 < on.start.0 + on.len) {
                *sleep = None;
            }
        }
    }
}
