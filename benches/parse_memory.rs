//! Text to syntax tree: the most memory in use at once, the text apart (`max alloc`). Five times the text with it is the bound.
//!
//! `cargo bench --bench parse_memory`

use cowl::syntax;
use divan::{AllocProfiler, Bencher};

mod text;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = [1_000_000, 10_000_000, 100_000_000], sample_count = 1, sample_size = 1)]
fn text_to_tree(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = text::scenarios(bytes);
    bencher.bench_local(|| syntax::parse(divan::black_box(&text)));
}
