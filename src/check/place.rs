//! What an instruction acts on, in words.

use crate::ir::{Advice, Area, Op, Program, RefArea, Verb};
use crate::observe::word_of;

/// The memory that an instruction is about; of a reference, what it was taken of.
pub fn memory(program: &Program, op: Op) -> Option<Area> {
    match op {
        Op::Peek { held } | Op::Dma { held, .. } => {
            program.code.iter().find(|instr| instr.op.takes() == Some(held.name)).and_then(|instr| instr.op.area())
        }
        _ => op.area(),
    }
}

/// Whether two areas have a page in common.
pub fn meet(a: Area, b: Area) -> bool {
    a.proc == b.proc && a.start.0 < b.start.0 + b.len && b.start.0 < a.start.0 + a.len
}

/// Page `page` of what an instruction acts on, and the `nth` of the words it acts on: `child.buf[2]+8`, `pipe`.
pub fn text(program: &Program, op: Op, page: u16, nth: usize) -> String {
    let (name, index, len) = match (op, op.area()) {
        (Op::Peek { held: RefArea { name, start, .. } } | Op::Dma { held: RefArea { name, start, .. }, .. }, _) => {
            let decl = &program.refs[name.idx()];
            (decl.name.clone(), start + page, decl.len)
        }
        (_, Some(area)) => {
            let mem = &program.mems[area.mem.idx()];
            let name = format!("{}.{}", program.procs[area.proc.idx()], mem.name);
            (name, area.start.0 + page - mem.area.start.0, mem.area.len)
        }
        (_, None) => return "nothing".to_owned(),
    };
    let index = if len == 1 { String::new() } else { format!("[{index}]") };
    let offset = match word_of(op).map_or(nth, |word| word.idx()) {
        0 => String::new(),
        word => format!("+{}", program.words[word]),
    };
    format!("{name}{index}{offset}")
}

/// The verb as it is written, with the advice of `madvise`.
pub fn verb(op: Op) -> String {
    match op {
        Op::Madvise { advice, .. } => format!("{} {}", Verb::Madvise, Advice::to_string(&advice)),
        _ => op.verb().to_string(),
    }
}
