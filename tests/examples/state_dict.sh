#!/bin/sh
# state_dict.sh: tests examples/state_dict. tests/examples/state_dict.py compares its results with NumPy.
check=example-state_dict
. tests/tools/lib.sh
cc=${CC:-cc}
sources="examples/state_dict/*.c examples/common/*.c"
for source in examples/state_dict/*.c; do
    try "$source" $cc -std=gnu99 -O1 $WARN -I. -c $source -o "$out/object.o"
done
try "make" ${MAKE:-make} build/examples/state_dict build/st || finish
program=build/examples/state_dict
if have clang-14; then
    try "clang" clang-14 -std=gnu99 $WARN -I. -fsyntax-only examples/state_dict/*.c
    try "sanitizers" clang-14 -g -O0 -fsanitize=address,undefined -fno-sanitize-recover=all -I. $sources \
        -o "$out/state_dict-asan" && program=$out/state_dict-asan
fi
python=build/venv/bin/python
[ -x $python ] || python=python3
if $python -c 'import numpy, safetensors, ml_dtypes' 2>/dev/null; then
    PYTHONDONTWRITEBYTECODE=1 $python tests/examples/state_dict.py "$program" "$out" >"$out/python.log" 2>&1
    grep -q '^done' "$out/python.log" || fail "state_dict.py ended early:" "$(tail -n 3 "$out/python.log")"
    passed=$((passed + $(grep -c '^ok' "$out/python.log")))
    failed=$((failed + $(grep -c '^FAILED' "$out/python.log")))
    grep '^FAILED' "$out/python.log"
else
    have "Python with numpy, safetensors and ml_dtypes"
fi

# ---- command line -----------------------------------------------------------------------------------------------

# run CODE WANTED ARGUMENTS...: the exit status, and text that is in the output
run() {
    code=$1 wanted=$2
    shift 2
    "$program" "$@" >"$out/got" 2>&1 </dev/null
    status=$?
    [ $status = "$code" ] && pass || fail "state_dict $*: exit status $status"
    try "output of state_dict $*" grep -qF -e "$wanted" "$out/got"
}
# model FILE HEADER: writes a model whose data is 24 zero bytes
model() {
    n=$(printf %s "$2" | wc -c)
    printf "\\$(printf %o $((n % 256)))\\$(printf %o $((n / 256)))\\0\\0\\0\\0\\0\\0%s" "$2" >"$1"
    head -c 24 /dev/zero >>"$1"
}
model "$out/m.safetensors" '{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
printf 'a 2 3\n' >"$out/m.txt"
run 0 "usage: state_dict" --help
run 2 "expected apply or slopes; see state_dict --help"
run 2 "expected apply or slopes" load
model "$out/o.safetensors" '{"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'
model "$out/o2.safetensors" '{"b":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'
run 2 "expected MODULE and CHECKPOINT" apply "$out/m.txt"
run 2 "expected CHECKPOINT" slopes
run 2 "unknown option" apply "$out/m.txt" "$out/m.safetensors" --wrong
run 2 "an option lacks its value" apply "$out/m.txt" "$out/m.safetensors" --out
run 2 "--strict expects" apply "$out/m.txt" "$out/m.safetensors" --strict all
run 2 "unknown option" apply "$out/m.txt" "$out/m.safetensors" --stric=all
run 2 "unknown option" apply "$out/m.txt" "$out/m.safetensors" --strictly=all
run 1 "lacks" apply "$out/m.txt" "$out/m.safetensors" "$out/o2.safetensors" --strict=both
for heads in 4 4,3 0,0 4,0 x,2 4,2x 1000000,1; do
    run 2 "--expand-kv expects" apply "$out/m.txt" "$out/m.safetensors" --expand-kv $heads
done
run 0 "1 assigned, 0 transposed, 0 missing" apply "$out/m.txt" "$out/m.safetensors"
run 0 "1 assigned" apply "$out/m.safetensors" "$out/m.safetensors"
run 1 "$out/none.safetensors: no such file" apply "$out/m.txt" "$out/m.safetensors" "$out/none.safetensors"
run 1 "no-module.txt: cannot open" apply no-module.txt "$out/m.safetensors"
run 1 "m.txt: parameters are missing or have another shape" apply "$out/m.txt" "$out/m.safetensors" "$out/o.safetensors"
run 1 "$out/none/x.safetensors" apply "$out/m.txt" "$out/m.safetensors" --out "$out/none/x.safetensors"

# ---- hostile files ----------------------------------------------------------------------------------------------

for line in 'a -1' 'a 1.5' 'a 99999999999999999999' 'a 281474976710656' 'a 0x2' 'a two'; do
    printf '%s\n' "$line" >"$out/bad.txt"
    run 1 "expected a dimension in the list of parameters" apply "$out/bad.txt" "$out/m.safetensors"
done
{ printf 'a'; i=0; while [ $i -lt 64 ]; do printf ' 1'; i=$((i + 1)); done; } >"$out/bad.txt"
run 1 "more than 64 words" apply "$out/bad.txt" "$out/m.safetensors"
head -c 70000 /dev/zero | tr '\0' a >"$out/bad.txt"
run 1 "a line of more than 65,535 bytes" apply "$out/bad.txt" "$out/m.safetensors"
printf 'a\0 2 3\n' >"$out/bad.txt"
run 1 "the text contains NUL" apply "$out/bad.txt" "$out/m.safetensors"
printf 'a 281474976710655 281474976710655\n' >"$out/bad.txt" # more than any memory; nothing fits, nothing is allocated
run 1 "mismatched" apply "$out/bad.txt" "$out/m.safetensors"
printf '\n\n   # only a comment\n\ta\t2 3 # and one after words\r\n' >"$out/good.txt"
run 0 "1 assigned" apply "$out/good.txt" "$out/m.safetensors"
printf 'a 2 3\na 2 3\n' >"$out/twice.txt"
run 1 "duplicate" apply "$out/twice.txt" "$out/m.safetensors" --out "$out/twice.safetensors"
[ ! -e "$out/twice.safetensors" ] && pass || fail "a failed run leaves a file"
# matrices without elements whose other dimension is huge
model "$out/empty.safetensors" '{"w.weight":{"dtype":"F32","shape":[0,281474976710655],"data_offsets":[0,0]},"k_proj.weight":{"dtype":"F32","shape":[4611686018427387904,0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'
printf 'w.weight 281474976710655 0\n' >"$out/empty.txt"
run 0 "transposed" apply "$out/empty.txt" "$out/empty.safetensors" --out "$out/e.safetensors"
printf 'w.weight 281474976710655 0\nk_proj.weight 9223372036854775808 0\n' >"$out/empty.txt"
run 1 "expected a dimension" apply "$out/empty.txt" "$out/empty.safetensors"
printf 'k_proj.weight 1 0\n' >"$out/empty.txt"
run 1 "mismatched" apply "$out/empty.txt" "$out/empty.safetensors" --expand-kv 8,2
entry='{"dtype":"F32","shape":[0,281474976710655],"data_offsets":[24,24]}'
model "$out/stacked.safetensors" '{"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]},"mlp.gate_proj.weight":'"$entry"',"mlp.up_proj.weight":'"$entry"'}'
printf 'linear1.weight 281474976710655 0\n' >"$out/empty.txt"
try "no loop over nothing" timeout 20 "$program" apply "$out/empty.txt" "$out/stacked.safetensors" --augment --out "$out/e.safetensors"
# three axes whose first two overflow as one
model "$out/three.safetensors" '{"w":{"dtype":"F32","shape":[4611686018427387904,8,0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'
printf 'w 0 0\n' >"$out/three.txt"
run 1 "too large" apply "$out/three.txt" "$out/three.safetensors"
# four-bit elements cannot be transposed without conversion, but as F32 they can
model "$out/f4.safetensors" '{"w":{"dtype":"F4","shape":[8,6],"data_offsets":[0,24]}}'
printf 'w 6 8\n' >"$out/f4.txt"
run 1 "w" apply "$out/f4.txt" "$out/f4.safetensors" --out "$out/f4-out.safetensors"
run 0 "transposed" apply "$out/f4.txt" "$out/f4.safetensors" --out "$out/f4-out.safetensors" --f32
model "$out/f4k.safetensors" '{"k_proj.weight":{"dtype":"F4","shape":[6,8],"data_offsets":[0,24]}}'
printf 'k_proj.weight 12 8\n' >"$out/f4.txt"
run 1 "below a byte" apply "$out/f4.txt" "$out/f4k.safetensors" --out "$out/f4-out.safetensors" --expand-kv 4,2
# names that control the terminal, cut files
model "$out/evil.safetensors" '{"a\u001b]0;evil\u0007\u0000b":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'
run 1 'unexpected   a\u001b]0;evil\u0007\u0000b F32 [6]' apply "$out/m.txt" "$out/evil.safetensors" --strict both
run 0 'assigned     a\u001b]0;evil' apply "$out/evil.safetensors" "$out/evil.safetensors" --strict both --out "$out/e.safetensors"
head -c 60 "$out/m.safetensors" >"$out/cut.safetensors"
run 1 "$out/cut.safetensors" apply "$out/m.txt" "$out/cut.safetensors"
run 1 "$out/cut.safetensors" apply "$out/cut.safetensors" "$out/m.safetensors"
# names chosen by the thousand, each with a root: no squares of time
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "layers.%d.weight 0\n", i }' >"$out/many.txt"
awk 'BEGIN { printf "{"; for (i = 0; i < 100000; i++) printf "%s\"m.layers.%d.weight\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? "," : "", i; printf "}" }' >"$out/header"
n=$(wc -c <"$out/header")
{ printf "\\$(printf %o $((n % 256)))\\$(printf %o $((n / 256 % 256)))\\$(printf %o $((n / 65536)))\\0\\0\\0\\0\\0" && cat "$out/header"; } >"$out/many.safetensors"
try "100,000 names" sh -c "timeout 20 '$program' apply '$out/many.txt' '$out/many.safetensors' --root m | grep -q '^100000 assigned'"

# ---- a real model -----------------------------------------------------------------------------------------------

model=build/models/all-MiniLM-L6-v2/model.safetensors
printf '%s\n' 'self.query.weight 384 384' 'self.query.bias 384' 'output.dense.weight 384 384' 'output.LayerNorm.weight 384' \
    >"$out/attention.txt"
printf '%s\n' 'intermediate.dense.weight 384 1536' 'output.dense.weight 1536 384' >"$out/turned.txt"
if [ -e $model ]; then
    run 0 "4 assigned, 0 transposed, 0 missing, 0 mismatched, 100 unexpected" \
        apply "$out/attention.txt" $model --root encoder.layer.3.attention --out "$out/attention.safetensors"
    build/st cat $model encoder.layer.3.attention.self.query.weight >"$out/wanted"
    build/st cat "$out/attention.safetensors" self.query.weight >"$out/got"
    try "the layer's weight" cmp "$out/wanted" "$out/got"
    run 0 "0 assigned, 2 transposed, 0 missing" apply "$out/turned.txt" $model --root encoder.layer.5 --transpose
elif [ "${CI:-}" = true ]; then
    fail "no $model, though tests/tools/install should bring it"
else
    skip "no $model here"
fi
finish
