//! Walks a scenario's lines, prepares and all, and makes its program.

use std::collections::BTreeSet;

use super::book::{Book, Chosen};
use super::env::{Arg, Env};
use super::error::{Errors, ItemError, OrderError, Place, StatementError};
use super::limits::{
    ACTORS_MAX, ASSERTIONS_MAX, DEPTH_MAX, INSTRUCTIONS_MAX, LINES_MAX, PMD_ORDER, PROCESSES_MAX, RACES_MAX, USES_MAX,
};
use super::read;
use super::resolve::{Given, excuse, special_actor};
use super::world::{Mark, Named, Proc, World};
use crate::ir::{self, Actor, Ending, Gives, Instr, OPS, OpInfo, Program};
use crate::policy::nearest;
use crate::syntax::ast::{self, Action, Block, Line, LineKind, Spanned, Word};
use crate::types::{Event, Failure, ObsId, Pc, ProcId, RaceId, Span, TaskId, Value};

/// What is known around one action.
#[derive(Clone, Copy)]
pub(super) struct Ctx<'c, 'a> {
    pub env: &'c Env<'a>,
    pub info: &'static OpInfo,
    pub verb_at: Place,
    pub actor: Actor,
    pub task: TaskId,
    /// The whole line.
    pub at: Place,
    pub ending: Ending,
}

/// A scenario for one kind of memory, in the making.
pub(super) struct Scene<'b, 'a> {
    pub book: &'b Book<'a>,
    pub errors: &'b mut Errors,
    pub program: Program,
    pub spans: Vec<Span>,
    pub asserts: Vec<ir::Assert>,
    pub world: World<'a>,
    /// The race that is open.
    pub race: Option<(RaceId, Place)>,
    /// Waits of the open race whose child had not exited above them.
    pub waits: Vec<(ProcId, ProcId, Place)>,
    /// The kind that `use over` makes.
    pub kind: Option<&'b Chosen<'a>>,
    pub over_used: Option<Place>,
    /// All kinds of the scenario.
    pub kinds: &'b [Chosen<'a>],
    /// A limit was reached: the rest is not looked at.
    pub stopped: bool,
    /// What is left of the lines that all scenarios may run.
    lines_left: &'b mut usize,
    /// Verbs of lines with a mistake: what they would have done may be missing.
    failed: BTreeSet<&'static str>,
    races: usize,
    uses: usize,
    stack: Vec<&'a str>,
}

impl<'b, 'a> Scene<'b, 'a> {
    /// Nothing has happened yet.
    pub fn new(
        book: &'b Book<'a>,
        errors: &'b mut Errors,
        kinds: &'b [Chosen<'a>],
        kind: Option<&'b Chosen<'a>>,
        lines_left: &'b mut usize,
    ) -> Self {
        let program = Program { values: vec![Value::number(0)], words: vec![0], pmd_order: PMD_ORDER, ..Program::default() };
        Self {
            book,
            errors,
            program,
            spans: Vec::new(),
            asserts: Vec::new(),
            world: World::default(),
            race: None,
            waits: Vec::new(),
            kind,
            over_used: None,
            kinds,
            stopped: false,
            lines_left,
            failed: BTreeSet::new(),
            races: 0,
            uses: 0,
            stack: Vec::new(),
        }
    }

    pub fn race_id(&self) -> Option<RaceId> {
        self.race.map(|(race, _)| race)
    }

    /// The next instruction.
    pub fn pc(&self) -> Pc {
        Pc::at(self.program.code.len())
    }

    /// Something that the line makes or ends.
    pub fn mark(&self, task: TaskId, at: Place) -> Mark {
        Mark { at, pc: self.pc(), race: self.race_id(), task }
    }

    /// Whether an unknown name is to be reported; each is reported once.
    pub fn accuses(&mut self, name: &'a str) -> bool {
        !self.world.blind && !self.book.may_give(name) && self.world.excused.insert(name)
    }

    /// Reports a limit that is passed, and stops.
    pub fn limit(&mut self, what: &'static str, has: usize, max: usize, at: Place, help: &'static str) -> Option<()> {
        if has <= max {
            return Some(());
        }
        self.stopped = true;
        let has = has.to_string();
        self.errors.report(at, ItemError::TooLarge { what, has, max, help, at: at.label() })
    }

    /// Whether a line that is missing or wrong may have said this verb.
    pub fn may_have_said(&self, verb: &str) -> bool {
        self.world.blind || self.failed.contains(verb) || self.book.may_say(verb.split(' ').next().unwrap_or_default())
    }

    /// Takes lines from what all scenarios may run.
    pub fn spend(&mut self, lines: usize, at: Place) {
        match self.lines_left.checked_sub(lines) {
            Some(left) => *self.lines_left = left,
            None => {
                *self.lines_left = 0;
                let what = "lines that the scenarios of one file run, kinds of memory and prepares counted";
                self.limit(what, LINES_MAX + 1, LINES_MAX, at, "make several files of it");
            }
        }
    }

    /// Runs lines one after another.
    pub fn block(&mut self, block: Block<'a>, env: &Env<'a>) {
        for line in block.lines() {
            self.spend(1, env.place(line.span));
            if self.stopped || self.errors.is_full() {
                return;
            }
            self.line(&line, env);
        }
    }

    fn line(&mut self, line: &Line<'a>, env: &Env<'a>) {
        let at = env.place(line.span);
        match &line.kind {
            LineKind::Action(action) => self.action(action, env, at),
            LineKind::Race(block) => self.open_race(*block, env, at),
            LineKind::Use { name, args } => {
                if self.use_line(*name, args, env, at).is_none() {
                    self.world.blind = true; // Names that the missing lines would have given are not unknown.
                }
            }
            LineKind::Assert(assert) => {
                if let Some(made) = self.assert(assert, env, at) {
                    self.asserts.push(made);
                    let has = self.asserts.len();
                    self.limit("assertions in one scenario", has, ASSERTIONS_MAX, at, "make several scenarios of it");
                }
            }
            // Heads and expectations are read once a scenario, not once a kind; where they stand in a prepare, when that is checked.
            LineKind::Title(_) | LineKind::Origin(_) | LineKind::System(_) | LineKind::Expect(_) => {}
            LineKind::Setting { .. } => {}
        }
    }

    fn open_race(&mut self, block: Block<'a>, env: &Env<'a>, at: Place) {
        let race = RaceId::at(self.races);
        let before = self.program.code.len();
        self.race = Some((race, at));
        for line in block.lines() {
            self.spend(1, env.place(line.span));
            if self.stopped {
                break;
            }
            if let LineKind::Action(action) = &line.kind {
                self.action(action, env, env.place(line.span));
            } // All else was refused when the scenario or the prepare was checked.
        }
        self.race = None;
        for (parent, child, at) in std::mem::take(&mut self.waits) {
            self.exits_before(parent, child, at);
        }
        if before < self.program.code.len() {
            self.races += 1;
            if self.limit("races in one scenario", self.races, RACES_MAX, at, "make several scenarios of it").is_none() {
                self.stopped = true;
            }
        }
    }

    fn use_line(&mut self, name: Word<'a>, args: &[Spanned<ast::Bound<'a>>], env: &Env<'a>, at: Place) -> Option<()> {
        self.uses += 1;
        self.limit("`use` lines run in one scenario", self.uses, USES_MAX, at, "use fewer prepares, or larger ones")?;
        let mut passed: Vec<Arg<'a>> = args.iter().map(|arg| env.pass(*arg)).collect();
        if name.node == "over" {
            if env.setup || self.over_used.is_some() {
                return None; // Refused when the lines were checked.
            }
            let kind = self.kind?;
            self.over_used = Some(at);
            passed.truncate(1);
            passed.extend(kind.args.iter().copied());
            return self.run(kind.name, passed, env, at);
        }
        self.run(name.node, passed, env, at)
    }

    fn run(&mut self, name: &'a str, args: Vec<Arg<'a>>, env: &Env<'a>, at: Place) -> Option<()> {
        let book = self.book;
        let prepare = book.prepares.get(name)?;
        self.world.blind |= prepare.broken && book.lacks_a_use(prepare.at.file, prepare.span);
        let super::book::Body::Lines { params, block } = &prepare.body else { return None };
        if params.len() != args.len() || self.stack.contains(&name) {
            return None; // Refused when the file was checked.
        }
        let depth = self.stack.len() + 1;
        self.limit("prepares that use one another in a row", depth, DEPTH_MAX, at, "use prepares in a flatter way")?;
        if let Some(ast::Bound::Word(actor)) = args.first().map(|arg| arg.value)
            && special_actor(actor, 1).is_none()
        {
            let name = super::env::Name { text: actor, at: args[0].at };
            self.first_process(name);
            self.process_named(name)?;
        }
        self.stack.push(name);
        let used_at = env.used_at.filter(|_| env.file != 0).unwrap_or(at.span);
        let inner = Env::prepare(prepare.at.file, used_at, params, args);
        self.block(*block, &inner);
        self.stack.pop();
        Some(())
    }

    fn action(&mut self, action: &Action<'a>, env: &Env<'a>, at: Place) {
        if self.try_action(action, env, at).is_none() {
            excuse(&mut self.world, action, env);
            let verbs = || OPS.iter().map(|info| info.verb.keyword());
            self.failed.extend(nearest(action.verb.node, verbs()));
            self.failed.extend(verbs().filter(|verb| verb.starts_with(action.verb.node)));
        }
    }

    fn try_action(&mut self, action: &Action<'a>, env: &Env<'a>, at: Place) -> Option<()> {
        let statement = read::statement(action, env, self.errors);
        let actor = self.actor(action, env);
        let (statement, (actor, task)) = (statement?, actor?);
        let info = statement.info;
        let ending = self.ending(action, env, info)?;
        let cx = Ctx { env, info, verb_at: statement.verb_at, actor, task, at, ending };
        let mut given = Vec::with_capacity(statement.said.len());
        for (slot, said) in info.slots.iter().zip(&statement.said) {
            given.push(self.given(cx, *slot, *said)); // All of them, so that each mistake of the line is found.
        }
        let given = given.into_iter().collect::<Option<Vec<Given<'a>>>>()?;
        let len = self.program.code.len() + 1;
        self.limit("instructions in one scenario", len, INSTRUCTIONS_MAX, at, "make several scenarios of it")?;
        let target = action.target.as_ref();
        let op = self.build(cx, given, target)?;
        let reads = op.area().map(|area| area.len).or(match op {
            ir::Op::Peek { held } => Some(held.len),
            _ => None,
        });
        let claim = match &action.claim {
            Some(claim) => Some(self.claim(cx, claim, reads.unwrap_or(1))?),
            None => None,
        };
        let observe = match target {
            Some(target) if info.gives == Gives::Reading => Some(self.observe(cx, target.name, reads.unwrap_or(1))?),
            _ => None,
        };
        let race = self.race_id();
        self.program.code.push(Instr { task, op, claim, observe, ending, race, setup: env.setup });
        self.spans.push(env.shown(at.span));
        Some(())
    }

    /// Names what the line reads.
    fn observe(&mut self, cx: Ctx<'_, 'a>, target: Word<'a>, len: u16) -> Option<ObsId> {
        let name = cx.env.name(target, self.errors)?;
        let obs = ObsId::at(self.program.obs.len());
        self.give(name, Named::Observation(obs))?;
        let mark = self.mark(cx.task, name.at);
        self.world.obs.push(mark);
        self.program.obs.push(ir::ObsDecl { name: name.text.to_owned(), len });
        Some(obs)
    }

    /// Who acts.
    fn actor(&mut self, action: &Action<'a>, env: &Env<'a>) -> Option<(Actor, TaskId)> {
        let name = env.name(action.actor, self.errors)?;
        let thread = match action.thread {
            Some(thread) => self.thread(name, thread, env)?,
            None => 1,
        };
        if let Some(actor) = special_actor(name.text, thread) {
            let task = self.task(actor, name.at)?;
            return Some((actor, task));
        }
        self.first_process(name);
        let proc = self.process_named(name)?;
        let actor = Actor::Thread { proc, thread };
        let task = self.task(actor, name.at)?;
        self.alive(proc, name.at, task)?;
        self.awake(actor, task, name)?;
        Some((actor, task))
    }

    fn thread(&mut self, name: super::env::Name<'a>, thread: Spanned<u64>, env: &Env<'a>) -> Option<u8> {
        let at = env.place(thread.span);
        if name.text == "device" {
            return self.errors.report(at, StatementError::ThreadOfDevice { at: at.label() });
        }
        match u8::try_from(thread.node) {
            Ok(number @ 1..) => Some(number),
            _ => {
                let limit = "threads are numbered from 1 to 255".to_owned();
                let help = format!("write `{0}` for the first thread, `{0}/2` for the second", name.text);
                let (what, number) = ("the thread", thread.node);
                self.errors.report(at, StatementError::OutOfRange { what, number, limit, help, at: at.label() })
            }
        }
    }

    /// The first process that is named exists from the start.
    fn first_process(&mut self, name: super::env::Name<'a>) {
        if self.program.procs.is_empty() && !self.world.names.contains_key(name.text) {
            let mark = self.mark(TaskId(0), name.at);
            self.start(name, Mark { race: None, ..mark }, None);
        }
    }

    /// A process comes to be.
    pub fn start(&mut self, name: super::env::Name<'a>, born: Mark, parent: Option<ProcId>) -> Option<ProcId> {
        let has = self.program.procs.len();
        let proc = ProcId::at(has);
        self.give(name, Named::Process(proc))?;
        self.limit("processes in one scenario", has + 1, PROCESSES_MAX, name.at, "use fewer processes")?;
        self.program.procs.push(name.text.to_owned());
        let (names, pages) = match parent {
            Some(parent) => {
                let parent = &self.world.procs[parent.idx()];
                let names = parent.names.iter().map(|(name, given)| {
                    let made = Mark { race: None, ..given.made };
                    (*name, super::world::MemName { made, ..*given })
                });
                let pages = parent.pages.iter().map(|page| super::world::Page { wp: false, fills: false, ..*page });
                (names.collect(), pages.collect())
            }
            None => Default::default(),
        };
        let never_started = false;
        self.world.procs.push(Proc { born, parent, never_started, exited: None, waited: None, names, pages });
        Some(proc)
    }

    /// The id of an actor; a new one where it has not acted before.
    fn task(&mut self, actor: Actor, at: Place) -> Option<TaskId> {
        if let Some(known) = self.program.tasks.iter().position(|other| *other == actor) {
            return Some(TaskId::at(known));
        }
        let has = self.program.tasks.len();
        self.limit("actors in one scenario", has + 1, ACTORS_MAX, at, "use fewer threads")?;
        self.program.tasks.push(actor);
        self.world.asleep.push(None);
        Some(TaskId::at(has))
    }

    /// What the author announced about the line's end.
    fn ending(&mut self, action: &Action<'a>, env: &Env<'a>, info: &'static OpInfo) -> Option<Ending> {
        use strum::VariantNames;
        let (what, word, known) = match &action.ending {
            None => return Some(Ending::Succeeds),
            Some(ast::Ending::Fails(word)) => ("the failure", *word, Failure::VARIANTS),
            Some(ast::Ending::Event(word)) => ("the event", *word, Event::VARIANTS),
        };
        let at = env.place(word.span);
        let ending = match &action.ending {
            Some(ast::Ending::Fails(_)) => word.node.parse().ok().map(Ending::Fails),
            _ => word.node.parse().ok().map(Ending::Event),
        };
        let Some(ending) = ending else {
            let help = match nearest(word.node, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write {}", super::near::one_of(known)),
            };
            let word = word.node.to_owned();
            return self.errors.report(at, StatementError::UnknownWord { what, word, help, at: at.label() });
        };
        match info.who {
            ir::Who::Process if info.verb != ir::Verb::Exit && info.verb != ir::Verb::Name => Some(ending),
            _ => {
                let verb = info.verb.keyword();
                self.errors.report(at, OrderError::NeverFails { verb, at: at.label() })
            }
        }
    }
}
