//! Makes the operation of a statement, and what it names.

use std::str::FromStr;

use super::env::Name;
use super::error::{NameError, Place, StatementError};
use super::limits::{FILE_PAGES_MAX, FILES_MAX, HELD_MAX, PAGES_MAX, PMD_ORDER, REFERENCES_MAX};
use super::resolve::Given;
use super::scene::{Ctx, Scene};
use super::world::{MemName, Named, Page, Ref, Taken};
use crate::ir::{
    Advice, Area, Backing, Ending, FileDecl, FileKind, Mem, MemKind, Op, Prot, RefArea, RefDecl, Sharing, Slot, Speed,
    UffdMode, Verb,
};
use crate::syntax::ast::Address;
use crate::types::{FileId, MemId, ProcId, RefId, ValueId, Vpn};

/// Hands out operands in the order of the verb's slots.
///
/// Its methods panic with `cowl bug:` where a row of [`crate::ir::OPS`] and the arm of its verb below do not agree; the test of
/// all examples runs every arm.
struct Hand<'a>(std::vec::IntoIter<Given<'a>>);

macro_rules! hand {
    ($($method:ident: $variant:ident -> $type:ty),* $(,)?) => {
        $(fn $method(&mut self) -> $type {
            match self.0.next() {
                Some(Given::$variant(given)) => given,
                other => panic!("cowl bug: the row of a verb in OPS gives {other:?} where {} is due", stringify!($variant)),
            }
        })*
    };
}

impl<'a> Hand<'a> {
    hand! {
        new_name: New -> Name<'a>,
        area: Area -> Area,
        value: Value -> ValueId,
        child: Child -> ProcId,
        held: Ref -> RefId,
        ref_area: RefArea -> RefArea,
        word: Word -> Option<&'static str>,
    }

    fn parsed<T: FromStr>(&mut self) -> Option<T> {
        self.word().map(|word| word.parse().ok().expect("cowl bug: a word of OPS that its type does not know"))
    }

    fn due<T: FromStr>(&mut self) -> T {
        self.parsed().expect("cowl bug: a required word is missing")
    }

    fn writes(&mut self) -> bool {
        self.due::<Prot>() == Prot::Rw
    }
}

impl<'a> Scene<'_, 'a> {
    /// The operation; checks that it can be at this time, and notes what it changes.
    pub fn build(&mut self, cx: Ctx<'_, 'a>, given: Vec<Given<'a>>, target: Option<&Address<'a>>) -> Option<Op> {
        let mut hand = Hand(given.into_iter());
        let op = match cx.info.verb {
            Verb::Mmap => return self.mmap(cx, &mut hand),
            Verb::Fork => return self.fork(cx, &mut hand),
            Verb::Munmap => Op::Munmap { area: hand.area() },
            Verb::Mremap => self.mremap(cx, hand.area(), target)?,
            Verb::Mprotect => Op::Mprotect { area: hand.area(), prot: hand.due() },
            Verb::Name => self.name(cx, hand.area(), target)?,
            Verb::Madvise => Op::Madvise { area: hand.area(), advice: hand.due::<Advice>() },
            Verb::Write => Op::Write { area: hand.area(), value: hand.value() },
            Verb::Read => Op::Read { area: hand.area() },
            Verb::Exit => Op::Exit,
            Verb::Wait => Op::Wait { child: hand.child() },
            Verb::ClearRefs => Op::ClearRefs,
            Verb::SoftDirty => Op::SoftDirty { area: hand.area() },
            Verb::Poke => Op::Poke { area: hand.area(), value: hand.value() },
            Verb::PeekMem => Op::PeekMem { area: hand.area() },
            Verb::ProcessVmWritev => Op::ProcessVmWritev { area: hand.area(), value: hand.value() },
            Verb::ProcessVmReadv => Op::ProcessVmReadv { area: hand.area() },
            Verb::DirectRead => Op::DirectRead { area: hand.area(), value: hand.value() },
            Verb::DirectWrite => Op::DirectWrite { area: hand.area() },
            Verb::Vmsplice | Verb::Get | Verb::Pin | Verb::Hold => return self.take(cx, &mut hand, target),
            Verb::Put => Op::Put { name: hand.held() },
            Verb::Unpin => Op::Unpin { name: hand.held(), dirty: hand.word().is_some() },
            Verb::UffdRegister => Op::UffdRegister { area: hand.area(), mode: hand.due::<UffdMode>() },
            Verb::UffdWp => Op::UffdWp { area: hand.area() },
            Verb::UffdUnwp => Op::UffdUnwp { area: hand.area() },
            Verb::UffdCopy => Op::UffdCopy { area: hand.area(), value: hand.value() },
            Verb::UffdZeropage => Op::UffdZeropage { area: hand.area() },
            Verb::UffdContinue => Op::UffdContinue { area: hand.area() },
            Verb::UffdMove => self.uffd_move(cx, hand.area(), target)?,
            Verb::Peek => Op::Peek { held: hand.ref_area() },
            Verb::Dma => Op::Dma { held: hand.ref_area(), value: hand.value() },
            Verb::Pageout => Op::Pageout { area: hand.area() },
            Verb::Swapin => Op::Swapin { area: hand.area() },
            Verb::Swapoff => Op::Swapoff,
            Verb::Migrate => Op::Migrate { area: hand.area() },
            Verb::KsmMerge => Op::KsmMerge { a: hand.area(), b: hand.area() },
            Verb::KsmUnmerge => Op::KsmUnmerge { area: hand.area() },
            Verb::SplitPmd => Op::SplitPmd { area: hand.area() },
            Verb::SplitFolio => Op::SplitFolio { area: hand.area() },
            Verb::Collapse => Op::Collapse { area: hand.area() },
            Verb::NumaHint => Op::NumaHint { area: hand.area() },
            Verb::Drop => Op::Drop { name: hand.held() },
            Verb::LruAdd => Op::LruAdd { area: hand.area() },
            Verb::Drain => Op::Drain,
        };
        self.timely(cx, op)?;
        self.effect(cx, op);
        Some(op)
    }

    fn mmap(&mut self, cx: Ctx<'_, 'a>, hand: &mut Hand<'a>) -> Option<Op> {
        let proc = cx.actor.proc()?;
        let name = hand.new_name();
        let Some(Given::Size { kind, count, at }) = hand.0.next() else { panic!("cowl bug: `mmap` without a size") };
        let sharing: Sharing = hand.parsed().unwrap_or_default();
        let Some(Given::Backing { word, file }) = hand.0.next() else { panic!("cowl bug: `mmap` without a backing") };
        let prot: Prot = hand.parsed().unwrap_or_default();
        let (each, align) = match kind {
            MemKind::Pages | MemKind::Hugetlb { .. } => (1, 1),
            MemKind::Thp => (1 << PMD_ORDER, 1 << PMD_ORDER),
            MemKind::Mthp { order } => (1 << order, 1 << order),
        };
        let len = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(each);
        let area = self.place(proc, len, align, at)?;
        let mem = self.new_mem(cx, name, area, kind)?;
        let area = Area { mem, ..area };
        let backing = match (word, file) {
            (Some(word), Some(file)) => {
                let kind = if word == "memfd" { FileKind::Memfd } else { FileKind::File };
                Backing::File(self.file(file, kind, area.len, cx)?)
            }
            (Some(word @ ("special" | "device")), _) if kind != MemKind::Pages => {
                return self.errors.report(at, StatementError::DriversPagesAreSmall { word: word.to_owned(), at: at.label() });
            }
            (Some("special"), _) => Backing::Special,
            (Some("device"), _) => Backing::File(self.nameless(FileKind::Device, area.len, at)?),
            _ if sharing == Sharing::Shared => Backing::File(self.nameless(FileKind::File, area.len, at)?),
            _ => Backing::Anon,
        };
        Some(Op::Mmap { area, backing, sharing, prot })
    }

    /// Pages for a mapping behind all others of the process.
    fn place(&mut self, proc: ProcId, len: usize, align: usize, at: Place) -> Option<Area> {
        let taken = self.world.procs[proc.idx()].pages.len();
        let start = taken.next_multiple_of(align);
        let end = start.saturating_add(len);
        self.limit("pages in one address space", end, PAGES_MAX, at, "map fewer or smaller pieces")?;
        self.world.procs[proc.idx()].pages.resize(end, Page::default());
        let end = end as u16; // At most 4096.
        self.program.pages = self.program.pages.max(end);
        let start = start as u16;
        Some(Area { proc, mem: MemId(0), start: Vpn(start), len: end - start, word: None })
    }

    /// Gives memory a name in its process.
    fn new_mem(&mut self, cx: Ctx<'_, 'a>, name: Name<'a>, area: Area, kind: MemKind) -> Option<MemId> {
        self.not_reserved(name, "memory")?;
        let names = &self.world.procs[area.proc.idx()].names;
        if let Some(first) = names.get(name.text) {
            let (first, at) = (self.world.mems[first.mem.idx()].beside(name.at), name.at);
            let (first_is, again_is, again) = ("memory", "memory", at.label());
            let error = NameError::GivenTwice { name: name.text.to_owned(), first_is, again_is, first, again };
            return self.errors.report(at, error);
        }
        let mem = MemId::at(self.program.mems.len());
        self.program.mems.push(Mem { name: name.text.to_owned(), area: Area { mem, word: None, ..area }, kind });
        self.world.mems.push(name.at);
        let made = self.mark(cx.task, name.at);
        self.world.procs[area.proc.idx()].names.insert(name.text, MemName { mem, made });
        Some(mem)
    }

    fn nameless(&mut self, kind: FileKind, len_pages: u16, at: Place) -> Option<FileId> {
        self.new_file(FileDecl { name: String::new(), kind, len_pages }, at)
    }

    fn file(&mut self, name: Name<'a>, kind: FileKind, len_pages: u16, cx: Ctx<'_, 'a>) -> Option<FileId> {
        let Some((Named::File(file), first)) = self.world.names.get(name.text).copied() else {
            let file = self.new_file(FileDecl { name: name.text.to_owned(), kind, len_pages }, cx.at)?;
            return self.give(name, Named::File(file)).map(|()| file);
        };
        let decl = &mut self.program.files[file.idx()];
        if decl.kind != kind {
            let (first_is, again_is) = (decl.kind.into(), kind.into());
            let (text, at, first) = (name.text.to_owned(), name.at, first.beside(name.at));
            let error = NameError::FileOrMemfd { name: text, first_is, again_is, first, again: at.label() };
            return self.errors.report(at, error);
        }
        decl.len_pages = decl.len_pages.max(len_pages);
        self.file_pages(cx.at)?;
        Some(file)
    }

    fn new_file(&mut self, decl: FileDecl, at: Place) -> Option<FileId> {
        let has = self.program.files.len();
        self.limit("files in one scenario", has + 1, FILES_MAX, at, "use fewer files and shared mappings")?;
        self.program.files.push(decl);
        self.file_pages(at)?;
        Some(FileId::at(has))
    }

    fn file_pages(&mut self, at: Place) -> Option<()> {
        let has = self.program.cache_pages();
        self.limit("pages of all files together", has, FILE_PAGES_MAX, at, "map fewer or smaller files")
    }

    fn fork(&mut self, cx: Ctx<'_, 'a>, hand: &mut Hand<'a>) -> Option<Op> {
        let name = hand.new_name();
        let born = self.mark(cx.task, name.at);
        let child = self.start(name, born, cx.actor.proc())?;
        self.world.procs[child.idx()].never_started = matches!(cx.ending, Ending::Fails(_)) && self.race.is_none();
        Some(Op::Fork { child })
    }

    fn mremap(&mut self, cx: Ctx<'_, 'a>, from: Area, target: Option<&Address<'a>>) -> Option<Op> {
        let name = cx.env.name(target?.name, self.errors)?;
        self.timely(cx, Op::Munmap { area: from })?;
        let kind = self.program.mems[from.mem.idx()].kind;
        let align = match kind {
            MemKind::Thp => 1 << PMD_ORDER,
            MemKind::Mthp { order } => 1 << order,
            MemKind::Pages | MemKind::Hugetlb { .. } => 1,
        };
        let to = self.place(from.proc, from.len.into(), align, cx.at)?;
        let mem = self.new_mem(cx, name, to, kind)?;
        Some(Op::Mremap { from, to: Area { mem, ..to } })
    }

    fn name(&mut self, cx: Ctx<'_, 'a>, area: Area, target: Option<&Address<'a>>) -> Option<Op> {
        let name = cx.env.name(target?.name, self.errors)?;
        let kind = self.program.mems[area.mem.idx()].kind;
        let to = self.new_mem(cx, name, area, kind)?;
        Some(Op::Name { area, to })
    }

    fn uffd_move(&mut self, cx: Ctx<'_, 'a>, from: Area, target: Option<&Address<'a>>) -> Option<Op> {
        let target = target?;
        let to = self.area(cx, Slot::Own, target)?;
        let at = cx.env.place(target.span);
        self.as_long(cx.at, from.len, at, to.len)?;
        Some(Op::UffdMove { from, to })
    }

    fn take(&mut self, cx: Ctx<'_, 'a>, hand: &mut Hand<'a>, target: Option<&Address<'a>>) -> Option<Op> {
        let area = hand.area();
        let name = RefId::at(self.program.refs.len());
        let (op, taken, write) = match cx.info.verb {
            Verb::Get => {
                let (write, speed) = (hand.writes(), hand.parsed::<Speed>().unwrap_or_default());
                (Op::Get { area, write, speed, name }, Taken::Get, write)
            }
            Verb::Pin => {
                let (write, longterm) = (hand.writes(), hand.word().is_some());
                let speed = hand.parsed::<Speed>().unwrap_or_default();
                (Op::Pin { area, write, longterm, speed, name }, Taken::Pin, write)
            }
            Verb::Hold => (Op::Hold { area, name }, Taken::Hold, false),
            _ => (Op::Vmsplice { area, name }, Taken::Vmsplice, false),
        };
        self.timely(cx, op)?;
        let given = cx.env.name(target?.name, self.errors)?;
        self.give(given, Named::Reference(name))?;
        let (has, first) = (self.program.refs.len() + 1, self.program.held_pages());
        self.limit("references in one scenario", has, REFERENCES_MAX, given.at, "take fewer references")?;
        let held = first + usize::from(area.len);
        self.limit("pages held by all references together", held, HELD_MAX, cx.at, "take references to fewer pages")?;
        let made = self.mark(cx.task, given.at);
        let never_taken = matches!(cx.ending, Ending::Fails(_)) && self.race.is_none();
        let holder = cx.actor.proc();
        self.world.refs.push(Ref { made, holder, taken, write, never_taken, released: None, by_exit: false });
        self.program.refs.push(RefDecl { name: given.text.to_owned(), len: area.len, first: first as u16 });
        self.effect(cx, op);
        Some(op)
    }
}
