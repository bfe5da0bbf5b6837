//! Frames by other numbers: no rule and no path looks at a frame's number, so states that differ in it alone are one.

use super::{Fault, Pfn, State, Target, Task};
use crate::types::{Number, Size, Table};

impl<B: Size> State<B> {
    /// Numbers frames in the order in which page tables, caches, references and tasks name them.
    ///
    /// States that differ in the numbers of frames become equal. A state with large folios stays as it is: their frames stand
    /// together.
    pub fn renumber(&mut self) {
        let frames = self.folios.as_ref().len();
        // For each frame its new number plus one; 0 where nobody has named it yet.
        let mut numbers = B::Frames::<B::Number>::filled(frames);
        let (mut next, mut sorted) = (0, true);
        self.each_name(|pfn| {
            let number = &mut numbers.as_mut()[pfn.idx()];
            if number.get() == 0 {
                sorted &= pfn.idx() == next;
                next += 1;
                *number = B::Number::new(next as u32);
            }
        });
        if sorted || self.folios.as_ref().iter().any(super::Folio::is_large) {
            return;
        }
        for number in numbers.as_mut().iter_mut().filter(|number| number.get() == 0) {
            next += 1;
            *number = B::Number::new(next as u32);
        }
        self.touched.add_all();
        let place = |at: usize| numbers.as_ref()[at].get() as usize - 1;
        let (pages, folios) = (self.pages.clone(), self.folios.clone());
        for (at, (page, folio)) in pages.as_ref().iter().zip(folios.as_ref()).enumerate() {
            self.pages.as_mut()[place(at)] = *page;
            self.folios.as_mut()[place(at)] = *folio;
        }
        self.each_name(|pfn| *pfn = Pfn::at(place(pfn.idx())));
    }

    /// Every place that names a frame, in an order of its own.
    fn each_name(&mut self, mut visit: impl FnMut(&mut Pfn<B::Number>)) {
        let mut name = |target: &mut Target<B::Number>| match target {
            Target::Page(pfn) | Target::Special(pfn) | Target::Migration(pfn) => visit(pfn),
            Target::None | Target::Zero | Target::Swap(_) | Target::Guard => {}
        };
        self.slots.as_mut().iter_mut().for_each(|slot| name(&mut slot.pte.target));
        self.cache.as_mut().iter_mut().for_each(&mut name);
        self.held.as_mut().iter_mut().for_each(&mut name);
        self.swap.as_mut().iter_mut().for_each(|slot| name(&mut slot.cached));
        for task in self.tasks.as_mut() {
            let Task { pc: _, page: _, at: _, fault, grab, seen, flags: _ } = task;
            name(&mut grab.0);
            name(&mut seen.target);
            match fault {
                Fault::None | Fault::Start(_) | Fault::Summing { .. } => {}
                Fault::InstallAnon { new } => name_frame(new, &mut name),
                Fault::Copying { kind: _, seen } => name(&mut seen.target),
                Fault::Clearing { kind: _, seen, new } | Fault::Installing { kind: _, seen, new } => {
                    name(&mut seen.target);
                    name_frame(new, &mut name);
                }
                Fault::SwapIn { kind: _, seen, page } => {
                    name(&mut seen.target);
                    name_frame(page, &mut name);
                }
                Fault::Putting { old } => name(old),
            }
        }
        for (_, pfn) in self.tlbs.as_mut().iter_mut().flatten() {
            name_frame(pfn, &mut name);
        }
    }
}

/// A frame that stands by itself, through what is done with targets.
fn name_frame<N: Number>(pfn: &mut Pfn<N>, name: &mut impl FnMut(&mut Target<N>)) {
    let mut target = Target::Page(*pfn);
    name(&mut target);
    if let Target::Page(renamed) = target {
        *pfn = renamed;
    }
}

#[cfg(test)]
mod tests {
    use crate::ir::{Actor, Program};
    use crate::state::{Pfn, State, Target, VmaFlags};
    use crate::types::{ProcId, Small, Value, ValueId, Vpn};

    fn mapped(frames: [u8; 2]) -> State<Small> {
        let program = Program {
            procs: vec!["p".to_owned()],
            tasks: vec![Actor::Thread { proc: ProcId(0), thread: 1 }],
            values: vec![Value::number(0), Value::number(1)],
            words: vec![0],
            pages: 2,
            ..Program::default()
        };
        let mut st = State::new(&program);
        (0..6).for_each(|_| assert!(st.alloc().is_ok()));
        (0..6).map(Pfn).filter(|pfn| !frames.contains(&pfn.0)).for_each(|pfn| st.put(pfn));
        for (at, frame) in frames.into_iter().enumerate() {
            let slot = st.slot_mut(ProcId(0), Vpn::at(at));
            (slot.vma.flags, slot.pte.target) = (VmaFlags::MAPPED, Target::Page(Pfn(frame)));
            st.store(Target::Page(Pfn(frame)), None, ValueId(at as u8));
        }
        st
    }

    #[test]
    fn states_that_differ_in_frame_numbers_alone_become_one() {
        let (mut a, mut b) = (mapped([1, 4]), mapped([5, 2]));
        assert_ne!(a, b);
        a.renumber();
        b.renumber();
        assert_eq!(a, b);
        let again = a;
        b.renumber();
        assert_eq!(again, b, "numbered once, numbered for good");
        let mut other = mapped([5, 2]);
        other.store(Target::Page(Pfn(2)), None, ValueId(0));
        other.renumber();
        assert_ne!(a, other, "what a page holds stays with it");
    }
}
