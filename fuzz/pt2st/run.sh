#!/bin/sh
# run.sh: fuzzes examples/pt2st for $FUZZ_SECONDS (20) under ASan and UBSan, with a corpus in build/fuzz-pt2st/corpus.
# LIBRARY may be an object of examples/common/lib.c, compiled with sanitizers.
check=fuzz-pt2st
. tests/tools/lib.sh
have clang-14 || finish
sources="examples/pt2st/input.c examples/pt2st/archive.c examples/pt2st/rebuild.c examples/pt2st/tensors.c"
common="examples/common/text.c examples/common/pickle.c examples/common/guard.c examples/common/strided.c examples/common/names.c examples/common/buffer.c examples/common/zip/zip.c ${LIBRARY:-examples/common/lib.c}"
# small blocks and chunks, so that a small tensor needs several and each object is a block of its own
try "fuzz_pt2st does not build" clang-14 -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all -std=gnu99 \
    -fsanitize=fuzzer,address,undefined -DBLOCK=96 -DCHUNK=1 -I. fuzz/pt2st/fuzz_pt2st.c $sources $common -lz -o "$out/fuzz_pt2st" || finish
try "seeds and regressions" "$out/fuzz_pt2st" -timeout=10 $(find fuzz/pt2st/seeds fuzz/pt2st/regressions -type f)
mkdir -p "$out/corpus"
if "$out/fuzz_pt2st" -dict=fuzz/pt2st/pt2st.dict -max_total_time="${FUZZ_SECONDS:-20}" -timeout=10 -rss_limit_mb=2048 -max_len=16384 \
    -print_final_stats=1 -artifact_prefix="$out/found-" "$out/corpus" fuzz/pt2st/seeds fuzz/pt2st/regressions >"$out/log" 2>&1 </dev/null; then
    pass
    sed -n 's/^stat::number_of_executed_units:[ ]*/fuzz_pt2st: inputs tried: /p; s/^#[0-9]*[	 ]*DONE[ ]*/fuzz_pt2st: /p' "$out/log"
else
    fail "fuzz_pt2st found something:" "$(ls "$out"/found-* 2>/dev/null | tail -n 1)"
    tail -n 30 "$out/log"
fi
finish
