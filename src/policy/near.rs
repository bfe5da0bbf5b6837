//! Near misses: what was probably meant.

/// The word of `known` that `said` most likely is a misspelling of.
pub fn nearest<'w>(said: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let allowed = (said.len() / 3).clamp(1, 3);
    let distance = |name: &str| match name {
        _ if name.eq_ignore_ascii_case(said) || name.replace('_', "-") == said.replace('_', "-") => 0,
        _ if 3 <= said.len() && name.starts_with(said) => 1,
        _ => strsim::damerau_levenshtein(said, name),
    };
    let near = |name: &&str| distance(name) <= allowed && (1 < said.len() || distance(name) == 0);
    known.into_iter().filter(near).min_by_key(|name| distance(name))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_hand_is_found_and_another_word_is_not() {
        let verbs = ["munmap", "mmap", "read", "write", "clear_refs"];
        assert_eq!(nearest("wirte", verbs), Some("write"));
        assert_eq!(nearest("unmap", verbs), Some("munmap"));
        assert_eq!(nearest("clear-refs", verbs), Some("clear_refs"));
        assert_eq!(nearest("launch", verbs), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
