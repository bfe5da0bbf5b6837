//! What a search may leave out without losing an outcome.
//!
//! A load or a store that the page table permits, to a page that no other actor comes near for the rest of the race, changes
//! places with whatever the others do: it is made first, and nothing else is tried in its stead. It is over at once, so no
//! circle of such steps can put the others off for ever. Serial orders lose nothing: whether what was seen can be explained
//! is a question to each page by itself, but for operations that reach all pages, and beside those nothing is left out.

use super::node::{Model, Node};
use crate::ir::{Op, Program};
use crate::state::{At, Fault};
use crate::types::{Size, TaskId};

/// What is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reduction {
    /// What makes no difference.
    #[default]
    Sound,
    /// Too much: fork goes on as if nobody could tell its steps apart. A test must find that out.
    #[cfg(test)]
    TooMuch,
}

/// An actor whose next step nobody else could tell from its absence.
pub fn alone<B: Size>(model: &Model<'_, B>, node: &Node<B>) -> Option<TaskId> {
    model.live(node).find(|task| match model.reduction {
        Reduction::Sound => is_private(model, node, *task),
        #[cfg(test)]
        Reduction::TooMuch => matches!(node.st.task(*task).at, At::Fork(..)),
    })
}

fn is_private<B: Size>(model: &Model<'_, B>, node: &Node<B>, task: TaskId) -> bool {
    let (program, own) = (model.program, node.st.task(task));
    let Some(pc) = model.line(node, task) else { return false };
    let (Op::Read { area } | Op::Write { area, .. }) = program.code[pc.idx()].op else { return false };
    if own.fault != Fault::None || !matches!(own.at, At::Idle | At::Start | At::Walk) || !program.files.is_empty() {
        return false;
    }
    let page = if own.at == At::Idle { 0 } else { own.page };
    let vpn = area.start.0 + page;
    let pte = node.st.pte(area.proc, crate::types::Vpn(vpn));
    let stores = matches!(program.code[pc.idx()].op, Op::Write { .. });
    let permitted = pte.target.pfn().is_some() && if stores { pte.may_write() } else { pte.may_read() };
    let large = pte.target.pfn().is_some_and(|pfn| node.st.folio(pfn).is_large());
    let others = || (0..program.tasks.len()).map(TaskId::at).filter(|other| *other != task);
    permitted
        && !large
        && !others().any(|other| model.remaining(node, other).any(|pc| reaches(program, program.code[pc.idx()].op, vpn)))
}

/// Whether an operation may come near a page: by its number, which a page keeps in every process that fork gives it to.
fn reaches(program: &Program, op: Op, vpn: u16) -> bool {
    let area = match op {
        Op::Read { area } | Op::Write { area, .. } | Op::Munmap { area } | Op::Mprotect { area, .. } => Some(area),
        Op::Poke { area, .. } | Op::PeekMem { area } | Op::ProcessVmReadv { area } | Op::ProcessVmWritev { area, .. } => {
            Some(area)
        }
        Op::DirectRead { area, .. } | Op::DirectWrite { area } | Op::Vmsplice { area, .. } => Some(area),
        Op::Get { area, .. } | Op::Pin { area, .. } => Some(area),
        Op::Put { name } | Op::Unpin { name, .. } => program.taker(name).and_then(|instr| instr.op.area()),
        // Fork and its like reach all pages, and of movers nothing is said.
        _ => None,
    };
    area.is_none_or(|area| area.start.0 <= vpn && vpn < area.start.0 + area.len)
}
