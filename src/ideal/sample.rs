//! Programs for tests, made by hand: two processes that share a page or two.

use crate::ir::{
    Actor, Advice, Area, Backing, Ending, FileDecl, FileKind, Instr, Mem, MemKind, Op, Program, Prot, RefArea, RefDecl,
    Sharing, Speed,
};
use crate::types::{MemId, ProcId, RefId, TaskId, Value, ValueId, Vpn, WordId};

/// The first process.
pub const P: ProcId = ProcId(0);
/// Its child.
pub const C: ProcId = ProcId(1);
/// A reference to one page.
pub const A: RefId = RefId(0);
/// Another.
pub const B: RefId = RefId(1);
/// A second thread of `P`.
pub const P2: TaskId = TaskId(3);
/// The device.
pub const DEVICE: TaskId = TaskId(2);

/// Two processes, whose tasks have their numbers, the device, and a second thread; two pages of address space, a file of one page, two
/// references of one page, eight values, and the word at byte 8.
pub fn program(code: &[(TaskId, Op)]) -> Program {
    let instr = |&(task, op): &(TaskId, Op)| Instr {
        task,
        op,
        claim: None,
        observe: None,
        ending: Ending::Succeeds,
        race: None,
        setup: false,
    };
    let reference = |name: &str, first| RefDecl { name: name.to_owned(), len: 1, first };
    Program {
        procs: vec!["p".to_owned(), "c".to_owned()],
        tasks: vec![
            Actor::Thread { proc: P, thread: 1 },
            Actor::Thread { proc: C, thread: 1 },
            Actor::Device,
            Actor::Thread { proc: P, thread: 2 },
        ],
        files: vec![FileDecl { name: "f".to_owned(), kind: FileKind::File, len_pages: 1 }],
        mems: vec![Mem { name: "buf".to_owned(), area: at(P, 0), kind: MemKind::Pages }],
        refs: vec![reference("a", 0), reference("b", 1)],
        values: (0..8).map(Value::number).collect(),
        words: vec![0, 8],
        pages: 2,
        code: code.iter().map(instr).collect(),
        ..Program::default()
    }
}

pub fn at(proc: ProcId, page: u16) -> Area {
    Area { proc, mem: MemId(0), start: Vpn(page), len: 1, word: None }
}

pub fn task(proc: ProcId) -> TaskId {
    TaskId(proc.0)
}

pub fn map(proc: ProcId, backing: Backing, sharing: Sharing) -> (TaskId, Op) {
    (task(proc), Op::Mmap { area: at(proc, 0), backing, sharing, prot: Prot::Rw })
}

pub fn anon(proc: ProcId) -> (TaskId, Op) {
    map(proc, Backing::Anon, Sharing::Private)
}

pub fn write(proc: ProcId, value: u8) -> (TaskId, Op) {
    (task(proc), Op::Write { area: at(proc, 0), value: ValueId(value) })
}

pub fn write_word(proc: ProcId, value: u8) -> (TaskId, Op) {
    (task(proc), Op::Write { area: Area { word: Some(WordId(1)), ..at(proc, 0) }, value: ValueId(value) })
}

pub fn read(proc: ProcId) -> (TaskId, Op) {
    (task(proc), Op::Read { area: at(proc, 0) })
}

pub fn fork() -> (TaskId, Op) {
    (task(P), Op::Fork { child: C })
}

pub fn unmap(proc: ProcId) -> (TaskId, Op) {
    (task(proc), Op::Munmap { area: at(proc, 0) })
}

pub fn advise(proc: ProcId, advice: Advice) -> (TaskId, Op) {
    (task(proc), Op::Madvise { area: at(proc, 0), advice })
}

pub fn pin(proc: ProcId, write: bool, longterm: bool, name: RefId) -> (TaskId, Op) {
    (task(proc), Op::Pin { area: at(proc, 0), write, longterm, speed: Speed::Fast, name })
}

pub fn vmsplice(proc: ProcId, name: RefId) -> (TaskId, Op) {
    (task(proc), Op::Vmsplice { area: at(proc, 0), name })
}

pub fn unpin(proc: ProcId, name: RefId) -> (TaskId, Op) {
    (task(proc), Op::Unpin { name, dirty: false })
}

pub fn whole(name: RefId) -> RefArea {
    RefArea { name, start: 0, len: 1, word: None }
}

pub fn peek(name: RefId) -> (TaskId, Op) {
    (DEVICE, Op::Peek { held: whole(name) })
}

pub fn dma(name: RefId, value: u8) -> (TaskId, Op) {
    (DEVICE, Op::Dma { held: whole(name), value: ValueId(value) })
}

pub fn soft_dirty(proc: ProcId) -> (TaskId, Op) {
    (task(proc), Op::SoftDirty { area: at(proc, 0) })
}
