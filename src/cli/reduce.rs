//! `cowl reduce`: the smallest scenario that still shows the same.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{Exit, Fail, Out, input, policies};
use crate::campaign::{finding, race, reduce, tell};
use crate::explore;
use crate::generate::scale::{grown, shrunk};
use crate::ir::Scenario;
use crate::lower::{Lowered, lower};
use crate::policy::{self, LATEST_NAME, Policy};
use crate::printer;
use crate::syntax::parse;

/// What to reduce, and under which policy it goes wrong.
#[derive(Args, Debug)]
pub struct Reduce {
    /// A scenario file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The policy under which it goes wrong, built in or defined in the file
    #[arg(long, short, default_value = LATEST_NAME, value_name = "P")]
    pub policy: String,
    /// Only the scenario of this name
    #[arg(long, short, value_name = "NAME")]
    pub scenario: Option<String>,
}

/// Runs the command.
pub fn reduce(args: &Reduce, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let shown = args.file.display();
    let text = input::read(&args.file).map_err(|refused| Fail::Usage(Box::new(refused.finding)))?;
    let (file, mistakes) = parse(&text);
    let (lowered, errors) = lower(&shown.to_string(), &file, &mistakes, &mut input::used);
    if !mistakes.is_empty() || !errors.is_empty() {
        let help = format!("`cowl check {shown}` tells them");
        return Err(Fail::usage("cowl::usage::reduce", format!("`{shown}` has mistakes"), help));
    }
    let policy = under(&lowered, &args.policy)?;
    let wanted = |scenario: &&Scenario| args.scenario.as_ref().is_none_or(|name| scenario.name == *name);
    let scenarios: Vec<&Scenario> = lowered.scenarios.iter().filter(wanted).collect();
    if scenarios.is_empty() {
        let help = "leave --scenario out to reduce the first that goes wrong";
        return Err(Fail::usage("cowl::usage::reduce", format!("`{shown}` has no such scenario"), help));
    }
    for scenario in &scenarios {
        if let Some(found) = shows(scenario, &policy) {
            exit.ran();
            return told(&found, args, &policy, out);
        }
    }
    for scenario in scenarios.iter().filter(|scenario| explore::has_race(&scenario.program)) {
        if let Some(wrong) = race::wrong(scenario, &policy) {
            exit.ran();
            let small = race::reduce(scenario, (&args.policy, &policy), wrong, &scenario.name);
            return out.text(&format!("# schedule: {}\n# signature: {}\n{}", small.schedule, small.signature, small.text));
        }
    }
    let help = "name a policy under which a promise or an invariant breaks; a claim alone is not reduced";
    Err(Fail::usage("cowl::usage::reduce", format!("nothing of `{shown}` goes wrong under {}", args.policy), help))
}

/// What a scenario shows when its lines run one after another.
fn shows(scenario: &Scenario, policy: &Policy) -> Option<finding::Finding> {
    reduce::reduce(&shrunk(&scenario.program), policy)
}

/// A policy by name, of the file or built in.
fn under(lowered: &Lowered, name: &str) -> Result<Policy, Fail> {
    match lowered.policies.iter().find(|user| user.name == name) {
        Some(user) => Ok(user.policy),
        None => policies::find(name).map(|named| named.policy),
    }
}

fn told(found: &finding::Finding, args: &Reduce, policy: &Policy, out: &mut Out<'_>) -> Result<(), Fail> {
    if policy::find(&args.policy).is_none()
        && let Some(latest) = policy::find(LATEST_NAME)
    {
        let needed = reduce::reduced_policy(found, policy, &latest.policy);
        out.text(&format!("policy {} = {} {{\n{}}}\n", args.policy, latest.name, tell::settings(&latest.policy, &needed)))?;
        out.text(&printer::program(&grown(&found.scenario.program)))?;
        return out.text(&format!("# signature: {}\n", found.signature));
    }
    out.text(&tell::finding(found, &args.policy))
}
