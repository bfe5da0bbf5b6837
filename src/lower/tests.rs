//! What lowering makes of the language's own examples, of races, kinds, expectations, and of files that are too large.

use super::{Included, Lowered, Mistake, limits, lower};
use crate::ir::{Actor, Area, Expect, Frequency, Op, Outcome, Statement};
use crate::policy;
use crate::syntax::parse;
use crate::types::{ProcId, RaceId, Span};

/// Lowers a text that uses no file.
fn lowered(text: &str) -> (Lowered, Vec<Mistake>) {
    let (file, mistakes) = parse(text);
    assert_eq!(mistakes, [], "{text}");
    lower("test.cow", &file, &mistakes, &mut |_, path| Err(format!("no file {path}")))
}

/// Lowers a text without a mistake.
fn good(text: &str) -> Lowered {
    let (lowered, mistakes) = lowered(text);
    assert_eq!(mistakes, [], "{text}");
    lowered
}

/// The codes of a text's mistakes, without `cowl::lower::`.
fn codes(text: &str) -> Vec<String> {
    use miette::Diagnostic;
    let (file, mistakes) = parse(text);
    let (_, found) = lower("test.cow", &file, &mistakes, &mut |_, _| Err("no files here".to_owned()));
    let code = |error: &dyn Diagnostic| error.code().map(|code| code.to_string()).unwrap_or_default();
    let codes = mistakes.iter().map(|mistake| code(mistake)).chain(found.iter().map(|found| code(&found.error)));
    codes.map(|code| code.replace("cowl::lower::", "")).collect()
}

/// The codes of the mistakes of a scenario with these lines, behind a mapping of four pages.
fn codes_of(lines: &str) -> Vec<String> {
    codes(&format!("scenario a {{\n p: mmap buf 4 pages\n {lines}\n}}"))
}

/// The names of the policies that an expectation speaks of.
fn names(expect: &Expect) -> Vec<&'static str> {
    expect.on.iter().map(|policy| policy::builtin()[*policy].name).collect()
}

#[test]
fn each_process_has_an_address_space_and_children_inherit_it() {
    let lowered = good(
        "scenario a { p: mmap one 2 pages ; p: mmap two 1 page ; p: fork c ; p: mmap p-own 3 pages ; c: mmap c-own 1 page ; \
         kernel: lru_add c.two ; c: read c-own ; c: read one[1] }",
    );
    let program = &lowered.scenarios[0].program;
    let start = |name: &str| program.mems.iter().find(|mem| mem.name == name).map(|mem| mem.area.start.0);
    assert_eq!([start("one"), start("two"), start("p-own"), start("c-own")], [Some(0), Some(2), Some(3), Some(3)]);
    assert_eq!(program.pages, 6);
    let areas: Vec<Area> = program.code.iter().filter_map(|instr| instr.op.area()).collect();
    assert_eq!((areas[4].proc, areas[4].start.0), (ProcId(1), 2), "the kernel reaches the child's");
    assert_eq!((areas[6].proc, areas[6].start.0, areas[6].len), (ProcId(1), 1, 1));
}

#[test]
fn huge_mappings_are_aligned() {
    let (lowered, _) = lowered("scenario a { p: mmap a 1 page ; p: mmap b 1 thp ; p: mmap c 1 page ; p: mmap d 2 mthp 4 }");
    let starts: Vec<u16> = lowered.scenarios[0].program.mems.iter().map(|mem| mem.area.start.0).collect();
    assert_eq!(starts, [0, 512, 1024, 1040]);
}

#[test]
fn a_scenario_over_kinds_is_one_for_each() {
    let lowered = good(
        "prepare small(p) { p: mmap buf 1 page }\nprepare pages(p, n) { p: mmap buf n pages ; assert buf not present }\n\
         prepare both = small, pages(2)\n\
         scenario a over both, pages(3), small {\n use over(q)\n q: read buf == 0\n expect leak on linux-5.7 over pages(2)\n\
         expect lost on linux-5.8 over pages\n}",
    );
    let kinds: Vec<String> = lowered.scenarios.iter().filter_map(|a| a.kind.as_ref()).map(|kind| kind.to_string()).collect();
    assert_eq!(kinds, ["small", "pages(2)", "pages(3)"]);
    let said = |at: usize| lowered.scenarios[at].expects.iter().map(|expect| expect.outcome).collect::<Vec<_>>();
    assert_eq!(said(0), [Outcome::Ok]);
    assert_eq!(said(1), [Outcome::Leak, Outcome::Lost, Outcome::Ok]);
    assert_eq!(said(2), [Outcome::Lost, Outcome::Ok]);
    let pages = &lowered.scenarios[1];
    assert!(pages.program.code[0].setup && !pages.program.code[1].setup && pages.asserts[0].setup);
    assert_eq!(pages.program.procs, ["q"]);
}

#[test]
fn all_is_what_no_other_line_names() {
    let text = "scenario a {\n p: mmap buf 1 page\n expect leak on ..linux-5.8, andrea-2021\n expect lost on all\n expect copies 1 on linux-5.9\n}";
    let lowered = good(text);
    let [leak, lost, copies] = lowered.scenarios[0].expects.as_slice() else { panic!("three lines") };
    assert_eq!(names(leak), ["linux-5.7", "linux-5.8", "andrea-2021"]);
    assert_eq!(lost.on.len(), policy::builtin().len() - 3);
    assert_eq!((names(copies), copies.outcome), (vec!["linux-5.9"], Outcome::Copies(1)));
}

#[test]
fn what_no_line_names_is_expected_to_be_ok() {
    let lowered = good("scenario a { p: mmap buf 1 page ; expect leak on latest }");
    let [leak, ok] = lowered.scenarios[0].expects.as_slice() else { panic!("two lines") };
    assert_eq!((names(leak), ok.outcome, ok.frequency), (vec!["linux-7.3"], Outcome::Ok, Frequency::Always));
    assert_eq!(ok.span, lowered.scenarios[0].span, "the default is said by the scenario's name");
}

#[test]
fn expectations_of_a_race_may_stand_beside_each_other() {
    let race = "race { p: write buf 1 ; p/2: read buf }\n";
    let fine = |expects: &str| codes_of(&format!("{race}{expects}"));
    assert_eq!(fine("expect sometimes lost on linux-5.7\nexpect sometimes leak on linux-5.7"), [""; 0]);
    assert_eq!(fine("expect always lost on linux-5.7\nexpect never leak on linux-5.7"), [""; 0]);
    assert_eq!(fine("expect always lost on linux-5.7\nexpect never lost on linux-5.7"), ["contradiction"]);
    assert_eq!(fine("expect lost on linux-5.7\nexpect sometimes leak on linux-5.7"), ["contradiction"]);
    assert_eq!(fine("expect lost on linux-5.7\nexpect copies 1 on linux-5.7"), [""; 0]);
}

#[test]
fn users_policies_count_behind_the_built_in_ones() {
    let text = "policy two = one {\n}\npolicy one = linux-5.18 {\n reuse_small = ref1\n}\n\
                scenario a { p: mmap buf 1 page ; expect leak on two, one }";
    let lowered = good(text);
    assert_eq!(lowered.policies.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["two", "one"]);
    assert_eq!(lowered.policies[0].policy, lowered.policies[1].policy);
    let builtin = policy::builtin().len();
    assert_eq!(lowered.scenarios[0].expects[0].on, [builtin, builtin + 1]);
}

#[test]
fn used_files_give_prepares_and_policies_but_no_scenarios() {
    let text = "use \"lib/b.cow\"\nscenario a {\n    use twice(p)\n    expect leak on theirs\n}";
    let (file, _) = parse(text);
    let b = "use \"c.cow\"\npolicy theirs = linux-5.7 {\n}\nprepare twice(p) { use once(p) ; p: write buf 1 }\nscenario b { q: mmap x 1 page }";
    let c = "prepare once(p) { p: mmap buf 1 page }";
    let mut asked = Vec::new();
    let (lowered, mistakes) = lower("a.cow", &file, &[], &mut |from, path| {
        asked.push(format!("{from}: {path}"));
        let text = if path == "c.cow" { c } else { b };
        Ok(Included { name: path.to_owned(), text: text.to_owned() })
    });
    assert_eq!(mistakes, []);
    assert_eq!(asked, ["a.cow: lib/b.cow", "lib/b.cow: c.cow"]);
    assert_eq!(lowered.scenarios.len(), 1);
    let start = text.find("use twice").unwrap() as u32;
    let use_line = Span { start, end: start + 12 };
    assert_eq!(lowered.scenarios[0].spans, [use_line, use_line], "lines of used files stand where they are used");
}

#[test]
fn a_race_keeps_its_lines_together_and_knows_who_runs() {
    let lowered = good(
        "scenario a {\n p: mmap buf 1 page\n race {\n p: fork c\n p/2: write buf 1\n c: read buf -> x\n c: read buf == x\n}\n\
         race { p: read buf ; kernel/2: drain }\n c: exit ; p: wait c\n}",
    );
    let program = &lowered.scenarios[0].program;
    let races: Vec<Option<RaceId>> = program.code.iter().map(|instr| instr.race).collect();
    let (first, second) = (Some(RaceId(0)), Some(RaceId(1)));
    assert_eq!(races, [None, first, first, first, first, second, second, None, None]);
    assert!(program.tasks.contains(&Actor::Thread { proc: ProcId(0), thread: 2 }) && program.tasks.contains(&Actor::Kernel(2)));
}

#[test]
fn what_another_actor_of_a_race_ends_may_still_be_used_in_it() {
    assert_eq!(codes_of("race { p: munmap buf ; p/2: read buf fails SIGSEGV }\np: read buf"), ["use_after_munmap"]);
    assert_eq!(codes_of("race { p: munmap buf ; p/2: read buf }"), [""; 0]);
    assert_eq!(codes_of("p: pin buf rw -> r\nrace { p: unpin r ; device: peek r }"), [""; 0]);
    assert_eq!(codes_of("p: pin buf rw -> r\nrace { p: unpin r ; p/2: unpin r }"), ["double_unpin"]);
    assert_eq!(codes_of("race { p: munmap buf ; p: read buf }"), ["use_after_munmap"]);
    assert_eq!(codes_of("p: fork c\nrace { p: wait c ; c: exit }"), [""; 0]);
    assert_eq!(codes_of("p: fork c\nrace { p: wait c ; c: read buf }"), ["endless_wait"]);
    assert_eq!(codes_of("race { p: fork c ; p/2: poke c.buf 1 }"), ["made_in_this_race"]);
    assert_eq!(codes_of("race { p: read buf -> x ; p: fork c ; c: read buf == x }"), [""; 0]);
}

#[test]
fn what_is_announced_to_fail_changes_nothing() {
    assert_eq!(codes_of("p: munmap buf fails EINVAL\np: read buf"), [""; 0]);
    assert_eq!(codes_of("p: munmap buf\np: read buf fails SIGSEGV"), [""; 0]);
    assert_eq!(codes_of("p: munmap buf[..3]\np: read buf"), [""; 0], "the last page is still there");
    assert_eq!(codes_of("p: pin buf rw fast -> r fails EFAULT\ndevice: dma r 1"), ["taking_failed"]);
}

#[test]
fn a_mistake_brings_forth_no_other() {
    assert_eq!(codes_of("p: wirte buf 1\np: frok c\nc: read buf\nc: exit\np: wait c"), ["unknown_verb", "unknown_verb"]);
    assert_eq!(codes_of("p: pin bfu rw -> r\ndevice: dma r 1\np: unpin r"), ["unknown_memory"]);
    assert_eq!(codes_of("p: fork c\nc: exti\np: wait c"), ["unknown_verb"]);
    assert_eq!(codes_of("p: uffd regster buf wp\np: uffd wp buf"), ["unknown_verb"]);
    assert_eq!(codes_of("p: read bfu\np: write bfu 1"), ["unknown_memory"], "a name is unknown once");
    assert_eq!(codes_of("p: mmap more 1 page \"x\"\np: read more"), ["needless_operand"]);
    assert_eq!(codes_of("p: mmap more 1 page -> \np: read more").len(), 1, "a line that cannot be read");
    assert_eq!(codes("prepare a(p) { p: mmap x 1 page\nscenario b { use a(p) ; p: read x }").len(), 1);
}

#[test]
fn optional_words_stand_anywhere_and_required_ones_may_look_like_them() {
    let lowered = good(
        "scenario a { p: mmap fast 1 page none shared ; p: mmap b shared ro 2 pages ; p: pin fast ro -> x ; p: pin b slow rw longterm -> y }",
    );
    let program = &lowered.scenarios[0].program;
    assert_eq!(program.mems[0].name, "fast");
    assert!(matches!(program.code[3].op, Op::Pin { write: true, longterm: true, .. }));
}

#[test]
fn an_assertion_without_an_owner_is_about_who_mapped() {
    let lowered =
        good("scenario a { p: mmap buf 1 page ; p: fork c ; c: mmap own 1 page ; assert own present ; assert buf present }");
    let areas = lowered.scenarios[0].asserts.iter().map(|assert| match assert.says {
        Statement::Fact { area, .. } => area.proc,
        _ => panic!("a fact"),
    });
    assert_eq!(areas.collect::<Vec<_>>(), [ProcId(1), ProcId(0)]);
}

#[test]
fn every_limit_is_said_with_its_number() {
    let too_large = ["too_large"];
    let lines = |line: &str, count: usize| vec![line; count].join("\n");
    assert_eq!(codes_of(&lines("p: read buf", limits::INSTRUCTIONS_MAX - 1)), [""; 0]);
    assert_eq!(codes_of(&lines("p: read buf", limits::INSTRUCTIONS_MAX)), too_large);
    let number = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<Vec<_>>().join("\n");
    assert_eq!(codes_of(&number(limits::VALUES_MAX, &|at| format!("p: write buf {at}"))), [""; 0]);
    assert_eq!(codes_of(&number(limits::VALUES_MAX + 1, &|at| format!("p: write buf {at}"))), too_large);
    assert_eq!(codes_of(&number(limits::REFERENCES_MAX + 1, &|at| format!("p: pin buf[0] rw -> r{at}"))), too_large);
    assert_eq!(codes_of(&number(limits::ACTORS_MAX + 1, &|at| format!("p/{}: read buf", at + 1))), too_large);
    assert_eq!(codes_of(&lines("race { p: read buf ; p/2: read buf }", limits::RACES_MAX + 1)), too_large);
    assert_eq!(codes_of(&lines("assert buf present", limits::ASSERTIONS_MAX + 1)), too_large);
    assert_eq!(codes_of(&lines("expect ok on latest", limits::EXPECTATIONS_MAX + 1)), too_large);
    assert_eq!(codes_of(&number(300, &|at| format!("p: read bfu{at}"))).len(), 300);
    let many = codes_of(&number(limits::ERRORS_MAX + 300, &|at| format!("p: read bfu{at}")));
    assert!(many.len() <= limits::ERRORS_MAX + 1);
}

/// Files that are small and stand for something huge: each is refused in time that is as small.
#[test]
fn doubling_ends_at_a_limit() {
    let double = |of: &dyn Fn(usize) -> String| (0..40).map(of).collect::<Vec<_>>().join("\n");
    let prepares = double(&|at| format!("prepare x{}(p) {{ use x{at}(p) ; use x{at}(p) }}", at + 1));
    let text = format!("prepare x0(p) {{ p: read buf }}\n{prepares}\nscenario a {{ p: mmap buf 1 page ; use x40(p) }}");
    assert_eq!(codes(&text), ["too_large"]);
    let lists = double(&|at| format!("prepare x{} = x{at}, x{at}", at + 1));
    let text = format!("prepare x0(p) {{ p: mmap buf 1 page }}\n{lists}\nscenario a over x40 {{ use over(p) }}");
    assert_eq!(good(&text).scenarios.len(), 1, "the same kind twice is one kind");
    let chain = |number: usize| {
        let links = (0..number).map(|at| format!("prepare x{}(p) {{ use x{at}(p) }}\n", at + 1)).collect::<String>();
        format!("prepare x0(p) {{ p: mmap buf 1 page }}\n{links}scenario a {{ use x{number}(p) }}")
    };
    assert_eq!(codes(&chain(limits::DEPTH_MAX - 1)), [""; 0]);
    assert_eq!(codes(&chain(5_000)), ["too_large"]);
    let kinds = (0..limits::KINDS_MAX + 1).map(|at| format!("x({at})")).collect::<Vec<_>>().join(", ");
    let text = format!("prepare x(p, n) {{ p: mmap buf n pages }}\nscenario a over {kinds} {{ use over(p) }}");
    assert!(codes(&text).contains(&"too_large".to_owned()));
}
