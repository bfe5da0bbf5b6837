//! What words mean: processes, memory, pages, values, references, observations.

use std::str::FromStr;

use super::env::{Env, Name};
use super::error::{NameError, OrderError, Place, StatementError};
use super::limits::{PAGE_BYTES, VALUES_MAX, WORD_BYTES, WORDS_MAX};
use super::near::{Near, one_of};
use super::read::Said;
use super::scene::{Ctx, Scene};
use super::world::{Mark, Named, Proc, World};
use crate::ir::{self, Actor, Area, Comparison, Gives, MemKind, OPS, RefArea, Slot, Verb, Who};
use crate::policy::nearest;
use crate::syntax::ast::{Action, Address, Bound, Claim, Index, Operand, Spanned, Word};
use crate::types::{ClaimId, MemId, ObsId, ProcId, RefId, Value, ValueId, Vpn, WordId};

/// Words that name nothing but themselves.
pub(super) const RESERVED: [&str; 6] = ["kernel", "device", "over", "copies", "all", "latest"];

/// An operand with its names resolved.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given<'a> {
    /// A name that the statement gives.
    New(Name<'a>),
    Size {
        kind: MemKind,
        count: u64,
        at: Place,
    },
    Area(Area),
    Value(ValueId),
    Child(ProcId),
    Ref(RefId),
    RefArea(RefArea),
    Word(Option<&'static str>),
    Backing {
        word: Option<&'static str>,
        file: Option<Name<'a>>,
    },
}

impl<'a> Scene<'_, 'a> {
    /// One operand. What it names is looked up; that it may be used now is judged later.
    pub fn given(&mut self, cx: Ctx<'_, 'a>, slot: Slot, said: Said<'_, 'a>) -> Option<Given<'a>> {
        Some(match said {
            Said::Name(word) => {
                let name = cx.env.name(word, self.errors)?;
                match slot {
                    Slot::Child => Given::Child(self.process(name, cx)?),
                    Slot::Ref => Given::Ref(self.reference(name)?),
                    _ => Given::New(name),
                }
            }
            Said::Size { count, unit, order } => self.size(cx, count, unit, order)?,
            Said::Address(address) if slot == Slot::RefArea => Given::RefArea(self.ref_area(cx, address)?),
            Said::Address(address) => Given::Area(self.area(cx, slot, address)?),
            Said::Value(value) => Given::Value(self.value(value.node, cx.env.place(value.span))?),
            Said::ValueOf(word) => {
                let number = cx.env.number(Spanned { node: Bound::Word(word.node), span: word.span }, self.errors)?;
                Given::Value(self.value(Value::number(number), cx.env.place(word.span))?)
            }
            Said::Word(word) => Given::Word(word),
            Said::Backing { word, file } => {
                let file = match file {
                    Some(file) => Some(cx.env.name(file, self.errors)?),
                    None => None,
                };
                Given::Backing { word, file }
            }
        })
    }

    fn size(
        &mut self,
        cx: Ctx<'_, 'a>,
        count: Spanned<Bound<'a>>,
        unit: &'static str,
        order: Option<Spanned<Bound<'a>>>,
    ) -> Option<Given<'a>> {
        let at = cx.env.place(count.span);
        let number = cx.env.number(count, self.errors)?;
        if number == 0 {
            let help = format!("write `1 {}` or more", if unit == "pages" { "page" } else { unit });
            let limit = "a mapping has at least one page".to_owned();
            return self
                .errors
                .report(at, StatementError::OutOfRange { what: "the size", number, limit, help, at: at.label() });
        }
        let range = match unit {
            "mthp" => 2..=u64::from(super::limits::PMD_ORDER) - 1,
            _ => 1..=super::limits::HUGETLB_ORDER_MAX,
        };
        let order = match order {
            Some(order) => {
                let said = cx.env.number(order, self.errors)?;
                let at = cx.env.place(order.span);
                let Some(said) = u8::try_from(said).ok().filter(|_| range.contains(&said)) else {
                    let limit = format!("here it lies from {} to {}", range.start(), range.end());
                    let help = format!("write an order from {} to {}: it is log2 of the pages", range.start(), range.end());
                    return self.errors.report(
                        at,
                        StatementError::OutOfRange { what: "the order", number: said, limit, help, at: at.label() },
                    );
                };
                Some(said)
            }
            None => None,
        };
        let kind = match (unit, order) {
            ("thp", _) => MemKind::Thp,
            ("mthp", Some(order)) => MemKind::Mthp { order },
            ("hugetlb", order) => MemKind::Hugetlb { order },
            _ => MemKind::Pages,
        };
        Some(Given::Size { kind, count: number, at })
    }

    /// A process by name; it may have exited.
    pub fn process(&mut self, name: Name<'a>, cx: Ctx<'_, 'a>) -> Option<ProcId> {
        let proc = self.process_named(name)?;
        let born = self.world.procs[proc.idx()].born;
        self.made_before(name, born, cx)?;
        Some(proc)
    }

    /// A process by name, whenever it starts.
    pub fn process_named(&mut self, name: Name<'a>) -> Option<ProcId> {
        match self.world.names.get(name.text).copied() {
            Some((Named::Process(proc), _)) => Some(proc),
            Some((other, first)) => self.wrong_sort(name, other, first, "a process"),
            None if !self.accuses(name.text) => None,
            None => {
                let known = self.program.procs.iter().map(String::as_str);
                let parent = self.program.procs.first().map_or("parent", String::as_str);
                let help = match Near::among(name.text, known).nearest() {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("start it above this line: `{parent}: fork {}`", name.text),
                };
                let (name, at) = (name.text.to_owned(), name.at);
                self.errors.report(at, NameError::UnknownProcess { name, help, at: at.label() })
            }
        }
    }

    fn wrong_sort<T>(&mut self, name: Name<'a>, is: Named, first: Place, wanted: &'static str) -> Option<T> {
        let known: Vec<&str> = self.names_of(wanted);
        let help = Near::among("", known).or(format!("write {wanted}"));
        let (text, at) = (name.text.to_owned(), name.at);
        let first = first.beside(at);
        self.errors.report(at, NameError::WrongSort { name: text, is: is.says(), wanted, help, first, at: at.label() })
    }

    /// Names of the scenario of one sort.
    fn names_of(&self, says: &str) -> Vec<&'a str> {
        self.world.names.iter().filter(|(_, (named, _))| named.says() == says).map(|(name, _)| *name).collect()
    }

    /// A reference by name.
    pub fn reference(&mut self, name: Name<'a>) -> Option<RefId> {
        match self.world.names.get(name.text).copied() {
            Some((Named::Reference(reference), _)) => Some(reference),
            Some((other, first)) => self.wrong_sort(name, other, first, "a reference"),
            None if !self.accuses(name.text) => None,
            None => {
                let known = self.names_of("a reference");
                if let Some(mem) = self.world.procs.iter().find_map(|proc| proc.names.get(name.text)) {
                    let otherwise = format!("take a reference to it above this line, as in: p: pin {} rw -> nic", name.text);
                    let help = Near::among("", known).or(otherwise);
                    let (text, at, is, wanted) = (name.text.to_owned(), name.at, "memory", "a reference");
                    let first = self.world.mems[mem.mem.idx()].beside(at);
                    return self
                        .errors
                        .report(at, NameError::WrongSort { name: text, is, wanted, help, first, at: at.label() });
                }
                let otherwise = format!("take it above this line, as in: p: pin buf rw -> {}", name.text);
                let help = Near::among(name.text, known).named(otherwise);
                let (name, at) = (name.text.to_owned(), name.at);
                self.errors.report(at, NameError::UnknownReference { name, help, at: at.label() })
            }
        }
    }

    /// An observation by name.
    pub fn observation(&mut self, name: Name<'a>) -> Option<ObsId> {
        match self.world.names.get(name.text).copied() {
            Some((Named::Observation(obs), _)) => Some(obs),
            Some((other, first)) => self.wrong_sort(name, other, first, "an observation"),
            None if !self.accuses(name.text) => None,
            None => {
                let otherwise = match name.text.len() {
                    ..=8 => format!("write `\"{0}\"` for a string, or read it above: p: read buf -> {0}", name.text),
                    _ => format!("read it above this line: p: read buf -> {}", name.text),
                };
                let help = match Near::among(name.text, self.names_of("an observation")).nearest() {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => otherwise,
                };
                let (name, at) = (name.text.to_owned(), name.at);
                self.errors.report(at, NameError::UnknownObservation { name, help, at: at.label() })
            }
        }
    }

    /// That what the name means is there whatever the order of a race.
    pub fn made_before(&mut self, name: Name<'a>, made: Mark, cx: Ctx<'_, 'a>) -> Option<()> {
        if self.world.before(made, self.race_id(), cx.task, &self.program.tasks) {
            return Some(());
        }
        let (text, at) = (name.text.to_owned(), name.at);
        let made = made.at.beside(at);
        self.errors.report(at, NameError::MadeInThisRace { name: text, made, at: at.label() })
    }

    /// Pages of memory by address.
    pub fn area(&mut self, cx: Ctx<'_, 'a>, slot: Slot, address: &Address<'a>) -> Option<Area> {
        let proc = self.owner(cx, slot, address)?;
        let name = cx.env.name(address.name, self.errors)?;
        let mem = self.memory(proc, name)?;
        let made = self.world.procs[proc.idx()].names[name.text].made;
        self.made_before(name, made, cx)?;
        let whole = self.program.mems[mem.idx()].area;
        let kind = self.program.mems[mem.idx()].kind;
        let made = self.world.mems[mem.idx()];
        let unit = if matches!(kind, MemKind::Hugetlb { .. }) { "huge pages" } else { "pages" };
        let (start, len) = self.range(cx.env, name, address.index.as_ref(), whole.len, unit, made)?;
        let word = match address.offset {
            Some(offset) if !takes_words(cx.info) => {
                let at = cx.env.place(offset.span);
                let said = self.book.text(at);
                return self.errors.report(
                    at,
                    StatementError::WholePages {
                        verb: cx.info.verb.keyword(),
                        offset: said.to_owned(),
                        at: at.label(),
                        verb_at: cx.verb_at.label(),
                    },
                );
            }
            Some(offset) => Some(self.word(cx.env, name, offset)?),
            None => None,
        };
        Some(Area { proc, mem, start: Vpn(whole.start.0 + start), len, word })
    }

    /// Whose memory an address names.
    fn owner(&mut self, cx: Ctx<'_, 'a>, slot: Slot, address: &Address<'a>) -> Option<ProcId> {
        let own = cx.actor.proc();
        let Some(owner) = address.owner else {
            return match own {
                Some(proc) => Some(proc),
                None => self.whose(cx.env, address, "the kernel"),
            };
        };
        let name = cx.env.name(owner, self.errors)?;
        let proc = self.process(name, cx)?;
        match own {
            Some(own) if own != proc && slot == Slot::Own => {
                let verb = cx.info.verb.keyword();
                let process = self.program.procs[own.idx()].clone();
                let reach = OPS.iter().filter(|info| info.who == Who::Process && info.slots.contains(&Slot::Any));
                let reach: Vec<&str> = reach.map(|info| info.verb.keyword()).collect();
                let target = self.book.text(cx.env.place(address.span));
                let help = format!("let `{}` do it, or reach `{target}` by {}", name.text, one_of(&reach));
                let at = cx.env.place(address.span);
                let verb_at = cx.verb_at.label();
                self.errors.report(at, StatementError::ForeignMemory { verb, process, help, at: at.label(), verb_at })
            }
            _ => self.alive(proc, name.at, cx.task).map(|()| proc),
        }
    }

    /// Reports an address that must say its process.
    fn whose<T>(&mut self, env: &Env<'a>, address: &Address<'a>, actor: &'static str) -> Option<T> {
        let name = env.name(address.name, self.errors)?;
        let at = env.place(address.span);
        let owners: Vec<String> = self.owners(name.text).iter().map(|owner| format!("{owner}.{}", name.text)).collect();
        if owners.is_empty() && !self.accuses(name.text) {
            return None;
        }
        let help = match owners.as_slice() {
            [] => format!("write the process before it, as in `p.{}`", name.text),
            owners => format!("write {}", one_of(owners)),
        };
        self.errors.report(at, StatementError::WhoseMemory { name: name.text.to_owned(), actor, help, at: at.label() })
    }

    /// Processes that have memory of this name.
    pub fn owners(&self, name: &str) -> Vec<&str> {
        let has = |proc: &Proc| proc.names.contains_key(name);
        self.world.procs.iter().zip(&self.program.procs).filter(|(proc, _)| has(proc)).map(|(_, name)| name.as_str()).collect()
    }

    /// Memory of a process by name.
    pub fn memory(&mut self, proc: ProcId, name: Name<'a>) -> Option<MemId> {
        if let Some(found) = self.world.procs[proc.idx()].names.get(name.text) {
            return Some(found.mem);
        }
        if !self.accuses(name.text) {
            return None;
        }
        let process = self.program.procs[proc.idx()].clone();
        let at = name.at;
        if let Some((is @ (Named::Reference(_) | Named::Observation(_)), first)) = self.world.names.get(name.text).copied() {
            let help = match is {
                Named::Reference(_) => format!("write the memory, or `device: peek {}`", name.text),
                _ => "write the memory that was read".to_owned(),
            };
            let (text, first, is, wanted) = (name.text.to_owned(), first.beside(at), is.says(), "memory");
            return self.errors.report(at, NameError::WrongSort { name: text, is, wanted, help, first, at: at.label() });
        }
        let help = if let Some(owner) = self.owners(name.text).first() {
            format!("`{owner}` mapped `{0}` apart from `{process}`: map it before the fork, or write `{owner}.{0}`", name.text)
        } else {
            let known = self.world.procs[proc.idx()].names.keys().copied();
            match Near::among(name.text, known).nearest() {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("map it above this line: `{process}: mmap {} 1 page`", name.text),
            }
        };
        let (name, nobody) = (name.text.to_owned(), format!("`{process}` has no"));
        self.errors.report(at, NameError::UnknownMemory { name, nobody, help, at: at.label() })
    }

    /// First page and number of pages of an index; all pages where there is none.
    pub fn range(
        &mut self,
        env: &Env<'a>,
        name: Name<'a>,
        index: Option<&Index<'a>>,
        len: u16,
        unit: &'static str,
        made: Place,
    ) -> Option<(u16, u16)> {
        let (from, to, span) = match index {
            None => return Some((0, len)),
            Some(Index::One(one)) => {
                let page = env.number(*one, self.errors)?;
                (page, page.saturating_add(1), one.span)
            }
            Some(Index::Range(from, to, span)) => {
                let from = from.map_or(Some(0), |from| env.number(from, self.errors))?;
                let to = to.map_or(Some(u64::from(len)), |to| env.number(to, self.errors))?;
                (from, to, *span)
            }
        };
        let at = env.place(span);
        if u64::from(len) < to || u64::from(len) <= from {
            let help = match len {
                1 => format!("write `{0}` or `{0}[0]`", name.text),
                _ => format!("write an index from 0 to {}, or a range that ends at {len} at most", len - 1),
            };
            let (name, made) = (name.text.to_owned(), made.beside(at));
            let error = StatementError::PastTheEnd { name, len, last: len - 1, unit, help, made, at: at.label() };
            return self.errors.report(at, error);
        }
        if to <= from {
            let problem = if to == from { "is empty" } else { "runs backward" };
            let help = match to == from {
                true => format!("write `{0}[{from}]` or `{0}[{from}..{1}]` for one page", name.text, from + 1),
                false => format!("write `{}[{to}..{from}]`", name.text),
            };
            return self.errors.report(at, StatementError::EmptyRange { problem, help, at: at.label() });
        }
        Some((from as u16, (to - from) as u16)) // Both are at most `len`.
    }

    /// A word of a page by its byte offset.
    fn word(&mut self, env: &Env<'a>, name: Name<'a>, offset: Spanned<Bound<'a>>) -> Option<WordId> {
        let byte = env.number(offset, self.errors)?;
        let at = env.place(offset.span);
        if PAGE_BYTES <= byte {
            let page = format!("{}[{}]+{}", name.text, byte / PAGE_BYTES, byte % PAGE_BYTES / WORD_BYTES * WORD_BYTES);
            return self.errors.report(at, StatementError::WordPastThePage { offset: byte, page, at: at.label() });
        }
        if byte % WORD_BYTES != 0 {
            let below = byte / WORD_BYTES * WORD_BYTES;
            let help = match below + WORD_BYTES {
                PAGE_BYTES => format!("`+{below}`"),
                above => format!("`+{below}` or `+{above}`"),
            };
            return self.errors.report(at, StatementError::UnalignedWord { offset: byte, help, at: at.label() });
        }
        let byte = byte as u16; // Less than 4096.
        if let Some(known) = self.program.words.iter().skip(1).position(|word| *word == byte) {
            return Some(WordId::at(known + 1));
        }
        let has = self.program.words.len();
        self.limit("different words of a page in one scenario", has, WORDS_MAX, at, "use fewer byte offsets behind `+`")?;
        self.program.words.push(byte);
        Some(WordId::at(has))
    }

    /// A value, entered into the table where it is new.
    pub fn value(&mut self, value: Value, at: Place) -> Option<ValueId> {
        if let Some(known) = self.program.values.iter().position(|other| *other == value) {
            return Some(ValueId::at(known));
        }
        let has = self.program.values.len();
        self.limit("different values in one scenario", has + 1, VALUES_MAX, at, "use fewer values; 0 is always one of them")?;
        self.program.values.push(value);
        Some(ValueId::at(has))
    }

    /// Pages of a reference by address.
    fn ref_area(&mut self, cx: Ctx<'_, 'a>, address: &Address<'a>) -> Option<RefArea> {
        let name = cx.env.name(address.name, self.errors)?;
        if let Some(owner) = address.owner {
            let at = cx.env.place(owner.span.to(address.name.span));
            let help = format!("write `{}`: a reference belongs to the scenario", name.text);
            let (verb, wanted) = (cx.info.verb.keyword(), "a reference".to_owned());
            return self.errors.report(at, StatementError::WrongOperand { verb, wanted, help, at: at.label() });
        }
        let reference = self.reference(name)?;
        let (len, made) = (self.program.refs[reference.idx()].len, self.world.refs[reference.idx()].made);
        let (start, len) = self.range(cx.env, name, address.index.as_ref(), len, "pages", made.at)?;
        let word = match address.offset {
            Some(offset) => Some(self.word(cx.env, name, offset)?),
            None => None,
        };
        Some(RefArea { name: reference, start, len, word })
    }

    /// A claim about each of `reads` pages.
    pub fn claim(&mut self, cx: Ctx<'_, 'a>, claim: &Claim<'a>, reads: u16) -> Option<ClaimId> {
        let comparison = self.comparison(cx.env, claim.comparison)?;
        let mut any_of = Vec::with_capacity(claim.any_of.len());
        for operand in &claim.any_of {
            any_of.push(self.claim_operand(cx, operand, reads));
        }
        let any_of = any_of.into_iter().collect::<Option<Vec<_>>>()?;
        self.program.claims.push(ir::Claim { comparison, any_of });
        Some(ClaimId::at(self.program.claims.len() - 1))
    }

    pub fn comparison(&mut self, env: &Env<'a>, word: Word<'a>) -> Option<Comparison> {
        if let Ok(comparison) = Comparison::from_str(word.node) {
            return Some(comparison);
        }
        let (what, help, at) = ("the comparison", "write `==`, `!=`, `<=` or `>=`".to_owned(), env.place(word.span));
        let word = word.node.to_owned();
        self.errors.report(at, StatementError::UnknownWord { what, word, help, at: at.label() })
    }

    fn claim_operand(&mut self, cx: Ctx<'_, 'a>, operand: &Operand<'a>, reads: u16) -> Option<ir::Operand> {
        let at = cx.env.place(operand.span());
        let name = match operand {
            Operand::Value(value) => {
                if cx.info.verb == Verb::SoftDirty && 1 < value.node.bits {
                    return self.errors.report(at, StatementError::NotABit { at: at.label() });
                }
                return Some(ir::Operand::Value(self.value(value.node, at)?));
            }
            Operand::Address(address) => match address.as_word() {
                Some(word) => match cx.env.arg(word.node).map(|arg| arg.value) {
                    Some(Bound::Number(number)) => {
                        return Some(ir::Operand::Value(self.value(Value::number(number), at)?));
                    }
                    _ => cx.env.name(word, self.errors)?,
                },
                None => {
                    let (verb, wanted) = (cx.info.verb.keyword(), "a value or an observation".to_owned());
                    let help = "write a value, or read the memory before: p: read buf -> seen, then `== seen`".to_owned();
                    return self.errors.report(at, StatementError::WrongOperand { verb, wanted, help, at: at.label() });
                }
            },
        };
        let obs = self.observation(name)?;
        let made = self.world.obs[obs.idx()];
        self.made_before(name, made, cx)?;
        let observed = self.program.obs[obs.idx()].len;
        if observed != 1 && observed != reads {
            let help = format!("compare {observed} pages with it, or observe one page");
            let (name, made) = (name.text.to_owned(), made.at.beside(at));
            let error = StatementError::LengthMismatch { name, reads, observed, help, made, at: at.label() };
            return self.errors.report(at, error);
        }
        Some(ir::Operand::Obs(obs))
    }

    /// Gives a name to something of the scenario.
    pub fn give(&mut self, name: Name<'a>, named: Named) -> Option<()> {
        self.not_reserved(name, named.says())?;
        if let Some((first, first_at)) = self.world.names.get(name.text) {
            let (first_is, again_is, first) = (first.says(), named.says(), first_at.beside(name.at));
            let (text, at) = (name.text.to_owned(), name.at);
            let error = NameError::GivenTwice { name: text, first_is, again_is, first, again: at.label() };
            return self.errors.report(at, error);
        }
        self.world.names.insert(name.text, (named, name.at));
        Some(())
    }

    /// That a word is free to name something.
    pub fn not_reserved(&mut self, name: Name<'a>, what: &'static str) -> Option<()> {
        if !RESERVED.contains(&name.text) {
            return Some(());
        }
        let at = name.at;
        self.errors.report(at, NameError::Reserved { name: name.text.to_owned(), what, at: at.label() })
    }

    /// That a process has started and has not exited.
    pub fn alive(&mut self, proc: ProcId, at: Place, task: crate::types::TaskId) -> Option<()> {
        let state = &self.world.procs[proc.idx()];
        let process = self.program.procs[proc.idx()].clone();
        if state.never_started {
            let fork = state.born.at.beside(at);
            return self.errors.report(at, OrderError::NeverStarted { process, fork, at: at.label() });
        }
        match state.exited {
            Some(exit) if self.world.before(exit, self.race_id(), task, &self.program.tasks) => {
                let exit = exit.at.beside(at);
                self.errors.report(at, OrderError::AfterExit { process, exit, at: at.label() })
            }
            _ => Some(()),
        }
    }
}

/// Whether an address behind the verb may mean one word of a page: where values go in or come out.
fn takes_words(info: &ir::OpInfo) -> bool {
    let values = info.gives == Gives::Reading || info.slots.contains(&Slot::Value);
    values && !matches!(info.verb, Verb::SoftDirty | Verb::UffdCopy)
}

/// The words that an action may give as names: they are excused where the action has a mistake.
pub(super) fn excuse<'a>(world: &mut World<'a>, action: &Action<'a>, env: &Env<'a>) {
    let near = nearest(action.verb.node, OPS.iter().map(|info| info.verb.keyword()));
    let info = OPS.iter().find(|info| Some(info.verb.keyword()) == near);
    let gives = info.is_none_or(|info| info.slots.iter().any(|slot| matches!(slot, Slot::NewMem | Slot::NewProc)));
    let operands = action.operands.iter().filter_map(|operand| match operand {
        Operand::Address(address) => Some(address.name.node),
        Operand::Value(_) => None,
    });
    let operands: Vec<&str> = operands.take(if info.is_some() { 1 } else { usize::MAX }).filter(|_| gives).collect();
    let target = action.target.as_ref().map(|target| target.name.node);
    let file = action.operands.windows(2).filter_map(|pair| match pair {
        [Operand::Address(word), Operand::Address(file)] if matches!(word.name.node, "file" | "memfd") => Some(file.name.node),
        _ => None,
    });
    for word in operands.into_iter().chain(target).chain(file) {
        match env.arg(word).map(|arg| arg.value) {
            Some(Bound::Word(meant)) => world.excused.insert(meant),
            _ => world.excused.insert(word),
        };
    }
}

/// The actor that a word names where it is not a process.
pub(super) fn special_actor(word: &str, thread: u8) -> Option<Actor> {
    match word {
        "kernel" => Some(Actor::Kernel(thread)),
        "device" => Some(Actor::Device),
        _ => None,
    }
}
