use strum::{Display, EnumString, IntoStaticStr, VariantNames};

use super::{Area, Comparison, Program};
use crate::types::{Event, Failure, ObsId, Pc, Span, Value};

/// A scenario for one kind of memory: a program, what is asserted on its way, and what is expected at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Free text; empty where absent.
    pub title: String,
    /// Free text; empty where absent.
    pub origin: String,
    /// The kind it was made for by `over`, as written: `pmd-thp`, `low-part(4)`.
    pub kind: Option<Kind>,
    /// What happens.
    pub program: Program,
    /// Facts stated on the way, in order of their places.
    pub asserts: Vec<Assert>,
    /// What is expected under which policies. Already narrowed to this kind.
    pub expects: Vec<Expect>,
    /// Where the scenario's name stands.
    pub span: Span,
    /// Where each instruction stands.
    pub spans: Vec<Span>,
}

/// A kind of memory that a scenario runs over.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kind {
    /// Name of the `prepare`.
    pub name: String,
    /// Arguments behind the actor, as written.
    pub args: Vec<String>,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if !self.args.is_empty() {
            write!(f, "({})", self.args.join(", "))?;
        }
        Ok(())
    }
}

/// A list of kinds, each with or without arguments; without, it means every use of the name.
pub type Kinds = Vec<Kind>;

/// A fact stated where it stands, promised or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assert {
    /// It is judged before this instruction; the program's length means at its end.
    pub at: Pc,
    /// What it says.
    pub says: Statement,
    /// The policies it is judged under, as indexes into the policies lowering was given; all where `None`.
    pub on: Option<Vec<usize>>,
    /// It comes from a `prepare`: a real kernel that does not honour it skips the scenario.
    pub setup: bool,
    /// Where it stands.
    pub span: Span,
}

/// What an assertion says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement {
    /// `assert A [not] FACT`, for each page of the area.
    Fact { area: Area, not: bool, fact: Fact },
    /// `assert A [not] shares B`: pairwise the same page.
    Shares { area: Area, not: bool, with: Area },
    /// `assert A refcount == 2`, for each page.
    Count { area: Area, count: Count, comparison: Comparison, number: u64 },
    /// `assert copies == 1`: pages copied so far, `prepare` apart.
    Copies { comparison: Comparison, number: u64 },
    /// `assert OBSERVATION == 2 or 3`: what was really seen.
    Seen { obs: ObsId, comparison: Comparison, any_of: Vec<Value> },
}

/// What can be asserted of a page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Display, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Fact {
    Exclusive,
    Writable,
    Dirty,
    SoftDirty,
    UffdWp,
    Present,
    Swapped,
    Pinned,
    Ksm,
    Zeropage,
    PmdMapped,
}

/// What can be counted of a page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Display, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Count {
    Refcount,
    Mapcount,
}

/// An expectation of a scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expect {
    /// Of a race's orders: each, some but not each, none.
    pub frequency: Frequency,
    /// What happens.
    pub outcome: Outcome,
    /// The policies it speaks of, as indexes into the policies lowering was given; for `all`, those that no other line names.
    pub on: Vec<usize>,
    /// Free text; empty where absent.
    pub reason: String,
    /// Where it stands; of the default `expect ok on all`, the scenario's name.
    pub span: Span,
}

/// How many of a race's orders.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Display, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Frequency {
    #[default]
    Always,
    Sometimes,
    Never,
}

/// What a run comes to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// All was as promised.
    Ok,
    /// Someone saw a store to memory it does not share.
    Leak,
    /// Any other claim or promise that was not met.
    Lost,
    /// An announced event or failure did not come, or a `soft_dirty` claim is unmet.
    Missed,
    /// An invariant does not hold; its number.
    Breach(u8),
    /// userfaultfd stopped a thread and nothing announced it.
    Event(Event),
    /// A call failed and nothing announced it.
    Fails(Failure),
    /// Pages copied, `prepare` apart. Stands beside the others, not instead of them.
    Copies(u16),
}

/// As it is written behind `expect`: `leak`, `breach I7`, `event wp`, `copies 2`.
impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Ok => f.write_str("ok"),
            Outcome::Leak => f.write_str("leak"),
            Outcome::Lost => f.write_str("lost"),
            Outcome::Missed => f.write_str("missed"),
            Outcome::Breach(number) => write!(f, "breach I{number}"),
            Outcome::Event(event) => write!(f, "event {event}"),
            Outcome::Fails(failure) => write!(f, "fails {failure}"),
            Outcome::Copies(pages) => write!(f, "copies {pages}"),
        }
    }
}
