//! The README and the book say what is so: their scenarios and commands are executed, their tables made from the code's.
//!
//! In a page, a ```` ```cow ```` block is a whole file that runs clean, ```` ```cow,bad ```` one with mistakes, ```` ```cow,unmet ```` one whose
//! expectations fail; `,file=NAME` puts it beside the commands of
//! its page. A ```` ```console ```` block holds `$` commands with their output, in which a line `…` stands for any lines; those that boot
//! kernels are run where `COWL_TEST_KERNEL` is set. With `COWL_DOCS=overwrite` in the environment, outputs without `…` and
//! tables are brought up to date instead of compared.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

mod docs {
    pub mod tables;
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether to write what is the case instead of complaining.
fn overwrites() -> bool {
    std::env::var_os("COWL_DOCS").is_some_and(|word| word == "overwrite")
}

/// Whether machines may be booted: it takes minutes, and the kernels of `tools/fetch-kernels`.
fn boots() -> bool {
    std::env::var_os("COWL_TEST_KERNEL").is_some()
}

/// The README and every page of the book.
fn pages() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("docs/src")).expect("the book is there");
    let mut pages: Vec<PathBuf> = folder.map(|entry| entry.expect("a readable folder").path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.push(root().join("README.md"));
    pages.sort();
    pages
}

/// A fenced block of a page.
#[derive(Clone, PartialEq, Debug)]
struct Block {
    /// The words behind the fence.
    info: Vec<String>,
    text: String,
    /// The first line of the text, counted from 1.
    line: usize,
}

impl Block {
    fn is(&self, word: &str) -> bool {
        self.info.iter().any(|other| other == word)
    }

    fn file(&self) -> Option<&str> {
        self.info.iter().find_map(|word| word.strip_prefix("file="))
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => {
                let info = info.split(',').map(|word| word.trim().to_owned()).collect();
                open = Some(Block { info, text: String::new(), line: number + 2 });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// A command of a console block and the output shown.
#[derive(PartialEq, Debug)]
struct Shown {
    command: String,
    output: String,
}

fn commands(block: &Block) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), shown.last_mut()) {
            (Some(command), _) => shown.push(Shown { command: command.into(), output: String::new() }),
            (None, Some(last)) => last.output += &format!("{line}\n"),
            (None, None) => panic!("a console block begins with `$ `, not with {line:?}"),
        }
    }
    shown
}

/// Whether `output` is as `shown`, in which a line `…` stands for any number of lines.
fn alike(shown: &str, output: &str) -> bool {
    fn from(shown: &[&str], output: &[&str]) -> bool {
        match shown {
            [] => output.is_empty(),
            [first, rest @ ..] if first.trim() == "…" => (0..=output.len()).any(|skipped| from(rest, &output[skipped..])),
            [first, rest @ ..] => {
                output.first().is_some_and(|line| line.trim_end() == first.trim_end()) && from(rest, &output[1..])
            }
        }
    }
    from(&shown.lines().collect::<Vec<_>>(), &output.trim_end().lines().collect::<Vec<_>>())
}

/// Runs the built command in a folder.
fn cowl(folder: &Path, arguments: &[String], input: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cowl"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1").env("COLUMNS", "120");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the built command starts");
    let mut stdin = child.stdin.take().expect("a pipe was asked for");
    // Who reads no input closes the pipe; that is no failure here.
    let _ = stdin.write_all(input.unwrap_or_default().as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the built command ends")
}

/// Words of a command line, with `'…'` and `"…"` around those that hold spaces.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => (quote, word) = (Some(c), Some(word.unwrap_or_default())),
            (None, ' ') => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A folder of its own in which a page's commands run: the corpus is there, and the page's files.
fn folder_for(page: &Path, blocks: &[Block]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs").join(page.file_stem().expect("pages have names"));
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).expect("the target folder takes files");
    std::os::unix::fs::symlink(root().join("corpus"), folder.join("corpus")).expect("the target folder takes links");
    for block in blocks {
        if let Some(name) = block.file() {
            fs::write(folder.join(name), &block.text).expect("the target folder takes files");
        }
    }
    folder
}

/// What a command prints, results before messages, and how it ends.
fn run(folder: &Path, command: &str) -> (String, i32) {
    let line = command.strip_prefix("cargo run --release -- ").or(command.strip_prefix("cowl "));
    let line = line.unwrap_or_else(|| panic!("`{command}`: only cowl is run here"));
    let output = cowl(folder, &words(line), None);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("output is text")).concat();
    let text = if text.trim().is_empty() { String::new() } else { text.trim_end().to_owned() + "\n" };
    (text, output.status.code().expect("no signal ends it"))
}

/// Runs a page's console blocks; gives the complaints, and the page with outputs brought up to date.
fn run_page(page: &Path, text: &str) -> (Vec<String>, String) {
    let blocks = blocks(text);
    let folder = folder_for(page, &blocks);
    let (mut complaints, mut renewed) = (Vec::new(), text.to_owned());
    for block in blocks.iter().filter(|block| block.is("console")) {
        let place = format!("{}:{}", page.display(), block.line);
        let shown = commands(block);
        let (mut now, mut status) = (String::new(), 0);
        for (at, Shown { command, output }) in shown.iter().enumerate() {
            let is = match &**command {
                "cargo test" => String::new(), // That is what runs this.
                // Minutes in a debug build. `.ci/run` has it, which a test below checks.
                "cargo run --release -- run corpus" => output.clone(),
                "echo $?" => format!("{status}\n"),
                command if command.contains(" --kernel ") && !boots() => {
                    // Past the harness, which keeps the output of tests that pass.
                    let _ = writeln!(std::io::stderr(), "SKIP: {place}: `{command}`: COWL_TEST_KERNEL is not set");
                    output.clone()
                }
                command => {
                    let (text, code) = run(&folder, command);
                    status = code;
                    let told = shown.get(at + 1).is_some_and(|next| next.command == "echo $?");
                    if status != 0 && !told {
                        complaints.push(format!("{place}: `{command}` exits {status}, which nothing says:\n{text}"));
                    }
                    text
                }
            };
            let keep = output.lines().any(|line| line.trim() == "…");
            if !alike(output.trim_end(), &is) && (keep || !overwrites()) {
                complaints.push(format!("{place}: `{command}` prints\n{is}\nbut the page shows\n{output}"));
            }
            now += &format!("$ {command}\n{}", if keep { output } else { &is });
        }
        renewed = renewed.replace(&block.text, &now);
    }
    (complaints, renewed)
}

#[test]
fn every_command_prints_what_its_page_shows() {
    let mut complaints = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("pages are text");
        let (found, renewed) = run_page(&page, &text);
        if overwrites() && renewed != text {
            fs::write(&page, renewed).expect("pages can be written");
        }
        complaints.extend(found);
    }
    assert!(complaints.is_empty(), "\n{}\n(COWL_DOCS=overwrite brings them up to date)", complaints.join("\n"));
}

#[test]
fn every_scenario_of_a_page_runs_and_every_bad_one_is_refused() {
    let mut complaints = Vec::new();
    for page in pages() {
        let blocks = blocks(&fs::read_to_string(&page).expect("pages are text"));
        let folder = folder_for(Path::new("scenarios"), &[]);
        for block in blocks.iter().filter(|block| block.is("cow")) {
            let expected = if block.is("bad") { 2 } else { i32::from(block.is("unmet")) };
            let output = cowl(&folder, &["run".into(), "-".into()], Some(&block.text));
            if output.status.code() != Some(expected) {
                let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
                complaints.push(format!("{}:{}: {:?}, not {expected}:\n{told}", page.display(), block.line, output.status));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_block_is_of_a_kind_that_is_checked_or_says_that_it_is_not() {
    for page in pages() {
        for block in blocks(&fs::read_to_string(&page).expect("pages are text")) {
            let kind = block.info[0].as_str();
            let known = ["cow", "console", "text", "toml", "rust"].contains(&kind);
            assert!(known, "{}:{}: a block of kind {kind:?}", page.display(), block.line);
        }
    }
}

#[test]
fn every_table_is_the_code_s() {
    for page in pages() {
        let text = fs::read_to_string(&page).expect("pages are text");
        let renewed =
            if page.ends_with("knobs.md") { cowl::render::policies::knobs_page() } else { docs::tables::renew(&text) };
        if overwrites() && renewed != text {
            fs::write(&page, &renewed).expect("pages can be written");
        } else {
            assert!(renewed == text, "a table of {} is not current; COWL_DOCS=overwrite renews it", page.display());
        }
    }
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).expect("the book has a summary");
    for page in pages() {
        let name = page.file_name().and_then(|name| name.to_str()).expect("names are text");
        let listed = ["SUMMARY.md", "README.md"].contains(&name) || summary.contains(&format!("({name})"));
        assert!(listed, "{name} is not in the summary");
        let text = fs::read_to_string(&page).expect("pages are text");
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") {
                assert!(page.parent().expect("in a folder").join(file).exists(), "{name}: there is no {target}");
            }
        }
    }
}

#[test]
fn ci_runs_the_commands_of_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let ci = fs::read_to_string(root().join(".ci/run")).expect("there is a CI script");
    let shown: Vec<String> =
        blocks(&readme).iter().filter(|block| block.is("console")).flat_map(commands).map(|shown| shown.command).collect();
    for (in_readme, in_ci) in [
        ("cargo run --release -- run corpus", "check corpus cargo run --locked --release -- run corpus"),
        ("cargo test", "check tests cargo test\n"),
    ] {
        assert!(shown.iter().any(|command| command == in_readme), "the README does not say `{in_readme}`");
        assert!(ci.contains(in_ci), ".ci/run does not say `{in_ci}`");
    }
}

#[test]
fn output_is_compared_line_by_line_and_an_ellipsis_skips_any() {
    assert!(alike("a\nb\n", "a\nb\n"));
    assert!(alike("a\n  …\nd\n", "a\nb\nc\nd\n"));
    assert!(alike("…\n", ""));
    assert!(!alike("a\n", "a\nb\n"));
    assert!(!alike("a\n…\nd\n", "a\nb\nc\n"));
    assert!(!alike("", "a\n"));
}

#[test]
fn blocks_and_commands_are_found() {
    let page = "x\n```console\n$ cowl run 'a b'\nout\n$ echo $?\n1\n```\n```cow,bad,file=x.cow\ny\n```\n";
    let found = blocks(page);
    assert_eq!(found.len(), 2);
    let shown = |command: &str, output: &str| Shown { command: command.into(), output: output.into() };
    assert_eq!(commands(&found[0]), [shown("cowl run 'a b'", "out\n"), shown("echo $?", "1\n")]);
    assert_eq!((found[1].is("bad"), found[1].file(), found[1].line), (true, Some("x.cow"), 9));
    assert_eq!(words("run 'a b' \"\" -x"), ["run", "a b", "", "-x"]);
}

#[test]
fn the_book_shows_a_snapshot_as_it_is() {
    let page = fs::read_to_string(root().join("docs/src/snapshots.md")).expect("the page is there");
    let path = "snapshots/matrix__write-after-child-exit-under-transient-reference.snap";
    let snapshot = fs::read_to_string(root().join(path)).expect("the snapshot is there");
    let (_, text) = snapshot.split_once("\n---\n").expect("a snapshot has a header");
    assert!(blocks(&page).iter().any(|block| block.text.trim() == text.trim()), "the page does not show {path}");
}
