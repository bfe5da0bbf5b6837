//! A campaign on disk. Every file is written whole under another name and then renamed, so that no moment to be killed in is a bad one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::campaign::books::{self, Unbalanced};
use crate::campaign::crash::Crash;
use crate::campaign::hunt::{Catch, Claim, Hunt, Plan, Shard};
use crate::campaign::tell;
use crate::cli::{Exit, Fail, Out, input, report};
use crate::diag::Source;
use crate::generate::Settings;
use crate::generate::everything;
use crate::generate::scale::{grown, shrunk};
use crate::ir::Program;
use crate::lower::{UserPolicy, lower};
use crate::policy;
use crate::printer;
use crate::render::Look;
use crate::syntax::parse;

/// The folder of a campaign.
pub struct Store {
    corpus: PathBuf,
    findings: PathBuf,
    root: PathBuf,
}

impl Store {
    /// Opens a campaign's folder, or makes one.
    pub fn open(root: &Path) -> io::Result<Self> {
        let store = Self { corpus: root.join("corpus"), findings: root.join("findings"), root: root.to_owned() };
        fs::create_dir_all(&store.corpus)?;
        fs::create_dir_all(&store.findings)?;
        Ok(store)
    }

    /// Keeps a program that reached something new.
    pub fn keep(&self, program: &Program) -> io::Result<()> {
        let text = printer::program(&grown(program));
        whole(&self.corpus.join(format!("{}.cow", digest(&text))), &text)
    }

    /// Keeps what was caught, as a scenario that says what it expects.
    pub fn caught(&self, plan: &Plan, caught: &Catch) -> io::Result<()> {
        let text = tell::caught(plan, caught);
        let name = caught.finding.signature.name();
        let folder = if caught.known.is_some() { self.findings.join("known") } else { self.findings.clone() };
        fs::create_dir_all(&folder)?;
        let key = digest(&caught.finding.signature.to_string());
        whole(&folder.join(format!("{name}-{}.cow", &key[..8])), &text)
    }

    /// Keeps a program whose books do not add up, with its policy.
    pub fn unbalanced(&self, plan: &Plan, found: &Unbalanced) -> io::Result<()> {
        let folder = self.findings.join("books");
        fs::create_dir_all(&folder)?;
        let name = format!("{}-breaks-{}", books::verb(found).keyword().replace([' ', '_'], "-"), found.rule.id.to_lowercase());
        whole(&folder.join(format!("{name}.cow")), &tell::unbalanced(plan, found))
    }

    /// Keeps a program at which this crate itself gave up.
    pub fn crashed(&self, plan: &Plan, key: &str, crash: &Crash) -> io::Result<()> {
        let folder = self.findings.join("panics");
        fs::create_dir_all(&folder)?;
        whole(&folder.join(format!("panic-{}.cow", &digest(key)[..8])), &tell::crash(plan, crash))
    }

    /// Says how far a campaign is.
    pub fn progress(&self, hunt: &Hunt) -> io::Result<()> {
        let (plan, counts) = (&hunt.plan, hunt.counts);
        let text = serde_json::json!({
            "seed": plan.seed,
            "policy": plan.policy_name,
            "shard": [plan.shard.nth, plan.shard.of],
            "next": hunt.next,
            "programs": counts.programs,
            "operations": counts.operations,
            "wrong": counts.wrong,
            "cut_short": counts.cut_short,
        });
        whole(&self.state(plan), &format!("{text}\n"))
    }

    fn state(&self, plan: &Plan) -> PathBuf {
        let Shard { nth, of } = plan.shard;
        self.root.join(format!("state-{}-{}-{nth}-of-{of}.json", plan.policy_name, plan.seed))
    }

    /// Takes up what was saved: how far it was, and every program that was kept.
    pub fn resume(&self, hunt: &mut Hunt) {
        if let Some(saved) = read_json(&self.state(&hunt.plan)) {
            let number = |key: &str| saved.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
            hunt.next = number("next");
            let counts = &mut hunt.counts;
            (counts.programs, counts.operations) = (number("programs"), number("operations"));
            (counts.wrong, counts.cut_short) = (number("wrong"), number("cut_short"));
        }
        for program in programs_of(&self.corpus) {
            hunt.seed(program);
        }
        for folder in [self.findings.clone(), self.findings.join("known"), self.findings.join("panics")] {
            programs_of(&folder).iter().for_each(|program| hunt.catch_again(program));
        }
        for (program, policies) in texts(&self.findings.join("books")).iter().flat_map(said) {
            policies.iter().for_each(|user| hunt.audit_again(&program, &user.policy));
        }
    }
}

fn read_json(path: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a file so that it is there whole or not at all.
fn whole(path: &Path, text: &str) -> io::Result<()> {
    if path.exists() && fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    let beside = path.with_extension(format!("{:?}.tmp", std::thread::current().id()).replace(['(', ')'], ""));
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

/// 16 hexadecimal digits of a text, the same on every machine.
fn digest(text: &str) -> String {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
    hasher.write(text.as_bytes());
    format!("{:016x}", hasher.finish())
}

/// The programs of the `.cow` files of a folder, in the order of their names.
fn programs_of(folder: &Path) -> Vec<Program> {
    texts(folder).iter().flat_map(programs).collect()
}

/// The `.cow` files of a folder, in the order of their names.
fn texts(folder: &Path) -> Vec<Source> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "cow"));
    paths.sort();
    let read = |path: &PathBuf| fs::read_to_string(path).ok().map(|text| Source::new(input::name(path), text));
    paths.iter().filter_map(read).collect()
}

/// The programs of a text, as a small world has them; none of the scenarios that have a mistake.
fn programs(source: &Source) -> Vec<Program> {
    said(source).into_iter().map(|(program, _)| program).collect()
}

/// The same, each with the policies of its text.
fn said(source: &Source) -> Vec<(Program, Vec<UserPolicy>)> {
    let (file, mistakes) = parse(&source.text);
    let (lowered, _) = lower(&source.path, &file, &mistakes, &mut input::used);
    let policies = lowered.policies;
    lowered.scenarios.into_iter().map(|scenario| (shrunk(&scenario.program), policies.clone())).collect()
}

/// What the files and folders named by `--seeds` say; what cannot be read is told.
pub fn seeds(paths: &[PathBuf], exit: &mut Exit) -> Vec<Program> {
    let texts = input::texts(paths).filter_map(|text| report::or_complain(text, true, &Look::default(), exit));
    texts.flat_map(|text| programs(&text.source)).collect()
}

/// `cowl fuzz merge`.
pub fn merge(into: &Path, from: &[PathBuf], out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let unusable = |error: io::Error| super::unusable(into, &error);
    let store = Store::open(into).map_err(unusable)?;
    let latest = policy::find(policy::LATEST_NAME).map(|named| named.policy);
    let Some(policy) = latest else { return Ok(()) };
    let shard = Shard { nth: 0, of: 1 };
    let plan = Plan {
        seed: 0,
        shard,
        policy_name: policy::LATEST_NAME.to_owned(),
        policy,
        claim: Claim::Promise,
        settings: Settings::new(everything),
    };
    let mut all = Hunt::new(plan);
    for program in programs_of(&store.corpus) {
        all.seed(program);
    }
    let (mut seen, mut kept, mut findings) = (0_u64, 0_u64, 0_u64);
    for dir in from {
        if !dir.join("corpus").is_dir() {
            let help = "name folders that `cowl fuzz --dir` has made";
            return Err(Fail::usage("cowl::usage::fuzz_dir", format!("`{}` holds no campaign", dir.display()), help));
        }
        for program in programs_of(&dir.join("corpus")) {
            seen += 1;
            if all.seed(program.clone()) {
                store.keep(&program).map_err(unusable)?;
                kept += 1;
            }
        }
        for sort in ["findings", "findings/known", "findings/books", "findings/panics"] {
            findings += copied(&dir.join(sort), &into.join(sort)).map_err(unusable)?;
        }
    }
    exit.ran();
    out.text(&format!(
        "{kept} of {seen} programs reach something new, {findings} findings were not there; all is in {}\n",
        into.display()
    ))
}

/// Copies the scenarios of a folder that another lacks; a finding's name has its signature in it.
fn copied(from: &Path, to: &Path) -> io::Result<u64> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(0) };
    fs::create_dir_all(to)?;
    let mut copied = 0;
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|is| is == "cow")) {
        let Some(name) = path.file_name() else { continue };
        let there = to.join(name);
        if !there.exists() {
            whole(&there, &fs::read_to_string(&path)?)?;
            copied += 1;
        }
    }
    Ok(copied)
}
