//! Programs and policies in few bytes, for fuzzers: eight bytes a statement, whatever the generator becomes.
//!
//! What is encoded is the program and never the choices it was drawn from, so a corpus survives changes of the generator. A verb's code
//! is its place in [`CODES`], to which new verbs are added at the end; policies and knobs are known by a hash of their names. Names,
//! claims and races are not carried: a program comes back with the names that generators give. Whatever the bytes, what comes
//! back is canonical, since each statement is said again through a sketch.

use crate::generate::scale::SMALL_PMD_ORDER;
use crate::generate::{self, Manner, Settings};
use crate::ir::{
    Actor, Advice, Area, Backing, Ending, FileDecl, FileKind, Instr, Mem, MemKind, Op, Program, Prot, RefArea, Sharing, Speed,
    UffdMode, Verb,
};
use crate::policy::{self, KNOBS, Policy};
use crate::types::{Event, Failure, FileId, MemId, PMD_ORDER, ProcId, RefId, TaskId, Value, ValueId, Vpn, WordId};

/// What every encoded program begins with: a word and the version.
const HEAD: [u8; 4] = *b"cow\x01";

/// Bytes of a statement.
const STATEMENT: usize = 8;

/// Huge pages of a pool whose number is said, at most.
const POOL_MAX: u16 = 11;

/// In the detail of a mapping: of a driver's pages.
const SPECIAL: u8 = 1 << 6;

/// In the detail of a mapping: of a device's own memory.
const DEVICE: u8 = 1 << 7;

/// How many of each thing a statement can name.
const IDS: usize = 16;

/// The verbs by their codes. New ones at the end; none is ever taken out.
pub const CODES: &[Verb] = &{
    use Verb::*;
    [
        Mmap,
        Munmap,
        Mremap,
        Mprotect,
        Name,
        Madvise,
        Write,
        Read,
        Fork,
        Exit,
        Wait,
        ClearRefs,
        SoftDirty,
        Poke,
        PeekMem,
        ProcessVmWritev,
        ProcessVmReadv,
        DirectRead,
        DirectWrite,
        Vmsplice,
        Get,
        Put,
        Pin,
        Unpin,
        UffdRegister,
        UffdWp,
        UffdUnwp,
        UffdCopy,
        UffdZeropage,
        UffdContinue,
        UffdMove,
        Peek,
        Dma,
        Pageout,
        Swapin,
        Swapoff,
        Migrate,
        KsmMerge,
        KsmUnmerge,
        SplitPmd,
        SplitFolio,
        Collapse,
        NumaHint,
        Hold,
        Drop,
        LruAdd,
        Drain,
    ]
};

/// A program under a policy.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    pub program: Program,
    pub policy: Policy,
}

/// A case as bytes.
///
/// `None` where the program has more than a statement can name: 16 processes, mappings, references or files, or 255 pages.
pub fn encode(case: &Case) -> Option<Vec<u8>> {
    let Case { program, policy } = case;
    let small = program.procs.len() <= IDS && program.mems.len() <= IDS && program.refs.len() <= IDS && program.pages <= 255;
    if !small || IDS < program.files.len() {
        return None;
    }
    let mut bytes = HEAD.to_vec();
    let base = nearest(policy);
    bytes.extend(hash(base.name).to_le_bytes());
    let knobs: Vec<_> = KNOBS.iter().filter(|knob| knob.get(policy) != knob.get(&base.policy)).collect();
    bytes.push(knobs.len() as u8);
    for knob in knobs {
        bytes.extend(hash(knob.name).to_le_bytes());
        bytes.push(knob.get(policy) as u8);
    }
    bytes.push(program.values.len() as u8);
    program.values.iter().for_each(|value| bytes.extend(value.bits.to_le_bytes()));
    bytes.push(program.words.len() as u8);
    program.words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    for instr in &program.code {
        bytes.extend(statement(program, instr));
    }
    Some(bytes)
}

/// The case in some bytes; `None` where they do not begin as one.
///
/// With [`Manner::Exactly`] a statement that has no place is left out, with [`Manner::Loosely`] it is made to fit.
pub fn decode(bytes: &[u8], settings: &Settings, manner: Manner) -> Option<Case> {
    let mut rest = bytes.strip_prefix(&HEAD)?;
    let mut take = |len: usize| {
        let (taken, left) = rest.split_at_checked(len)?;
        rest = left;
        Some(taken)
    };
    let name = u16::from_le_bytes(take(2)?.try_into().ok()?);
    let mut policy = policy::builtin().iter().find(|named| hash(named.name) == name)?.policy;
    for _ in 0..take(1)?[0] {
        let of = take(3)?;
        let knob = KNOBS.iter().find(|knob| hash(knob.name).to_le_bytes() == of[..2])?;
        knob.set(&mut policy, usize::from(of[2]));
    }
    let values = take(1)?[0];
    let values: Option<Vec<Value>> =
        (0..values).map(|_| Some(Value::number(u64::from_le_bytes(take(8)?.try_into().ok()?)))).collect();
    let words = take(1)?[0];
    let words: Option<Vec<u16>> = (0..words).map(|_| Some(u16::from_le_bytes(take(2)?.try_into().ok()?))).collect();
    let mut from = universe(values?, words?)?;
    let (code, _) = rest.as_chunks::<STATEMENT>();
    if code.iter().any(is_scaled) {
        from.pmd_order = SMALL_PMD_ORDER;
    }
    for bytes in code {
        // A name is known by its kind to whoever maps it.
        if let [0, _, about, kind, _, file, detail, _] = bytes {
            from.mems[usize::from(about & 15)].kind = kind_of(*kind);
            from.system.hugetlb = pool_of(*kind).or(from.system.hugetlb);
            if detail & DEVICE != 0 && (1..=IDS).contains(&usize::from(*file)) {
                from.files[usize::from(*file) - 1].kind = FileKind::Device;
            }
        }
    }
    let code = code.iter().filter_map(|bytes| instruction(&from, bytes));
    Some(Case { program: generate::again(&from, code, settings, manner), policy })
}

/// A program in which everything exists that a statement can name.
fn universe(values: Vec<Value>, words: Vec<u16>) -> Option<Program> {
    let actors = (0..IDS * 2).map(|at| Actor::Thread { proc: ProcId::at(at / 2), thread: 1 + (at % 2) as u8 });
    let mem = |at: usize| Mem {
        name: String::new(),
        area: Area { proc: ProcId(0), mem: MemId::at(at), start: Vpn(0), len: 255, word: None },
        kind: MemKind::Pages,
    };
    // The first half of the files is nameless: what stands behind shared anonymous memory.
    let file = |at: usize| FileDecl {
        name: if at < IDS { String::new() } else { "f".to_owned() },
        kind: FileKind::File,
        len_pages: 1,
    };
    let aligned = |word: &u16| *word < 4096 && word.is_multiple_of(8);
    (!values.is_empty() && !words.is_empty() && words[1..].iter().all(aligned)).then(|| Program {
        procs: vec![String::new(); IDS],
        tasks: actors.chain([Actor::Kernel(1), Actor::Device]).collect(),
        files: (0..IDS * 2).map(file).collect(),
        mems: (0..IDS).map(mem).collect(),
        refs: vec![crate::ir::RefDecl { name: String::new(), len: 255, first: 0 }; IDS],
        values,
        words,
        pmd_order: PMD_ORDER,
        ..Program::default()
    })
}

/// The built-in policy that differs in the fewest knobs.
fn nearest(policy: &Policy) -> &'static policy::Named {
    let far = |named: &&policy::Named| KNOBS.iter().filter(|knob| knob.get(policy) != knob.get(&named.policy)).count();
    policy::builtin().iter().min_by_key(far).expect("cowl bug: no policy is built in")
}

/// Source: the FNV-1a hash, folded to 16 bits.
fn hash(name: &str) -> u16 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 16) as u16
}

/// Eight bytes: verb, actor, what it is about (two), how many pages, which word, a detail, the ending.
fn statement(program: &Program, instr: &Instr) -> [u8; STATEMENT] {
    let code = CODES.iter().position(|verb| *verb == instr.op.verb()).expect("cowl bug: a verb without a code");
    let actor = match program.tasks[instr.task.idx()] {
        Actor::Thread { proc, thread } => proc.0 * 2 + u8::from(1 < thread),
        Actor::Kernel(_) => 2 * IDS as u8,
        Actor::Device => 2 * IDS as u8 + 1,
    };
    let place = |area: Area| {
        let start = area.start.0 - program.mems[area.mem.idx()].area.start.0;
        (area.proc.0 << 4 | area.mem.0 as u8, start as u8)
    };
    let (about, start, len) = match (instr.op, instr.op.area()) {
        (Op::Peek { held } | Op::Dma { held, .. }, _) => (held.name.0, held.start as u8, held.len as u8),
        (Op::Put { name } | Op::Unpin { name, .. } | Op::Drop { name }, _) => (name.0, 0, 0),
        (Op::Fork { child } | Op::Wait { child }, _) => (child.0, 0, 0),
        // A mapping begins where it begins, so the byte says of what pages it is.
        (Op::Mmap { .. }, Some(area)) => (place(area).0, kind_code(program, area), area.len as u8),
        (_, Some(area)) => (place(area).0, place(area).1, area.len as u8),
        (_, None) => (0, 0, 0),
    };
    let mut word = crate::observe::word_of(instr.op).map_or(0, |word| word.0);
    let detail = match instr.op {
        Op::Mmap { backing, sharing, prot, .. } => {
            word = match backing {
                Backing::File(file) => 1 + file.0 + if program.files[file.idx()].name.is_empty() { 0 } else { IDS as u8 },
                Backing::Anon | Backing::Special => 0,
            };
            let device = matches!(backing, Backing::File(file) if program.files[file.idx()].kind == FileKind::Device);
            let special = backing == Backing::Special;
            let made_of = if device {
                DEVICE
            } else if special {
                SPECIAL
            } else {
                0
            };
            made_of | (sharing as u8) << 4 | prot as u8
        }
        Op::Mremap { to: second, .. } | Op::UffdMove { to: second, .. } | Op::KsmMerge { b: second, .. } => {
            let (about, start) = place(second);
            word = about;
            start
        }
        Op::Name { to, .. } => to.0 as u8,
        Op::Mprotect { prot, .. } => prot as u8,
        Op::Madvise { advice, .. } => advice as u8,
        Op::UffdRegister { mode, .. } => mode as u8,
        Op::Get { write, speed, name, .. } => flags([write, false, speed == Speed::Slow]) | name.0 << 4,
        Op::Pin { write, longterm, speed, name, .. } => flags([write, longterm, speed == Speed::Slow]) | name.0 << 4,
        Op::Vmsplice { name, .. } | Op::Hold { name, .. } => name.0 << 4,
        Op::Unpin { dirty, .. } => dirty.into(),
        op => op.stores().map_or(0, |value| value.0),
    };
    let ending = match instr.ending {
        Ending::Succeeds => 0,
        Ending::Fails(failure) => 1 + failure as u8,
        Ending::Event(event) => 128 + event as u8,
    };
    [code as u8, actor, about, start, len, word, detail, ending]
}

/// What a mapping is made of: base pages, a THP, base pages where a PMD maps few, huge pages of the pool (by their order), or large
/// folios of an order.
fn kind_code(program: &Program, area: Area) -> u8 {
    match program.mems[area.mem.idx()].kind {
        MemKind::Pages if program.pmd_order == SMALL_PMD_ORDER => 2,
        MemKind::Pages => 0,
        MemKind::Thp => 1,
        MemKind::Hugetlb { order: None } => program.system.hugetlb.map_or(3, |pages| 4 + pages.min(POOL_MAX) as u8),
        MemKind::Mthp { order } => 16 + order % 16,
        MemKind::Hugetlb { order: Some(order) } => 64 + order % 64,
    }
}

fn kind_of(code: u8) -> MemKind {
    match code {
        1 => MemKind::Thp,
        3..16 => MemKind::Hugetlb { order: None },
        16..32 => MemKind::Mthp { order: code - 16 },
        64..128 => MemKind::Hugetlb { order: Some(code - 64) },
        _ => MemKind::Pages,
    }
}

/// Huge pages of the pool, where a mapping says how many there are.
fn pool_of(code: u8) -> Option<u16> {
    if (4..16).contains(&code) { Some(u16::from(code - 4)) } else { None }
}

/// Whether a mapping is one of a world whose PMDs map few pages.
fn is_scaled(&[code, _, _, kind, ..]: &[u8; STATEMENT]) -> bool {
    CODES.get(usize::from(code)) == Some(&Verb::Mmap) && matches!(kind, 1 | 2)
}

fn flags(bits: [bool; 3]) -> u8 {
    bits.iter().enumerate().map(|(at, bit)| u8::from(*bit) << at).sum()
}

/// The statement in eight bytes, in the words of [`universe`]; `None` where a byte means nothing.
fn instruction(from: &Program, &[code, actor, about, start, len, word, detail, ending]: &[u8; STATEMENT]) -> Option<Instr> {
    let verb = *CODES.get(usize::from(code))?;
    let task = TaskId(actor);
    from.tasks.get(task.idx())?;
    let piece = |about: u8, start: u8, len: u8| Area {
        proc: ProcId(about >> 4),
        mem: MemId(u16::from(about & 15)),
        start: Vpn(u16::from(start.min(254))),
        len: u16::from(len.clamp(1, 255 - start.min(254))),
        word: None,
    };
    let whole = piece(about, start, len);
    let told = |word: u8| (word != 0 && usize::from(word) < from.words.len()).then_some(WordId(word));
    let area = Area { word: told(word), ..whole };
    let value = ValueId((usize::from(detail) % from.values.len()) as u8);
    let held = RefArea { name: RefId(about & 15), start: start.into(), len: len.max(1).into(), word: told(word) };
    let bit = |at: u8| detail & 1 << at != 0;
    let speed = if bit(2) { Speed::Slow } else { Speed::Fast };
    let name = RefId(detail >> 4);
    let prot = || [Prot::None, Prot::Ro, Prot::Rw].get(usize::from(detail & 15)).copied();
    let op = match verb {
        Verb::Mmap => {
            let sharing = if detail >> 4 & 3 == 0 { Sharing::Private } else { Sharing::Shared };
            let backing = match (word, sharing) {
                (0, _) if detail & SPECIAL != 0 => Backing::Special,
                (0, Sharing::Private) => Backing::Anon,
                (0, Sharing::Shared) => Backing::File(FileId(0)),
                (file, _) => Backing::File(FileId((file - 1) % (2 * IDS as u8))),
            };
            let ram = |file: FileId| file.idx() < IDS && from.files[file.idx()].kind != FileKind::Device;
            let nameless = matches!(backing, Backing::File(file) if ram(file));
            let sharing = if nameless { Sharing::Shared } else { sharing };
            Op::Mmap { area: whole, backing, sharing, prot: prot()? }
        }
        Verb::Mremap => Op::Mremap { from: whole, to: piece(word, detail, len) },
        Verb::UffdMove => Op::UffdMove { from: whole, to: piece(word, detail, len) },
        Verb::KsmMerge => Op::KsmMerge { a: whole, b: piece(word, detail, len) },
        Verb::Name => Op::Name { area: whole, to: MemId(u16::from(detail & 15)) },
        Verb::Mprotect => Op::Mprotect { area: whole, prot: prot()? },
        Verb::Madvise => {
            Op::Madvise { area: whole, advice: *<Advice as strum::VariantArray>::VARIANTS.get(usize::from(detail))? }
        }
        Verb::UffdRegister => {
            let modes = [UffdMode::Wp, UffdMode::WpAsync, UffdMode::Missing, UffdMode::Minor];
            Op::UffdRegister { area: whole, mode: *modes.get(usize::from(detail))? }
        }
        Verb::Get => Op::Get { area: whole, write: bit(0), speed, name },
        Verb::Pin => Op::Pin { area: whole, write: bit(0), longterm: bit(1), speed, name },
        Verb::Vmsplice => Op::Vmsplice { area: whole, name },
        Verb::Hold => Op::Hold { area: whole, name },
        Verb::Fork => Op::Fork { child: ProcId(about & 15) },
        Verb::Wait => Op::Wait { child: ProcId(about & 15) },
        Verb::Put => Op::Put { name: held.name },
        Verb::Unpin => Op::Unpin { name: held.name, dirty: bit(0) },
        Verb::Drop => Op::Drop { name: held.name },
        Verb::Peek => Op::Peek { held },
        Verb::Dma => Op::Dma { held, value },
        Verb::Exit => Op::Exit,
        Verb::ClearRefs => Op::ClearRefs,
        Verb::Swapoff => Op::Swapoff,
        Verb::Drain => Op::Drain,
        verb => on_memory(verb, area, whole, value)?,
    };
    let ending = match ending {
        0 => Ending::Succeeds,
        128.. => Ending::Event(*<Event as strum::VariantArray>::VARIANTS.get(usize::from(ending - 128))?),
        fails => Ending::Fails(*<Failure as strum::VariantArray>::VARIANTS.get(usize::from(fails - 1))?),
    };
    Some(Instr { task, op, claim: None, observe: None, ending, race: None, setup: false })
}

/// What a verb about one piece of memory says; those that take values or show them may mean one word.
fn on_memory(verb: Verb, area: Area, whole: Area, value: ValueId) -> Option<Op> {
    Some(match verb {
        Verb::Munmap => Op::Munmap { area: whole },
        Verb::Write => Op::Write { area, value },
        Verb::Read => Op::Read { area },
        Verb::SoftDirty => Op::SoftDirty { area: whole },
        Verb::Poke => Op::Poke { area, value },
        Verb::PeekMem => Op::PeekMem { area },
        Verb::ProcessVmWritev => Op::ProcessVmWritev { area, value },
        Verb::ProcessVmReadv => Op::ProcessVmReadv { area },
        Verb::DirectRead => Op::DirectRead { area, value },
        Verb::DirectWrite => Op::DirectWrite { area },
        Verb::UffdWp => Op::UffdWp { area: whole },
        Verb::UffdUnwp => Op::UffdUnwp { area: whole },
        Verb::UffdCopy => Op::UffdCopy { area: whole, value },
        Verb::UffdZeropage => Op::UffdZeropage { area: whole },
        Verb::UffdContinue => Op::UffdContinue { area: whole },
        Verb::Pageout => Op::Pageout { area: whole },
        Verb::Swapin => Op::Swapin { area: whole },
        Verb::Migrate => Op::Migrate { area: whole },
        Verb::KsmUnmerge => Op::KsmUnmerge { area: whole },
        Verb::SplitPmd => Op::SplitPmd { area: whole },
        Verb::SplitFolio => Op::SplitFolio { area: whole },
        Verb::Collapse => Op::Collapse { area: whole },
        Verb::NumaHint => Op::NumaHint { area: whole },
        Verb::LruAdd => Op::LruAdd { area: whole },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;
    use crate::generate::everything;
    use crate::generate::{Dice, Seeded, program, whole};

    #[test]
    fn every_verb_has_a_code_and_the_first_never_change() {
        assert!(Verb::VARIANTS.iter().all(|verb| CODES.contains(verb)) && CODES.len() == Verb::VARIANTS.len());
        assert_eq!((CODES[0], CODES[8], CODES[22], CODES[46]), (Verb::Mmap, Verb::Fork, Verb::Pin, Verb::Drain));
    }

    #[test]
    fn what_is_encoded_comes_back_and_every_byte_string_means_something_canonical_or_nothing() {
        let settings = Settings::new(|_, _| true).scaled();
        for nth in 0..400 {
            let mut dice = Seeded::of(17, nth);
            let program = program(&mut dice, &settings);
            let policy = policy::builtin()[nth as usize % policy::builtin().len()].policy;
            let case = Case { program, policy };
            let mut bytes = encode(&case).expect("a small program");
            assert_eq!(decode(&bytes, &whole(|_, _| true), Manner::Exactly).as_ref(), Some(&case));
            for _ in 0..4 {
                let at = 4 + dice.below(bytes.len() as u32 - 4) as usize;
                bytes[at] = dice.below(256) as u8;
            }
            let Some(other) = decode(&bytes, &Settings::new(everything), Manner::Loosely) else { continue };
            if !other.program.code.is_empty() {
                let again = encode(&other).expect("a small program");
                assert_eq!(decode(&again, &Settings::new(everything), Manner::Exactly), Some(other));
            }
        }
    }

    #[test]
    fn the_names_of_policies_and_knobs_do_not_share_a_hash() {
        let mut names: Vec<u16> = policy::builtin().iter().map(|named| hash(named.name)).collect();
        names.extend(KNOBS.iter().map(|knob| hash(knob.name)));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
