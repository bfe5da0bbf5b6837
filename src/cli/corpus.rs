//! `cowl corpus`: fuzz inputs as scenarios that people read, and back.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};

use super::{Exit, Fail, Out, input, policies, report};
use crate::campaign::encode::{Case, decode, encode};
use crate::generate::everything;
use crate::generate::scale::{grown, shrunk};
use crate::generate::{self, Manner, whole};
use crate::ir::{OPS, Program, Slot};
use crate::lower::lower;
use crate::policy::{self, KNOBS, LATEST_NAME, Policy};
use crate::printer;
use crate::syntax::parse;

#[derive(Args, Debug)]
pub struct Corpus {
    #[command(subcommand)]
    pub what: CorpusCommand,
}

#[derive(Subcommand, Debug)]
pub enum CorpusCommand {
    /// Print encoded programs as scenarios
    ToText {
        /// Inputs of the fuzz targets
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Encode the scenarios of files; names become canonical, claims and races are left out, PMDs map four pages
    FromText {
        /// Scenario files, or folders of them
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
        files: Vec<PathBuf>,
        /// Where a file for each scenario is written
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        into: PathBuf,
        /// The policy that is encoded with them
        #[arg(long, short, default_value = LATEST_NAME, value_name = "P")]
        policy: String,
    },
    /// Print the words of the language as a libFuzzer dictionary
    Dictionary,
}

/// Runs the command.
pub fn corpus(args: &Corpus, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    match &args.what {
        CorpusCommand::ToText { files } => to_text(files, out)?,
        CorpusCommand::FromText { files, into, policy } => {
            from_text(files, into, &policies::find(policy)?.policy, out, exit)?;
        }
        CorpusCommand::Dictionary => out.text(&dictionary())?,
    }
    exit.ran();
    Ok(())
}

fn unusable(path: &Path, why: &str, help: &str) -> Fail {
    Fail::usage("cowl::usage::corpus", format!("`{}` {why}", path.display()), help)
}

fn to_text(files: &[PathBuf], out: &mut Out<'_>) -> Result<(), Fail> {
    for path in files {
        let bytes =
            fs::read(path).map_err(|error| unusable(path, &format!("cannot be read: {error}"), "see who may read it"))?;
        let help = "give a file that `cowl corpus from-text` or a fuzz target wrote";
        let case =
            decode(&bytes, &whole(everything), Manner::Exactly).ok_or_else(|| unusable(path, "is no encoded program", help))?;
        out.text(&format!("{}{}", drawn(&case.policy), printer::program(&grown(&case.program))))?;
    }
    Ok(())
}

/// The policy of an encoded program, where it is not the newest release.
fn drawn(policy: &Policy) -> String {
    if let Some(named) = policy::builtin().iter().find(|named| named.policy == *policy) {
        return format!("# policy: {}\n", named.name);
    }
    let Some(latest) = policy::find(LATEST_NAME) else { return String::new() };
    let knobs = KNOBS.iter().filter(|knob| knob.get(policy) != knob.get(&latest.policy));
    let settings: String = knobs.map(|knob| format!("    {} = {}\n", knob.name, knob.value(policy).name)).collect();
    format!("policy drawn = {LATEST_NAME} {{\n{settings}}}\n")
}

fn from_text(files: &[PathBuf], into: &Path, policy: &Policy, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    fs::create_dir_all(into).map_err(|error| unusable(into, &format!("cannot be written: {error}"), "give another folder"))?;
    let (mut written, mut left_out) = (0_u32, 0_u32);
    for text in input::texts(files) {
        let Some(text) = report::or_complain(text, false, &out.errors, exit) else { continue };
        let stem = text.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let (tree, mistakes) = parse(&text.source.text);
        let (lowered, _) = lower(&text.source.path, &tree, &mistakes, &mut input::used);
        for (at, scenario) in lowered.scenarios.iter().enumerate() {
            match encode(&Case { program: plain(&scenario.program), policy: *policy }) {
                Some(bytes) => {
                    let path = into.join(format!("{stem}-{at}"));
                    fs::write(&path, bytes)
                        .map_err(|error| unusable(&path, &format!("cannot be written: {error}"), "give another folder"))?;
                    written += 1;
                }
                None => left_out += 1,
            }
        }
    }
    out.text(&format!("{written} programs encoded, {left_out} left out: too large\n"))
}

/// The words of every verb, one an entry, once each.
fn dictionary() -> String {
    let slots = |slot: &Slot| match slot {
        Slot::OneOf(words) | Slot::Maybe(words) => *words,
        _ => &[],
    };
    let of = |info: &'static crate::ir::OpInfo| {
        let words = info.slots.iter().flat_map(move |slot| slots(slot).iter().copied());
        info.verb.keyword().split(' ').chain(words)
    };
    let grammar =
        ["scenario", "prepare", "policy", "race", "use", "over", "expect", "assert", "title", "origin", "system", "->", "=="];
    let words: BTreeSet<&str> = OPS.iter().flat_map(of).chain(grammar).collect();
    words.into_iter().map(|word| format!("\"{word}\"\n")).collect()
}

/// A program as generators write it.
fn plain(program: &Program) -> Program {
    let program = shrunk(program);
    generate::again(&program, program.code.iter().copied(), &whole(everything), Manner::Exactly)
}
