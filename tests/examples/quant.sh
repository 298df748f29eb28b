#!/bin/sh
# quant.sh: tests examples/quant. tests/examples/quant.py compares its results with NumPy and with st convert.
check=example-quant
. tests/tools/lib.sh
cc=${CC:-cc}
for source in examples/quant/*.c; do
    try "$source" $cc -std=gnu99 -O1 $WARN -I. -c $source -o "$out/object.o"
done
try "make" ${MAKE:-make} build/examples/quant build/st || finish
program=build/examples/quant
if have clang-14; then
    try "clang" clang-14 -std=gnu99 $WARN -I. -fsyntax-only examples/quant/*.c
    try "sanitizers" clang-14 -g -O0 -fsanitize=address,undefined -fno-sanitize-recover=all -I. examples/quant/*.c \
        examples/common/*.c -lm -o "$out/quant-asan" && program=$out/quant-asan
fi
python=build/venv/bin/python
[ -x $python ] || python=python3
if $python -c 'import numpy, safetensors, ml_dtypes' 2>/dev/null; then
    rm -f "$out/none.safetensors"
    PYTHONDONTWRITEBYTECODE=1 $python tests/examples/quant.py "$program" build/st "$out" >"$out/python.log" 2>&1
    grep -q '^done' "$out/python.log" || fail "quant.py ended early:" "$(tail -n 3 "$out/python.log")"
    passed=$((passed + $(grep -c '^ok' "$out/python.log")))
    failed=$((failed + $(grep -c '^FAILED' "$out/python.log")))
    grep '^FAILED' "$out/python.log"
    [ ! -e "$out/none.safetensors" ] && pass || fail "a refused file leaves another"
else
    have "Python with numpy, safetensors and ml_dtypes"
fi
# run CODE WANTED ARGUMENTS...: the exit status, and text that is in the output
run() {
    code=$1 wanted=$2
    shift 2
    "$program" "$@" >"$out/got" 2>&1 </dev/null
    status=$?
    [ $status = "$code" ] && pass || fail "quant $*: exit status $status"
    try "output of quant $*" grep -qF -e "$wanted" "$out/got"
}
demo=build/demo.safetensors
try "$demo" ${MAKE:-make} $demo
run 0 "usage: quant quantize" --help
run 0 "usage: quant quantize" quantize --help
run 2 "expected quantize, dequantize or check; see quant --help"
run 2 "expected IN and OUT" quantize $demo
run 2 "expected IN;" check
run 2 "too many arguments" check $demo "$out/x"
run 2 "unknown option" quantize $demo "$out/x" --wrong
run 2 "an option lacks its value" quantize $demo "$out/x" --layout
run 2 "--layout expects" quantize $demo "$out/x" --layout columns
for n in 0 -1 x 1x 2000000000; do run 2 "--block expects" quantize $demo "$out/x" --layout blocks --block $n; done
run 2 "--block needs" quantize $demo "$out/x" --block 32
run 2 "--all needs" quantize $demo "$out/x" --layout rows --all
run 2 "uint8 needs" quantize $demo "$out/x" --layout rows --dtype u8
run 2 "names no dtype" quantize $demo "$out/x" --dtype float8
run 2 "names no dtype" quantize $demo "$out/x" --dtype f3
run 2 "names no dtype" quantize $demo "$out/x" --dtype f320
run 2 "expects --dtype int8" quantize $demo "$out/x" --dtype f32
run 2 "expects a floating-point" dequantize $demo "$out/x" --dtype int8
run 2 "only quantize takes" dequantize $demo "$out/x" --all
run 0 "embed.weight: I8, 1 scale, largest error 0.0315" quantize $demo "$out/x"
"$program" quantize $demo "$out/y" >/dev/full 2>"$out/got"
[ $? = 1 ] && pass || fail "a full device: exit status"
try "a full device" grep -q "quant: cannot write to standard output" "$out/got"
run 0 "2 of 3 tensors quantized" quantize $demo "$out/once" --all --dtype uint8
rm -f "$out/twice"
run 1 "embed.weight: is quantized already" quantize "$out/once" "$out/twice" --layout rows
[ ! -e "$out/twice" ] && pass || fail "a model was quantized twice"
run 1 "none: no such file" quantize "$out/none" "$out/x"
head -c 100 $demo >"$out/cut.safetensors"
run 1 "cut.safetensors: file is truncated" quantize "$out/cut.safetensors" "$out/x"
run 1 "cut.safetensors: file is truncated" check "$out/cut.safetensors"
run 1 "directory does not exist" quantize $demo "$out/none/x"
# a real model: what st convert makes of it is the same
model=build/models/all-MiniLM-L6-v2/model.safetensors
if [ -e $model ]; then
    program=build/examples/quant
    run 0 "40 of 104 tensors quantized" quantize $model "$out/q.safetensors" --layout rows
    run 0 "40 of 144 tensors quantized, and their scales are valid" check "$out/q.safetensors"
    run 0 "40 of 144 tensors dequantized" dequantize "$out/q.safetensors" "$out/d.safetensors"
    try "st convert" build/st convert "$out/q.safetensors" "$out/c.safetensors" --dtype f32
    try "st convert agrees" build/st diff "$out/d.safetensors" "$out/c.safetensors"
    rm -f "$out/q.safetensors" "$out/d.safetensors" "$out/c.safetensors"
elif [ "${CI:-}" = true ]; then
    fail "no $model, though tests/tools/install should bring it"
else
    skip "no $model here"
fi
finish
