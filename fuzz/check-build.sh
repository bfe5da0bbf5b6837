#!/bin/bash -eu
# Runs build.sh as the services' images do and looks at what it leaves: every target, its seeds, dictionary and options, and that each
# binary runs its seeds from that folder alone. `fuzz/check-build.sh`, from anywhere.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src" "$work/out"
ln -s "$root" "$work/src/cowl"
env SRC="$work/src" OUT="$work/out" CXX="${CXX:-c++}" SANITIZER="${SANITIZER:-none}" FUZZING_LANGUAGE=rust \
    bash "$root/fuzz/build.sh"
for source in "$root"/fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    for file in "$target" "${target}_seed_corpus.zip" "$target.dict" "$target.options"; do
        [ -s "$work/out/$file" ] || { echo "$file is missing" >&2; exit 1; }
    done
    mkdir "$work/$target"
    (cd "$work/$target" && unzip -q "$work/out/${target}_seed_corpus.zip")
    (cd "$work/out" && env -i "./$target" -dict="$target.dict" -runs=2000 -max_total_time=20 -seed=1 "$work/$target" > "$work/log" 2>&1) ||
        { tail -30 "$work/log"; echo "$target fails" >&2; exit 1; }
    echo "$target: $(grep -o 'Done [0-9]* runs' "$work/log" || echo 'ran')"
done
