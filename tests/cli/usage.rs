//! Arguments, exit codes, and the same output every time.

use std::fs;

use super::{LEAK, UNMET, command, cowl, cowl_on, cowl_reads, file, folder};

#[test]
fn what_holds_ends_with_0_and_what_is_unmet_with_1() {
    cowl_on("run", &file("held", LEAK), "").ends(0).says("all as expected");
    cowl_on("run", &file("unmet", UNMET), "").ends(1).says("UNMET: expected leak, came ok");
    cowl_on("run", &file("unmet-quiet", LEAK), "-q").ends(0).says("1 scenario, ");
}

#[test]
fn three_mistakes_are_three_diagnostics_and_exit_code_2() {
    let text = "scenario a {\n    p: mmap buf 1 pag\n    p: wrte buf 1\n    q: read buf == 1\n    expect leek on all\n}\n";
    let said = cowl_on("run", &file("three", text), "").ends(2);
    assert!(3 <= said.err.matches("╭─[").count(), "{}", said.err);
    let said = cowl_on("check", &file("three", text), "--format short").ends(2);
    let lines: Vec<_> = said.out.lines().collect();
    assert!(
        3 <= lines.len() && lines.iter().all(|line| line.contains(".cow:") && line.contains(": error[cowl::")),
        "{lines:?}"
    );
}

#[test]
fn bad_input_goes_before_what_is_unmet() {
    let unmet = file("unmet-and-bad", UNMET);
    cowl_on("run", &unmet, "no-such-file.cow").ends(2).says("UNMET").complains("no such file");
}

#[test]
fn where_every_run_is_skipped_nothing_ran() {
    let text = "scenario a {\n    p: mmap buf 1 page\n    p: madvise buf populate_write\n    p: read buf == 0\n}\n";
    cowl_on("run", &file("skipped", text), "--policy linux-5.7").ends(4).says("skip").says("1 skipped");
    cowl_on("run", &file("skipped-in-part", text), "--policy linux-5.7,latest").ends(0);
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_was_meant() {
    let path = file("usage", LEAK);
    cowl("").ends(2).complains("Usage");
    cowl("runs x.cow").ends(2).complains("'run'");
    cowl_on("run", &path, "--trace").ends(2).complains("--format json");
    cowl_on("run", &path, "--policy linux-5.99").ends(2).complains("did you mean `linux-5.9`?");
    cowl_on("run", &path, "--policy linux-5.9..linux-5.7").ends(2).complains("linux-5.7..linux-5.9");
    cowl_on("run", &path, "--scenario lek").ends(2).complains("did you mean `leak`?");
    cowl_on("explain", &path, "--policy andrea-2012").ends(2).complains("andrea-2021");
    cowl("policies show linux-5.99").ends(2).complains("linux-5.9");
    cowl("verbs forkk").ends(2).complains("`fork`");
}

#[test]
fn policies_are_chosen_by_name_by_range_and_by_what_a_file_defines() {
    let text = LEAK.to_owned() + "policy mine = linux-5.8 {\n    gup_ro = plain\n}\n";
    let path = file("chosen", text);
    let policies = |asked: &str| {
        let out = cowl_on("run --format ktap", &path, &format!("--policy {asked}")).out;
        out.lines().filter_map(|line| line.strip_prefix("  ok ")).map(|line| line[2..].trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(policies("linux-5.8..linux-5.11"), ["linux-5.8", "linux-5.9", "linux-5.11"]);
    assert_eq!(policies("linus-2021,..linux-5.8"), ["linux-5.7", "linux-5.8", "linus-2021"]);
    assert_eq!(policies("latest"), ["linux-7.3"]);
    let said = cowl_on("run", &path, "--policy mine").ends(1);
    said.says("leak UNMET 0 copies mine").says("expected ok, came leak");
}

#[test]
fn a_used_file_lies_beside_the_one_that_uses_it() {
    let folder = folder("used");
    fs::create_dir_all(folder.join("lib")).expect("folders");
    fs::write(folder.join("lib/kinds.cow"), "prepare written(p) { p: mmap buf 1 page ; p: write buf 1 }\n").expect("files");
    let text = "use \"lib/kinds.cow\"\nscenario a over written {\n    use over(p)\n    p: read buf == 1\n}\n";
    fs::write(folder.join("a.cow"), text).expect("files");
    cowl_on("run", &folder, "").ends(0).says("a over written").says("1 scenario");
    fs::write(folder.join("lib/kinds.cow"), "prepare written(p) { p: mmap buf 1 pag }\n").expect("files");
    cowl_on("run", &folder.join("a.cow"), "").ends(2).complains("lib/kinds.cow:1:");
    fs::remove_file(folder.join("lib/kinds.cow")).expect("it was there");
    cowl_on("run", &folder.join("a.cow"), "").ends(2).complains("kinds.cow").complains("no such file");
}

#[test]
fn fmt_rewrites_in_place_prints_standard_input_and_with_check_only_lists() {
    let untidy = LEAK.replace("    p: fork c\n", "  p:   fork    c   # go\n");
    let path = file("untidy", &untidy);
    cowl_on("fmt --check", &path, "").ends(1).says("untidy.cow");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), untidy, "--check writes nothing");
    cowl_on("fmt", &path, "").ends(0);
    let tidy = fs::read_to_string(&path).expect("it is there");
    assert!(tidy.contains("    p: fork c") && tidy.contains("# go"), "{tidy}");
    cowl_on("fmt --check", &path, "").ends(0);
    assert_eq!(cowl_reads("fmt -", &untidy).ends(0).out, tidy);
    let wrong = file("wrong", "scenario {");
    cowl_on("fmt", &wrong, "").ends(2).complains("╭─[");
    assert_eq!(fs::read_to_string(&wrong).expect("it is there"), "scenario {", "what cannot be read is not rewritten");
}

#[test]
fn the_corpus_stands_in_canonical_layout() {
    let said = cowl("fmt --check corpus");
    assert_eq!(said.code, Some(0), "`cowl fmt corpus` lays these out: {}", said.out);
}

#[test]
fn explain_tells_what_changed_and_why() {
    let path = file("explained", LEAK);
    let said = cowl_on("explain", &path, "--policy linux-5.7").ends(0);
    let said = said.says("p.buf[0] A: rw -> ro, mapcount 1 -> 2").says("wp::decide_small: reuse: it is the last mapping");
    said.says("reuse_small = map_swap").says("reads \"new\"").says("leak");
    cowl_on("explain", &path, "").ends(0).says("under linux-7.3: ok");
}

#[test]
fn explain_tells_what_happens_to_a_whole_thp_in_one_line() {
    let path = file("explained-thp", LEAK.replace("1 page", "1 thp"));
    let said = cowl_on("explain", &path, "--policy linux-5.7").ends(0);
    said.says("p.buf[0..512] A..SR: rw -> ro, mapcount 1 -> 2, refcount 1 -> 2").says("c.buf[0..512] gone");
}

/// In 5.8 a write fault splits the THP that fork shared, and copies page by page what a device still writes to.
const PINNED_THP: &str = r#"scenario pinned {
    p: mmap buf 1 thp
    p: pin buf rw longterm -> nic
    p: fork c
    p: write buf "new"
    p: peek nic == "new"
}
"#;

#[test]
fn explain_and_run_tell_once_what_is_the_same_on_every_page() {
    let path = file("each-page-copied", PINNED_THP);
    let said = cowl_on("explain", &path, "--policy linux-5.8").ends(1);
    let said = said.says("; 511 more alike").says("pages 0..512: reads ").says("(512 times)");
    assert!(said.out.lines().count() < 60, "{}", said.out);
    cowl_on("run", &path, "--policy linux-5.8").ends(1).says("(512 times)");
}

#[test]
fn output_is_the_same_every_time_and_without_colours_where_nobody_sees_them() {
    let run = |set: Option<(&str, &str)>, arguments: &str| {
        let mut command = command();
        command.args(arguments.split_whitespace()).envs(set);
        String::from_utf8(command.output().expect("the built command starts").stdout).expect("UTF-8")
    };
    let first = run(None, "run corpus/gallery");
    assert_eq!(run(None, "run corpus/gallery"), first);
    assert_eq!(run(Some(("COLUMNS", "20")), "run corpus/gallery"), first);
    assert!(!first.contains('\x1b') && first.lines().all(|line| line.chars().count() <= 120), "{first}");
    assert!(run(None, "run corpus/gallery --color always").contains('\x1b'));
    assert!(!run(Some(("NO_COLOR", "1")), "run corpus/gallery").contains('\x1b'));
}

#[test]
fn every_command_has_help_with_an_example() {
    for name in ["run", "check", "fmt", "explain", "policies", "verbs", "completions", "man"] {
        cowl(&format!("{name} --help")).ends(0).says("Example").says(&format!("cowl {name}"));
    }
    cowl("--help").ends(0).says("Exit codes");
}

#[test]
fn completions_and_the_manual_page_are_made_from_the_arguments() {
    for shell in ["bash", "zsh", "fish"] {
        cowl(&format!("completions {shell}")).ends(0).says("explain");
    }
    cowl("man").ends(0).says(".TH cowl");
}

#[test]
fn policies_are_listed_shown_and_compared() {
    cowl("policies").ends(0).says("linux-5.7").says("andrea-2021").says("linux-6.1-stable");
    cowl("policies show linux-5.19").ends(0).says("reuse_small = excl_or_ref1").says("6c287605fd56");
    cowl("policies diff linux-5.18 linux-5.19").ends(0).says("- ref1_drain").says("+ excl_or_ref1").says("6c287605fd56");
    cowl("policies diff latest linux-7.3").ends(0).says("they are the same");
    cowl("verbs").ends(0).says("vmsplice").says("uffd register");
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn a_file_that_is_no_kernel_is_bad_input_and_where_nothing_can_run_the_exit_code_says_so() {
    let path = file("no-kernel", LEAK);
    let no_kernel = path.with_file_name("no-kernel.cow");
    let said = cowl_on(&format!("kernel run --kernel {}", no_kernel.display()), &path, "").ends(2);
    said.says("not a bootable x86 kernel: give a vmlinuz (bzImage)");
    let held = "scenario a {\n    p: mmap buf 1 page\n    p: write buf 1\n    kernel: hold p.buf -> r\n}\n";
    cowl_on("kernel run", &file("nothing-can-run", held), "").ends(4).says("a transient reference cannot be held from outside");
}
