//! What a search may leave out without losing an outcome.
//!
//! Of the actors that can step, those are tried that form a *persistent set*: whatever the others do without them, they touch
//! nothing that the next steps of the set touch ([`super::touch`]), so any order of theirs can be had behind a step of the set
//! as well. The smallest such set is taken; where it has one actor, its step is made at once and no state kept in between.
//!
//! Nothing is lost of what rules say about a state: each is about one page's column, and steps that touch a column keep
//! their order. Nothing is lost of serial orders: an operation's end and another's begin are taken to depend on each other.

use super::node::{Model, Node, Searched, Tasks};
use super::touch::{self, Touch};
use crate::ir::Op;
use crate::state::At;
use crate::types::{ProcId, TaskId};

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

/// Actors past which no set is looked for.
const ACTORS_MAX: usize = 8;

/// The next steps of all actors, as far as they decide who is tried.
struct Steps {
    next: [Touch; ACTORS_MAX],
    /// A lock that it needs is taken.
    blocked: Tasks,
    /// Who has it, where it is a page-table lock.
    holder: [Option<TaskId>; ACTORS_MAX],
}

/// The actor that alone need be tried, where there is one.
pub fn forced<B: Searched>(model: &Model<'_, B>, node: &Node<B>) -> Option<TaskId> {
    if model.is_over(node) || model.broken(node).is_some() {
        return None;
    }
    let live = model.live(node);
    let mut chosen = if live.len() == 1 { live } else { chosen(model, node, live) };
    if chosen.len() == 1 { chosen.next() } else { None }
}

/// Of the actors that are not stopped, those that are to be tried.
pub fn chosen<B: Searched>(model: &Model<'_, B>, node: &Node<B>, live: Tasks) -> Tasks {
    #[cfg(test)]
    if model.reduction == Reduction::TooMuch {
        let forking: Tasks = live.filter(|task| matches!(node.st.task(*task).at, At::Fork(..))).take(1).collect();
        return if forking.len() == 1 { forking } else { live };
    }
    let Some(reach) = model.reach.as_ref().filter(|_| model.program.tasks.len() <= ACTORS_MAX) else { return live };
    let mut steps = Steps { next: [Touch::default(); ACTORS_MAX], blocked: Tasks::default(), holder: [None; ACTORS_MAX] };
    for task in live {
        let Some((touch, exact)) = touch::next(model, reach, node, task) else { continue };
        steps.next[task.idx()] = touch;
        if exact && touch::is_blocked(node, touch) {
            steps.blocked.insert(task);
            steps.holder[task.idx()] = touch::holder(node, touch);
        }
    }
    let able = live - steps.blocked;
    let mut best = if able == Tasks::default() { live } else { able };
    for seed in able {
        if best.len() == 1 {
            break;
        }
        let set = closure(model, node, &steps, seed, live);
        if set.is_some_and(|set| set.len() < best.len()) {
            best = set.unwrap_or(best);
        }
    }
    best
}

/// The smallest persistent set with this actor in it; `None` where it has one who must wait or has yet to come.
fn closure<B: Searched>(model: &Model<'_, B>, node: &Node<B>, steps: &Steps, seed: TaskId, live: Tasks) -> Option<Tasks> {
    let reach = model.reach.as_ref()?;
    let mut set: Tasks = [seed].into_iter().collect();
    let mut standing = forking(model, node, seed);
    loop {
        let mut grown = set;
        for other in (0..model.program.tasks.len()).map(TaskId::at).filter(|other| !set.contains(*other)) {
            // Whoever waits for a lock that one of the set holds does nothing without it.
            let holder = steps.holder[other.idx()];
            if holder.is_some_and(|holder| set.contains(holder)) {
                continue;
            }
            let future = touch::future(model, reach, node, other, standing);
            if set.into_iter().any(|task| steps.next[task.idx()].conflicts(future)) {
                if !live.contains(other) || steps.blocked.contains(other) {
                    return None;
                }
                grown.insert(other);
                standing = standing.or(forking(model, node, other));
            }
        }
        if grown == set {
            return Some(set);
        }
        set = grown;
    }
}

/// The process that an actor forks: it holds mmap_lock for writing, and faults of other threads wait for it.
fn forking<B: Searched>(model: &Model<'_, B>, node: &Node<B>, task: TaskId) -> Option<ProcId> {
    let own = node.st.task(task);
    let forks = matches!(own.at, At::Fork(..)) && matches!(model.program.code[own.pc.idx()].op, Op::Fork { .. });
    model.program.tasks[task.idx()].proc().filter(|_| forks)
}
