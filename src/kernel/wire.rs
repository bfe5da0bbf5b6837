//! What runner and agent say to each other: one JSON object a line, requests one way, answers the other.
//!
//! The agent may be a child process on this machine or `/init` of a virtual one. It greets with [`Hello`] before anything is
//! asked, then gives exactly one [`Answer`] to each [`Request`], in their order. Numbers are plain; the runner maps them to
//! values of the program again.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::thin::Thin;

/// Told apart from later versions by the runner.
pub const VERSION: u32 = 3;

/// The agent's first line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of the agent.
    pub version: u32,
    /// `uname -r`: `6.12.41-cloud-amd64`.
    pub release: String,
    /// `uname -m`.
    pub machine: String,
    /// What this kernel and this user can realise and see.
    pub probe: Vec<Feature>,
}

/// A line of the table that `cowl kernel probe` prints.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Feature {
    /// A verb or something to see: `pin rw longterm`, `exclusive`.
    pub name: String,
    /// It is a fact that can be seen, rather than an operation that can be done.
    pub sees: bool,
    /// How it is done or seen.
    pub how: String,
    /// Why it cannot be; `None` where it can.
    pub no: Option<String>,
}

/// What the runner asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Looks once more at what can be realised and seen; answered by [`Answer::Probed`].
    Probe {
        /// With what changes settings of the machine.
        system: bool,
    },
    /// Runs a scenario; answered by [`Answer::Ran`].
    Run(Job),
    /// Runs a scenario in these rounds, its races as races: actors meet, then act after delays that come from the seed and the
    /// round. Answered by [`Answer::Raced`].
    Race { job: Job, seed: u64, rounds: Range<u32> },
    /// A loop of bare fork and exit for this many rounds, to hold speeds against; answered by [`Answer::Timed`].
    Bare { rounds: u32 },
    /// Ends the agent; not answered.
    Bye,
}

/// A scenario to run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Comes back with the answer.
    pub id: u64,
    /// For messages.
    pub name: String,
    /// Text that declares this one scenario, of one kind of memory; instructions are numbered as they are lowered from it.
    pub text: String,
    /// Bounds.
    pub limits: Limits,
    /// With the facts of every page after every line.
    pub facts: bool,
    /// It may touch what does not belong to the agent's own processes: swap, huge pages, KSM.
    pub system: bool,
}

/// What one scenario may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Milliseconds for the whole scenario.
    pub time_ms: u32,
    /// Mebibytes of address space for each process.
    pub memory_mib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time_ms: 10_000, memory_mib: 4096 }
    }
}

/// What the agent answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Probed(Vec<Feature>),
    /// Facts are told in short.
    Ran(Thin),
    /// What came, each with how often; the lines of a race in the order of the program.
    Raced(Vec<(u32, Ran)>),
    Timed {
        /// Nanoseconds for all rounds together.
        ns: u64,
    },
    /// The request cannot be read, and why.
    Refused(String),
}

/// What running a scenario came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ran {
    /// Of the [`Job`].
    pub id: u64,
    /// Lines in the order in which they ended. One that userfaultfd stopped ends twice: asleep, then for good.
    pub lines: Vec<Line>,
    /// Why it stopped before its end, if it did.
    pub stopped: Option<Stop>,
    /// Facts that cannot be seen by this kernel or this user, and why: `refcount`.
    pub unseen: BTreeMap<String, String>,
    /// Where the time went.
    pub times: Times,
}

/// Why a scenario stopped before its end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It cannot be said here, and why. An instruction that cannot be realised is found before anything runs.
    Skip(String),
    /// A line ended as nothing announced; it is the last of the lines.
    Unannounced,
    /// A process died or did not answer in time, and what is known of it.
    Crashed(String),
}

/// A line that ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// The instruction.
    pub pc: u16,
    pub ended: Ended,
    /// Parts of the instruction (pages of its range) that took effect by now.
    pub done: u16,
    /// What was seen of each of these parts, where it reads.
    pub seen: Vec<Saw>,
    /// Minor faults of the thread around the instruction, where they could be counted.
    pub faults: Option<u32>,
    /// Every page of every mapping after the line, in order of process and page: (`p.buf[0]`, facts).
    pub facts: Vec<(String, Facts)>,
}

/// How a line ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    Ok,
    /// `EBUSY`, `SIGSEGV`; one that no scenario can name is a [`Stop::Crashed`].
    Fails(String),
    /// userfaultfd stopped its thread: `wp`.
    Event(String),
}

/// What one part of an instruction saw.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Saw {
    /// Of a whole page the nameless rest and then each word that the program names; of a word, itself.
    Words(Vec<u64>),
    /// `soft_dirty`.
    Bit(bool),
}

/// How something is known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// The kernel said so.
    Observed(T),
    /// It follows from what the kernel did.
    Inferred(T),
    /// It cannot be known of this page, and why.
    Unseen(String),
}

/// What is known of one mapped page. What is absent is in [`Ran::unseen`] with its reason.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The words that the program tells apart, the nameless rest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Fact<Vec<u64>>>,
    /// The page, as a letter in order of first appearance; nothing is mapped where the letter is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<Fact<Option<String>>>,
    /// `none`, `anon`, `zero`, `shmem`, `file`, `ksm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Fact<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<Fact<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swapped: Option<Fact<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable: Option<Fact<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty: Option<Fact<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_dirty: Option<Fact<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uffd_wp: Option<Fact<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapcount: Option<Fact<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refcount: Option<Fact<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pincount: Option<Fact<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<Fact<bool>>,
}

/// Where the time of a scenario went, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Times {
    /// Reading the text.
    pub read: u64,
    /// Arranging what it needs of the machine: swap, huge pages, settings.
    pub arrange: u64,
    /// Making the first process and what it needs.
    pub start: u64,
    /// The operations themselves, as their threads measured them.
    pub ops: u64,
    /// Among them, `fork`.
    pub fork: u64,
    /// Among them, `mmap`.
    pub mmap: u64,
    /// Orders and answers between processes, and switching to them.
    pub messages: u64,
    /// Looking at pages after lines.
    pub facts: u64,
    /// Ending all processes.
    pub end: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_an_answer_are_one_line_each_and_read_back_the_same() {
        let job = Job {
            id: 7,
            name: "a".to_owned(),
            text: "scenario a {\n}\n".to_owned(),
            limits: Limits::default(),
            facts: true,
            system: false,
        };
        let request = Request::Run(job);
        let text = serde_json::to_string(&request).expect("JSON");
        assert!(!text.contains('\n'));
        assert_eq!(serde_json::from_str::<Request>(&text).expect("JSON"), request);
        let facts = Facts {
            mapcount: Some(Fact::Observed(2)),
            value: Some(Fact::Unseen("not present".to_owned())),
            ..Facts::default()
        };
        let line = Line {
            pc: 3,
            ended: Ended::Fails("EBUSY".to_owned()),
            done: 0,
            seen: vec![Saw::Words(vec![u64::MAX]), Saw::Bit(true)],
            faults: None,
            facts: vec![("p.buf[0]".to_owned(), facts)],
        };
        let unseen = BTreeMap::from([("refcount".to_owned(), "no interface".to_owned())]);
        let ran = Ran { id: 7, lines: vec![line], stopped: Some(Stop::Unannounced), unseen, times: Times::default() };
        let text = serde_json::to_string(&Answer::Ran(Thin::of(ran.clone()))).expect("JSON");
        assert_eq!(serde_json::from_str::<Answer>(&text).expect("JSON"), Answer::Ran(Thin::of(ran)));
    }
}
