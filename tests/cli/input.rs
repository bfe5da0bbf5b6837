//! Files of every kind: a clear message, bounded memory, never a panic.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::{LEAK, cowl, cowl_on, cowl_reads, file, folder};

#[test]
fn a_missing_file_is_named_and_the_nearest_offered() {
    let path = file("missing", LEAK);
    let said = cowl_on("run", &path.with_file_name("missin.cow"), "").ends(2).complains("missin.cow: no such file");
    said.complains("did you mean").complains("missing.cow");
    cowl_on("run", &path.with_file_name("missing"), "").ends(2).complains("missing.cow`?");
    cowl("run no/such/folder/x.cow").ends(2).complains("there is no folder `no/such/folder` either");
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_the_others() {
    let path = file("unreadable", LEAK);
    cowl_on("run /proc/self/mem", &path, "").ends(2).complains("/proc/self/mem: cannot be read").says("1 scenario");
}

#[test]
fn a_file_without_permission_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let path = file("forbidden", LEAK);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("permissions of an own file");
    if fs::read(&path).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    cowl_on("check", &path, "").ends(2).says("permission denied").says("1 mistake");
}

#[test]
fn a_folder_means_its_scenario_files_in_sorted_order() {
    let folder = folder("sorted");
    fs::create_dir_all(folder.join("b/.hidden")).expect("folders");
    for (name, scenario) in
        [("b/2.cow", "b-two"), ("c.cow", "c"), ("b/1.cow", "b-one"), ("a.cow", "a"), ("b/.hidden/x.cow", "x")]
    {
        fs::write(folder.join(name), LEAK.replace("scenario leak", &format!("scenario {scenario}"))).expect("files");
    }
    fs::write(folder.join("notes.txt"), "not a scenario").expect("files");
    let out = cowl_on("run", &folder, "").ends(0).out;
    let places: Vec<_> = ["\na  ", "\nb-one  ", "\nb-two  ", "\nc  "].map(|name| format!("\n{out}").find(name)).to_vec();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {out}");
    assert!(out.contains("4 scenarios") && !out.contains("\nx  "), "{out}");
}

#[test]
fn a_folder_without_scenarios_is_a_mistake() {
    cowl_on("run", &folder("no-files"), "").ends(2).complains("no `.cow` file in this folder").complains("help:");
}

#[test]
fn an_empty_file_has_no_scenario_and_says_what_one_looks_like() {
    for text in ["", "\n\n", "# nothing but this\n", "\u{feff}"] {
        cowl_on("run", &file("empty", text), "").ends(2).complains("no scenario in this file").complains("scenario NAME { … }");
    }
    let said = cowl_reads("run -", "").ends(2);
    said.complains("-: no scenario in this file");
}

#[test]
fn what_is_not_utf8_is_told_with_its_byte() {
    let path = file("not-utf8", b"# fine\nscenario a { \xff }\n");
    cowl_on("run", &path, "").ends(2).complains("byte 20 (line 2) begins no character").complains("\\xNN");
    cowl_on("fmt", &path, "").ends(2).complains("byte 20");
}

#[test]
fn the_mark_before_utf8_is_passed_over_and_line_ends_of_other_systems_too() {
    cowl_reads("run -", format!("\u{feff}{LEAK}")).ends(0).says("1 scenario");
    cowl_reads("run -", LEAK.replace('\n', "\r\n")).ends(0).says("1 scenario");
}

/// 256 MiB of address space are enough for 8 MB of anything: the text, its tree and the mistakes that are kept.
#[test]
fn garbage_is_refused_in_bounded_memory_with_a_bounded_number_of_mistakes() {
    let line = "scenario { } ; == \"\\q 0x -> [ p: frobnicate 99999999999999999999 }\n";
    for (name, text) in [
        ("lines", line.repeat((8 << 20) / line.len())),
        ("one-line", "x".repeat(8 << 20)),
        ("zeros", "\0".repeat(8 << 20)),
        ("open", "{".repeat(8 << 20)),
    ] {
        let path = file(&format!("garbage-{name}"), text);
        let said = limited(&format!("check {}", path.display()), 256 << 10);
        assert_eq!(said.0, Some(2), "{name}: {}", said.1);
        assert!(said.1.len() < 400_000, "{name}: {} bytes of messages", said.1.len());
    }
}

#[test]
fn a_hundred_megabytes_of_garbage_are_refused_from_a_file_and_from_standard_input() {
    const BYTES: usize = 100_000_000;
    let sparse = file("garbage-100-mb", "");
    fs::File::options().write(true).open(&sparse).and_then(|file| file.set_len(BYTES as u64)).expect("a file with a hole");
    let (code, said) = limited(&format!("check {}", sparse.display()), 512 << 10);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("has no meaning here") && said.len() < 400_000, "{} bytes: {said:.2000}", said.len());
    fs::remove_file(sparse).expect("an own file");

    for (garbage, complaint) in [
        (&b"\xfe\x00\xff scenario {"[..], "1 file, 0 scenarios: 1 mistake"),
        (b"lorem ipsum; dolor { sit } ==\n", "901 more mistakes in this file"),
    ] {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {}; exec {} check - 2>&1", 512 << 10, env!("CARGO_BIN_EXE_cowl"))]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let mut stdin = child.stdin.take().expect("a pipe was asked for");
        let piece = garbage.repeat(1 << 16);
        let writer = std::thread::spawn(move || (0..BYTES.div_ceil(piece.len())).try_for_each(|_| stdin.write_all(&piece)));
        let output = child.wait_with_output().expect("the built command ends");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(writer.join().is_ok_and(|written| written.is_ok()), "all of it is read before anything is said");
        assert_eq!(output.status.code(), Some(2), "{said:.2000}");
        assert!(said.contains(complaint) && said.len() < 400_000, "{} bytes: {said:.2000}", said.len());
    }
}

#[test]
fn ctrl_c_ends_a_long_run_with_what_is_known() {
    let known = file("known", LEAK);
    let mut command = super::command();
    command.arg("run").arg(&known).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the built command starts");
    let mut stdin = child.stdin.take().expect("a pipe was asked for");
    let body = "    p: write buf 1\n".repeat(9_000);
    let long = format!("scenario takes-long {{\n    p: mmap buf 1 page\n{body}}}\n");
    assert!(64 << 10 < long.len(), "more than a pipe holds, so that the first file is done when all is written");
    stdin.write_all(long.as_bytes()).expect("the command reads its input");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal to an own child");
    drop(stdin);
    let said = super::Said::new(child.wait_with_output().expect("the built command ends")).ends(3);
    let said = said.says("leak met").complains("stopped by ctrl-C");
    assert!(!said.out.contains("takes-long"), "what had not begun is not run: {}", said.out);
}

#[test]
fn mistakes_past_the_limit_are_counted_and_the_limit_is_named() {
    let path =
        file("many-mistakes", "scenario a {\n    p: frobnicate\n".to_owned() + &"    p: wrote buf 1\n".repeat(150) + "}\n");
    cowl_on("check", &path, "").ends(2).says("more mistakes in this file; 100 are shown (SHOWN_MAX)");
}

#[test]
fn a_hundred_thousand_lines_are_read_and_a_scenario_of_them_is_too_large() {
    let comments = "# a comment\n".repeat(100_000) + LEAK;
    cowl_on("run", &file("many-comments", comments), "").ends(0).says("leak met").says(":100001");
    let body = "    p: write buf 1\n".repeat(100_000);
    let path = file("many-lines", format!("scenario a {{\n    p: mmap buf 1 page\n{body}}}\n"));
    cowl_on("run", &path, "").ends(2).complains("10000");
}

#[test]
fn deep_nesting_is_a_mistake_and_no_overflow() {
    for (name, text) in [
        ("races", "scenario a {\n".to_owned() + &"race {\n".repeat(100_000)),
        ("brackets", "scenario a {\n p: write buf".to_owned() + &"[".repeat(100_000) + " 1\n}\n"),
        ("uses", prepares(5_000)),
    ] {
        let said = cowl_on("check", &file(&format!("deep-{name}"), text), "").ends(2);
        assert!(said.out.len() < 400_000, "{name}: {} bytes of messages", said.out.len());
    }
}

/// A tower of prepares, each of which uses the one below it.
fn prepares(number: usize) -> String {
    let tower: String = (1..number).map(|nth| format!("prepare k{nth}(p) {{ use k{}(p) }}\n", nth - 1)).collect();
    format!("prepare k0(p) {{ p: mmap buf 1 page }}\n{tower}scenario a {{\n use k{}(p)\n p: read buf == 0\n}}\n", number - 1)
}

#[test]
fn nobody_reading_the_result_is_no_reason_to_complain() {
    let mut command = super::command();
    command.args(["run", "corpus/gallery"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the built command starts");
    let mut first = String::new();
    let stdout = child.stdout.take().expect("a pipe was asked for");
    BufReader::with_capacity(16, stdout).read_line(&mut first).expect("a first line");
    let said = child.wait_with_output().expect("the built command ends");
    assert_eq!(String::from_utf8_lossy(&said.stderr), "");
    assert_eq!(said.status.code(), Some(0));
}

/// Runs the command with that many KiB of address space; its code and all it said.
fn limited(arguments: &str, memory_kib: u32) -> (Option<i32>, String) {
    let line = format!("ulimit -v {memory_kib}; exec {} {arguments} 2>&1", env!("CARGO_BIN_EXE_cowl"));
    let output = Command::new("sh").args(["-c", &line]).output().expect("a shell");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}
