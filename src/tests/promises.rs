//! Claims that ship are promised ones.

use std::fs;
use std::path::{Path, PathBuf};

use crate::check::promise::contradictions;
use crate::lower::{Included, lower};
use crate::syntax::parse;

/// All scenario files of a folder, in order of their paths.
fn scenario_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("a folder of the repository").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            scenario_files(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "cow") {
            found.push(entry);
        }
    }
}

#[test]
fn no_claim_of_the_corpus_is_contradicted() {
    let mut files = Vec::new();
    scenario_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"), &mut files);
    let (mut complaints, mut claims) = (Vec::new(), 0);
    for path in &files {
        let text = fs::read_to_string(path).expect("a file of the repository");
        let (tree, mistakes) = parse(&text);
        let mut include = |from: &str, name: &str| {
            let path = Path::new(from).with_file_name(name);
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            Ok(Included { name: path.to_string_lossy().into_owned(), text })
        };
        let (lowered, mistakes) = lower(&path.to_string_lossy(), &tree, &mistakes, &mut include);
        complaints.extend(mistakes.iter().map(|mistake| format!("{}: {mistake:?}", path.display())));
        for scenario in &lowered.scenarios {
            let found = contradictions(scenario);
            claims += scenario.program.claims.len();
            assert_eq!(found.incomplete, None, "{}", path.display());
            complaints.extend(
                found.claims.iter().map(|claim| format!("{}: {}: {claim}: {:?}", path.display(), scenario.name, claim.labels)),
            );
        }
    }
    assert_eq!(complaints.join("\n"), "");
    assert!(100 < claims, "{claims} claims in {} files: is the corpus there?", files.len());
}
