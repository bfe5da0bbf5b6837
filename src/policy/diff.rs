//! What two policies answer differently.

use strum::{EnumMessage, VariantArray};

use super::{Defect, Feature, KNOBS, Knob, Policy, Value};

/// A question that two policies answer differently.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Difference {
    /// A knob or a detail.
    Knob { knob: &'static Knob, from: Value, to: Value },
    /// A verb that one of them lacks.
    Verb { feature: Feature, gained: bool },
    /// A defect that one of them has.
    Defect { defect: Defect, gained: bool },
}

impl Difference {
    /// The name of what differs: a knob's, `lacks`, `defect`.
    pub fn name(&self) -> &'static str {
        match self {
            Difference::Knob { knob, .. } => knob.name,
            Difference::Verb { .. } => LACKS,
            Difference::Defect { .. } => DEFECT,
        }
    }

    /// Where the difference comes from, as `6c287605fd56 (5.19)`; empty where neither answer has a source.
    ///
    /// Towards a newer answer: the commits that brought it. Back to an older one: those that took the newer one out, or `without` those
    /// that had brought it. For an answer that no release gave: who proposed it.
    pub fn commits(&self) -> String {
        let Difference::Knob { from, to, .. } = self else { return String::new() };
        if !to.proposed.is_empty() {
            return to.proposed.to_owned();
        }
        let (gone, gone_in) = from.removed.rsplit_once(", ").unwrap_or_default();
        let backwards = from.proposed.is_empty() && release(to.since) < release(from.since);
        match (backwards, gone_in.is_empty(), gone.is_empty()) {
            (true, false, _) => source(gone, gone_in),
            (true, true, _) => format!("without {}", source(from.commits, from.since)),
            (false, _, false) => format!("{}; {}", source(gone, gone_in), brought(to)),
            (false, _, true) => brought(to),
        }
    }
}

/// What brought an answer and, where it was taken out again, what did that.
fn brought(value: &Value) -> String {
    let brought = source(value.commits, value.since);
    match value.removed.rsplit_once(", ") {
        Some((commits, since)) if !commits.is_empty() => format!("{brought}, taken out by {}", source(commits, since)),
        _ => brought,
    }
}

/// The number of a release, to compare; what is older than all has none.
fn release(since: &str) -> Option<(u16, u16)> {
    let (major, minor) = since.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `6c287605fd56 (5.19)`, with as much of it as is known.
pub fn source(commits: &str, since: &str) -> String {
    match (commits, since) {
        (commits, "") => commits.to_owned(),
        ("", since) => format!("({since})"),
        (commits, since) => format!("{commits} ({since})"),
    }
}

/// The key of a policy's defects.
pub const DEFECT: &str = "defect";
/// The key of the verbs that a policy lacks.
pub const LACKS: &str = "lacks";

/// What `to` answers otherwise than `from`: knobs, then details, then verbs, then defects.
pub fn diff(from: &Policy, to: &Policy) -> Vec<Difference> {
    let knobs = KNOBS.iter().filter(|knob| knob.get(from) != knob.get(to));
    let knobs = knobs.map(|knob| Difference::Knob { knob, from: knob.value(from), to: knob.value(to) });
    let verbs = Feature::VARIANTS.iter().filter(|feature| from.lacks.has(**feature) != to.lacks.has(**feature));
    let verbs = verbs.map(|feature| Difference::Verb { feature: *feature, gained: from.lacks.has(*feature) });
    let defects = Defect::VARIANTS.iter().filter(|defect| from.defects.has(**defect) != to.defects.has(**defect));
    let defects = defects.map(|defect| Difference::Defect { defect: *defect, gained: to.defects.has(*defect) });
    knobs.chain(verbs).chain(defects).collect()
}

/// What a defect is, in a sentence or two.
pub fn describe_defect(defect: Defect) -> &'static str {
    let doc = defect.get_documentation().unwrap_or_default();
    doc.split_once(" Home: ").map_or(doc, |(says, _)| says)
}

/// What a verb that a release may lack is.
pub fn describe_feature(feature: Feature) -> &'static str {
    feature.get_documentation().unwrap_or_default()
}
