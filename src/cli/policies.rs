//! `cowl policies`: what there is, what one is, how two differ.

use super::args::PoliciesCommand;
use super::{Fail, Out};
use crate::policy::{self, DEFECT, Difference, KNOBS, Kind, Knob, LACKS, Named};
use crate::render::{Look, Tone};

/// Said of what no part of the engine asks for: setting it changes nothing.
/// Before what only the first policy has.
const MINUS: &str = "    - ";
/// Before what only the second has.
const PLUS: &str = "    + ";
/// Columns of a knob's name.
const KNOB_COLUMNS: usize = 20;

/// Runs the command.
pub fn policies(what: Option<PoliciesCommand>, look: &Look, out: &mut Out<'_>) -> Result<(), Fail> {
    let text = match what {
        None => list(look),
        Some(PoliciesCommand::Show { policy }) => show(find(&policy)?, look),
        Some(PoliciesCommand::Diff { from, to }) => diff(find(&from)?, find(&to)?, look),
        Some(PoliciesCommand::Knobs) => knobs(look),
    };
    out.text(&text)
}

/// The built-in policy of that name.
pub fn find(name: &str) -> Result<&'static Named, Fail> {
    policy::find(name).ok_or_else(|| {
        let names = policy::builtin().iter().map(|named| named.name);
        let help = match policy::nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`cowl policies` lists them".to_owned(),
        };
        Fail::usage("cowl::policy::unknown", format!("there is no policy `{name}`"), help)
    })
}

fn list(look: &Look) -> String {
    let mut out = String::new();
    let columns = policy::builtin().iter().map(|named| named.name.len()).max().unwrap_or(0);
    let mut before = None;
    for named in policy::builtin() {
        let heading = match named.kind {
            Kind::Release(..) => "releases",
            Kind::Stable => "stable trees",
            Kind::Proposal => "proposals",
        };
        if before.replace(heading) != Some(heading) {
            out.push_str(&format!("{}{}\n", if out.is_empty() { "" } else { "\n" }, look.paint(Tone::Dim, heading)));
        }
        let name = format!("{:columns$}", named.name);
        let says = if named.says.is_empty() { changes(named) } else { named.says.to_owned() };
        let first = format!("  {name}  ");
        let text = look.wrap(&says, &first, &" ".repeat(first.len()));
        out.push_str(&text.replacen(&name, &look.paint(Tone::Name, &name), 1));
    }
    out.push_str("\n`cowl policies show P` shows one, `cowl policies diff P Q` compares two.\n");
    out
}

/// The knobs in which a release differs from the one before it.
fn changes(named: &Named) -> String {
    let place = policy::builtin().iter().position(|other| other.name == named.name);
    let Some(before) = place.and_then(|place| place.checked_sub(1)).map(|place| &policy::builtin()[place]) else {
        return "where the story starts: owners are counted by mappings".to_owned();
    };
    let differences = policy::diff(&before.policy, &named.policy);
    let knobs = differences.iter().filter(|difference| matches!(difference, Difference::Knob { .. }));
    let changed: Vec<_> = knobs.map(Difference::name).collect();
    match changed.is_empty() {
        true => "as the one before, but for its defects".to_owned(),
        false => changed.join(", "),
    }
}

fn show(named: &Named, look: &Look) -> String {
    let mut out = look.paint(Tone::Name, named.name);
    out.push_str(&if named.says.is_empty() { "\n".to_owned() } else { format!("  {}\n", named.says) });
    for knob in KNOBS {
        let value = knob.value(&named.policy);
        out.push_str(&row(knob, &format!("{} = {}", knob.name, value.name), &value.provenance(), look));
    }
    out.push_str(&format!("  {:>3} {LACKS} = {}\n", "D8", named.policy.lacks));
    for feature in named.policy.lacks.iter() {
        out.push_str(&item("        ", feature.into(), policy::describe_feature(feature), look));
    }
    out.push_str(&format!("      {DEFECT} = {}\n", named.policy.defects));
    for defect in named.policy.defects.iter() {
        out.push_str(&item("        ", defect.into(), policy::describe_defect(defect), look));
    }
    out
}

fn diff(from: &Named, to: &Named, look: &Look) -> String {
    let mut out = format!("{} {}\n{} {}\n", look.paint(Tone::Bad, "-"), from.name, look.paint(Tone::Good, "+"), to.name);
    let differences = policy::diff(&from.policy, &to.policy);
    let mut before = "";
    for difference in &differences {
        if difference.name() != before {
            out.push_str(&heading(difference, look));
        }
        before = difference.name();
        match difference {
            Difference::Knob { from, to, .. } => {
                out.push_str(&item(MINUS, from.name, from.doc, look));
                out.push_str(&item(PLUS, to.name, to.doc, look));
            }
            // What is lacking is listed: a verb gained is an entry lost.
            Difference::Verb { feature, gained } => {
                let sign = if *gained { MINUS } else { PLUS };
                out.push_str(&item(sign, feature.into(), policy::describe_feature(*feature), look));
            }
            Difference::Defect { defect, gained } => {
                let sign = if *gained { PLUS } else { MINUS };
                out.push_str(&item(sign, defect.into(), policy::describe_defect(*defect), look));
            }
        }
    }
    if differences.is_empty() {
        out.push_str("\n  they are the same\n");
    }
    out
}

/// What a difference is about, and which commits made it.
fn heading(difference: &Difference, look: &Look) -> String {
    let name = look.paint(Tone::Name, difference.name());
    let Difference::Knob { knob, .. } = difference else { return format!("\n      {name}\n") };
    let mut out = format!("\n  {:>3} {name}: {}\n", knob.number(), knob.question());
    let commits = difference.commits();
    if !commits.is_empty() {
        out.push_str(&format!("      {}\n", look.paint(Tone::Dim, &commits)));
    }
    out
}

/// A value, verb or defect, and what it is.
fn item(sign: &str, name: &str, says: &str, look: &Look) -> String {
    look.wrap(says, &format!("{sign}{name}  "), "        ")
}

fn knobs(look: &Look) -> String {
    let mut out = String::new();
    for knob in KNOBS {
        let home = format!("home: {}", knob.home());
        out.push_str(&format!(
            "{:>3} {}  {}\n",
            knob.number(),
            look.paint(Tone::Name, knob.name),
            look.paint(Tone::Dim, &home)
        ));
        out.push_str(&look.wrap(knob.question(), "    ", "    "));
        for value in knob.values() {
            let text = format!("{} {}", value.doc, bracketed(&value.provenance()));
            out.push_str(&look.wrap(&text, &format!("      {}: ", value.name), "        "));
        }
        out.push('\n');
    }
    out
}

fn row(knob: &Knob, setting: &str, said: &str, look: &Look) -> String {
    let first = format!("  {:>3} {setting:width$}  ", knob.number(), width = KNOB_COLUMNS * 2);
    look.wrap(said, &first, &" ".repeat(first.len()))
}

fn bracketed(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("[{text}]") }
}
