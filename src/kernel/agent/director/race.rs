//! A race: its actors are told their parts, and heard when they are through.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::{Asleep, Director, Flow};
use crate::ir::{Actor, Ending, Op};
use crate::kernel::agent::race::{Delays, Part, Raced, born_in, meet, now, seed_of, spin};
use crate::kernel::agent::uffd;
use crate::kernel::agent::waiter::{Received, receive, until, until_gone};
use crate::kernel::agent::worker::{Failed, Order, Reply};
use crate::kernel::wire::{Ended, Line, Stop};
use crate::types::{Event, Failure, Pc, ProcId, TaskId};

/// An actor under way.
struct Racer {
    proc: ProcId,
    pcs: Vec<Pc>,
    /// The instruction that userfaultfd stopped.
    asleep: Option<Asleep>,
}

/// What came of the actors: instructions that ended, those that sleep or slept.
#[derive(Default)]
struct Finish {
    raced: Vec<Raced>,
    slept: Vec<(Pc, Event)>,
}

fn skip(why: &str) -> Stop {
    Stop::Skip(why.to_owned())
}

impl Director<'_> {
    /// Runs the lines of a race at once.
    pub(super) fn race(&mut self, lines: Range<usize>) -> Flow {
        let (racers, kernels) = self.racers(&lines)?;
        let born = born_in(self.program(), lines.clone());
        let starting: Vec<(TaskId, Vec<Pc>, ProcId)> = racers
            .iter()
            .filter(|(_, racer)| self.procs[racer.proc.idx()].is_some())
            .map(|(task, racer)| (*task, racer.pcs.clone(), racer.proc))
            .collect();
        let taking_part = starting.len() as u32 + u32::from(!kernels.is_empty());
        self.inherited.meeting.store(0, Ordering::SeqCst);
        for (nth, (task, pcs, _)) in starting.iter().enumerate() {
            let pids = pcs.iter().map(|pc| self.pid_of_target(*pc)).collect();
            let cpus = &self.inherited.cpus;
            let part = Part {
                pcs: pcs.iter().map(|pc| pc.0).collect(),
                pids,
                racers: taking_part,
                cpu: cpus.get(nth % cpus.len().max(1)).copied().unwrap_or(self.inherited.home),
                home: self.inherited.home,
                seed: seed_of(self.seed, self.round, nth),
            };
            self.say(*task, &Order::Race(part))?;
        }
        let mut finish = Finish::default();
        if !kernels.is_empty() {
            meet(self.inherited.meeting, taking_part);
            let mut delays = Delays(seed_of(self.seed, self.round, starting.len()));
            for pc in kernels {
                spin(delays.next());
                self.mover(pc)?;
                let reply = Reply::done(self.program().code[pc.idx()].op.parts());
                finish.raced.push(Raced { pc: pc.0, at: now(), reply });
            }
        }
        self.hear(racers, &born, &mut finish)?;
        self.finish(finish)
    }

    /// Who takes part, those too who are born on the way; and what the kernel does meanwhile.
    fn racers(&mut self, lines: &Range<usize>) -> Result<(BTreeMap<TaskId, Racer>, Vec<Pc>), Stop> {
        let (mut racers, mut kernels) = (BTreeMap::<TaskId, Racer>::new(), Vec::new());
        let born: Vec<ProcId> = born_in(self.program(), lines.clone()).iter().map(|(child, _)| *child).collect();
        for pc in lines.clone().map(Pc::at) {
            let instr = self.program().code[pc.idx()];
            match self.program().tasks[instr.task.idx()] {
                Actor::Kernel(1) => {
                    kernels.push(pc);
                    continue;
                }
                Actor::Kernel(_) => return Err(skip("the kernel does one thing at a time in a race")),
                Actor::Thread { thread, proc } if born.contains(&proc) && thread != 1 => {
                    return Err(skip("a second thread of a process that the same race brings forth"));
                }
                Actor::Thread { .. } | Actor::Device => {}
            }
            let Some(proc) = self.inherited.plan.acting(pc.idx()) else { return Err(skip("the device has nothing to act on")) };
            if instr.op.area().is_some_and(|area| area.proc != proc && born.contains(&area.proc)) {
                return Err(skip("a race reaches for the memory of a process that it brings forth"));
            }
            let racer = racers.entry(instr.task).or_insert(Racer { proc, pcs: Vec::new(), asleep: None });
            if racer.proc != proc {
                return Err(skip("a device holds references of two processes in one race"));
            }
            racer.pcs.push(pc);
        }
        for (task, racer) in &racers {
            if !born.contains(&racer.proc) {
                self.place(*task, racer)?;
            }
        }
        Ok((racers, kernels))
    }

    /// Makes the thread of an actor, where it is not there.
    fn place(&mut self, task: TaskId, racer: &Racer) -> Flow {
        let exits = |pc: &Pc| self.program().code[pc.idx()].op == Op::Exit;
        if racer.pcs.iter().any(exits) {
            let children = self.children(racer.proc);
            self.tell_all(&children, racer.pcs[0], &Order::Disarm)?;
        }
        if self.program().tasks[task.idx()].proc().is_none() {
            match self.lodgers.get(&task) {
                Some(proc) if *proc != racer.proc => return Err(skip("a device holds references of two processes")),
                Some(_) => {}
                None => {
                    self.lodgers.insert(task, racer.proc);
                    self.spawn(task, self.first(racer.proc), racer.pcs[0])?;
                }
            }
            return Ok(());
        }
        self.thread(racer.pcs[0], racer.proc).map(drop)
    }

    /// Hears all actors out, but for those that sleep and whom nobody wakes.
    fn hear(&mut self, mut racers: BTreeMap<TaskId, Racer>, born: &[(ProcId, Pc)], finish: &mut Finish) -> Flow {
        let mut waiting: Vec<TaskId> = racers.keys().copied().filter(|task| self.is_there(*task)).collect();
        while waiting.iter().any(|task| racers[task].asleep.is_none()) {
            match self.next(&waiting, &racers)? {
                Next::Replied(task, reply) => {
                    waiting.retain(|other| *other != task);
                    for raced in &reply.raced {
                        self.wakes(Pc(raced.pc), raced, &mut racers);
                        let child = born.iter().find(|(_, pc)| pc.0 == raced.pc).map(|(child, _)| *child);
                        if let (Some(child), Some(pid)) = (child, raced.reply.pid) {
                            self.effect(Pc(raced.pc), &raced.reply)?;
                            debug_assert!(0 < pid, "cowl bug: a child without an id");
                            let task = self.first(child);
                            if racers.contains_key(&task) {
                                waiting.push(task);
                            }
                        }
                    }
                    finish.raced.extend(reply.raced);
                }
                Next::Slept(task, asleep, event) => {
                    if racers[&task].pcs[0] != asleep.pc {
                        return Err(skip("a thread that does something in a race before it sleeps there"));
                    }
                    finish.slept.push((asleep.pc, event));
                    racers.entry(task).and_modify(|racer| racer.asleep = Some(asleep));
                }
            }
        }
        for task in waiting {
            if let Some(asleep) = racers[&task].asleep {
                self.asleep.insert(task, asleep);
            }
        }
        Ok(())
    }

    fn is_there(&self, task: TaskId) -> bool {
        self.procs[self.proc_of(task).idx()].is_some()
    }

    /// Those whose page an instruction has resolved sleep no longer.
    fn wakes(&self, pc: Pc, raced: &Raced, racers: &mut BTreeMap<TaskId, Racer>) {
        let Some(area) = Self::resolves(self.program().code[pc.idx()].op).filter(|_| raced.reply.failed.is_none()) else {
            return;
        };
        for racer in racers.values_mut().filter(|racer| racer.proc == area.proc) {
            let resolved = |asleep: &Asleep| asleep.place.is_some_and(|place| area.pages().any(|page| page == place));
            racer.asleep = racer.asleep.filter(|asleep| !resolved(asleep));
        }
    }

    /// What comes next from those who are waited for.
    fn next(&mut self, waiting: &[TaskId], racers: &BTreeMap<TaskId, Racer>) -> Result<Next, Stop> {
        loop {
            let mut fds: Vec<PollFd<'_>> =
                waiting.iter().map(|task| PollFd::new(&self.ends[task.idx()], PollFlags::IN)).collect();
            let uffds: Vec<usize> = (0..self.uffds.len()).filter(|proc| self.uffds[*proc].is_some()).collect();
            fds.extend(uffds.iter().filter_map(|proc| self.uffds[*proc].as_ref()).map(|fd| PollFd::new(fd, PollFlags::IN)));
            let pidfds = waiting.iter().filter_map(|task| self.procs[self.proc_of(*task).idx()].as_ref());
            fds.extend(pidfds.map(|proc| PollFd::from_borrowed_fd(proc.pidfd.as_fd(), PollFlags::IN)));
            match poll(&mut fds, Some(&until(self.deadline))) {
                Ok(0) => return Err(Stop::Crashed("a race: no answer in time".to_owned())),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(Stop::Crashed(error.to_string())),
                Ok(_) => {}
            }
            let ready: Vec<bool> = fds.iter().map(|fd| fd.revents().contains(PollFlags::IN)).collect();
            drop(fds);
            for (nth, task) in waiting.iter().enumerate().filter(|(nth, _)| ready[*nth]) {
                debug_assert!(ready[nth], "cowl bug: nothing to receive");
                match receive(&self.ends[task.idx()], &mut self.room).map_err(Stop::Crashed)? {
                    Received::Reply(reply) => return Ok(Next::Replied(*task, reply)),
                    Received::Uffd(fd) => {
                        let proc = self.proc_of(*task);
                        self.uffds[proc.idx()] = Some(fd);
                    }
                }
            }
            for (nth, proc) in uffds.iter().enumerate().filter(|(nth, _)| ready[waiting.len() + nth]) {
                debug_assert!(ready[waiting.len() + nth], "cowl bug: no event to read");
                if let Some(next) = self.event(*proc, racers) {
                    return Ok(next);
                }
            }
            if ready.iter().skip(waiting.len() + uffds.len()).any(|ready| *ready) && !ready[..waiting.len()].contains(&true) {
                return Err(Stop::Crashed("a process died in a race".to_owned()));
            }
        }
    }

    /// An event of a userfaultfd: the actor that it is about is the one that has an instruction about this page.
    fn event(&self, proc: usize, racers: &BTreeMap<TaskId, Racer>) -> Option<Next> {
        let mut message = [0; 32];
        rustix::io::read(self.uffds[proc].as_ref()?, &mut message[..]).ok().filter(|len| *len == 32)?;
        let (at, event) = uffd::event(&message)?;
        let place = self.inherited.plan.vpn(ProcId::at(proc), at)?;
        let about =
            |pc: &&Pc| self.program().code[pc.idx()].op.area().is_some_and(|area| area.pages().any(|page| page == place));
        racers.iter().filter(|(_, racer)| racer.proc.idx() == proc && racer.asleep.is_none()).find_map(|(task, racer)| {
            let pc = racer.pcs.iter().find(about)?;
            Some(Next::Slept(*task, Asleep { pc: *pc, place: Some(place) }, event))
        })
    }

    /// Writes down what came of it all, in the order of the lines.
    fn finish(&mut self, finish: Finish) -> Flow {
        let Finish { mut raced, slept } = finish;
        raced.sort_by_key(|raced| raced.at);
        for Raced { pc, reply, .. } in raced.iter().filter(|raced| raced.reply.failed.is_none()) {
            let op = self.program().code[usize::from(*pc)].op;
            match op {
                Op::Fork { .. } => {} // Its child was taken in at once.
                Op::Exit => self.exited(Pc(*pc))?,
                _ => self.effect(Pc(*pc), reply)?,
            }
        }
        self.agent.drain();
        for (pc, event) in slept {
            let line = Line {
                pc: pc.0,
                ended: Ended::Event(event.to_string()),
                done: 0,
                seen: Vec::new(),
                faults: None,
                facts: Vec::new(),
            };
            self.lines.push(line);
        }
        raced.sort_by_key(|raced| raced.pc);
        let mut unannounced = false;
        for Raced { pc, reply, .. } in raced {
            let ended = match &reply.failed {
                None => Ended::Ok,
                Some(Failed::Skip(why)) => return Err(Stop::Skip(why.clone())),
                Some(failed) => match failed.failure() {
                    Some(failure) => Ended::Fails(failure.to_string()),
                    None => return Err(Stop::Skip(format!("{} cannot be done here", self.describe(Pc(pc))))),
                },
            };
            unannounced |= !self.is_permitted(Pc(pc), &ended);
            let Reply { done, seen, faults, .. } = reply;
            self.lines.push(Line { pc, ended, done, seen, faults, facts: Vec::new() });
        }
        if unannounced { Err(Stop::Unannounced) } else { Ok(()) }
    }

    /// In a race both endings permit.
    fn is_permitted(&self, pc: Pc, ended: &Ended) -> bool {
        match (ended, self.program().code[pc.idx()].ending) {
            (Ended::Ok, _) => true,
            (Ended::Fails(name), Ending::Fails(failure)) => name.parse() == Ok::<Failure, _>(failure),
            _ => false,
        }
    }

    fn effect(&mut self, pc: Pc, reply: &Reply) -> Flow {
        let instr = self.program().code[pc.idx()];
        self.took_effect(instr.op, reply.pid, self.program().tasks[instr.task.idx()].proc())
    }

    /// A process that exits in a race.
    fn exited(&mut self, pc: Pc) -> Flow {
        let Some(actor) = self.inherited.plan.acting(pc.idx()) else { return Ok(()) };
        let gone = self.procs[actor.idx()].as_ref().is_some_and(|proc| until_gone(&proc.pidfd, self.deadline));
        if !gone {
            return Err(Stop::Crashed(format!("{}: the process does not end", self.describe(pc))));
        }
        let children = self.children(actor);
        self.gone(actor, &children, pc)
    }
}

/// What came of those who are waited for.
enum Next {
    Replied(TaskId, Reply),
    Slept(TaskId, Asleep, Event),
}
