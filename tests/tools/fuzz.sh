#!/bin/sh
# fuzz.sh: every harness for $FUZZ_SECONDS (60) under libFuzzer with ASan and UBSan, all at once, starting from its seeds,
# its regressions and what earlier runs found (build/fuzz/NAME.corpus). A finding is left in build/fuzz/NAME-*.
check=fuzz
. tests/tools/lib.sh
have clang-14 || finish
try "the library does not build" clang-14 $CFLAGS -fsanitize=fuzzer-no-link -I. -c -o "$out/library.o" examples/st/lib.c || finish
for harness in fuzz/fuzz_*.c; do
    name=$(basename "$harness" .c)
    mkdir -p "$out/$name.corpus"
    seeds=${name#fuzz_} more=
    case $seeds in quick) seeds=open more=tests/quick/plain.c ;; esac # as in program.sh
    grep -q ST_IMPLEMENTATION "$harness" || more="$out/library.o"
    try "$name does not build" clang-14 $CFLAGS -fsanitize=fuzzer -o "$out/$name" "$harness" $more || continue
    folders=$out/$name.corpus
    for d in fuzz/seeds/$seeds fuzz/regressions/$seeds; do [ -d "$d" ] && folders="$folders $d"; done
    dictionary=
    for d in fuzz/"$name".dict fuzz/*.dict; do [ -f "$d" ] && dictionary=-dict=$d && break; done
    "$out/$name" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 $dictionary \
        -artifact_prefix="$out/$name-" $folders >"$out/$name.log" 2>&1 </dev/null &
    running="$running $name:$!"
done
for one in $running; do
    name=${one%:*}
    if wait "${one#*:}"; then
        pass
        sed -n "s/^stat::number_of_executed_units:[ ]*/$name: inputs tried: /p; s/^#[0-9]*[	 ]*DONE[ ]*/$name: /p" "$out/$name.log"
    else
        fail "$name found something: $(ls "$out/$name"-* 2>/dev/null | tail -n 1)"
        tail -n 40 "$out/$name.log"
    fi
done
finish
