//! What a scenario has named so far, and what has become of it.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Place;
use crate::ir::{Area, UffdMode};
use crate::types::{Event, FileId, MemId, ObsId, Pc, ProcId, RaceId, RefId, TaskId};

/// When something happened, as far as that can be known before the scenario runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub at: Place,
    pub pc: Pc,
    pub race: Option<RaceId>,
    pub task: TaskId,
}

/// What a name of the scenario names. Memory is apart: its names belong to processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Named {
    Process(ProcId),
    File(FileId),
    Reference(RefId),
    Observation(ObsId),
}

impl Named {
    /// For messages.
    pub fn says(self) -> &'static str {
        match self {
            Named::Process(_) => "a process",
            Named::File(_) => "a file",
            Named::Reference(_) => "a reference",
            Named::Observation(_) => "an observation",
        }
    }
}

/// A process.
#[derive(Clone, Debug)]
pub(super) struct Proc<'a> {
    /// The `fork` that made it; of the first process, the line that first names it.
    pub born: Mark,
    pub parent: Option<ProcId>,
    /// Its `fork` is announced to fail.
    pub never_started: bool,
    pub exited: Option<Mark>,
    pub waited: Option<Place>,
    /// Names of its memory, given by itself or handed on.
    pub names: BTreeMap<&'a str, MemName>,
    /// One entry for each page of its address space that a mapping has taken.
    pub pages: Vec<Page>,
}

/// A name of memory in one process.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemName {
    pub mem: MemId,
    pub made: Mark,
}

/// A page of an address space.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Page {
    pub unmapped: Option<Mark>,
    /// Registered with userfaultfd for write protection.
    pub wp: bool,
    /// Registered with userfaultfd for missing pages or minor faults.
    pub fills: bool,
}

impl Page {
    pub fn register(&mut self, mode: UffdMode) {
        // The new mode takes the place of the old.
        (self.wp, self.fills) = match mode {
            UffdMode::Wp | UffdMode::WpAsync => (true, false),
            UffdMode::Missing | UffdMode::Minor => (false, true),
        };
    }
}

/// How a reference was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    Vmsplice,
    Get,
    Pin,
    Hold,
}

impl Taken {
    /// For messages.
    pub fn says(self) -> &'static str {
        match self {
            Taken::Vmsplice => "a pipe's reference",
            Taken::Get => "a get",
            Taken::Pin => "a pin",
            Taken::Hold => "a transient reference of the kernel",
        }
    }

    /// The verb that releases it.
    pub fn released_by(self) -> &'static str {
        match self {
            Taken::Vmsplice | Taken::Get => "put",
            Taken::Pin => "unpin",
            Taken::Hold => "drop",
        }
    }
}

/// A reference.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ref {
    pub made: Mark,
    /// The process that holds it; the kernel where `None`.
    pub holder: Option<ProcId>,
    pub taken: Taken,
    pub write: bool,
    /// The line that takes it is announced to fail.
    pub never_taken: bool,
    pub released: Option<Mark>,
    /// It was released by its holder's exit.
    pub by_exit: bool,
}

/// A thread that userfaultfd stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sleep {
    pub since: Place,
    pub event: Event,
    pub area: Option<Area>,
}

impl Sleep {
    /// The verb that resolves what the thread waits for; it may take a value or a place besides the memory.
    pub fn waker(self) -> &'static str {
        match self.event {
            Event::Wp => "uffd unwp",
            Event::Missing => "uffd zeropage",
            Event::Minor => "uffd continue",
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct World<'a> {
    pub procs: Vec<Proc<'a>>,
    pub refs: Vec<Ref>,
    /// Where each observation was made.
    pub obs: Vec<Mark>,
    /// Where each name of memory was given.
    pub mems: Vec<Place>,
    /// One entry an actor.
    pub asleep: Vec<Option<Sleep>>,
    /// Names of the whole scenario, and where they were given.
    pub names: BTreeMap<&'a str, (Named, Place)>,
    /// Names that a line with a mistake may have given: they are not reported as unknown.
    pub excused: BTreeSet<&'a str>,
    /// A whole prepare is missing: no name is reported as unknown.
    pub blind: bool,
}

impl<'a> World<'a> {
    /// Whether the mark lies before a line of the task in every order that `race`, the race of that line, allows.
    pub fn before(&self, mark: Mark, race: Option<RaceId>, task: TaskId, actors: &[crate::ir::Actor]) -> bool {
        if race.is_none() || mark.race != race || mark.task == task {
            return true;
        }
        // A child forked inside the race starts when `fork` returns, so it comes after what its parent did before.
        let born = actors[task.idx()].proc().map(|proc| self.procs[proc.idx()].born);
        born.is_some_and(|born| born.race == race && mark.pc <= born.pc && self.before(mark, race, born.task, actors))
    }
}
