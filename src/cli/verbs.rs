//! `cowl verbs`: the table of verbs, for people.

use super::{Fail, Out};
use crate::ir::OPS;
use crate::policy::nearest;
use crate::render::{Look, Tone};

/// Runs the command: all verbs, or those asked for.
pub fn verbs(asked: &[String], look: &Look, out: &mut Out<'_>) -> Result<(), Fail> {
    for word in asked {
        let heads = || OPS.iter().flat_map(|info| [Some(info.verb.keyword()), info.verb.keyword().split(' ').next()]).flatten();
        if !heads().any(|head| head == word) {
            let help =
                nearest(word, heads()).map_or("`cowl verbs` lists them".to_owned(), |near| format!("did you mean `{near}`?"));
            return Err(Fail::usage("cowl::usage::verb", format!("there is no verb `{word}`"), help));
        }
    }
    let wanted =
        |keyword: &str| asked.is_empty() || asked.iter().any(|word| word == keyword || keyword.split(' ').next() == Some(word));
    let mut text = String::new();
    let mut before = None;
    for info in OPS.iter().filter(|info| wanted(info.verb.keyword())) {
        if before.replace(info.who) != Some(info.who) {
            let who = format!("said by {}", info.who);
            text.push_str(&format!("{}{}\n", if text.is_empty() { "" } else { "\n" }, look.paint(Tone::Dim, &who)));
        }
        let keyword = format!("{:17}", info.verb.keyword());
        let example = format!("  {keyword} {:38} ", info.example);
        let shown = look.wrap(info.doc, &example, &" ".repeat(example.len()));
        text.push_str(&shown.replacen(&keyword, &look.paint(Tone::Name, &keyword), 1));
    }
    out.text(&text)
}
