//! Claims that ship are promised ones.

use super::{CorpusFile, scenario_files};
use crate::check::promise::contradictions;

#[test]
fn no_claim_of_the_corpus_is_contradicted() {
    let files = scenario_files("corpus");
    let (mut complaints, mut claims) = (Vec::new(), 0);
    for CorpusFile { path, lowered, .. } in &files {
        for scenario in &lowered.scenarios {
            let found = contradictions(scenario);
            claims += scenario.program.claims.len();
            assert_eq!(found.incomplete, None, "{path}");
            let said = found.claims.iter().map(|claim| format!("{path}: {}: {claim}: {:?}", scenario.name, claim.labels));
            complaints.extend(said);
        }
    }
    assert_eq!(complaints.join("\n"), "");
    assert!(100 < claims, "{claims} claims in {} files: is the corpus there?", files.len());
}
