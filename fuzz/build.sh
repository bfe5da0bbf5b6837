#!/bin/bash -eu
# Builds every fuzz target with its seeds, dictionary and options into $OUT: for ClusterFuzzLite, OSS-Fuzz and .ci/run alike.
#
# Their images set SRC (sources), OUT (results), CXX, SANITIZER and FUZZING_LANGUAGE; cargo-fuzz and a nightly compiler are there.
cd "${SRC:?where the sources are}/cowl"
: "${OUT:?where the results go}"
sanitizer=${SANITIZER:-address}
[ "$sanitizer" = none ] || [ "$sanitizer" = address ] || { echo "sanitizer $sanitizer is not for Rust" >&2; exit 1; }
if [ "$sanitizer" = none ]; then sanitizer_flags=(-s none -O --no-trace-compares); else sanitizer_flags=(-s address -O); fi
toolchain=${COWL_FUZZ_TOOLCHAIN-+nightly}
cargo ${toolchain:+"$toolchain"} fuzz build "${sanitizer_flags[@]}"
host=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-fuzz/target}/$host/release

# Seeds and dictionary are made by the tool itself.
cargo build --locked --release
cowl=${CARGO_TARGET_DIR:-target}/release/cowl
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/programs" "$work/texts"
"$cowl" corpus from-text corpus --into "$work/programs"
"$cowl" corpus dictionary > "$work/cowl.dict"
find corpus tests/bad -name '*.cow' | while read -r file; do
    cp "$file" "$work/texts/$(printf '%s' "$file" | tr / -)"
done

for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    cp "$built/$target" "$OUT/$target"
    case $target in
    parse | roundtrip)
        (cd "$work/texts" && zip -q -r "$OUT/${target}_seed_corpus.zip" .)
        printf '[libfuzzer]\nmax_len = 4096\n' > "$OUT/$target.options"
        ;;
    *)
        (cd "$work/programs" && zip -q -r "$OUT/${target}_seed_corpus.zip" .)
        printf '[libfuzzer]\nmax_len = 1024\n' > "$OUT/$target.options"
        ;;
    esac
    cp "$work/cowl.dict" "$OUT/$target.dict"
done
