#!/bin/sh
# pt2st.sh: converts checkpoints that real versions of PyTorch wrote, and refuses hostile ones.
check=example-pt2st
. tests/tools/lib.sh
python=build/venv/bin/python
[ -x $python ] || python=python3
have $python || finish
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
fixtures=tests/examples/pt2st
if ! echo '#include <zlib.h>' | ${CC:-cc} -E - >/dev/null 2>&1; then
    have zlib.h
    finish
fi
sources="examples/pt2st/*.c examples/common/pickle.c examples/common/guard.c examples/common/strided.c examples/common/names.c examples/common/zip/zip.c"
have clang-14 && try "warnings of clang" clang-14 -std=gnu99 -fsyntax-only $WARN -I. $sources
rm -f build/examples/pt2st
try "build" ${MAKE:-make} build/examples/pt2st EXAMPLE_CFLAGS="-std=gnu99 -O2 -g $WARN" || finish
program=build/examples/pt2st
careful=$program
if have clang-14; then
    sanitize="clang-14 -std=gnu99 -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all -fsanitize=address,undefined -I."
    try "library" $sanitize -O0 -c examples/common/lib.c -o "$out/library.o"
    # small blocks and chunks, so that a small tensor needs several and each object is a block of its own
    try "sanitizers" $sanitize -DCHUNK=1 -DBLOCK=96 $sources examples/common/text.c examples/common/json.c \
        examples/common/progress.c examples/common/options.c examples/common/buffer.c "$out/library.o" -lz -o "$out/pt2st-asan" && careful=$out/pt2st-asan
fi

converts() { # PROGRAM FILE NOTES ARGUMENTS...: converts the file to what the notes say
    program_now=$1 file=$2 notes=$3
    shift 3
    rm -rf "$out/new.safetensors"
    try "$file" "$program_now" "$@" "$file" "$out/new.safetensors" && try "$file: values" $python $fixtures/check.py "$out/new.safetensors" "$notes"
}
refuses() { # PROGRAM FILE MESSAGE ARGUMENTS...: refuses with this message, and leaves nothing
    program_now=$1 file=$2 message=$3
    shift 3
    rm -rf "$out/new.safetensors"
    "$program_now" "$@" "$file" "$out/new.safetensors" >"$out/said" 2>&1
    status=$?
    if [ $status = 1 ] && grep -qF -- "$message" "$out/said" && [ ! -e "$out/new.safetensors" ]; then pass; else
        fail "$file: exit status $status, expected a message with: $message"
        sed -n '1,3s/^/    /p' "$out/said"
    fi
}

# the notes of make.py: file, arguments, what the message says if the file is refused
$python -c 'import json, os, sys
for notes in sys.argv[1:]:
    value = json.load(open(notes))
    file = notes[:-5] + ".pt"
    if os.path.exists(file): print(file, notes, ",".join(value.get("arguments", [])) or "-", value.get("refused", ""))
' $fixtures/v*/*.json >"$out/fixtures"
while read -r file notes arguments refused; do
    arguments=$(echo "$arguments" | sed 's/^-$//; s/,/ /g')
    if [ -n "$refused" ]; then refuses $careful "$file" "$refused" $arguments; else converts $careful "$file" "$notes" $arguments; fi
done <"$out/fixtures"

# the reference writes the same bytes
new=$fixtures/v2.15.0
try "plain" $program $new/plain.pt "$out/plain.safetensors" && try "plain: bytes" cmp $new/plain.safetensors "$out/plain.safetensors"
got=$($program $new/checkpoint.pt "$out/checkpoint.safetensors")
[ "$got" = "$out/checkpoint.safetensors: 8 tensors" ] && pass || fail "checkpoint: printed $got"
got=$($program $new/views.pt "$out/checkpoint.safetensors")
[ "$got" = "$out/checkpoint.safetensors: 9 tensors, 2 more names for them" ] && pass || fail "views: printed $got"
# several files
for in in sharded sharded/pytorch_model.bin.index.json; do
    rm -rf "$out/model"
    try "$in" $careful $new/$in "$out/model" && try "$in: index" test -s "$out/model/model.safetensors.index.json" &&
        try "$in: two files" test -s "$out/model/model-00002-of-00002.safetensors" &&
        try "$in: values" $python $fixtures/check.py "$out/model" $new/sharded.json
done
converts $careful $new/sharded $new/sharded.json --single
rm -rf "$out/one" "$out/parts" && mkdir "$out/one" "$out/parts"
cp $new/plain.pt "$out/one/pytorch_model.bin"
converts $careful "$out/one" $new/plain.json
try "to a directory" $careful "$out/one" "$out/one" && try "to a directory: file" cmp $new/plain.safetensors "$out/one/model.safetensors"
cp $new/sharded/* "$out/parts" && rm "$out/parts/pytorch_model-00002-of-00002.bin"
refuses $careful "$out/parts" "pytorch_model-00002-of-00002.bin: cannot open"
echo '{"weight_map":{"a":"../x.bin"}}' >"$out/parts/pytorch_model.bin.index.json"
refuses $careful "$out/parts" "no file name of this directory"
echo '{"weight_map":{"a.weight":"pytorch_model-00001-of-00002.bin"}}' >"$out/parts/pytorch_model.bin.index.json"
refuses $careful "$out/parts" "2 tensors instead of the 1 of the index"
echo '{"weight_map":' >"$out/parts/pytorch_model.bin.index.json"
refuses $careful "$out/parts" "invalid JSON"
refuses $careful "$out/parts/none.pt" "cannot open"
refuses $careful $new/checkpoint.pt "has no key none" --key optimizer.none
refuses $program $new/plain.pt "more memory is needed" --memory 1

# wrong usage
for arguments in "" "one" "one two three" "--none one two" "one two --key" "--memory x one two" "--memory 0 one two" "--memory 99999999999999999999 one two"; do
    $program $arguments >"$out/said" 2>&1
    [ $? = 2 ] && grep -q -- --help "$out/said" && pass || fail "arguments: $arguments"
done
$program --help | grep -q '^usage: pt2st' && pass || fail "--help"

# hostile files
rm -rf "$out/hostile"
try "hostile.py" $python $fixtures/hostile.py "$out/hostile"
for file in "$out"/hostile/*.pt; do
    now=$careful
    case $file in */zip-bomb.pt) now=$program ;; esac # takes long under ASan
    if [ -f "${file%.pt}.refused" ]; then refuses $now "$file" "$(cat "${file%.pt}.refused")"; else converts $now "$file" "${file%.pt}.json"; fi
done
got=$($program "$out/hostile/others.pt" "$out/others.safetensors")
[ "$got" = "$out/others.safetensors: 1 tensors; 2 other values left out" ] && pass || fail "others: printed $got"
[ ! -e hacked ] && pass || fail "code was run"

# a large file in little memory: 600 MiB, of which a third is transposed
try "large.py" $python $fixtures/large.py "$out/large.pt"
if (ulimit -v 65536 && $program "$out/large.pt" "$out/large.safetensors") >"$out/said" 2>&1; then pass; else fail "large:" "$(cat "$out/said")"; fi
try "large: values" $python $fixtures/large.py "$out/large.pt" "$out/large.safetensors"
rm -f "$out/large.pt" "$out/large.safetensors"

# the fuzzer: seeds, regressions and 8 seconds
if have clang-14; then
    FUZZ_SECONDS=${EXAMPLE_FUZZ_SECONDS:-8} LIBRARY=$out/library.o sh fuzz/pt2st/run.sh >"$out/fuzz" 2>&1 && pass || fail "fuzzer:" "$(tail -n 20 "$out/fuzz")"
fi
finish
