//! `cowl fuzz --races`: races drawn at random, and every order of each tried.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::explore::Workers;
use super::super::terminal::{Progress, Stop};
use super::super::{Exit, Fail, Out, policies};
use super::{Fuzz, unusable};
use crate::campaign::race::{self, Came, Small};
use crate::explore::Hands;
use crate::generate::Seeded;

/// Programs between two looks at the clock.
const AT_ONCE: u64 = 64;

/// What a campaign of races came to.
#[derive(Default)]
struct Counts {
    programs: u64,
    races: u64,
    open: u64,
    states: u64,
}

/// Runs the campaign.
pub fn races(args: &Fuzz, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    let named = policies::find(&args.policy)?;
    let (stop, began, mut shown) = (Stop::listen(), Instant::now(), Progress::before_the_result());
    let until = args.seconds.map(|seconds| began + Duration::from_secs(seconds));
    let settings = race::settings();
    let one = |nth: u64| -> (u64, Came) {
        let number = args.shard.0 + nth * args.shard.1;
        let drawn = race::draw(&mut Seeded::of(args.seed, number), &settings);
        let name = format!("race-{number}");
        (number, drawn.map_or(Came::NoRace, |program| race::examine(&program, (named.name, &named.policy), &name)))
    };
    let (mut counts, mut found) = (Counts::default(), BTreeMap::<String, (u64, u64, Small)>::new());
    let all = args.programs.unwrap_or(u64::MAX);
    while counts.programs < all && !stop.asked() && until.is_none_or(|until| Instant::now() < until) {
        let end = (counts.programs + AT_ONCE).min(all);
        let numbers = (counts.programs..end).collect();
        counts.programs = end;
        for (number, came) in Workers(args.jobs as usize).map(numbers, &one) {
            match came {
                Came::NoRace => continue,
                Came::Well { states } => counts.states += states,
                Came::Open { states } => (counts.open, counts.states) = (counts.open + 1, counts.states + states),
                Came::Wrong(small) => {
                    counts.states += small.states;
                    found.entry(small.signature.clone()).or_insert((number, 0, *small)).1 += 1;
                }
            }
            counts.races += 1;
        }
        shown.say(&format!("{} programs, {} races, {} kinds found", counts.programs, counts.races, found.len()));
    }
    shown.clear();
    out.text(&format!(
        "races under {}: seed {}, shard {}/{}\n{} programs, {} of them races of {} states, {} too big\n",
        named.name, args.seed, args.shard.0, args.shard.1, counts.programs, counts.races, counts.states, counts.open
    ))?;
    for (number, times, small) in found.values() {
        let saved = save(args, named.name, *number, small).map_err(|error| unusable(&args.dir, &error))?;
        let kind = small.known.map_or("new".to_owned(), |known| format!("known, {known}"));
        out.text(&format!(
            "\n{kind}: {}, {times} times, first in program {number}\n  schedule: {}\n  {saved}\n",
            small.signature, small.schedule
        ))?;
    }
    exit.ran();
    if stop.asked() {
        exit.stopped();
    }
    if counts.races == 0 || found.values().any(|(.., small)| small.known.is_none()) {
        exit.unmet();
    }
    Ok(())
}

/// Writes what was found as a scenario; where.
fn save(args: &Fuzz, policy: &str, number: u64, small: &Small) -> Result<String, std::io::Error> {
    let dir = args.dir.join("races");
    std::fs::create_dir_all(&dir)?;
    let name: String =
        small.signature.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let path = dir.join(format!("{}.cow", name.to_lowercase()));
    let head = format!("# found by `cowl fuzz --races --policy {policy} --seed {}` as program {number}\n", args.seed);
    std::fs::write(&path, format!("{head}# schedule: {}\n{}", small.schedule, small.text))?;
    Ok(shown(&path))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
