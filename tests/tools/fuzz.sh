#!/bin/sh
# fuzz.sh: runs every harness for $FUZZ_SECONDS (20) under libFuzzer with ASan and UBSan, $JOBS at once. Each starts with its
# seeds, its regressions and the corpus of earlier runs (build/fuzz/NAME.corpus). Findings are saved as build/fuzz/NAME-*.
check=fuzz
. tests/tools/lib.sh
have clang-14 || finish
if [ "${1:-}" = --one ]; then # HARNESS: its verdict, in a file
    name=$(basename "$2" .c)
    log=$out/$name.log
    seeds=${name#fuzz_} more=
    case $seeds in quick) seeds=open more=tests/quick/plain.c ;; esac # as in program.sh
    grep -q ST_IMPLEMENTATION "$2" || more="$out/library.o"
    mkdir -p "$out/$name.corpus"
    folders=$out/$name.corpus
    for d in fuzz/seeds/$seeds fuzz/regressions/$seeds; do [ -d "$d" ] && folders="$folders $d"; done
    dictionary=
    for d in fuzz/"$name".dict fuzz/*.dict; do [ -f "$d" ] && dictionary=-dict=$d && break; done
    echo "does not build" >"$out/$name.verdict"
    clang-14 $CFLAGS -fsanitize=fuzzer -o "$out/$name" "$2" $more >"$log" 2>&1 || exit 0
    "$out/$name" -max_total_time="${FUZZ_SECONDS:-20}" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 $dictionary \
        -artifact_prefix="$out/$name-" $folders >"$log" 2>&1 </dev/null && verdict=pass || verdict="found something"
    echo "$verdict" >"$out/$name.verdict"
    exit 0
fi
try "the library does not build" clang-14 $CFLAGS -fsanitize=fuzzer-no-link -I. -c -o "$out/library.o" examples/common/lib.c || finish
printf '%s\n' fuzz/fuzz_*.c | xargs -n 1 -P "${JOBS:-2}" sh tests/tools/fuzz.sh --one
for harness in fuzz/fuzz_*.c; do
    name=$(basename "$harness" .c)
    verdict=$(cat "$out/$name.verdict")
    if [ "$verdict" = pass ]; then
        pass
        sed -n "s/^stat::number_of_executed_units:[ ]*/$name: inputs tried: /p; s/^#[0-9]*[	 ]*DONE[ ]*/$name: /p" "$out/$name.log"
    else
        fail "$name: $verdict $(ls "$out/$name"-* 2>/dev/null | tail -n 1)"
        tail -n 40 "$out/$name.log"
    fi
done
finish
