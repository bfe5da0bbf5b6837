use std::fmt;

use super::limits::NEAR_MAX;
use crate::policy::nearest;

/// Names that are put into a message at most.
const NAMED_MAX: usize = 8;

/// What could have been meant instead of a word nobody knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Near {
    nearest: Option<String>,
    known: Vec<String>,
}

impl Near {
    /// The nearest of `known` where one is near enough to be a slip of the hand; else all of them, if they are few.
    pub fn among<'w>(said: &str, known: impl IntoIterator<Item = &'w str>) -> Self {
        let mut names: Vec<&str> = known.into_iter().take(NEAR_MAX).collect();
        let nearest = nearest(said, names.iter().copied()).map(str::to_owned);
        names.sort_unstable();
        names.dedup();
        if NAMED_MAX < names.len() {
            names.clear();
        }
        Self { nearest, known: names.into_iter().map(str::to_owned).collect() }
    }

    /// The nearest name, if one is near.
    pub fn nearest(&self) -> Option<&str> {
        self.nearest.as_deref()
    }

    /// A help text: the near name, else `otherwise`.
    pub fn named(&self, otherwise: impl fmt::Display) -> String {
        match &self.nearest {
            Some(name) => format!("did you mean `{name}`?"),
            None => otherwise.to_string(),
        }
    }

    /// A help text: the near name, else the names there are, else `otherwise`.
    pub fn or(&self, otherwise: impl fmt::Display) -> String {
        match (&self.nearest, self.known.as_slice()) {
            (Some(name), _) => format!("did you mean `{name}`?"),
            (None, []) => otherwise.to_string(),
            (None, known) => format!("write {}", one_of(known)),
        }
    }
}

/// Words as a sentence names them: "`ro`, `rw` or `none`".
pub fn one_of<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::Near;

    #[test]
    fn few_names_are_listed_and_many_are_not() {
        assert_eq!(Near::among("qqqq", ["ro", "rw"]).or("none"), "write `ro` or `rw`");
        let many: Vec<String> = (0..20).map(|number| format!("name-{number}")).collect();
        assert_eq!(Near::among("qqqq", many.iter().map(String::as_str)).or("look it up"), "look it up");
    }
}
