//! Files that are wrong on purpose: what is said about each, word for word.

use std::path::Path;

use cowl::check::promise::contradictions;
use cowl::lower::{Included, lower};
use cowl::syntax::parse;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, NamedSource, Report};

/// A file's mistakes as they are shown, in the order of the text.
fn mistakes(path: &Path) -> Vec<String> {
    let root = path.parent().expect("a file in a folder");
    let text = std::fs::read_to_string(path).expect("a readable file");
    let name = path.strip_prefix(root).expect("a file below its folder").display().to_string();
    let (file, unreadable) = parse(&text);
    let mut include = |from: &str, path: &str| {
        let folder = Path::new(from).parent().unwrap_or(Path::new(""));
        let name = plain(&folder.join(path));
        let text = std::fs::read_to_string(root.join(&name)).map_err(|_| "there is no such file".to_owned())?;
        Ok(Included { name, text })
    };
    let (lowered, wrong) = lower(&name, &file, &unreadable, &mut include);
    let mut found: Vec<(usize, u32, String)> = Vec::new();
    for mistake in unreadable {
        found.push((0, mistake.span().start, shown(mistake, &name, &text)));
    }
    for mistake in wrong {
        let (name, text) = match mistake.file.checked_sub(1) {
            None => (&name, &text),
            Some(used) => (&lowered.files[used].name, &lowered.files[used].text),
        };
        found.push((mistake.file, mistake.span.start, shown(mistake.error, name, text)));
    }
    for scenario in &lowered.scenarios {
        for claim in contradictions(scenario).claims {
            let at = claim.labels.first().map_or(0, |label| label.offset() as u32);
            found.push((0, at, shown(claim, &name, &text)));
        }
    }
    found.sort();
    found.into_iter().map(|(_, _, shown)| shown).collect()
}

/// A path without `..`.
fn plain(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().filter_map(|part| part.to_str()) {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn shown(error: impl Diagnostic + Send + Sync + 'static, name: &str, text: &str) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100).with_links(false);
    let report = Report::new(error).with_source_code(NamedSource::new(name, text.to_owned()));
    let mut out = String::new();
    handler.render_report(&mut out, report.as_ref()).expect("a string takes any text");
    out
}

#[test]
fn every_wrong_file_is_told_what_is_wrong() {
    insta::glob!("bad", "*.cow", |path| {
        let found = mistakes(path);
        assert!(!found.is_empty(), "{} is right", path.display());
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../snapshots/bad");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.remove_snapshot_suffix();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain file name");
        settings.bind(|| insta::assert_snapshot!(name, found.join("\n")));
    });
}

#[test]
fn a_file_named_for_one_mistake_has_one_and_three_mistakes_are_three() {
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad")).expect("the folder of wrong files") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "cow") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain file name").to_owned();
        let expected = if name.starts_with("three-mistakes") { 3 } else { 1 };
        let found = mistakes(&path);
        if found.len() != expected {
            wrong.push(format!("{name} has {} mistakes:\n{}", found.len(), found.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
