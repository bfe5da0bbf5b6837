//! The command line as data: what `--help`, the man page and the completions are made from.

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

/// A language, an engine and a fuzzer for copy-on-write in the Linux kernel.
#[derive(Parser, Debug)]
#[command(
    name = "cowl",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 all held, 1 unmet or unexpected, 2 bad input or usage, 3 stopped, 4 nothing could run.\n\
                  Results go to standard output, all else to standard error.",
    after_long_help = "Examples:\n  \
        cowl run corpus                          every scenario that ships, under every policy\n  \
        cowl run a.cow --policy linux-5.7        one file under one policy\n  \
        cowl explain a.cow --policy linux-5.7    the same, step by step\n  \
        cowl policies diff linux-5.18 linux-5.19 what changed between two releases\n\n\
        Exit codes: 0 all held, 1 unmet or unexpected, 2 bad input or usage, 3 stopped, 4 nothing could run.\n\
        Results go to standard output, all else to standard error. NO_COLOR is honoured."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = false)]
    pub color: When,
}

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

/// A command.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run scenarios under policies and say what came of it
    #[command(after_help = "Examples:\n  \
        cowl run corpus\n  \
        cowl run a.cow --policy linux-5.7,linux-5.9..linux-5.17\n  \
        cowl run a.cow --scenario vmsplice-child --format json --trace\n  \
        cat a.cow | cowl run -\n\n\
        A folder means its `.cow` files. Exit code 1 when an expectation or an assertion is unmet.")]
    Run(Run),
    /// Report mistakes and run nothing
    #[command(after_help = "Examples:\n  cowl check corpus\n  cowl check a.cow --emit ir")]
    Check(Check),
    /// Bring files into canonical layout, in place
    #[command(after_help = "Examples:\n  cowl fmt corpus\n  cowl fmt --check corpus\n  cat a.cow | cowl fmt -\n\n\
        `-` writes to standard output. With --check nothing is written; exit code 1 when a file would change.")]
    Fmt(Fmt),
    /// Tell the story of a scenario: step by step what changed, and why each decision fell as it did
    #[command(
        after_help = "Examples:\n  cowl explain a.cow\n  cowl explain a.cow --policy linux-5.7 --scenario vmsplice-child"
    )]
    Explain(Explain),
    /// Find the smallest program, or the first decision of a scenario, in which two policies part
    #[command(after_help = "Examples:\n  cowl diff linux-6.1 linux-6.2\n  cowl diff linux-5.18 linux-5.19 corpus/gallery\n\n\
        Without a file every program of one statement is tried, then of two, and so on; then programs are drawn.")]
    Diff(super::diff::Diff),
    /// Hunt for programs that break a promise or an invariant
    #[command(
        after_help = "Examples:\n  cowl fuzz --seconds 60\n  cowl fuzz --policy linux-5.9 --programs 100000 --seed 7\n  \
        cowl fuzz --seconds 3600 --jobs 8 --shard 3/100 --dir /scratch/cowl\n  cowl fuzz merge all /scratch/cowl*\n  cowl fuzz --bank\n\n\
        Everything found is reduced and saved at once; the same command goes on where it was. Exit code 1 when\n\
        something is found that is not known."
    )]
    Fuzz(super::fuzz::Fuzz),
    /// Fuzz inputs as scenarios that people read, and back
    #[command(after_help = "Examples:\n  cowl corpus from-text corpus --into seeds\n  cowl corpus to-text seeds/basic-cow-0")]
    Corpus(super::corpus::Corpus),
    /// Make a scenario that goes wrong as small as it can be and still go wrong in the same way
    #[command(
        after_help = "Examples:\n  cowl reduce cowl-fuzz/findings/x.cow\n  cowl reduce a.cow --policy linux-5.9 > small.cow"
    )]
    Reduce(super::reduce::Reduce),
    /// Try every interleaving of the races of scenarios, and say which outcomes come in all, some or none
    #[command(
        after_help = "Examples:\n  cowl explore a.cow --policy linux-5.9\n  cowl explore a.cow --scenario gup-fast --naive\n  \
        cowl explore a.cow --policy latest --states 1000000 --jobs 2\n  \
        cowl explore a.cow --random pct --schedules 100000 --seed 7\n  \
        cowl explore a.cow --shard 3/100 --format json > part-3.json\n  cowl explore merge part-*.json\n\n\
        Exit code 1 when an expectation is unmet, 3 when a bound left something open."
    )]
    Explore(Explore),
    /// Carry out one schedule that `cowl explore` printed, and show its lanes side by side
    #[command(after_help = "Example:\n  \
        cowl replay a.cow --policy linux-5.9 --schedule \"parent at fork:dup; parent/2 ends\"")]
    Replay(Replay),
    /// List the policies, show one, or compare two
    #[command(
        after_help = "Examples:\n  cowl policies\n  cowl policies show linux-5.19\n  cowl policies diff linux-5.18 linux-5.19"
    )]
    Policies(Policies),
    /// Run scenarios on real kernels, and hold the engine against them
    #[command(after_help = "Examples:\n  cowl kernel probe\n  cowl kernel run corpus/basics\n  \
        cowl kernel compare corpus\n  cowl kernel compare a.cow --policy linux-6.12 --format json\n\n\
        As root all facts of a page are compared, else only what processes read. Exit code 4 when nothing could run.")]
    Kernel(Kernel),
    /// List what can be said in a scenario
    #[command(after_help = "Examples:\n  cowl verbs\n  cowl verbs fork pin")]
    Verbs {
        /// Only these
        verbs: Vec<String>,
    },
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  cowl completions bash > ~/.local/share/bash-completion/completions/cowl")]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    #[command(after_help = "Example:\n  cowl man | man -l -")]
    Man,
}

/// Files, and which of their scenarios.
#[derive(Args, Debug)]
pub struct Inputs {
    /// Files, folders of `.cow` files, or `-` for standard input
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    pub inputs: Inputs,
    /// Policies: names, ranges such as `linux-5.9..linux-5.17` or `linux-6.0..`, or `all`
    #[arg(long, short, value_name = "P,…", value_delimiter = ',')]
    pub policy: Vec<String>,
    /// Only the scenario of this name
    #[arg(long, short, value_name = "NAME")]
    pub scenario: Option<String>,
    /// How to say it
    #[arg(long, short, default_value = "text", value_name = "FORMAT")]
    pub format: Format,
    /// With --format json: after each line, the facts of every page
    #[arg(long)]
    pub trace: bool,
    /// With --format text: only scenarios in which something is unmet
    #[arg(long, short)]
    pub quiet: bool,
}

/// A form of output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// Tables for people
    Text,
    /// As docs/cowl-run.schema.json describes it
    Json,
    /// The kernel's test format
    Ktap,
    /// JUnit XML, for CI systems
    Junit,
    /// One line for each mistake and each unmet expectation
    Short,
}

#[derive(Args, Debug)]
pub struct Check {
    #[command(flatten)]
    pub inputs: Inputs,
    /// Print what the scenarios mean to the machine
    #[arg(long, value_name = "WHAT")]
    pub emit: Option<Emit>,
    /// How to say it
    #[arg(long, short, default_value = "text", value_name = "FORMAT")]
    pub format: CheckFormat,
}

/// What `cowl check` prints besides mistakes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Emit {
    /// The flat list of instructions
    Ir,
}

/// How `cowl check` reports mistakes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum CheckFormat {
    /// With the lines they speak of
    Text,
    /// file:line:col: error[code]: text
    Short,
}

#[derive(Args, Debug)]
pub struct Fmt {
    #[command(flatten)]
    pub inputs: Inputs,
    /// Write nothing; list the files that would change
    #[arg(long)]
    pub check: bool,
}

#[derive(Args, Debug)]
pub struct Explain {
    #[command(flatten)]
    pub inputs: Inputs,
    /// The policy; the newest release if left out
    #[arg(long, short, default_value = "latest", value_name = "P")]
    pub policy: String,
    /// Only the scenario of this name
    #[arg(long, short, value_name = "NAME")]
    pub scenario: Option<String>,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Explore {
    #[command(subcommand)]
    pub what: Option<ExploreCommand>,
    /// Files, folders of `.cow` files, or `-` for standard input
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Policies: names, ranges, or `all`; those that the expectations name, and the newest, if left out
    #[arg(long, short, value_name = "P,…", value_delimiter = ',')]
    pub policy: Vec<String>,
    /// Only the scenario of this name
    #[arg(long, short, value_name = "NAME")]
    pub scenario: Option<String>,
    /// Stop at paths of this many steps
    #[arg(long, value_name = "N")]
    pub depth: Option<u32>,
    /// Only schedules that leave an actor which could go on at most this often
    #[arg(long, value_name = "N")]
    pub switches: Option<u8>,
    /// Stop at this many states
    #[arg(long, value_name = "N")]
    pub states: Option<u64>,
    /// Stop after this time
    #[arg(long, value_name = "S")]
    pub seconds: Option<u64>,
    /// Stop when this much memory is taken
    #[arg(long, value_name = "MB", default_value_t = 4096)]
    pub memory: usize,
    /// Workers; the result is the same for any number
    #[arg(long, short, value_name = "N", default_value_t = 1)]
    pub jobs: usize,
    /// Leave nothing out: every state, every step
    #[arg(long)]
    pub naive: bool,
    /// Tell states apart by all they are, not by 64 bits of it
    #[arg(long)]
    pub exact: bool,
    /// Not all schedules, but some that are drawn at random, for races too big to try all of
    #[arg(long, value_name = "HOW", conflicts_with_all = ["depth", "switches", "states", "naive", "exact", "shard"])]
    pub random: Option<Random>,
    /// How many schedules are drawn
    #[arg(long, value_name = "N", default_value_t = 10_000, requires = "random")]
    pub schedules: u64,
    /// What all choices are made from
    #[arg(long, value_name = "S", default_value_t = 1, requires = "random")]
    pub seed: u64,
    /// With pct: how often in a schedule the actor that goes on falls behind all others
    #[arg(long, value_name = "N", default_value_t = 2, requires = "random")]
    pub changes: u8,
    /// Only a part of all schedules: `0/8` is the first of eight; the parts are joined by `cowl explore merge`
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<(u32, u32)>,
    /// How to say it
    #[arg(long, short, default_value = "text", value_name = "FORMAT")]
    pub format: ExploreFormat,
    /// A table of scenarios, policies, states, steps and outcomes, as the book has it
    #[arg(long)]
    pub table: bool,
}

#[derive(Subcommand, Debug)]
pub enum ExploreCommand {
    /// Join what the shards of a search wrote with `--format json`, and say what all of them found
    Merge {
        /// What each shard wrote
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
        /// How to say it
        #[arg(long, short, default_value = "text", value_name = "FORMAT")]
        format: ExploreFormat,
    },
}

/// How schedules are drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Random {
    /// Each actor that can go on is as likely
    Uniform,
    /// By priorities that change a few times (PCT), which finds what few changes lead to
    Pct,
}

/// How `cowl explore` says what it found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ExploreFormat {
    /// A verdict, and a schedule for each ending
    Text,
    /// A JSON object for each scenario and policy, one a line, as docs/cowl-explore.schema.json describes it
    Json,
}

fn shard(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once('/').and_then(|(nth, of)| Some((nth.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((nth, of)) if nth < of && of <= 10_000 => Ok((nth, of)),
        _ => Err("write `0/8` for the first of eight shards, `7/8` for the last; there are 10000 at most".to_owned()),
    }
}

#[derive(Args, Debug)]
pub struct Replay {
    #[command(flatten)]
    pub inputs: Inputs,
    /// The policy; the newest release if left out
    #[arg(long, short, default_value = "latest", value_name = "P")]
    pub policy: String,
    /// Only the scenario of this name
    #[arg(long, short, value_name = "NAME")]
    pub scenario: Option<String>,
    /// The schedule: who runs until where
    #[arg(long, value_name = "TURNS", default_value = "")]
    pub schedule: String,
}

#[derive(Args, Debug)]
pub struct Policies {
    #[command(subcommand)]
    pub what: Option<PoliciesCommand>,
}

#[derive(Subcommand, Debug)]
pub enum PoliciesCommand {
    /// Every knob of a policy, and where its value came from
    Show {
        #[arg(value_name = "P")]
        policy: String,
    },
    /// The knobs in which two policies differ, with the commits that changed them
    Diff {
        #[arg(value_name = "P")]
        from: String,
        #[arg(value_name = "Q")]
        to: String,
    },
    /// Every knob with all its values
    Knobs,
}

#[derive(Args, Debug)]
pub struct Kernel {
    #[command(subcommand)]
    pub what: KernelCommand,
}

#[derive(Subcommand, Debug)]
pub enum KernelCommand {
    /// What the running kernel and this user can realise and see, and why not
    Probe {
        /// How to say it
        #[arg(long, short, default_value = "text", value_name = "FORMAT")]
        format: KernelFormat,
        /// Not the running kernel but this one in a virtual machine: a vmlinuz, or the series of one that `tools/fetch-kernels`
        /// got (`5.10`)
        #[arg(long, value_name = "KERNEL", value_hint = ValueHint::FilePath)]
        kernel: Option<PathBuf>,
        /// Try also what changes settings of the machine: swap, huge pages, THP, KSM; they are restored
        #[arg(long)]
        allow_system: bool,
    },
    /// Run scenarios on the running kernel and judge them by what was promised
    Run(OnKernel),
    /// Run scenarios on the running kernel and in the engine, and compare every fact after every line
    Compare(OnKernel),
    /// Draw random programs, run them on the running kernel and in the engine, and reduce what differs
    #[command(after_help = "Examples:\n  cowl kernel fuzz --seconds 120 --seed 1\n  cowl kernel fuzz --programs 1000\n\n\
        Exit code 1 when a program differs; it is written to the folder of --out and shown by `cowl kernel compare`.")]
    Fuzz(super::kernel_fuzz::KernelFuzz),
    /// Run as the first process of a virtual machine
    #[command(hide = true)]
    Init,
    /// Serve a runner on standard input and output
    #[command(hide = true)]
    Agent,
}

#[derive(Args, Debug)]
pub struct OnKernel {
    #[command(flatten)]
    pub inputs: Inputs,
    /// Only the scenario of this name
    #[arg(long, short, value_name = "NAME")]
    pub scenario: Option<String>,
    /// The policy to compare with and whose expectations count; the nearest to the running release if left out
    #[arg(long, short, value_name = "P")]
    pub policy: Option<String>,
    /// How to say it
    #[arg(long, short, default_value = "text", value_name = "FORMAT")]
    pub format: KernelFormat,
    /// Let scenarios change settings of the machine: swap, huge pages, THP, KSM; they are restored, however the run ends
    #[arg(long)]
    pub allow_system: bool,
    /// How many rounds a scenario with a race is run in (`run` alone: a comparison runs the engine's one order); 1000 where it
    /// is not said, 100 in a virtual machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: Option<u32>,
    /// What the delays of racing threads come from
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Write what was seen, a row for each scenario, to this file
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Say where the time went
    #[arg(long)]
    pub times: bool,
    /// Not on the running kernel but on this one in a virtual machine: a vmlinuz, the series of one that
    /// `tools/fetch-kernels` got (`5.10`), or `all` of these; may be given again, for a table
    #[arg(long = "kernel", value_name = "KERNEL", value_hint = ValueHint::FilePath)]
    pub kernels: Vec<PathBuf>,
    /// How many virtual machines at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub jobs: u8,
}

/// How results of real kernels are said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum KernelFormat {
    /// For people
    Text,
    /// A JSON object for each scenario, one a line
    Json,
    /// The kernel's test format, version 1
    Ktap,
    /// JUnit XML, for CI systems
    Junit,
}
