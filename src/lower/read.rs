//! Operands to their places: walks [`OpInfo::slots`] and looks no name up.

use super::env::Env;
use super::error::{Errors, Place, StatementError};
use super::near::{Near, one_of};
use crate::ir::{Gives, OPS, OpInfo, Slot, Who};
use crate::policy::nearest;
use crate::syntax::ast::{Action, Address, Bound, Operand, Spanned, Word};
use crate::types::{Span, Value};

/// The words that stand behind the number of a size.
const UNITS: [&str; 5] = ["page", "pages", "thp", "mthp", "hugetlb"];
/// The words of [`Slot::Backing`].
const BACKINGS: [&str; 5] = ["anon", "file", "memfd", "special", "device"];

/// An operand at its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Said<'o, 'a> {
    /// A name that is given or looked up, by the slot it is in.
    Name(Word<'a>),
    Size {
        count: Spanned<Bound<'a>>,
        unit: &'static str,
        order: Option<Spanned<Bound<'a>>>,
    },
    Address(&'o Address<'a>),
    Value(Spanned<Value>),
    /// A value that a parameter stands for.
    ValueOf(Word<'a>),
    /// The word of a `OneOf` or `Maybe`; `None` where it is left out.
    Word(Option<&'static str>),
    Backing {
        word: Option<&'static str>,
        file: Option<Word<'a>>,
    },
}

/// A statement whose operands stand at their places.
#[derive(Debug)]
pub(super) struct Statement<'o, 'a> {
    pub info: &'static OpInfo,
    /// One entry for each slot.
    pub said: Vec<Said<'o, 'a>>,
    /// The verb, with its second word.
    pub verb_at: Place,
}

/// Who seems to act, as far as the word tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Process,
    Kernel,
    Device,
}

/// Reads verb, operands and what stands behind them. Every mistake is reported.
pub(super) fn statement<'o, 'a>(action: &'o Action<'a>, env: &Env<'a>, errors: &mut Errors) -> Option<Statement<'o, 'a>> {
    let (info, verb_at, operands) = verb(action, env, errors)?;
    let speaks = speaker(action, env, info, verb_at, errors);
    let said = operands_of(info, operands, verb_at, env, errors);
    let behind = behind(action, info, verb_at, env, errors);
    (speaks.is_some() && behind.is_some()).then_some(())?;
    Some(Statement { info, said: said?, verb_at })
}

/// The row of a verb of one or two words, its place, and the operands behind it.
fn verb<'o, 'a>(
    action: &'o Action<'a>,
    env: &Env<'a>,
    errors: &mut Errors,
) -> Option<(&'static OpInfo, Place, &'o [Operand<'a>])> {
    let said = action.verb.node;
    let at = env.place(action.verb.span);
    if let Some(info) = OPS.iter().find(|info| info.verb.keyword() == said) {
        return Some((info, at, &action.operands));
    }
    let seconds: Vec<&'static OpInfo> = OPS.iter().filter(|info| second_word(info, said).is_some()).collect();
    if seconds.is_empty() {
        let firsts = OPS.iter().map(|info| info.verb.keyword().split(' ').next().unwrap_or_default());
        let help = Near::among(said, firsts).or("`cowl verbs` lists them");
        return errors.report(at, StatementError::UnknownVerb { verb: said.to_owned(), help, at: at.label() });
    }
    let both: Vec<&str> = seconds.iter().map(|info| info.verb.keyword()).collect();
    let second = match action.operands.first() {
        Some(Operand::Address(address)) => address.as_word(),
        _ => None,
    };
    let meant = second.and_then(|second| seconds.iter().find(|info| second_word(info, said) == Some(second.node)));
    if let (Some(second), Some(info)) = (second, meant) {
        return Some((info, env.place(action.verb.span.to(second.span)), &action.operands[1..]));
    }
    let words = seconds.iter().filter_map(|info| second_word(info, said));
    if let Some((second, near)) = second.and_then(|second| Some((second, nearest(second.node, words)?))) {
        let at = env.place(action.verb.span.to(second.span));
        let (verb, help) = (format!("{said} {}", second.node), format!("did you mean `{said} {near}`?"));
        return errors.report(at, StatementError::UnknownVerb { verb, help, at: at.label() });
    }
    errors.report(at, StatementError::SecondWord { verb: said.to_owned(), help: one_of(&both), at: at.label() })
}

/// The second word of a verb of two whose first is `first`.
fn second_word(info: &OpInfo, first: &str) -> Option<&'static str> {
    info.verb.keyword().strip_prefix(first)?.strip_prefix(' ')
}

/// Whether this actor may say the verb. Which process it is does not matter here.
fn speaker(action: &Action, env: &Env, info: &OpInfo, verb_at: Place, errors: &mut Errors) -> Option<()> {
    if env.is_param(action.actor.node) && env.arg(action.actor.node).is_none() {
        return Some(()); // A prepare that is only looked at: any actor may be passed.
    }
    let actor = match env.arg(action.actor.node).map(|arg| arg.value) {
        Some(Bound::Word(word)) => word,
        Some(Bound::Number(_)) => return None, // Said where the actor is looked up.
        None => action.actor.node,
    };
    let speaker = match actor {
        "kernel" => Speaker::Kernel,
        "device" => Speaker::Device,
        _ => Speaker::Process,
    };
    let may = match info.who {
        Who::Process => speaker == Speaker::Process,
        Who::HolderOrDevice => speaker != Speaker::Kernel,
        Who::Device => speaker == Speaker::Device,
        Who::Kernel => speaker == Speaker::Kernel,
        Who::KernelOrDevice => speaker != Speaker::Process,
    };
    if may {
        return Some(());
    }
    let verb = info.verb.keyword();
    let help = match info.who {
        Who::Kernel | Who::KernelOrDevice => format!("write `kernel` before the colon, as in: {}", info.example),
        Who::Device => format!("write `device` before the colon, as in: {}", info.example),
        Who::Process | Who::HolderOrDevice => format!("let a process say it, as in: {}", info.example),
    };
    let at = env.place(action.actor.span);
    let said_by = if speaker == Speaker::Process { format!("the process `{actor}`") } else { format!("`{actor}`") };
    let who = info.who.to_string();
    errors.report(at, StatementError::WrongActor { verb, who, said_by, help, actor: at.label(), verb_at: verb_at.label() })
}

/// Whether what stands behind the operands is what the verb gives.
fn behind(action: &Action, info: &'static OpInfo, verb_at: Place, env: &Env, errors: &mut Errors) -> Option<()> {
    let verb = info.verb.keyword();
    let mut fine = Some(());
    if let (Some(claim), true) = (&action.claim, info.gives != Gives::Reading) {
        let at = env.place(claim.span);
        let help = match info.gives {
            Gives::Reference => format!("drop the claim; what `{verb}` takes is read by `peek`"),
            _ => "drop the claim, and claim what a `read` behind this line reads".to_owned(),
        };
        fine = errors.report(at, StatementError::ClaimWithoutReading { verb, help, at: at.label(), verb_at: verb_at.label() });
    }
    match (&action.target, info.gives) {
        (Some(target), Gives::Nothing) => {
            let at = env.place(target.span);
            let name = target.name.node.to_owned();
            errors.report(at, StatementError::NeedlessArrow { verb, name, at: at.label(), verb_at: verb_at.label() })
        }
        (None, Gives::Reference | Gives::Memory | Gives::Target) if fine.is_some() => {
            let end = action.operands.last().map_or(verb_at.span, Operand::span);
            let at = env.place(end);
            errors.report(at, StatementError::MissingArrow { verb, example: info.example, at: at.label() })
        }
        (Some(target), Gives::Reading | Gives::Reference | Gives::Memory) if target.as_word().is_none() => {
            let at = env.place(target.span);
            errors.report(at, StatementError::PlainName { name: target.name.node.to_owned(), at: at.label() })
        }
        _ => fine,
    }
}

/// What stopped an attempt to read operands.
enum Stop<'o, 'a> {
    Missing(Slot),
    Wrong(Slot, &'o Operand<'a>),
    /// A word or a number that has no place, and the optional words still free.
    Needless(&'o Operand<'a>, Vec<&'static str>),
    Twice(Span, Span),
}

/// Reads operands: first taking words as the required operands that are due, then, should that not come out, taking
/// optional words first. So `pin fast rw -> x` pins memory that is named `fast`.
fn operands_of<'o, 'a>(
    info: &'static OpInfo,
    operands: &'o [Operand<'a>],
    verb_at: Place,
    env: &Env<'a>,
    errors: &mut Errors,
) -> Option<Vec<Said<'o, 'a>>> {
    let read = |eager| {
        Reader { info, env, operands, at: 0, said: vec![None; info.slots.len()], places: vec![None; info.slots.len()] }
            .read(eager)
    };
    let stop = match read(false) {
        Ok(said) => return Some(said),
        Err(stop) => stop,
    };
    match read(true) {
        Ok(said) => Some(said),
        Err(_) => report(stop, info, operands, verb_at, env, errors),
    }
}

/// An attempt.
struct Reader<'r, 'o, 'a> {
    info: &'static OpInfo,
    env: &'r Env<'a>,
    operands: &'o [Operand<'a>],
    at: usize,
    said: Vec<Option<Said<'o, 'a>>>,
    /// Where the optional ones were said.
    places: Vec<Option<Span>>,
}

impl<'o, 'a> Reader<'_, 'o, 'a> {
    fn read(mut self, eager: bool) -> Result<Vec<Said<'o, 'a>>, Stop<'o, 'a>> {
        while let Some(operand) = self.operands.get(self.at) {
            if eager && self.optional()? {
                continue;
            }
            let due = (0..self.said.len()).find(|slot| !is_optional(self.info.slots[*slot]) && self.said[*slot].is_none());
            if let Some(due) = due {
                if let Some((said, taken)) = self.required(self.info.slots[due]) {
                    self.said[due] = Some(said);
                    self.at += taken;
                } else if !self.optional()? {
                    return Err(Stop::Wrong(self.info.slots[due], operand));
                }
            } else if !self.optional()? {
                return Err(Stop::Needless(operand, self.free_words()));
            }
        }
        let said = self.said.into_iter().zip(self.info.slots);
        said.map(|(said, slot)| match (said, slot) {
            (Some(said), _) => Ok(said),
            (None, Slot::Maybe(_)) => Ok(Said::Word(None)),
            (None, Slot::Backing) => Ok(Said::Backing { word: None, file: None }),
            (None, slot) => Err(Stop::Missing(*slot)),
        })
        .collect()
    }

    fn operand(&self, ahead: usize) -> Option<&'o Operand<'a>> {
        self.operands.get(self.at + ahead)
    }

    fn word(&self, ahead: usize) -> Option<Word<'a>> {
        match self.operand(ahead)? {
            Operand::Address(address) => address.as_word(),
            Operand::Value(_) => None,
        }
    }

    /// A number, or a parameter that may stand for one.
    fn number(&self, ahead: usize) -> Option<Spanned<Bound<'a>>> {
        match self.operand(ahead)? {
            Operand::Value(value) if !value.node.text => {
                Some(Spanned { node: Bound::Number(value.node.bits), span: value.span })
            }
            Operand::Value(_) => None,
            Operand::Address(address) => {
                let word = address.as_word().filter(|word| self.env.is_param(word.node))?;
                Some(Spanned { node: Bound::Word(word.node), span: word.span })
            }
        }
    }

    /// The operand of a required slot at this place, and how many words it took.
    fn required(&self, slot: Slot) -> Option<(Said<'o, 'a>, usize)> {
        let one = |said| Some((said, 1));
        match (slot, self.operand(0)?) {
            (Slot::NewMem | Slot::NewProc | Slot::Child | Slot::Ref, _) => one(Said::Name(self.word(0)?)),
            (Slot::Own | Slot::Any | Slot::RefArea, Operand::Address(address)) => one(Said::Address(address)),
            (Slot::Own | Slot::Any | Slot::RefArea, Operand::Value(_)) => None,
            (Slot::Value, Operand::Value(value)) => one(Said::Value(*value)),
            (Slot::Value, _) => one(Said::ValueOf(self.word(0).filter(|word| self.env.is_param(word.node))?)),
            (Slot::OneOf(words), _) => one(Said::Word(Some(find(words, self.word(0)?.node)?))),
            (Slot::Size, _) => self.size(),
            (Slot::Maybe(_) | Slot::Backing, _) => None,
        }
    }

    fn size(&self) -> Option<(Said<'o, 'a>, usize)> {
        let count = self.number(0)?;
        let unit = find(&UNITS, self.word(1)?.node)?;
        let order = match unit {
            "mthp" => Some(self.number(2)?),
            "hugetlb" => self.number(2),
            _ => None,
        };
        Some((Said::Size { count, unit, order }, 2 + usize::from(order.is_some())))
    }

    /// Takes an optional word at this place; whether there was one.
    fn optional(&mut self) -> Result<bool, Stop<'o, 'a>> {
        let Some(word) = self.word(0) else { return Ok(false) };
        let mut said_before = None;
        for (idx, slot) in self.info.slots.iter().enumerate() {
            let said = match slot {
                Slot::Maybe(words) => find(words, word.node).map(|word| (Said::Word(Some(word)), 1)),
                Slot::Backing => self.backing(word),
                _ => None,
            };
            match said {
                Some((said, taken)) if self.said[idx].is_none() => {
                    self.said[idx] = Some(said);
                    self.places[idx] = Some(word.span);
                    self.at += taken;
                    return Ok(true);
                }
                Some(_) => said_before = self.places[idx],
                None => {}
            }
        }
        said_before.map_or(Ok(false), |first| Err(Stop::Twice(first, word.span)))
    }

    fn backing(&self, word: Word<'a>) -> Option<(Said<'o, 'a>, usize)> {
        let backing = find(&BACKINGS, word.node)?;
        let file = if matches!(backing, "file" | "memfd") { Some(self.word(1)?) } else { None };
        Some((Said::Backing { word: Some(backing), file }, 1 + usize::from(file.is_some())))
    }

    fn free_words(&self) -> Vec<&'static str> {
        let free = self.info.slots.iter().zip(&self.said).filter(|(_, said)| said.is_none());
        free.flat_map(|(slot, _)| match slot {
            Slot::Maybe(words) => *words,
            Slot::Backing => &BACKINGS,
            _ => &[],
        })
        .copied()
        .collect()
    }
}

fn is_optional(slot: Slot) -> bool {
    matches!(slot, Slot::Maybe(_) | Slot::Backing)
}

fn find(words: &[&'static str], word: &str) -> Option<&'static str> {
    words.iter().copied().find(|known| *known == word)
}

/// What a slot takes, for messages.
fn wanted(slot: Slot) -> String {
    match slot {
        Slot::NewMem => "a name for the memory".to_owned(),
        Slot::Size => "a size".to_owned(),
        Slot::Own | Slot::Any => "memory".to_owned(),
        Slot::Value => "a value".to_owned(),
        Slot::NewProc => "a name for the child".to_owned(),
        Slot::Child => "a child process".to_owned(),
        Slot::Ref | Slot::RefArea => "a reference".to_owned(),
        Slot::OneOf(words) if words.len() <= 6 => one_of(words),
        Slot::OneOf(_) => "an advice it knows".to_owned(),
        Slot::Maybe(_) | Slot::Backing => "one of its optional words".to_owned(),
    }
}

fn report<T>(
    stop: Stop,
    info: &'static OpInfo,
    operands: &[Operand],
    verb_at: Place,
    env: &Env,
    errors: &mut Errors,
) -> Option<T> {
    let verb = info.verb.keyword();
    match stop {
        Stop::Missing(slot) => {
            let at = env.place(operands.last().map_or(verb_at.span, Operand::span));
            let help = format!("write it like this: {}", info.example);
            errors.report(at, StatementError::MissingOperand { verb, wanted: wanted(slot), help, at: at.label() })
        }
        Stop::Wrong(slot, operand) => {
            if let (Slot::Size, Some((span, wanted, help))) = (slot, incomplete_size(operand, operands)) {
                let (at, wanted) = (env.place(span), wanted.to_owned());
                return errors.report(at, StatementError::MissingOperand { verb, wanted, help, at: at.label() });
            }
            let (span, help) = wrong_help(slot, operand, operands, info);
            let at = env.place(span);
            errors.report(at, StatementError::WrongOperand { verb, wanted: wanted(slot), help, at: at.label() })
        }
        Stop::Needless(operand, free) => {
            let at = env.place(operand.span());
            let said = word_of(operand).unwrap_or_default();
            if let Some(near) = nearest(said, free.iter().copied()) {
                let word = said.to_owned();
                return errors.report(at, StatementError::UnknownOption { verb, word, near, at: at.label() });
            }
            let help = match free.is_empty() {
                true => format!("drop it; `{verb}` is written like this: {}", info.example),
                false => format!("drop it; the words that may stand here are {}", one_of(&free)),
            };
            errors.report(at, StatementError::NeedlessOperand { verb, help, at: at.label() })
        }
        Stop::Twice(first, again) => {
            let (first, at) = (env.place(first), env.place(again));
            errors.report(at, StatementError::OptionTwice { verb, first: first.label(), again: at.label() })
        }
    }
}

fn word_of<'a>(operand: &Operand<'a>) -> Option<&'a str> {
    match operand {
        Operand::Address(address) => address.as_word().map(|word| word.node),
        Operand::Value(_) => None,
    }
}

/// What a size that ends too early lacks, behind what, and what to write.
fn incomplete_size(count: &Operand, operands: &[Operand]) -> Option<(Span, &'static str, String)> {
    let Operand::Value(number) = count else { return None };
    let at = operands.iter().position(|other| other.span() == count.span())?;
    let (unit, order) = (operands.get(at + 1), operands.get(at + 2));
    match (unit, order) {
        _ if number.node.text => None,
        (None, _) => {
            let help = format!("write `{} pages`, or another unit: `thp`, `mthp ORDER`, `hugetlb`", number.node.bits);
            Some((count.span(), "the unit of its size", help))
        }
        (Some(unit), _) if word_of(unit) == Some("mthp") => {
            let help =
                format!("write an order from 2 to {} behind `mthp`: it is log2 of the pages", super::limits::PMD_ORDER - 1);
            Some((unit.span(), "the order of its folios", help))
        }
        _ => None,
    }
}

/// Where a wrong operand really goes wrong, and what to write there.
fn wrong_help(slot: Slot, operand: &Operand, operands: &[Operand], info: &OpInfo) -> (Span, String) {
    let like = format!("write it like this: {}", info.example);
    let help = match (slot, word_of(operand)) {
        (Slot::Value, Some(word)) if word.len() <= 8 => format!("write `\"{word}\"` for a string, or a number"),
        (Slot::Value, _) => "write a number, or a string of at most 8 bytes".to_owned(),
        (Slot::OneOf(words), word) => match word.and_then(|word| nearest(word, words.iter().copied())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write {}", one_of(words)),
        },
        (Slot::Size, None) => {
            let behind = operands.iter().skip_while(|other| other.span() != operand.span()).nth(1);
            let Some(unit) = behind.filter(|_| matches!(operand, Operand::Value(_))) else { return (operand.span(), like) };
            let help = Near::among(word_of(unit).unwrap_or_default(), UNITS).or("write the unit of the size");
            return (unit.span(), help);
        }
        (Slot::Size, Some(_)) => format!("write the size behind the name, as in: {}", info.example),
        _ => like,
    };
    (operand.span(), help)
}

#[cfg(test)]
mod tests {
    use super::{OPS, Slot, is_optional};

    #[test]
    fn required_operands_are_never_more_than_a_line_holds() {
        for info in OPS {
            assert!(info.slots.iter().filter(|slot| !is_optional(**slot)).count() <= 3, "{}", info.verb);
            assert!(info.slots.iter().filter(|slot| matches!(slot, Slot::Backing)).count() <= 1, "{}", info.verb);
        }
    }
}
