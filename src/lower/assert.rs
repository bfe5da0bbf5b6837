//! Assertions: facts about pages where they stand.

use strum::VariantNames;

use super::env::{Env, Name};
use super::error::{ItemError, NameError, Place, StatementError};
use super::near::{Near, one_of};
use super::scene::Scene;
use super::users::spoken;
use crate::ir::{self, Area, Count, Fact, MemKind, Statement};
use crate::policy::nearest;
use crate::syntax::ast::{Address, Assert, Operand, Word};
use crate::types::{TaskId, Value, Vpn};

impl<'a> Scene<'_, 'a> {
    /// An assertion; `None` where it is about other kinds or something is wrong with it.
    pub fn assert(&mut self, assert: &Assert<'a>, env: &Env<'a>, at: Place) -> Option<ir::Assert> {
        let kind = self.kind.map(|kind| &kind.kind);
        // A prepare does not know the kinds of the scenario that runs it: what it names there may be absent.
        let mut apart = super::error::Errors::default();
        let errors = if env.setup { &mut apart } else { &mut *self.errors };
        let over = super::expect::over(self.book, &assert.over, self.kinds, kind, env.file, errors);
        let on = spoken(self.book, &assert.on, env.file, self.errors);
        let says = self.statement(assert, env, at);
        let (on, says) = (on?, says?);
        if !over.unwrap_or(false) {
            return None;
        }
        let on = (!on.all).then_some(on.named);
        Some(ir::Assert { at: self.pc(), says, on, setup: env.setup, span: env.shown(at.span) })
    }

    fn statement(&mut self, assert: &Assert<'a>, env: &Env<'a>, at: Place) -> Option<Statement> {
        let not = assert.not.is_some();
        let plain = assert.subject.as_word();
        match (&assert.word, &assert.claim) {
            (None, Some(_)) if plain.is_some_and(|word| word.node == "copies") => {
                let (comparison, number) = self.number(assert, env, at)?;
                Some(Statement::Copies { comparison, number })
            }
            (None, Some(_)) => self.seen(assert, env, at),
            (None, None) => {
                let what = "an assertion without a fact".to_owned();
                let help = format!("write one of {} behind it", one_of(Fact::VARIANTS));
                self.errors.report(at, ItemError::Malformed { what, help, at: at.label() })
            }
            (Some(word), _) if word.node == "shares" => {
                let area = self.fact_area(&assert.subject, env);
                let Some(with) = &assert.with else {
                    let (what, at) = ("`shares` needs the other memory".to_owned(), env.place(word.span));
                    let help = "write it behind `shares`: assert parent.buf shares child.buf".to_owned();
                    return self.errors.report(at, ItemError::Malformed { what, help, at: at.label() });
                };
                let with_at = env.place(with.span);
                let (area, with) = (area?, self.fact_area(with, env)?);
                self.as_long(env.place(assert.subject.span), area.len, with_at, with.len)?;
                Some(Statement::Shares { area, not, with })
            }
            (Some(word), claim) => match (word.node.parse::<Count>(), claim) {
                (Ok(count), Some(_)) => {
                    let area = self.fact_area(&assert.subject, env);
                    let (comparison, number) = self.number(assert, env, at)?;
                    Some(Statement::Count { area: area?, count, comparison, number })
                }
                (Ok(_), None) => {
                    let (what, at) = (format!("`{}` needs a number to compare with", word.node), env.place(word.span));
                    let help = format!("write `{} == 1`", word.node);
                    self.errors.report(at, ItemError::Malformed { what, help, at: at.label() })
                }
                (Err(_), _) => self.fact(assert, *word, not, env),
            },
        }
    }

    fn fact(&mut self, assert: &Assert<'a>, word: Word<'a>, not: bool, env: &Env<'a>) -> Option<Statement> {
        let area = self.fact_area(&assert.subject, env);
        let Ok(fact) = word.node.parse::<Fact>() else {
            let at = env.place(word.span);
            let known: Vec<&str> = Fact::VARIANTS.iter().chain(Count::VARIANTS).copied().chain(["shares"]).collect();
            let help = match nearest(word.node, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write {}", one_of(&known)),
            };
            let word = word.node.to_owned();
            return self.errors.report(at, ItemError::UnknownWord { what: "fact", word, help, at: at.label() });
        };
        if let Some(claim) = &assert.claim {
            let at = env.place(claim.span);
            let what = format!("`{fact}` is true or false, not a number");
            let help = format!("drop the comparison; write `not {fact}` for the contrary");
            return self.errors.report(at, ItemError::Malformed { what, help, at: at.label() });
        }
        Some(Statement::Fact { area: area?, not, fact })
    }

    /// The claim of a count: one number.
    fn number(&mut self, assert: &Assert<'a>, env: &Env<'a>, at: Place) -> Option<(ir::Comparison, u64)> {
        if let Some(not) = assert.not {
            let at = env.place(not);
            let (what, help) = ("`not` before a comparison".to_owned(), "drop `not` and write `!=`".to_owned());
            return self.errors.report(at, ItemError::Malformed { what, help, at: at.label() });
        }
        let claim = assert.claim.as_ref()?;
        let comparison = self.comparison(env, claim.comparison)?;
        let number = match claim.any_of.as_slice() {
            [Operand::Value(value)] if !value.node.text => Some(value.node.bits),
            [Operand::Address(address)] => {
                address.as_word().and_then(|word| env.arg(word.node)).and_then(|arg| match arg.value {
                    crate::syntax::ast::Bound::Number(number) => Some(number),
                    crate::syntax::ast::Bound::Word(_) => None,
                })
            }
            _ => None,
        };
        let Some(number) = number else {
            let (at, what) = (env.place(claim.span), "a count is compared with one number".to_owned());
            let help = "write one number behind the comparison: `== 2`".to_owned();
            return self.errors.report(at, ItemError::Malformed { what, help, at: at.label() });
        };
        let _ = at;
        Some((comparison, number))
    }

    /// `assert OBSERVATION == 2 or 3`
    fn seen(&mut self, assert: &Assert<'a>, env: &Env<'a>, at: Place) -> Option<Statement> {
        let claim = assert.claim.as_ref()?;
        let Some(word) = assert.subject.as_word() else {
            let at = env.place(assert.subject.span);
            let what = "an observation has no index and no owner".to_owned();
            let help = "read the one page into an observation of its own: p: read buf[1] -> seen".to_owned();
            return self.errors.report(at, ItemError::Malformed { what, help, at: at.label() });
        };
        if assert.not.is_some() {
            self.number(assert, env, at)?;
        }
        let name = env.name(word, self.errors)?;
        let obs = self.observation(name)?;
        let comparison = self.comparison(env, claim.comparison)?;
        let mut any_of = Vec::new();
        for operand in &claim.any_of {
            let at = env.place(operand.span());
            match operand {
                Operand::Value(value) => any_of.push(value.node),
                Operand::Address(address) => {
                    let word = address.as_word().filter(|word| env.arg(word.node).is_some());
                    let Some(word) = word else {
                        let what = "an assertion compares an observation with values".to_owned();
                        let help = "write a number or a string; two observations are compared by a claim: == seen".to_owned();
                        return self.errors.report(at, ItemError::Malformed { what, help, at: at.label() });
                    };
                    let bound =
                        crate::syntax::ast::Spanned { node: crate::syntax::ast::Bound::Word(word.node), span: word.span };
                    any_of.push(Value::number(env.number(bound, self.errors)?));
                }
            }
        }
        Some(Statement::Seen { obs, comparison, any_of })
    }

    /// Pages that an assertion is about. Without an owner: of the process that mapped them.
    fn fact_area(&mut self, address: &Address<'a>, env: &Env<'a>) -> Option<Area> {
        let name = env.name(address.name, self.errors)?;
        let owner = match address.owner {
            Some(owner) => {
                let owner = env.name(owner, self.errors)?;
                let proc = self.process_named(owner)?;
                self.alive(proc, owner.at, TaskId(0))?;
                proc
            }
            None => self.mapped_by(name)?,
        };
        let mem = self.memory(owner, name)?;
        let mem_decl = &self.program.mems[mem.idx()];
        let (whole, made) = (mem_decl.area, self.world.mems[mem.idx()]);
        let unit = if matches!(mem_decl.kind, MemKind::Hugetlb { .. }) { "huge pages" } else { "pages" };
        if let Some(offset) = address.offset {
            let (at, whole) = (env.place(offset.span), env.place(address.span));
            let (verb, verb_at) = ("assert", whole.label());
            let offset = self.book.text(at).to_owned();
            return self.errors.report(at, StatementError::WholePages { verb, offset, at: at.label(), verb_at });
        }
        let (start, len) = self.range(env, name, address.index.as_ref(), whole.len, unit, made)?;
        Some(Area { proc: owner, mem, start: Vpn(whole.start.0 + start), len, word: None })
    }

    /// The process that gave memory this name.
    fn mapped_by(&mut self, name: Name<'a>) -> Option<crate::types::ProcId> {
        let mappers: Vec<_> = self.program.mems.iter().filter(|mem| mem.name == name.text).map(|mem| mem.area.proc).collect();
        let at = name.at;
        match mappers.as_slice() {
            [only] => self.alive(*only, at, TaskId(0)).map(|()| *only),
            [] => {
                if !self.accuses(name.text) {
                    return None;
                }
                let known = self.program.mems.iter().map(|mem| mem.name.as_str());
                let help = Near::among(name.text, known).or("map it above this line");
                let (name, nobody) = (name.text.to_owned(), "no process has".to_owned());
                self.errors.report(at, NameError::UnknownMemory { name, nobody, help, at: at.label() })
            }
            _ => {
                let owners: Vec<String> = self.owners(name.text).iter().map(|owner| format!("{owner}.{}", name.text)).collect();
                let owners = one_of(&owners);
                self.errors.report(at, NameError::Ambiguous { name: name.text.to_owned(), owners, at: at.label() })
            }
        }
    }
}
