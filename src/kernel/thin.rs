//! What is known of pages, made short for the way: large folios have many pages, of which most are as before and like their
//! neighbours, and the port of a virtual machine is slow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wire::{Fact, Facts, Ran};

/// A run whose facts are told in short.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Thin {
    /// All but the facts.
    ran: Ran,
    /// Of each line.
    facts: Vec<Vec<Stretch>>,
}

/// Pages of which the same is known, but that their frames may follow each other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Stretch {
    /// The first: `p.buf[0]`. The number of each next one is greater by one.
    #[serde(rename = "p")]
    page: String,
    #[serde(rename = "n", default = "one", skip_serializing_if = "is_one")]
    len: u32,
    /// The letter of each next page's frame is the next one.
    #[serde(rename = "l", default, skip_serializing_if = "is_not")]
    letters: bool,
    /// `None` where each page is as it was after the line before.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    facts: Option<Facts>,
}

fn one() -> u32 {
    1
}

fn is_one(len: &u32) -> bool {
    *len == 1
}

fn is_not(letters: &bool) -> bool {
    !*letters
}

/// `A`, `B`, … `Z`, `AA`.
pub fn letter(number: u32) -> String {
    let last = char::from(b'A' + (number % 26) as u8);
    match number / 26 {
        0 => last.to_string(),
        more => format!("{}{last}", letter(more - 1)),
    }
}

/// The number of a letter; `None` where it is none.
fn number(letter: &str) -> Option<u32> {
    let digits = letter.bytes().map(|byte| byte.is_ascii_uppercase().then(|| u32::from(byte - b'A') + 1));
    let number = digits.into_iter().try_fold(0_u32, |sum, digit| sum.checked_mul(26)?.checked_add(digit?))?;
    number.checked_sub(1)
}

/// `p.buf[` and 3 of `p.buf[3]`.
fn numbered(page: &str) -> Option<(&str, u32)> {
    let place = page.find('[')? + 1;
    Some((&page[..place], page[place..].strip_suffix(']')?.parse().ok()?))
}

/// The frame that is known of a page.
fn frame(facts: &Facts) -> Option<u32> {
    match &facts.frame {
        Some(Fact::Observed(Some(letter))) => number(letter),
        _ => None,
    }
}

/// Whether what is known of two pages is the same but for their frames.
fn alike(a: &Facts, b: &Facts) -> bool {
    let Facts {
        value,
        frame: _,
        kind,
        present,
        swapped,
        writable,
        dirty,
        soft_dirty,
        uffd_wp,
        mapcount,
        refcount,
        pincount,
        exclusive,
    } = a;
    (value, kind, present, swapped, writable, dirty) == (&b.value, &b.kind, &b.present, &b.swapped, &b.writable, &b.dirty)
        && (soft_dirty, uffd_wp, mapcount) == (&b.soft_dirty, &b.uffd_wp, &b.mapcount)
        && (refcount, pincount, exclusive) == (&b.refcount, &b.pincount, &b.exclusive)
}

/// Whether a page can stand in a stretch behind another, and then whether its letter is the next one.
fn follows(before: Option<&Facts>, facts: Option<&Facts>) -> Option<bool> {
    match (before, facts) {
        (None, None) => Some(false),
        (Some(before), Some(facts)) if alike(before, facts) => match (frame(before), frame(facts)) {
            (Some(before), Some(now)) if before.checked_add(1) == Some(now) => Some(true),
            _ => (before.frame == facts.frame).then_some(false),
        },
        _ => None,
    }
}

impl Stretch {
    fn of(page: &str, facts: Option<&Facts>) -> Self {
        Self { page: page.to_owned(), len: 1, letters: false, facts: facts.cloned() }
    }

    /// Takes a page in behind the last, whose facts are given too; false where it does not follow.
    fn take(&mut self, last: Option<&Facts>, page: &str, facts: Option<&Facts>) -> bool {
        let follows = match (numbered(&self.page), numbered(page)) {
            (Some((name, first)), Some((other, number))) if name == other && number == first + self.len => follows(last, facts),
            _ => None,
        };
        match follows {
            Some(letters) if self.len == 1 || self.letters == letters => {
                (self.len, self.letters) = (self.len + 1, letters);
                true
            }
            _ => false,
        }
    }

    /// Its pages, each with what is said of it.
    fn pages(self) -> impl Iterator<Item = (String, Option<Facts>)> {
        let Self { page, len, letters, facts } = self;
        (0..len).map(move |nth| {
            let name = match numbered(&page) {
                Some((name, first)) => format!("{name}{}]", first.saturating_add(nth)),
                None => page.clone(),
            };
            let mut facts = facts.clone();
            if let (true, Some(facts)) = (letters, &mut facts) {
                facts.frame = frame(facts).map(|frame| Fact::Observed(Some(letter(frame.saturating_add(nth)))));
            }
            (name, facts)
        })
    }
}

impl Thin {
    /// Leaves out what is known of a page where it is as after the line before, and tells pages that are alike once.
    pub fn of(mut ran: Ran) -> Self {
        let told: Vec<Vec<(String, Facts)>> = ran.lines.iter_mut().map(|line| std::mem::take(&mut line.facts)).collect();
        let mut known: BTreeMap<&str, &Facts> = BTreeMap::new();
        let mut facts = Vec::with_capacity(told.len());
        for pages in &told {
            let (mut stretches, mut last) = (Vec::<Stretch>::new(), None);
            for (page, facts) in pages {
                let facts = (known.insert(page, facts) != Some(facts)).then_some(facts);
                if !stretches.last_mut().is_some_and(|stretch| stretch.take(last, page, facts)) {
                    stretches.push(Stretch::of(page, facts));
                }
                last = facts;
            }
            facts.push(stretches);
        }
        Self { ran, facts }
    }

    /// Of which job it is.
    pub fn id(&self) -> u64 {
        self.ran.id
    }

    /// Puts in again what was left out.
    pub fn full(self) -> Ran {
        let Self { mut ran, facts } = self;
        let mut known: BTreeMap<String, Facts> = BTreeMap::new();
        for (line, stretches) in ran.lines.iter_mut().zip(facts) {
            for (page, facts) in stretches.into_iter().flat_map(Stretch::pages) {
                let facts = facts.or_else(|| known.get(&page).cloned()).unwrap_or_default();
                known.insert(page.clone(), facts.clone());
                line.facts.push((page, facts));
            }
        }
        ran
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::wire::{Ended, Line, Times};

    fn facts(frame: Option<u32>, count: u32) -> Facts {
        let frame = Some(Fact::Observed(frame.map(letter)));
        Facts { frame, mapcount: Some(Fact::Observed(count)), ..Facts::default() }
    }

    fn ran(lines: &[&[(&str, Facts)]]) -> Ran {
        let line = |facts: &&[(&str, Facts)]| Line {
            pc: 0,
            ended: Ended::Ok,
            done: 1,
            seen: Vec::new(),
            faults: None,
            facts: facts.iter().map(|(page, facts)| ((*page).to_owned(), facts.clone())).collect(),
        };
        let lines = lines.iter().map(line).collect();
        Ran { id: 1, lines, stopped: None, unseen: BTreeMap::new(), times: Times::default() }
    }

    #[test]
    fn letters_count_through_and_are_read_back() {
        for (nth, text) in [(0, "A"), (25, "Z"), (26, "AA"), (27, "AB"), (701, "ZZ"), (702, "AAA")] {
            assert_eq!((&*letter(nth), number(text)), (text, Some(nth)));
        }
        assert_eq!([number(""), number("a"), number("none")], [None; 3]);
    }

    #[test]
    fn facts_that_are_as_before_are_left_out_and_put_in_again() {
        let ran = ran(&[
            &[("a", facts(None, 1)), ("b", facts(None, 1))],
            &[("a", facts(None, 1)), ("b", facts(None, 2))],
            &[],
            &[("a", facts(None, 1)), ("b", facts(None, 1))],
        ]);
        let thin = Thin::of(ran.clone());
        let told: Vec<usize> =
            thin.facts.iter().map(|line| line.iter().filter(|stretch| stretch.facts.is_some()).count()).collect();
        assert_eq!(told, [2, 1, 0, 1]);
        assert_eq!(thin.full(), ran);
    }

    #[test]
    fn pages_that_are_alike_or_whose_frames_follow_each_other_are_told_once() {
        let page = |nth: u32| format!("p.m[{nth}]");
        let names: Vec<String> = (0..8).map(page).collect();
        let named = |all: [Facts; 8]| names.iter().map(String::as_str).zip(all).collect::<Vec<_>>();
        let follow = named([25, 26, 27, 28, 9, 9, 9, 3].map(|frame| facts(Some(frame), 1)));
        let absent = named([0; 8].map(|_| facts(None, 0)));
        let mut gap = follow.clone();
        gap.remove(2);
        for (lines, lens) in [
            (vec![&*follow], vec![vec![4, 3, 1]]),
            (vec![&*absent, &*absent], vec![vec![8], vec![8]]),
            (vec![&*gap], vec![vec![2, 1, 3, 1]]),
            (vec![&*follow, &*gap], vec![vec![4, 3, 1], vec![2, 5]]),
        ] {
            let ran = ran(&lines);
            let thin = Thin::of(ran.clone());
            let told: Vec<Vec<u32>> = thin.facts.iter().map(|line| line.iter().map(|stretch| stretch.len).collect()).collect();
            assert_eq!(told, lens);
            let text = serde_json::to_string(&thin).expect("JSON");
            assert_eq!(serde_json::from_str::<Thin>(&text).expect("JSON").full(), ran);
        }
    }

    #[test]
    fn what_a_stranger_says_is_read_without_harm() {
        let facts = facts(Some(u32::MAX / 26), 1);
        let stretch = Stretch { page: format!("p.m[{}]", u32::MAX), len: 3, letters: true, facts: Some(facts) };
        assert_eq!(stretch.pages().count(), 3);
    }
}
