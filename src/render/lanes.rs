//! One schedule, an actor a lane: what each did, in the order in which it happened.

use super::Look;
use crate::analysis::FileReport;
use crate::explore::schedule::{Made, Replayed};
use crate::ir::Scenario;

/// Columns of a lane, at most.
const LANE_COLUMNS_MAX: usize = 34;

/// The lanes of a schedule that was carried out, lines outside races left out where only one actor is about.
pub fn text(file: &FileReport, scenario: &Scenario, policy: &str, replayed: &Replayed, look: &Look) -> String {
    let program = &scenario.program;
    let racing = |made: &Made| made.choice || program.code[made.pc.idx()].race.is_some();
    let mut tasks: Vec<_> = replayed.steps.iter().filter(|made| racing(made)).map(|made| made.task).collect();
    tasks.sort();
    tasks.dedup();
    let columns = look.width.saturating_sub(8).checked_div(tasks.len().max(1)).unwrap_or(LANE_COLUMNS_MAX);
    let columns = columns.clamp(12, LANE_COLUMNS_MAX);
    let mut out = format!("{} under {policy}: {}\n", scenario.name, replayed.ending);
    let head: String = tasks.iter().map(|task| format!("{:columns$}", program.actor(*task))).collect();
    out.push_str(&format!("{:>6}  {}\n", "line", head.trim_end()));
    for made in replayed.steps.iter().filter(|made| racing(made)) {
        let line = file.place(scenario.spans[made.pc.idx()]).line;
        let lane = tasks.iter().position(|task| *task == made.task).unwrap_or(0);
        out.push_str(&format!("{line:>6}  {}{}\n", " ".repeat(lane * columns), made.site));
    }
    out
}
