//! `cowl policies`: what there is, what one is, how two differ.

use super::args::PoliciesCommand;
use super::{Fail, Out};
use crate::policy::{self, KNOBS, Kind, Knob, Named, Policy, Value};
use crate::render::{Look, Tone};

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
    let changed: Vec<_> = differing(&before.policy, &named.policy).map(|knob| knob.name).collect();
    match changed.is_empty() {
        true => "as the one before, but for its defects".to_owned(),
        false => changed.join(", "),
    }
}

fn differing<'a>(from: &'a Policy, to: &'a Policy) -> impl Iterator<Item = &'static Knob> + 'a {
    KNOBS.iter().filter(|knob| knob.get(from) != knob.get(to))
}

fn show(named: &Named, look: &Look) -> String {
    let mut out = look.paint(Tone::Name, named.name);
    out.push_str(&if named.says.is_empty() { "\n".to_owned() } else { format!("  {}\n", named.says) });
    for knob in KNOBS {
        let value = knob.value(&named.policy);
        out.push_str(&row(knob, &format!("{} = {}", knob.name, value.name), &provenance(&value), look));
    }
    out.push_str(&format!("  {:>3} lacks = {}\n", "D8", named.policy.lacks));
    out.push_str(&format!("      defect = {}\n", named.policy.defects));
    out
}

fn diff(from: &Named, to: &Named, look: &Look) -> String {
    let mut out = format!("{} {}\n{} {}\n", look.paint(Tone::Bad, "-"), from.name, look.paint(Tone::Good, "+"), to.name);
    for knob in differing(&from.policy, &to.policy) {
        let (old, new) = (knob.value(&from.policy), knob.value(&to.policy));
        out.push_str(&format!("\n  {:>3} {}: {}\n", knob.number(), look.paint(Tone::Name, knob.name), knob.question()));
        for (sign, tone, value) in [("-", Tone::Bad, old), ("+", Tone::Good, new)] {
            let first = format!("    {sign} {}  ", value.name);
            let rest = " ".repeat(8);
            let text = look.wrap(&format!("{} {}", value.doc, bracketed(&provenance(&value))), &first, &rest);
            out.push_str(&text.replacen(
                &format!("{sign} {}", value.name),
                &look.paint(tone, &format!("{sign} {}", value.name)),
                1,
            ));
        }
    }
    for (what, old, new) in [
        ("lacks", from.policy.lacks.to_string(), to.policy.lacks.to_string()),
        ("defect", from.policy.defects.to_string(), to.policy.defects.to_string()),
    ] {
        let only = |of: &str, other: &str| -> String {
            let items = of.split(", ").filter(|item| *item != "none" && !other.split(", ").any(|other| other == *item));
            items.collect::<Vec<_>>().join(", ")
        };
        let (lost, won) = (only(&old, &new), only(&new, &old));
        if old != new {
            out.push_str(&format!("\n      {}\n", look.paint(Tone::Name, what)));
        }
        for (sign, tone, items) in [("-", Tone::Bad, lost), ("+", Tone::Good, won)] {
            if !items.is_empty() {
                out.push_str(&format!("    {} {items}\n", look.paint(tone, sign)));
            }
        }
    }
    if from.policy == to.policy {
        out.push_str("\n  they are the same\n");
    }
    out
}

fn knobs(look: &Look) -> String {
    let mut out = String::new();
    for knob in KNOBS {
        let home = knob.home().map_or("not built yet".to_owned(), |home| format!("home: {home}"));
        out.push_str(&format!(
            "{:>3} {}  {}\n",
            knob.number(),
            look.paint(Tone::Name, knob.name),
            look.paint(Tone::Dim, &home)
        ));
        out.push_str(&look.wrap(knob.question(), "    ", "    "));
        for value in knob.values() {
            let text = format!("{} {}", value.doc, bracketed(&provenance(&value)));
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

/// Whence a value came: release and commits, or who proposed it.
fn provenance(value: &Value) -> String {
    let since = if value.since.is_empty() { String::new() } else { format!("since {}", value.since) };
    let proposed = if value.proposed.is_empty() { String::new() } else { format!("proposed: {}", value.proposed) };
    let removed = if value.removed.is_empty() { String::new() } else { format!("removed: {}", value.removed) };
    let parts = [since, value.commits.to_owned(), proposed, removed];
    parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("; ")
}

fn bracketed(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("[{text}]") }
}
