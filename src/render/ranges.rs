//! Policies by name, consecutive releases as ranges: the spelling that `expect … on` takes.

/// The names of `members` (places in `asked`), in the order of `asked`; where consecutive `releases` are all there, as a range.
///
/// `all` where every policy asked for is among them and there is more than one.
pub fn compress(asked: &[String], members: &[usize], releases: &[String]) -> String {
    if 1 < members.len() && members.len() == asked.len() {
        return "all".to_owned();
    }
    let place = |member: usize| releases.iter().position(|release| *release == asked[member]);
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for member in members {
        match parts.last_mut() {
            Some((_, last)) if place(*last).is_some_and(|last| place(*member) == Some(last + 1)) => *last = *member,
            _ => parts.push((*member, *member)),
        }
    }
    let newest = releases.len().checked_sub(1);
    let words: Vec<_> = parts
        .into_iter()
        .map(|(first, last)| match (first == last, place(first) == Some(0), place(last) == newest) {
            (true, ..) => asked[first].clone(),
            (false, _, true) => format!("{}..", asked[first]),
            (false, true, false) => format!("..{}", asked[last]),
            (false, false, false) => format!("{}..{}", asked[first], asked[last]),
        })
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::compress;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn consecutive_releases_become_a_range_and_others_stay_names() {
        let releases = names("5.7 5.8 5.9 5.11 5.12");
        let asked = names("5.7 5.8 5.9 5.11 5.12 stable mine");
        let check = |members: &[usize], expect: &str| assert_eq!(compress(&asked, members, &releases), expect);
        check(&[0], "5.7");
        check(&[0, 1], "..5.8");
        check(&[1, 2, 3], "5.8..5.11");
        check(&[0, 2, 3, 4, 6], "5.7, 5.9.., mine");
        check(&[3, 5, 6], "5.11, stable, mine");
        check(&[0, 1, 2, 3, 4], "5.7..");
        check(&[0, 1, 2, 3, 4, 5, 6], "all");
    }

    #[test]
    fn a_release_that_was_not_asked_for_breaks_the_range() {
        let releases = names("5.7 5.8 5.9 5.11");
        let asked = names("5.7 5.9 5.11 mine");
        assert_eq!(compress(&asked, &[0, 1], &releases), "5.7, 5.9");
        assert_eq!(compress(&asked, &[0, 1, 2], &releases), "5.7, 5.9..");
    }
}
