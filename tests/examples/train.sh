#!/bin/sh
# train.sh: examples/train: resumed runs equal uninterrupted ones bit for bit, on every compiler; gradients; losses and
# operations beside NumPy; saved files; damaged files; a program killed while it saves.
check=example-train
. tests/tools/lib.sh
cc=${CC:-cc}
sources="examples/train/*.c tests/examples/train_gradients.c"
common="examples/common/lib.c examples/common/text.c examples/common/json.c examples/common/progress.c"
build() { # OUTPUT COMPILER FLAGS...
    binary=$out/$1
    shift
    try "build with $*" "$@" -std=gnu99 $WARN -ffp-contract=off -I. $sources $common -lm -o "$binary"
}
for object in $common; do # compiled once for all builds
    try "$object" $cc -std=gnu99 -O1 $WARN -I. -c "$object" -o "$out/$(basename "$object" .c).o"
done
common="$out/lib.o $out/text.o $out/json.o $out/progress.o"
build train $cc -O2 || finish
train=$out/train
rm -f "$out"/*.safetensors
quietly() { "$@" >"$out/printed" 2>"$out/errors"; }
run() { try "$*" "$@"; }
same() { try "$1 and $2 differ" cmp "$out/$1.safetensors" "$out/$2.safetensors"; }

# gradients
"$train" --check-gradients >"$out/gradients" && pass || fail "a gradient is wrong"
[ "$(awk '$2 < 1e-3 && NF == 2' "$out/gradients" | wc -l)" = 32 ] && pass || fail "32 gradients are not below 1e-3"

# 20 steps are 10, saved, and 10 by another process
settings() {
    name=$1
    shift
    run "$train" --steps 20 --save "$out/$name-20.safetensors" "$@"
    run "$train" --steps 10 --save "$out/$name-10.safetensors" "$@"
    run "$train" --steps 10 --resume "$out/$name-10.safetensors" --save "$out/$name-resumed.safetensors"
    same "$name-20" "$name-resumed"
    run "$train" --steps 0 --save "$out/$name-0.safetensors" "$@"
}
settings adam
settings sgd --optimizer sgd --lr 0.02 --nl-oob gaussian --seed 7
settings tied --tie --nl-oob-sign +1 --lr 0.0021234567
settings bf16 --dtype bf16 --heads 4 --kv-heads 2
settings f16 --dtype=f16 --seq=5 --d-model=12 --heads=3 --kv-heads=1 --ff=20 --batch=2 --scale=0.5 --nl-oob-sign=-1
run "$train" --steps 7 --resume "$out/adam-0.safetensors" --save "$out/at-7.safetensors" --save-every 3
run "$train" --steps 13 --resume "$out/at-7.safetensors" --save "$out/at-20.safetensors" --seed 1 --optimizer adam
same adam-20 at-20
if cmp -s "$out/adam-20.safetensors" "$out/sgd-20.safetensors"; then fail "two optimizers, one file"; else pass; fi

# the same bits from every compiler
build train-O0 $cc -O0 && run "$out/train-O0" --save "$out/O0.safetensors" && same adam-20 O0
if have clang-14; then
    build train-clang clang-14 -O2 && run "$out/train-clang" --save "$out/clang.safetensors" && same adam-20 clang
    # leaks are looked for where the program may trace itself
    build train-asan clang-14 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all &&
        run "$out/train-asan" --save "$out/asan.safetensors" --svg "$out/asan.svg" && same adam-20 asan
fi

# shards
for part in 10 20; do rm -rf "$out/shards-$part" && mkdir "$out/shards-$part"; done
run "$train" --steps 10 --save "$out/shards-10" --shards 8192
run "$train" --steps 10 --resume "$out/shards-10" --save "$out/shards-20" --shards 4096
run "$train" --steps 0 --resume "$out/shards-20" --save "$out/joined.safetensors"
same adam-20 joined
[ -e "$out/shards-10/model.safetensors.index.json" ] && pass || fail "no index"
[ "$(ls "$out"/shards-20/*.safetensors | wc -l)" -gt 5 ] && pass || fail "few shards"
run "$train" --steps 10 --resume "$out/shards-10" --save "$out/shards-10" --shards 8192
run "$train" --steps 0 --resume "$out/shards-10" --save "$out/over.safetensors"
same adam-20 over
if [ -x build/st ]; then run build/st check "$out/adam-20.safetensors" "$out/shards-20" "$out/bf16-20.safetensors"; fi

# a save that fails, or is killed, leaves the old file
cp "$out/adam-10.safetensors" "$out/kept.safetensors"
if quietly "$train" --save "$out/none/x.safetensors"; then fail "saved to no directory"; else pass; fi
try "message of a failed save" grep -q "none/x.safetensors" "$out/errors"
if quietly "$train" --steps 1 --save "$out/none" --shards 9999; then fail "saved to no directory"; else pass; fi
# a pipe gets the file once; the line of the step comes at the end
"$train" --steps 1 --save /dev/stdout 2>"$out/errors" | cat >"$out/piped"
quietly "$train" --steps 1 --save "$out/unpiped.safetensors"
head -c "$(wc -c <"$out/unpiped.safetensors")" "$out/piped" | cmp -s - "$out/unpiped.safetensors" && pass || fail "a pipe"
[ "$(wc -c <"$out/piped")" -lt $(($(wc -c <"$out/unpiped.safetensors") + 200)) ] && pass || fail "a pipe gets more"
[ "$(ls -A "$out" | grep -c '^.st-')" = 0 ] && pass || fail "a temporary file is left"
if [ -e /dev/full ]; then
    if "$train" --steps 1 >/dev/full 2>"$out/errors"; then fail "printed to a full device"; else pass; fi
    try "message of a full device" grep -q "standard output: cannot write" "$out/errors"
    if quietly "$train" --save /dev/full; then fail "saved to a full device"; else pass; fi
    if quietly "$train" --svg /dev/full; then fail "drew on a full device"; else pass; fi
fi
for delay in 0.02 0.05 0.09 0.14 0.2; do
    kept=$out/kept.safetensors
    "$train" --steps 100000 --resume "$kept" --save "$kept" --save-every 1 >/dev/null 2>&1 &
    sleep $delay
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
    run "$train" --steps 1 --resume "$out/kept.safetensors"
done
rm -f "$out"/.st-*.tmp
cmp -s "$out/kept.safetensors" "$out/adam-10.safetensors" && fail "nothing was saved before the kill" || pass

# the command line
quietly "$train" --help && pass || fail "--help"
try "--help names all options" grep -q -- --check-gradients "$out/printed"
refuses() { # STATUS WANTED ARGUMENTS...
    status=$1 wanted=$2
    shift 2
    quietly "$train" "$@"
    got=$?
    [ $got = "$status" ] && pass || fail "train $*: exit status $got"
    try "message of train $*" grep -qF -- "$wanted" "$out/errors"
}
refuses 2 "not an option" --stepz 3
refuses 2 "not an option" file
refuses 2 "need --save" --save-every 2 --steps 0
refuses 2 "need --save" --shards 2000 --steps 0
refuses 2 "not one of the choices" --tie maybe
run "$train" --steps 1 --tie yes --save "$out/tie-yes.safetensors"
run "$train" --tie --steps 1 --save "$out/tie-alone.safetensors"
same tie-yes tie-alone
run "$train" --steps 1 --tie no --save "$out/tie-no.safetensors"
cmp -s "$out/tie-no.safetensors" "$out/tie-yes.safetensors" && fail "--tie no is --tie yes" || pass
refuses 2 "a value is missing" --steps
refuses 2 "not a number" --steps many
refuses 2 "not a number" --lr nan
refuses 2 "whole number" --steps 1.5
refuses 2 "too small or too large" --lr 11
refuses 2 "not one of the choices" --optimizer adams
refuses 2 "not one of the choices" --optimizer ad
refuses 2 "not one of the choices" --nl-oob=
refuses 2 "heads does not divide d-model" --heads 3
refuses 2 "kv-heads does not divide heads" --heads 4 --kv-heads 3
refuses 2 "too large together" --batch 1024 --seq 512
refuses 1 "option --heads differs" --resume "$out/adam-10.safetensors" --heads 4
refuses 1 "option --seed differs" --resume "$out/adam-10.safetensors" --seed 2
refuses 1 "cannot resume: $out/none" --resume "$out/none"
refuses 1 "loss: not finite" --optimizer sgd --lr 10 --scale 100 --steps 2000
run "$train" --resume "$out/adam-10.safetensors" --lr 0.01 --momentum 0.5 --steps 1

python=build/venv/bin/python
[ -x $python ] || python=python3
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
if ! $python -c 'import numpy, safetensors, ml_dtypes' 2>/dev/null; then
    have "Python with numpy, safetensors and ml_dtypes"
    finish
fi
reference() { try "reference: $*" $python tests/examples/train_reference.py "$@"; }
for name in adam sgd tied bf16 f16; do
    reference losses "$out/$name-0.safetensors" "$out/$name-20.safetensors"
    case $name in *16) dtype=$name ;; *) dtype=f32 ;; esac
    reference file "$out/$name-20.safetensors" $dtype
done
falls=
for seed in 1 2 3 4 5 6 7 8; do
    quietly "$train" --save "$out/seed-$seed.safetensors" --seed $seed
    falls="$falls $out/seed-$seed.safetensors"
done
reference falls $falls "$out/sgd-20.safetensors"
run "$train" --steps 10 --resume "$out/adam-10.safetensors" --svg "$out/loss.svg"
reference picture "$out/loss.svg" 20
run "$train" --d-model 1 --ff 1 --heads 1 --batch 1 --seq 2 --steps 2500 --svg "$out/long.svg"
points=$(grep -o 'L[0-9.]* [0-9.]*' "$out/long.svg" | wc -l)
[ "$points" -gt 500 ] && [ "$points" -le 1000 ] && pass || fail "the picture of 2,500 steps has $points points"
run "$train" --steps 1 --svg "$out/one.svg"
reference picture "$out/one.svg" 1
try "build train_ops.c" $cc -std=gnu99 -O1 $WARN -I. tests/examples/train_ops.c examples/train/tensor.c \
    examples/train/ops_extra.c examples/train/model.c "$out/lib.o" -lm -o "$out/ops"
try "NL-OOB of what does not fit" "$out/ops" "$out/ops.safetensors" && reference operations "$out/ops.safetensors"

# damaged files
rm -rf "$out/hostile" && mkdir "$out/hostile"
reference hostile "$out/adam-20.safetensors" "$out/hostile"
[ -x "$out/train-asan" ] && hostile=$out/train-asan || hostile=$train
for file in "$out"/hostile/*.safetensors; do
    "$hostile" --steps 0 --resume "$file" >"$out/printed" 2>"$out/errors"
    status=$?
    case $(basename "$file") in
    good-*) [ $status = 0 ] ;;
    random-*) [ $status -le 1 ] ;;
    *) [ $status = 1 ] ;;
    esac && pass || fail "$file: exit status $status: $(head -n 3 "$out/errors")"
    [ $status = 0 ] || grep -q '^train: ' "$out/errors" && pass || fail "$file: no message"
    ! grep -q "$(printf '\033')" "$out/errors" && pass || fail "$file: an escape reaches the terminal"
done
says() {
    quietly "$train" --steps 1 --resume "$out/hostile/$1.safetensors"
    try "message about $1" grep -qF -- "$2" "$out/errors"
}
says cut-100 "truncated"
says nan-embed.weight "embed.weight is not finite"
says negative-v "optimizer.v.head.weight is not finite"
says dtype-i32 "head.weight is not F32"
says shape-turned "block.ff1.weight does not have the shape"
says d-model-1 "embed.weight does not have the shape"
says unknown "tail.weight"
says no-weight "head.weight is missing"
says no-moment "optimizer.v.block.ff2.bias is missing"
says no-step "metadata train.step: missing"
says version-0 "metadata train.version: too small or too large"
says tie-0 "tensor head.weight"
says good-weights-only "warning: no optimizer"
# weights alone: a new run from them
quietly "$train" --steps 1 --resume "$out/hostile/good-weights-only.safetensors" --save "$out/restart.safetensors"
try "a run from weights alone begins at step 1" grep -q "^step 1 " "$out/printed"
reference file "$out/restart.safetensors"
# no memory is taken for what metadata claims
for name in good-lying-step d-model-1 ff-1 big-batch; do
    (ulimit -v 100000 && "$train" --steps 0 --resume "$out/hostile/$name.safetensors") >"$out/printed" 2>"$out/errors"
    try "memory for $name" sh -c "! grep -q memory '$out/errors'"
done
finish
