//! The examples of the language page, and what is read from them.

use crate::syntax::parse;

const VMSPLICE: &str = r##"# A child keeps a vmsplice() reference and reads what its parent writes later.
scenario vmsplice-child {
    title  "a child's vmsplice reference sees the parent's later write"
    origin "CVE-2020-29374; B1"

    parent: mmap buf 1 page
    parent: write buf "old"
    parent: fork child
    child:  vmsplice buf -> pipe
    child:  munmap buf
    parent: write buf "new"
    child:  peek pipe == "old"

    expect leak on ..linux-5.7, andrea-2021
    expect ok   on linux-5.8..
}
"##;

const CLEAR_REFS: &str = r##"# The mail of January 2021: a pinned page, write-protected by clear_refs, then written.
scenario clear-refs-detaches-a-pin {
    origin "B9, S10; fixed by 9348b73c2e1b"
    vm:     mmap guest 1 page
    vm:     write guest "boot"
    vm:     pin guest rw longterm -> vfio
    vm:     clear_refs
    vm:     write guest "cpu"
    vm:     peek vfio == "cpu"        # the device must see what the CPU wrote
    device: dma vfio "disk"
    vm:     read guest == "disk"      # and the CPU what the device wrote

    expect lost on linux-5.9..linux-5.10 "reuse tests the refcount, clear_refs does not test pins"
    expect ok   on ..linux-5.8, linux-5.11..
}
"##;

const GUP_FAST: &str = r##"# Two threads: lockless pinning against fork.
scenario gup-fast-against-fork {
    origin "B8; 57efa1fe5957"
    parent: mmap buf 1 page
    parent: write buf "a"
    race {
        parent:   fork child
        parent/2: pin buf rw fast -> nic
    }
    parent: write buf "b"
    parent: peek nic == "b"
    expect sometimes lost on ..linux-5.10
    expect never lost     on linux-5.11..
}
"##;

const KINDS: &str = r##"# One test over many kinds of memory, and the kinds themselves.
prepare base-page(p)    { p: mmap buf 1 page ; p: write buf "old" }
prepare swapped-page(p) { use base-page(p) ; kernel: pageout p.buf }
prepare pmd-thp(p)      { p: mmap buf 1 thp ; p: write buf "old" }
prepare pte-thp(p)      { use pmd-thp(p) ; kernel: split_pmd p.buf }

scenario basic-cow over base-page, swapped-page, pmd-thp, pte-thp {
    use over(parent)
    parent: fork child
    parent: write buf "new"
    child:  read buf == "old"
    expect ok on all
}
"##;

const POLICY: &str = r##"# A design of one's own: what if the exclusive bit were derived from the refcount at split time?
policy my-split = linux-5.19 {
    thp_split_bit = recompute_from_refcount
}
"##;

const PARTS: &str = r##"# A kind with a number, a part with a name of its own, a verdict for each kind, a store that sleeps.
prepare pmd-thp(p)     { p: mmap buf 1 thp ; p: write buf "old" }
prepare low-part(p, n) { p: mmap thp 1 thp ; p: write thp "old" ; p: madvise thp[n..] dontneed ; p: name thp[..n] -> buf }
scenario vmsplice-large over low-part(1), low-part(4), pmd-thp {
    use over(p) ; p: fork c
    c: vmsplice buf -> pipe ; c: munmap buf
    p: write buf "new"
    c: peek pipe == "old"
    expect leak on ..linux-5.7, andrea-2021 over low-part
    expect leak on ..linux-5.7, linux-5.9..linux-5.17, linux-5.10-stable, linus-2021, andrea-2021 over pmd-thp
}
scenario wp-event {
    p: mmap buf 1 page ; p: write buf 1 ; p: uffd register buf wp ; p: uffd wp buf
    p/2: write buf 2 event wp        # sleeps
    p: read buf == 1
    p: uffd unwp buf                 # wakes it; the store is done before the next line
    p: read buf == 2
}
"##;

pub(super) const ALL: [&str; 6] = [VMSPLICE, CLEAR_REFS, GUP_FAST, KINDS, POLICY, PARTS];

#[test]
fn every_example_of_the_language_page_is_read() {
    for text in ALL {
        let (file, errors) = parse(text);
        assert_eq!(errors, [], "{text}");
        assert!(file.items().all(|item| !item.broken), "{text}");
    }
}

#[test]
fn every_file_of_the_corpus_is_read() {
    insta::glob!("../../../corpus", "**/*.cow", |path| {
        let text = std::fs::read_to_string(path).expect("a file of the corpus can be read");
        let (file, errors) = parse(&text);
        assert_eq!(errors, [], "{}", path.display());
        assert_ne!(file.items().count(), 0, "{}", path.display());
    });
}
