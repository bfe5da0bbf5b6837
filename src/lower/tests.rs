//! The examples of the language's own page, and what lowering makes of them.

use super::{Included, Lowered, Mistake, lower};
use crate::syntax::parse;

/// Lowers a text that uses no file.
pub(super) fn lowered(text: &str) -> (Lowered, Vec<Mistake>) {
    let (file, mistakes) = parse(text);
    assert_eq!(mistakes, []);
    lower("test.cow", &file, &mistakes, &mut |_, path| Err(format!("no file {path}")))
}

/// The codes of a text's mistakes, without `cowl::lower::`.
fn codes(text: &str) -> Vec<String> {
    use miette::Diagnostic;
    let (file, mistakes) = parse(text);
    let (_, found) = lower("test.cow", &file, &mistakes, &mut |_, _| Err("no files here".to_owned()));
    let code = |error: &dyn Diagnostic| error.code().map(|code| code.to_string()).unwrap_or_default();
    let codes = mistakes.iter().map(|mistake| code(mistake)).chain(found.iter().map(|found| code(&found.error)));
    codes.map(|code| code.replace("cowl::lower::", "")).collect()
}

const VMSPLICE: &str = r#"
scenario vmsplice-child {
    title  "a child's vmsplice reference sees the parent's later write"
    origin "CVE-2020-29374; B1"

    parent: mmap buf 1 page
    parent: write buf "old"
    parent: fork child
    child:  vmsplice buf -> pipe
    child:  munmap buf
    parent: write buf "new"
    child:  peek pipe == "old"

    expect leak on ..linux-5.7, andrea-2021
    expect ok   on linux-5.8..
}
"#;

#[test]
fn the_first_example_lowers() {
    let (lowered, mistakes) = lowered(VMSPLICE);
    assert_eq!(mistakes, []);
    let scenario = &lowered.scenarios[0];
    assert_eq!(scenario.program.procs, ["parent", "child"]);
    assert_eq!(scenario.program.code.len(), 7);
    assert_eq!(scenario.expects.len(), 3, "leak, ok, and ok for those that no line names");
}

#[test]
fn a_missing_file_is_said() {
    assert_eq!(codes("use \"no.cow\"\nscenario a { p: mmap b 1 page }"), ["unreadable_file"]);
    let _ = Included { name: String::new(), text: String::new() };
}

#[test]
fn the_corpus_lowers() {
    insta::glob!("../../corpus", "**/*.cow", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let (_, mistakes) = lowered(&text);
        assert_eq!(mistakes, [], "{}", path.display());
    });
}
