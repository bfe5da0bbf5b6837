//! Text to syntax tree, and back to text: bytes a second. Linear is: the same figure at every size.
//!
//! `cargo bench --bench parse`; for instructions, `valgrind --tool=callgrind` on the binary it builds.

use cowl::syntax;
use divan::Bencher;
use divan::counter::BytesCount;

mod text;

const SIZES: [usize; 2] = [1_000_000, 10_000_000];

fn main() {
    divan::main();
}

#[divan::bench(args = SIZES, sample_count = 10, sample_size = 1)]
fn text_to_tree(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = text::scenarios(bytes);
    assert_eq!(syntax::parse(&text).1, []);
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| syntax::parse(divan::black_box(&text)));
}

#[divan::bench(args = SIZES, sample_count = 10, sample_size = 1)]
fn tree_to_items(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = text::scenarios(bytes);
    let (file, _) = syntax::parse(&text);
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| divan::black_box(&file).items().count());
}

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn tree_to_text(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = text::scenarios(bytes);
    let (file, _) = syntax::parse(&text);
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| syntax::format(divan::black_box(&file)));
}

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn garbage(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = text::scenarios(bytes).replace(": ", " ").replace('{', "");
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| syntax::parse(divan::black_box(&text)));
}
