/// Defines a small number that stands for one entry of one table and nothing else.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $int);
        impl $name {
            /// The number as an array place.
            pub fn idx(self) -> usize {
                usize::from(self.0)
            }
            /// The id of an array place.
            ///
            /// # Panics
            /// With `cowl bug:` where the place is past what the id can hold; lowering bounds every table first.
            pub fn at(idx: usize) -> Self {
                Self(<$int>::try_from(idx).expect(concat!("cowl bug: too many entries for ", stringify!($name))))
            }
        }
    };
}

id!(/** A process of the scenario, and with it its mm: here every process has one of its own. */ ProcId(u8));
id!(/** An actor: a thread, one of the kernel's, or the device. */ TaskId(u8));
id!(/** A page of a process's address space, counted in base pages (in a hugetlb mapping: huge pages). */ Vpn(u16));
id!(/** An instruction of a program. */ Pc(u16));
id!(/** A name given to memory. */ MemId(u16));
id!(/** A file, a memfd, or the nameless file behind shared anonymous memory. */ FileId(u8));
id!(/** A named reference: a get, a pin, or a transient reference of the kernel. */ RefId(u8));
id!(/** A named observation. */ ObsId(u16));
id!(/** An entry of the program's table of values; 0 is the value 0. */ ValueId(u8));
id!(/** A part of a page that the program can tell from the others: 0 is all words it names none of. */ WordId(u8));
id!(/** An entry of the program's table of claims. */ ClaimId(u16));
id!(/** A `race` block. */ RaceId(u8));
