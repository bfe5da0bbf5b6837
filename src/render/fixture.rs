//! A report made by hand: what rendering is tested on without running anything.

use crate::analysis::{Contrast, FileReport, Judged, Parting};
use crate::check::report::*;
use crate::diag::Source;
use crate::ir::{Actor, Instr, Op, Outcome, Program, Scenario};
use crate::trace::Decision;
use crate::types::{Pc, ProcId, Span, TaskId, Value, Vpn};

/// The text it speaks of.
pub const TEXT: &str = r#"# A child keeps a vmsplice() reference and reads what its parent writes later.
scenario vmsplice-child {
    title  "a child's vmsplice reference sees the parent's later write"
    origin "CVE-2020-29374; B1"
    parent: write buf "new"
    child:  peek pipe == "old"
    expect leak on ..linux-5.7
    expect ok on linux-5.8..
}
"#;

/// Releases of a small world.
pub const RELEASES: [&str; 4] = ["linux-5.7", "linux-5.8", "linux-5.9", "linux-5.11"];

/// Where a piece of [`TEXT`] stands.
pub fn span(piece: &str) -> Span {
    let start = TEXT.find(piece).expect("a piece of the text");
    Span { start: start as u32, end: (start + piece.len()) as u32 }
}

fn text(bytes: &[u8]) -> Reading {
    Reading::Value(Value::text(bytes).expect("at most 8 bytes"))
}

/// What `wp::decide_small` said of frame A.
pub fn decision(verdict: &'static str, reason: &'static str, value: &'static str) -> Decision {
    Decision {
        rule: "wp::decide_small",
        knob: "reuse_small",
        value,
        verdict,
        reason,
        proc: ProcId(0),
        vpn: Vpn(0),
        frame: Some(0),
        operands: vec![("mapcount", 1), ("refcount", 2)],
    }
}

/// A run in which all was as promised.
pub fn ok() -> Run {
    let observation = Observation { pc: Pc(1), page: 0, value: text(b"old"), promised: vec![text(b"old")] };
    Run {
        verdict: Verdict::Came(Outcome::Ok),
        violations: Vec::new(),
        unmet: Vec::new(),
        copies: 1,
        gratuitous: 0,
        observations: vec![observation],
        steps: Vec::new(),
        one_schedule: false,
        race: None,
    }
}

/// A run in which the reference saw the parent's store.
pub fn leak() -> Run {
    let violation = Violation {
        outcome: Outcome::Leak,
        invariant: Some("I2"),
        pc: Pc(1),
        decision: Some((Pc(0), decision("reuse", "last mapping", "map_swap"))),
        message: "`pipe` reads \"new\", which parent stored to memory that child does not share; \"old\" was promised"
            .to_owned(),
    };
    let observation = Observation { pc: Pc(1), page: 0, value: text(b"new"), promised: vec![text(b"old")] };
    Run {
        verdict: Verdict::Came(Outcome::Leak),
        violations: vec![violation],
        copies: 0,
        observations: vec![observation],
        ..ok()
    }
}

/// An expectation that stands at a piece of the text.
pub fn expected(said: &str, met: Met, piece: &str) -> Expected {
    Expected { text: said.to_owned(), met, reason: String::new(), span: span(piece) }
}

fn scenario() -> Scenario {
    let program = Program {
        procs: vec!["parent".to_owned(), "child".to_owned()],
        tasks: vec![Actor::Thread { proc: ProcId(0), thread: 1 }, Actor::Thread { proc: ProcId(1), thread: 1 }],
        code: [0, 1]
            .map(|task| Instr {
                task: TaskId(task),
                op: Op::Exit,
                claim: None,
                observe: None,
                ending: Default::default(),
                race: None,
                setup: false,
            })
            .to_vec(),
        ..Program::default()
    };
    Scenario {
        name: "vmsplice-child".to_owned(),
        title: "a child's vmsplice reference sees the parent's later write".to_owned(),
        origin: "CVE-2020-29374; B1".to_owned(),
        kind: None,
        program,
        asserts: Vec::new(),
        expects: Vec::new(),
        span: span("vmsplice-child"),
        spans: vec![span("parent: write buf \"new\""), span("child:  peek pipe == \"old\"")],
    }
}

/// The scenario under policies with these runs.
pub fn file(results: Vec<(&str, Run, Vec<Expected>)>) -> FileReport {
    let scenario = scenario();
    let copied = Contrast { pc: Pc(0), what: Parting::Decided(decision("copy", "other references", "ref1")) };
    let contrast = |run: &Run| (run.verdict == Verdict::Came(Outcome::Ok)).then(|| copied.clone());
    let contrasts = results.iter().map(|(_, run, _)| contrast(run)).collect();
    let under = crate::policy::builtin()[0].policy;
    let results = results.into_iter();
    let results =
        results.map(|(policy, run, expected)| PolicyResult { policy: policy.to_owned(), under, run, expected }).collect();
    let report = ScenarioReport {
        name: scenario.name.clone(),
        kind: None,
        title: scenario.title.clone(),
        origin: scenario.origin.clone(),
        results,
    };
    FileReport {
        sources: vec![Source::new("vmsplice-child.cow", TEXT)],
        scenarios: vec![Judged { scenario, report, contrasts }],
        ..FileReport::default()
    }
}

/// Under four releases and a proposal: a leak, copies, an unmet expectation and a skip.
pub fn mixed() -> FileReport {
    let met = |said: &str| vec![expected(said, Met::Yes, "expect leak on ..linux-5.7")];
    let unmet = expected("ok", Met::No, "expect ok on linux-5.8..");
    let skip = Run { verdict: Verdict::Skip("it has no `vmsplice`".to_owned()), copies: 0, observations: Vec::new(), ..ok() };
    let skipped = vec![expected("ok", Met::NotJudged, "expect ok on linux-5.8..")];
    file(vec![
        ("linux-5.7", leak(), met("leak")),
        ("linux-5.8", ok(), met("ok")),
        ("linux-5.9", ok(), met("ok")),
        ("linux-5.11", leak(), vec![unmet]),
        ("mine", skip, skipped),
    ])
}

/// [`RELEASES`] as rendering takes them.
pub fn releases() -> Vec<String> {
    RELEASES.map(str::to_owned).to_vec()
}
