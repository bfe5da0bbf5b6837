//! What is to blame for how a schedule ends: the invariant that broke, and the decision that let it happen.

use super::node::{Model, Searched, Stepped};
use super::report::{Ending, Found};
use super::schedule;
use crate::check;
use crate::ir::{Op, Outcome};
use crate::trace::{Decision, Trace, What};
use crate::types::{Pc, Vpn};

/// What makes two endings the same bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Blame {
    /// `I2`; none where the ending has no number of its own, or names it already.
    pub invariant: Option<&'static str>,
    /// The deciding rule and its verdict: `("wp::decide_small", "reuse")`.
    pub rule: Option<(&'static str, &'static str)>,
}

/// As a signature has it: ` I2, wp::decide_small: reuse`.
impl std::fmt::Display for Blame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.invariant.map_or(Ok(()), |invariant| write!(f, " {invariant}"))?;
        self.rule.map_or(Ok(()), |(rule, verdict)| write!(f, ", {rule}: {verdict}"))
    }
}

/// Goes the way to an ending once more, and listens.
pub fn blame<B: Searched>(model: &Model<'_, B>, found: &Found) -> Blame {
    let (mut node, mut trace) = (model.start(), Trace::default());
    let mut last = None;
    for task in schedule::steps(model, false, &found.path) {
        last = model.line(&node, task).map(|pc| (pc, node.st.task(task).page));
        if model.step(&mut node, task, &mut trace) != Stepped::On {
            break;
        }
    }
    let Ending::Came(outcome) = found.ending else { return Blame::default() };
    let decisions = || {
        trace
            .events
            .iter()
            .rev()
            .filter_map(|event| if let What::Decision(decision) = &event.what { Some(decision) } else { None })
    };
    let rule = |decision: &Decision| (decision.rule, decision.verdict);
    if let Outcome::Breach(_) = outcome {
        let page = model.broken_rule(&node).and_then(|broken| broken.page);
        let about = page.and_then(|(_, vpn)| decisions().find(|decision| decision.vpn == vpn));
        return Blame { invariant: None, rule: about.or_else(|| decisions().next()).map(rule) };
    }
    let Some((pc, page)) = last else { return Blame::default() };
    let vpn = shown(model, pc, page);
    let about = |verdicts: &[&str]| {
        decisions().find(|decision| vpn.is_none_or(|vpn| vpn == decision.vpn) && verdicts.contains(&decision.verdict))
    };
    let decided = match outcome {
        Outcome::Leak => about(&["reuse"]).or_else(|| about(&["share"])).or_else(|| about(&["take", "wp", "skip", "follow"])),
        Outcome::Lost => about(&["copy", "unshare"]).or_else(|| about(&["take"])),
        _ => None,
    };
    let decided = decided.or_else(|| decisions().find(|decision| Some(decision.vpn) == vpn));
    Blame { invariant: check::invariant(model.program, pc, outcome), rule: decided.map(rule) }
}

/// The page of an address space that a line shows: its own, or that which its reference was taken at. A child has what its
/// parent had at the same place, so whose address space it is makes no difference.
fn shown<B: Searched>(model: &Model<'_, B>, pc: Pc, page: u16) -> Option<Vpn> {
    let (area, page) = match model.program.code[pc.idx()].op {
        Op::Peek { held } => (model.program.taker(held.name)?.op.area()?, held.start + page),
        op => (op.area()?, page),
    };
    Some(Vpn(area.start.0 + page.min(area.len - 1)))
}
