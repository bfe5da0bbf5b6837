//! Printing and reading back: the text of a program means that program.

use strum::VariantArray;

use super::{CorpusFile, scenario_files};
use crate::ir::{Assert, Expect, Scenario, Verb};
use crate::lower::{Lowered, lower};
use crate::syntax::parse;
use crate::types::Span;
use crate::{policy, printer};

/// What a text without a mistake comes to.
fn read(text: &str) -> Lowered {
    let (file, mistakes) = parse(text);
    assert_eq!(mistakes, [], "{text}");
    let (lowered, mistakes) = lower("t.cow", &file, &mistakes, &mut |_, _| Err("no files".to_owned()));
    assert!(mistakes.is_empty(), "{:#?} in\n{text}", mistakes[0]);
    lowered
}

/// All that a scenario means, without the places of its text and the kind that its lines are written out for.
fn meaning(scenario: &Scenario) -> Scenario {
    let asserts = scenario.asserts.iter().map(|assert| Assert { span: Span::default(), ..assert.clone() });
    let expects = scenario.expects.iter().filter(|expect| !expect.on.is_empty());
    let expects = expects.map(|expect| Expect { span: Span::default(), ..expect.clone() });
    let (asserts, expects) = (asserts.collect(), expects.collect());
    Scenario { asserts, expects, kind: None, span: Span::default(), spans: Vec::new(), ..scenario.clone() }
}

/// That a scenario printed is the same scenario, and prints the same.
fn check(scenario: &Scenario, users: &Lowered, policies_text: &str) {
    let builtin = policy::builtin().iter().map(|named| named.name.to_owned());
    let names: Vec<String> = builtin.chain(users.policies.iter().map(|user| user.name.clone())).collect();
    let text = format!("{policies_text}{}", printer::scenario(scenario, &names));
    let again = read(&text);
    let back = again.scenarios.first().unwrap_or_else(|| panic!("nothing left of\n{text}"));
    assert_eq!(meaning(back), meaning(scenario), "{text}");
    assert_eq!(format!("{policies_text}{}", printer::scenario(back, &names)), text);
    assert_eq!(back.program, read(&printer::program(&scenario.program)).scenarios[0].program);
}

/// The `policy` items of a text, which stand in lines of their own.
fn policies_of(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("\npolicy ") {
        let end = rest[start..].find('}').map_or(rest.len(), |end| start + end + 1);
        out.push_str(&rest[start + 1..end]);
        out.push('\n');
        rest = &rest[end..];
    }
    out
}

#[test]
fn every_scenario_of_the_corpus_survives_printing() {
    for CorpusFile { text, lowered, .. } in scenario_files("corpus") {
        for scenario in &lowered.scenarios {
            check(scenario, &lowered, &policies_of(&format!("\n{text}")));
        }
    }
}

const EVERY_VERB: &str = r#"
prepare made(p, n) { p: mmap buf n pages ; p: write buf "old" ; assert p.buf present }
scenario every-verb {
    title "with \"quotes\" and a \\"
    system hugetlb 4
    system swap 8 zram
    use made(p, 6)
    p: mmap far 6 pages shared ; p: mmap f 3 pages file disk ; p: mmap g 2 pages shared file disk ro ; p: mmap m 1 page memfd mem
    p: mmap s 1 page special ; p: mmap d 1 page device none
    p: mmap huge 2 thp ; p: mmap mid 3 mthp 4 ; p: mmap h 2 hugetlb ; p: mmap h1 1 hugetlb 18 shared
    p: mremap buf[5] -> moved ; p: mprotect buf[..2] ro ; p: name buf[1..3] -> part ; p: munmap buf[4]
    p: madvise part dontneed ; p: write huge[511..513]+8 0x20 ; p: read part[1]+16 == 0 or "old"
    p: fork c ; c/2: clear_refs ; p: soft_dirty buf[0] -> bit
    p: poke c.buf[0] 2 ; p: peek_mem buf[0] >= 1 ; p: process_vm_writev c.part "x" ; p: process_vm_readv c.part == bit
    p: direct_read buf[0] 7 ; p: direct_write buf[0] != 3 ; p: direct_write buf[0] -> seen
    p: vmsplice buf[..2] -> pipe ; p: get buf[0] rw slow -> got ; p: pin buf[0] ro longterm -> nic ; p: pin part rw slow -> dev
    p: uffd register part wp ; p: uffd wp part ; p/3: write part[0] 9 event wp ; p: uffd unwp part
    p: uffd register far missing ; p: uffd copy far[0] 3 ; p: uffd zeropage far[1] ; p: uffd register far minor
    p: uffd continue far[2] ; p: uffd move part -> far[..2]
    p: peek pipe[1] == "old" ; device: dma dev[0]+8 5 ; p: put pipe ; p: unpin nic ; p: unpin dev dirty
    kernel: pageout p.buf[0] ; kernel: swapin p.buf[0] ; kernel: swapoff ; kernel/2: migrate c.buf[0]
    kernel: ksm_merge p.buf[0] c.buf[1] ; kernel: ksm_unmerge p.buf[0] ; kernel: split_pmd p.huge ; kernel: split_folio p.huge
    kernel: collapse p.huge[..512] ; kernel: numa_hint p.buf[0] ; kernel: hold p.buf[0] -> walker ; kernel: drop walker
    kernel: lru_add p.buf[0] ; kernel: drain
    race { p: write buf[0] 1 ; p/2: read buf[0] -> raced fails EFAULT ; c: write buf[0] 1 }
    assert buf[0] not exclusive on linux-5.19.., andrea-2021
    assert p.buf[..2] shares c.buf[..2] ; assert buf[0] refcount >= 2 ; assert copies <= 4 ; assert seen == 7 or "x"
    c: exit ; p: wait c
    expect sometimes leak on ..linux-5.8 "because"
    expect never lost on ..linux-5.8
    expect breach I7 on linus-2021
    expect copies 3 on all
}
"#;

#[test]
fn every_verb_survives_printing() {
    let lowered = read(EVERY_VERB);
    let scenario = &lowered.scenarios[0];
    let said: Vec<Verb> = scenario.program.code.iter().map(|instr| printer::verb(instr.op)).collect();
    let missing: Vec<_> = Verb::VARIANTS.iter().filter(|verb| !said.contains(verb)).collect();
    assert!(missing.is_empty(), "the scenario above must say {missing:?} too");
    check(scenario, &lowered, "");
}

/// Draws numbers from a list; 0 when it is used up.
struct Draw(std::vec::IntoIter<u16>);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % bound.max(1)
    }

    fn of<'t, T>(&mut self, choices: &'t [T]) -> &'t T {
        &choices[self.below(choices.len())]
    }
}

/// A process in the making of a random scenario: its number and its memory, as numbers of names with their pages.
#[derive(Clone)]
struct Proc {
    name: String,
    mems: Vec<(usize, usize)>,
}

/// Lines of a random scenario, valid by the way they are made.
struct Gen {
    draw: Draw,
    procs: Vec<Proc>,
    /// Number of names handed out.
    names: usize,
    /// References: name, pages, holder, whether a device may write, the verb that releases it.
    refs: Vec<(usize, usize, usize, bool, &'static str)>,
    obs: Vec<(usize, usize)>,
}

impl Gen {
    fn name(&mut self) -> usize {
        self.names += 1;
        self.names
    }

    /// Memory of a process: a text, and its pages.
    fn memory(&mut self, proc: usize) -> (String, usize) {
        let mems = self.procs[proc].mems.clone();
        let (mem, len) = *self.draw.of(&mems);
        let from = self.draw.below(len);
        match self.draw.below(4) {
            0 => (format!("m{mem}[{from}]"), 1),
            1 => (format!("m{mem}[{from}..]"), len - from),
            2 => (format!("m{mem}[..{}]", from + 1), from + 1),
            _ => (format!("m{mem}"), len),
        }
    }

    fn value(&mut self) -> String {
        match self.draw.below(3) {
            0 => self.draw.below(20).to_string(),
            1 => format!("\"v{}\"", self.draw.below(9)),
            _ => format!("0x{:x}", self.draw.below(400)),
        }
    }

    fn word(&mut self) -> String {
        ["", "", "+8", "+4088"][self.draw.below(4)].to_owned()
    }

    /// A claim about so many pages, a new observation of them, or nothing.
    fn reading(&mut self, len: usize) -> String {
        let fitting: Vec<usize> = self.obs.iter().filter(|(_, obs)| *obs == 1 || *obs == len).map(|(name, _)| *name).collect();
        match self.draw.below(4) {
            0 => {
                let name = self.name();
                self.obs.push((name, len));
                format!(" -> o{name}")
            }
            1 if !fitting.is_empty() => format!(" == o{}", self.draw.of(&fitting)),
            2 => format!(" {} {} or {}", ["==", "!=", "<=", ">="][self.draw.below(4)], self.value(), self.value()),
            _ => String::new(),
        }
    }

    /// What a thread of a process may do anywhere, in a race too.
    fn access(&mut self, proc: usize) -> String {
        let (memory, _) = self.memory(proc);
        let (word, value) = (self.word(), self.value());
        let thread = ["", "", "/2"][self.draw.below(3)];
        let rest = match self.draw.below(5) {
            0 => format!("write {memory}{word} {value}"),
            1 => format!("read {memory}{word} >= {value}"),
            2 => format!("madvise {memory} {}", self.draw.of(&["dontneed", "populate_read", "dofork"])),
            3 => format!("mprotect {memory} {}", self.draw.of(&["ro", "rw", "none"])),
            _ => format!("poke {memory} {value} fails EIO"),
        };
        format!("{}{thread}: {rest}", self.procs[proc].name)
    }

    fn line(&mut self) -> String {
        let proc = self.draw.below(self.procs.len());
        let me = self.procs[proc].name.clone();
        if self.procs[proc].mems.is_empty() || self.draw.below(8) == 0 {
            let (name, len) = (self.name(), self.draw.below(5) + 1);
            self.procs[proc].mems.push((name, len));
            let how = self.draw.of(&["", " shared", " ro", " shared none"]);
            return format!("{me}: mmap m{name} {len} pages{how}");
        }
        match self.draw.below(9) {
            0 if self.procs.len() < 5 => {
                let child = Proc { name: format!("c{}", self.name()), ..self.procs[proc].clone() };
                self.procs.push(child.clone());
                format!("{me}: fork {}", child.name)
            }
            1 | 2 => {
                let ((memory, len), name) = (self.memory(proc), self.name());
                let (how, write, release) = *self.draw.of(&[
                    ("pin {} rw longterm", true, "unpin"),
                    ("pin {} ro slow", false, "unpin"),
                    ("get {} rw", true, "put"),
                    ("vmsplice {}", false, "put"),
                ]);
                self.refs.push((name, len, proc, write, release));
                format!("{me}: {} -> r{name}", how.replace("{}", &memory))
            }
            3 if !self.refs.is_empty() => self.reference(),
            4 => {
                let ((memory, len), word) = (self.memory(proc), self.word());
                format!("{me}: read {memory}{word}{}", self.reading(len))
            }
            5 => {
                let (name, (memory, len)) = (self.name(), self.memory(proc));
                self.procs[proc].mems.push((name, len));
                format!("{me}: name {memory} -> m{name}")
            }
            6 => format!("kernel: lru_add {me}.{}", self.memory(proc).0),
            _ => self.access(proc),
        }
    }

    fn reference(&mut self) -> String {
        let at = self.draw.below(self.refs.len());
        let (name, len, holder, write, release) = self.refs[at];
        let holder = self.procs[holder].name.clone();
        match self.draw.below(3) {
            0 => {
                self.refs.remove(at);
                format!("{holder}: {release} r{name}")
            }
            1 if write => format!("device: dma r{name}[{}] {}", self.draw.below(len), self.value()),
            _ => format!("{holder}: peek r{name}{}", self.reading(len)),
        }
    }

    /// A file: some lines straight, some in prepares, some in races.
    fn file(mut self, lines: usize) -> String {
        let (mut prepares, mut body) = (String::new(), String::new());
        for part in 0..lines {
            match self.draw.below(6) {
                0 => {
                    let inner = [self.line(), self.line()].join(" ; ");
                    prepares.push_str(&format!("prepare part-{part}(p0) {{ {inner} }}\n"));
                    body.push_str(&format!("    use part-{part}(p0)\n"));
                }
                1 if self.procs.iter().all(|proc| !proc.mems.is_empty()) => {
                    let procs = self.procs.len();
                    let inner: Vec<String> = (0..3).map(|at| self.access(at % procs)).collect();
                    body.push_str(&format!("    race {{ {} }}\n", inner.join(" ; ")));
                }
                _ => body.push_str(&format!("    {}\n", self.line())),
            }
        }
        format!("{prepares}scenario random {{\n    p0: mmap m0 3 pages\n{body}}}\n")
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_random_program_survives_printing(choices in proptest::collection::vec(0u16.., 0..400), lines in 1usize..40) {
        let procs = vec![Proc { name: "p0".to_owned(), mems: vec![(0, 3)] }];
        let draw = Draw(choices.into_iter());
        let text = Gen { draw, procs, names: 0, refs: Vec::new(), obs: Vec::new() }.file(lines);
        let lowered = read(&text);
        check(&lowered.scenarios[0], &lowered, "");
    }
}
