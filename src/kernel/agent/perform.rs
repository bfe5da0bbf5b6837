//! Carries out one instruction with real system calls, in the process and thread that it belongs to.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};

use super::held::{Held, debug_file};
use super::stretch::{PAGE, Stretch};
use super::sys::{self, Kind, Signal};
use super::uffd;
use super::worker::{Failed, Process, Reply, failed, hand_over};
use crate::ir::{Advice, Area, Backing, Ending, Instr, MemKind, Op, Prot, RefArea, Sharing, Speed, UffdMode};
use crate::kernel::sayable::is_gup_test;
use crate::kernel::wire::Saw;
use crate::types::{Pc, ProcId, RefId, ValueId, Vpn, WordId};

/// Bytes of a word.
const WORD: usize = 8;

/// Carries out an instruction. `pid` is the process whose memory it is about.
pub(super) fn perform(process: &Process, pc: Pc, pid: i32) -> Reply {
    let act = Act { process, pc, pid, instr: &process.inherited.plan.program.code[pc.idx()] };
    match act.act() {
        Ok(reply) => reply,
        Err(error) => failed(&error),
    }
}

struct Act<'a> {
    process: &'a Process,
    pc: Pc,
    pid: i32,
    instr: &'a Instr,
}

/// How the memory of another process is reached.
#[derive(Clone, Copy)]
enum Way {
    Mem,
    ProcessVm,
}

impl Act<'_> {
    fn act(&self) -> io::Result<Reply> {
        let plan = &self.process.inherited.plan;
        match self.instr.op {
            Op::Mmap { area, backing, sharing, prot } => self.mmap(area, backing, sharing, prot),
            Op::Mremap { from, to } => whole(from, sys::remap(plan.stretch(from), plan.stretch(to))),
            Op::Munmap { area } => whole(area, sys::unmap(plan.stretch(area))),
            Op::Mprotect { area, prot: to } => whole(area, sys::protect(plan.stretch(area), prot(to))),
            Op::Madvise { area, advice } => advised(area, advice, advise(plan.stretch(area), advice)),
            Op::Name { area, .. } => Ok(Reply::done(area.len)),
            Op::Write { area, value } => Ok(self.each(area, |page| self.store(page, area.word, value).map(|()| None))),
            Op::Read { area } => Ok(self.each(area, |page| self.load(page, area.word).map(Some))),
            Op::Poke { area, value } => self.write_other(area, value, Way::Mem),
            Op::ProcessVmWritev { area, value } => self.write_other(area, value, Way::ProcessVm),
            Op::PeekMem { area } => self.read_other(area, Way::Mem),
            Op::ProcessVmReadv { area } => self.read_other(area, Way::ProcessVm),
            Op::DirectRead { area, value } => self.direct_read(area, value),
            Op::DirectWrite { area } => self.direct_write(area),
            Op::Vmsplice { area, name } | Op::Get { area, name, .. } => self.take(area, name, Held::get(&plan.pieces(area))),
            Op::Pin { area, write, speed, name, .. } if is_gup_test(self.instr.op) => match debug_file("gup_test") {
                Ok(file) => self.take(area, name, Held::gup_test(file, plan.stretch(area), write, speed == Speed::Fast)),
                Err(error) => Ok(Reply::failed(0, Failed::Skip(format!("gup_test of debugfs: {error}")))),
            },
            Op::Pin { area, name, .. } => match Held::pin(plan.stretch(area), plan.whole(area.proc, area.start).len()) {
                // Its own rule, not one of GUP: up to 6.4, which `io_pin_pages` of io_uring names.
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Reply::failed(
                    0,
                    Failed::Skip("io_uring takes no buffer in the memory of a disk's file here".to_owned()),
                )),
                held => self.take(area, name, held),
            },
            Op::Put { name } | Op::Unpin { name, .. } => {
                let held = self.process.held().remove(&name);
                held.map_or(Ok(()), Held::release).map(|()| Reply::done(1))
            }
            Op::Peek { held } => self.peek(held),
            Op::Dma { held, value } => self.dma(held, value),
            Op::UffdRegister { area, mode } => self.uffd_register(area, mode),
            Op::UffdWp { area } => self.uffd(area, |fd| whole(area, sys::uffd_write_protect(fd, plan.stretch(area), true))),
            Op::UffdUnwp { area } => self.uffd(area, |fd| whole(area, sys::uffd_write_protect(fd, plan.stretch(area), false))),
            Op::UffdCopy { area, value } => {
                let bytes = self.bits(value).to_le_bytes().repeat(plan.whole(area.proc, area.start).len() / WORD);
                self.uffd_each(area, |fd, page| sys::uffd_copy(fd, plan.whole(area.proc, page), &bytes))
            }
            Op::UffdZeropage { area } => self.uffd_each(area, |fd, page| sys::uffd_zeropage(fd, plan.whole(area.proc, page))),
            Op::UffdContinue { area } => self.uffd_each(area, |fd, page| sys::uffd_continue(fd, plan.whole(area.proc, page))),
            Op::UffdMove { from, to } => {
                self.uffd(to, |fd| whole(from, sys::uffd_move(fd, plan.stretch(from), plan.stretch(to))))
            }
            Op::ClearRefs => write_file("/proc/self/clear_refs", b"4").map(|()| Reply::done(1)),
            Op::SoftDirty { area } => self.soft_dirty(area),
            Op::Wait { child } => self.wait(child),
            op => Ok(Reply::failed(0, Failed::Skip(format!("`{}` is not realised", op.verb())))),
        }
    }

    fn mmap(&self, area: Area, backing: Backing, sharing: Sharing, to: Prot) -> io::Result<Reply> {
        let plan = &self.process.inherited.plan;
        // The file of shared anonymous memory has no name and is the kernel's.
        let file = match backing {
            Backing::File(file) => self.process.inherited.files[file.idx()].as_ref(),
            Backing::Anon | Backing::Special => None,
        };
        let at = plan.stretch(area);
        let kind =
            Kind { prot: prot(to), shared: sharing == Sharing::Shared, file: file.map(AsFd::as_fd), huge: plan.huge(area) };
        sys::map(at, kind)?;
        match plan.program.mems[area.mem.idx()].kind {
            // Base pages, whatever the system's setting; a kernel without THP knows no such advice and needs none.
            MemKind::Pages => drop(sys::advise(at, libc::MADV_NOHUGEPAGE)),
            MemKind::Thp | MemKind::Mthp { .. } => {
                if let Err(error) = sys::advise(at, libc::MADV_HUGEPAGE) {
                    return Ok(Reply::failed(0, Failed::Skip(format!("the kernel has no THP: madvise(2): {error}"))));
                }
            }
            MemKind::Hugetlb { .. } => {}
        }
        Ok(Reply::done(area.len))
    }

    /// Does something to each page of an area until one raises a signal.
    fn each(&self, area: Area, mut act: impl FnMut(Vpn) -> Result<Option<Saw>, Signal>) -> Reply {
        let mut reply = Reply::done(0);
        for page in area.pages() {
            match act(page) {
                Ok(saw) => reply.seen.extend(saw),
                Err(Signal(signal)) => return Reply { failed: Some(Failed::Signal(signal)), ..reply },
            }
            reply.done += 1;
        }
        reply
    }

    /// A page of the memory that the instruction is about.
    fn page(&self, vpn: Vpn) -> Stretch {
        self.process.inherited.plan.page(self.instr.op.area().map_or(ProcId(0), |area| area.proc), vpn)
    }

    fn store(&self, page: Vpn, word: Option<WordId>, value: ValueId) -> Result<(), Signal> {
        let (at, bits) = (self.page(page), self.bits(value));
        self.offsets(word).into_iter().try_for_each(|offset| sys::store(at, offset, bits))
    }

    fn load(&self, page: Vpn, word: Option<WordId>) -> Result<Saw, Signal> {
        let at = self.page(page);
        let mut bytes = [0; PAGE];
        for offset in self.offsets(word) {
            bytes[offset..offset + WORD].copy_from_slice(&sys::load(at, offset)?.to_le_bytes());
        }
        Ok(self.saw(&bytes, word))
    }

    /// Where the words are that an operation on `word` is about.
    fn offsets(&self, word: Option<WordId>) -> Vec<usize> {
        match word {
            Some(word) if word.0 != 0 => vec![self.process.inherited.plan.program.words[word.idx()].into()],
            _ => (0..PAGE).step_by(WORD).collect(),
        }
    }

    fn saw(&self, page: &[u8; PAGE], word: Option<WordId>) -> Saw {
        Saw::Words(words(&self.process.inherited.plan.program.words, page, word))
    }

    fn bits(&self, value: ValueId) -> u64 {
        self.process.inherited.plan.program.values[value.idx()].bits
    }

    /// The bytes to store for a value, and where in a page.
    fn bytes(&self, word: Option<WordId>, value: ValueId) -> (usize, Vec<u8>) {
        let bits = self.bits(value).to_le_bytes();
        match self.offsets(word)[..] {
            [offset] => (offset, bits.to_vec()),
            _ => (0, bits.repeat(PAGE / WORD)),
        }
    }

    fn write_other(&self, area: Area, value: ValueId, way: Way) -> io::Result<Reply> {
        let (offset, bytes) = self.bytes(area.word, value);
        let memory = match way {
            Way::Mem => Some(self.memory_of(OFlags::WRONLY)?),
            Way::ProcessVm => None,
        };
        self.each_call(area, |page| {
            let at = self.page(page);
            let to = Stretch::new(at.at() + offset, bytes.len());
            let written = match &memory {
                Some(memory) => rustix::io::pwrite(memory, &bytes, to.at() as u64)?,
                None => sys::write_process(self.pid, to, &bytes)?,
            };
            if written == bytes.len() { Ok(None) } else { Err(io::Error::from_raw_os_error(libc::EFAULT)) }
        })
    }

    fn read_other(&self, area: Area, way: Way) -> io::Result<Reply> {
        let memory = match way {
            Way::Mem => Some(self.memory_of(OFlags::RDONLY)?),
            Way::ProcessVm => None,
        };
        self.each_call(area, |page| {
            let at = self.page(page);
            let mut bytes = [0; PAGE];
            let read = match &memory {
                Some(memory) => rustix::io::pread(memory, &mut bytes[..], at.at() as u64)?,
                None => sys::read_process(self.pid, at, &mut bytes)?,
            };
            if read < PAGE {
                return Err(io::Error::from_raw_os_error(libc::EFAULT));
            }
            Ok(Some(self.saw(&bytes, area.word)))
        })
    }

    fn memory_of(&self, how: OFlags) -> io::Result<OwnedFd> {
        Ok(open(format!("/proc/{}/mem", self.pid), how | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Does something to each page of an area until a call fails.
    fn each_call(&self, area: Area, mut act: impl FnMut(Vpn) -> io::Result<Option<Saw>>) -> io::Result<Reply> {
        let mut reply = Reply::done(0);
        for page in area.pages() {
            match act(page) {
                Ok(saw) => reply.seen.extend(saw),
                Err(error) => return Ok(Reply { failed: failed(&error).failed, ..reply }),
            }
            reply.done += 1;
        }
        Ok(reply)
    }

    fn direct(&self) -> io::Result<&OwnedFd> {
        self.process.inherited.direct.as_ref().map_err(|why| io::Error::other(why.clone()))
    }

    fn direct_read(&self, area: Area, value: ValueId) -> io::Result<Reply> {
        let file = self.direct()?;
        let scratch = Aligned::filled(self.bits(value));
        rustix::io::pwrite(file, scratch.page(), 0)?;
        self.each_call(area, |page| {
            let read = sys::read_into(self.page(page), file.as_fd(), 0)?;
            if read == PAGE { Ok(None) } else { Err(io::Error::from_raw_os_error(libc::EIO)) }
        })
    }

    fn direct_write(&self, area: Area) -> io::Result<Reply> {
        let file = self.direct()?;
        let mut scratch = Aligned::filled(0);
        self.each_call(area, |page| {
            sys::write_from(self.page(page), file.as_fd(), 0)?;
            rustix::io::pread(file, scratch.page_mut(), 0)?;
            Ok(Some(self.saw(scratch.page(), area.word)))
        })
    }

    fn take(&self, area: Area, name: RefId, held: io::Result<Held>) -> io::Result<Reply> {
        self.process.held().insert(name, held?);
        Ok(Reply::done(area.len))
    }

    fn peek(&self, held: RefArea) -> io::Result<Reply> {
        let mut refs = self.process.held();
        let Some(reference) = refs.get_mut(&held.name) else { return Ok(gone()) };
        let pages = reference.peek(held.start.into(), held.len.into(), &self.process.inherited.device)?;
        let seen = pages.iter().map(|page| self.saw(page, held.word)).collect();
        Ok(Reply { seen, ..Reply::done(held.len) })
    }

    fn dma(&self, held: RefArea, value: ValueId) -> io::Result<Reply> {
        let (offset, bytes) = self.bytes(held.word, value);
        let mut refs = self.process.held();
        let Some(reference) = refs.get_mut(&held.name) else { return Ok(gone()) };
        for page in held.start..held.start + held.len {
            reference.dma(page.into(), offset, &bytes, &self.process.inherited.device)?;
        }
        Ok(Reply::done(held.len))
    }

    fn uffd_register(&self, area: Area, mode: UffdMode) -> io::Result<Reply> {
        let plan = &self.process.inherited.plan;
        let mut uffds = self.process.uffds();
        let uffd = uffds.of(mode);
        let fd = match uffd.take() {
            Some(fd) => fd,
            None if mode == UffdMode::WpAsync => sys::userfaultfd(uffd::WP_ASYNC, uffd::FEATURES)?,
            None => {
                let fd = sys::userfaultfd(0, uffd::FEATURES)?;
                hand_over(self.process, self.instr.task, &fd)?;
                fd
            }
        };
        let done = sys::uffd_register(&fd, plan.stretch(area), uffd::mode(mode));
        *uffd = Some(fd);
        whole(area, done)
    }

    /// What the memory is registered for: the last to say so with success before this instruction.
    fn uffd_mode(&self, area: Area) -> UffdMode {
        let before = self.process.inherited.plan.program.code[..self.pc.idx()].iter().rev();
        let mode = |instr: &Instr| match instr.op {
            Op::UffdRegister { area: other, mode }
                if instr.ending == Ending::Succeeds
                    && other.proc == area.proc
                    && other.pages().any(|page| page == area.start) =>
            {
                Some(mode)
            }
            _ => None,
        };
        before.filter_map(mode).next().unwrap_or(UffdMode::Wp)
    }

    fn uffd(&self, area: Area, act: impl FnOnce(&OwnedFd) -> io::Result<Reply>) -> io::Result<Reply> {
        // A failing call needs a descriptor too: memory that was never registered has none yet.
        match self.process.uffds().of(self.uffd_mode(area)) {
            Some(fd) => act(fd),
            None => act(&sys::userfaultfd(0, uffd::FEATURES)?),
        }
    }

    fn uffd_each(&self, area: Area, act: impl Fn(&OwnedFd, Vpn) -> io::Result<()>) -> io::Result<Reply> {
        self.uffd(area, |fd| self.each_call(area, |page| act(fd, page).map(|()| None)))
    }

    fn soft_dirty(&self, area: Area) -> io::Result<Reply> {
        let pagemap = open("/proc/self/pagemap", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        self.each_call(area, |page| {
            let mut entry = [0; 8];
            rustix::io::pread(&pagemap, &mut entry[..], (self.page(page).at() / PAGE * 8) as u64)?;
            Ok(Some(Saw::Bit(u64::from_le_bytes(entry) & (1 << 55) != 0)))
        })
    }

    fn wait(&self, child: crate::types::ProcId) -> io::Result<Reply> {
        let pid = self.process.children().get(&child).copied();
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())?;
        Ok(Reply::done(1))
    }
}

/// A call on a whole range: all of it or nothing.
fn whole(area: Area, done: io::Result<()>) -> io::Result<Reply> {
    done.map(|()| Reply::done(area.len))
}

/// How often collapse is asked for, and how long is waited in between: with EAGAIN the kernel says that some page was busy.
const COLLAPSES: u32 = 10;
const COLLAPSE_STEP: Duration = Duration::from_millis(5);

/// Gives advice; to collapse again and again, for what another CPU holds for a moment is no scenario's affair.
fn advise(at: Stretch, advice: Advice) -> io::Result<()> {
    let mut done = sys::advise(at, number(advice));
    for _ in 1..COLLAPSES {
        let is_busy = matches!(&done, Err(error) if error.raw_os_error() == Some(libc::EAGAIN));
        if advice != Advice::Collapse || !is_busy {
            break;
        }
        thread::sleep(COLLAPSE_STEP);
        done = sys::advise(at, number(advice));
    }
    done
}

/// What is mapped was advised although the call fails since something is not (mm/madvise.c, `madvise_walk_vmas`); the two that
/// populate stop there (`madvise_populate`).
fn advised(area: Area, advice: Advice, done: io::Result<()>) -> io::Result<Reply> {
    let walks = !matches!(advice, Advice::PopulateRead | Advice::PopulateWrite);
    match done {
        Err(error) if walks && error.raw_os_error() == Some(libc::ENOMEM) => Ok(Reply { done: area.len, ..failed(&error) }),
        done => whole(area, done),
    }
}

fn gone() -> Reply {
    Reply::failed(0, Failed::Skip("the reference is not there".to_owned()))
}

fn write_file(path: &str, text: &[u8]) -> io::Result<()> {
    let file = open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text)?;
    Ok(())
}

fn prot(prot: Prot) -> i32 {
    match prot {
        Prot::None => libc::PROT_NONE,
        Prot::Ro => libc::PROT_READ,
        Prot::Rw => libc::PROT_READ | libc::PROT_WRITE,
    }
}

pub(super) fn number(advice: Advice) -> i32 {
    match advice {
        Advice::Dontneed => libc::MADV_DONTNEED,
        Advice::Free => libc::MADV_FREE,
        Advice::Pageout => libc::MADV_PAGEOUT,
        Advice::PopulateRead => libc::MADV_POPULATE_READ,
        Advice::PopulateWrite => libc::MADV_POPULATE_WRITE,
        Advice::Dontfork => libc::MADV_DONTFORK,
        Advice::Dofork => libc::MADV_DOFORK,
        Advice::Wipeonfork => libc::MADV_WIPEONFORK,
        Advice::Keeponfork => libc::MADV_KEEPONFORK,
        Advice::Hugepage => libc::MADV_HUGEPAGE,
        Advice::Nohugepage => libc::MADV_NOHUGEPAGE,
        Advice::Collapse => 25,
        Advice::Mergeable => libc::MADV_MERGEABLE,
        Advice::Unmergeable => libc::MADV_UNMERGEABLE,
        Advice::GuardInstall => 102,
        Advice::GuardRemove => 103,
    }
}

/// The words of a page that a program tells apart, the nameless rest first; or the one word asked for.
///
/// Where the nameless words differ among themselves the first that is not as the first one stands for them: no scenario can
/// store such a page, so that any value that is wrong will do.
pub(super) fn words(named: &[u16], page: &[u8; PAGE], word: Option<WordId>) -> Vec<u64> {
    let at = |offset: usize| u64::from_le_bytes(page[offset..offset + WORD].try_into().unwrap_or_default());
    let named = named.get(1..).unwrap_or_default();
    let rest = || {
        let mut rest = (0..PAGE).step_by(WORD).filter(|offset| named.iter().all(|named| usize::from(*named) != *offset));
        let first = rest.next().map_or(0, at);
        rest.map(at).find(|value| *value != first).unwrap_or(first)
    };
    match word {
        Some(word) if word.0 != 0 => vec![at(named[word.idx() - 1].into())],
        Some(_) => vec![rest()],
        None => std::iter::once(rest()).chain(named.iter().map(|offset| at((*offset).into()))).collect(),
    }
}

/// A page of the process's own, aligned as direct I/O wants it.
#[repr(C, align(4096))]
struct AlignedPage([u8; PAGE]);

struct Aligned(Box<AlignedPage>);

impl Aligned {
    fn filled(bits: u64) -> Self {
        let mut page = Box::new(AlignedPage([0; PAGE]));
        page.0.chunks_exact_mut(WORD).for_each(|word| word.copy_from_slice(&bits.to_le_bytes()));
        Self(page)
    }

    fn page(&self) -> &[u8; PAGE] {
        &self.0.0
    }

    fn page_mut(&mut self) -> &mut [u8] {
        &mut self.0.0[..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_by_its_rest_and_its_named_words() {
        let mut page = [0; PAGE];
        page[8] = 7;
        assert_eq!(words(&[0, 8, 4088], &page, None), [0, 7, 0]);
        assert_eq!(words(&[0, 8, 4088], &page, Some(WordId(1))), [7]);
        assert_eq!(words(&[0], &page, None), [7], "a word that nobody stored alone shows");
    }
}
