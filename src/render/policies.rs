//! Every knob, detail, verb and defect as a page of the book.

use strum::VariantArray;

use super::compress;
use crate::policy::{self, Defect, Feature, KNOBS, Kind, Knob, Policy};

/// The page as Markdown: for each knob its question, its home, its values, and who has which.
///
/// A test holds the page in the book against it, so that the page is never older than the policies.
pub fn knobs_page() -> String {
    let mut out = "# Knobs\n\n<!-- Written by `render::policies::knobs_page`; do not edit. -->\n\n".to_owned();
    out.push_str(
        "A policy answers each of these questions. `cowl policies show P` shows one policy's answers.\n\n## Design\n\n",
    );
    for knob in KNOBS.iter().filter(|knob| knob.number().starts_with('K')) {
        out.push_str(&section(knob));
    }
    out.push_str("## Details\n\nWhat releases differ in and nobody argued over.\n\n");
    for knob in KNOBS.iter().filter(|knob| knob.number().starts_with('D')) {
        out.push_str(&section(knob));
    }
    out.push_str("### D8 `lacks`\n\nThe verbs that a policy lacks, separated by commas, or `none`.\n\n");
    out.push_str("| word | verbs | lacking in |\n|---|---|---|\n");
    for feature in Feature::VARIANTS {
        let lacking = having(|policy| policy.lacks.has(*feature));
        out.push_str(&format!("| `{feature}` | {} | {lacking} |\n", cell(policy::describe_feature(*feature))));
    }
    out.push_str("\n## Defects\n\n`defect = B15, B21` gives a policy these and no others; `defect = none` gives it none.\n\n");
    out.push_str("| defect | what it is | policies |\n|---|---|---|\n");
    for defect in Defect::VARIANTS {
        let having = having(|policy| policy.defects.has(*defect));
        out.push_str(&format!("| `{defect}` | {} | {having} |\n", cell(policy::describe_defect(*defect))));
    }
    out
}

fn section(knob: &Knob) -> String {
    let (number, name, question, home) = (knob.number(), knob.name, knob.question(), knob.home());
    let mut out = format!("### {number} `{name}`\n\n{question} Decided by `{home}`.\n\n");
    out.push_str("| value | what it does | from | policies |\n|---|---|---|---|\n");
    for (index, value) in knob.values().iter().enumerate() {
        let having = having(|policy| knob.get(policy) == index);
        out.push_str(&format!("| `{}` | {} | {} | {having} |\n", value.name, cell(value.doc), cell(&value.provenance())));
    }
    out.push('\n');
    out
}

/// The built-in policies of which something is so.
fn having(is_so: impl Fn(&Policy) -> bool) -> String {
    let name = |named: &policy::Named| named.name.to_owned();
    let asked: Vec<_> = policy::builtin().iter().map(name).collect();
    let releases = policy::builtin().iter().filter(|named| matches!(named.kind, Kind::Release(..)));
    let releases: Vec<_> = releases.map(name).collect();
    let members: Vec<_> =
        policy::builtin().iter().enumerate().filter(|(_, named)| is_so(&named.policy)).map(|(place, _)| place).collect();
    compress(&asked, &members, &releases)
}

/// Text that keeps to its cell.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use strum::VariantNames;

    use super::knobs_page;
    use crate::policy::{Defect, Feature, KNOBS};

    #[test]
    fn the_page_has_a_row_for_every_value_verb_and_defect() {
        let page = knobs_page();
        let rows: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|row| row.0).collect();
        let values = KNOBS.iter().flat_map(|knob| knob.values()).map(|value| value.name);
        let expected: Vec<_> =
            values.chain(Feature::VARIANTS.iter().copied()).chain(Defect::VARIANTS.iter().copied()).collect();
        assert_eq!(rows, expected);
        assert!(page.lines().filter(|line| line.starts_with('|')).all(|line| matches!(line.matches('|').count(), 4 | 5)));
        assert!(page.contains("| linux-5.9..linux-5.17, linux-5.10-stable, linus-2021, "), "ranges and names");
    }
}
