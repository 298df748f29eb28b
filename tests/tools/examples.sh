#!/bin/sh
# examples.sh: builds the programs of examples/ without a warning, runs each and compares its output. The larger programs
# have tests of their own, tests/examples/NAME.sh, which run at the same time; ONLY="vad mpi" runs only these.
check=examples
. tests/tools/lib.sh
scripts=
for name in ${ONLY:-$(ls tests/examples | sed -n 's/\.sh$//p')}; do scripts="$scripts tests/examples/$name.sh"; done
# add_up: counts what the scripts printed
add_up() {
    for script in $scripts; do
        log=$out/$(basename "$script" .sh).log
        grep -E '^(FAILED|skipped| )' "$log"
        line=$(grep -E '^[a-z0-9_-]+: [0-9]+ passed' "$log" | tail -n 1)
        if [ -z "$line" ]; then fail "$script ended early:" "$(tail -n 3 "$log")" && continue; fi
        set -- $line
        echo "$line"
        passed=$((passed + $2)) failed=$((failed + $4)) skipped=$((skipped + $6))
    done
}
one='sh $0 >'$out'/$(basename $0 .sh).log 2>&1; true'
if [ -n "${ONLY:-}" ]; then
    printf '%s\n' $scripts | xargs -P "${JOBS:-2}" -n 1 sh -c "$one"
    add_up
    finish
fi
printf '%s\n' $scripts | xargs -P "${JOBS:-2}" -n 1 sh -c "$one" &
cc=${CC:-cc}
for source in examples/*.c; do
    name=$(basename "$source" .c) libraries=
    if [ $name = npy ]; then
        echo '#include <zlib.h>' | $cc -E - >/dev/null 2>&1 || { have zlib.h; continue; }
        libraries="examples/common/strided.c examples/common/zip/zip.c -lz"
    fi
    [ $name != load ] || libraries=-pthread
    try "$source" $cc -std=gnu99 -O1 $WARN -I. "$source" $libraries -o "$out/$name"
done
common="examples/common/lib.c examples/common/text.c examples/common/json.c"
try "examples/st" $cc -std=gnu99 -O1 $WARN -I. -pthread examples/st/*.c $common -o "$out/st"
have g++ && try "examples/st as C++11" g++ -std=c++11 $WARN_CXX -I. -fsyntax-only -x c++ examples/st/*.c examples/common/*.c
try "make run" ${MAKE:-make} run
# the line in the head comment of a program builds it; without optimization, as that is quicker
for main in examples/*/main.c; do
    name=$(basename "$(dirname "$main")")
    awk '!on && /^[ \/*]*(mpi)?cc -O[23]/ { on = 1 } on { sub(/^[ \/*]*/, ""); more = sub(/\\$/, ""); printf "%s ", $0; if (!more) exit }' \
        "$main" | sed "s|-O[23]|-O0|; s|-o [^ ]* *$|-o $out/line-$name|" >"$out/line"
    if ! grep -q -- "-O0" "$out/line"; then fail "$main: no line that builds it"; continue; fi
    if sh "$out/line" >"$out/said" 2>&1; then
        pass
    elif [ "${CI:-}" != true ] && grep -qE 'No such file|cannot find -l|not found' "$out/said"; then
        skip "$main: its libraries are not here"
    else
        fail "$main: its line does not build it"
        sed -n '1,10s/^/    /p' "$out/said"
    fi
done
# prints NAME ARGUMENTS... <WANTED: the program succeeds and prints exactly WANTED
prints() {
    name=$1
    shift
    cat >"$out/wanted"
    "$out/$name" "$@" >"$out/got" 2>&1
    status=$?
    if [ $status = 0 ]; then pass; else fail "$name $*: exit status $status"; fi
    try "output of $name $*" diff "$out/wanted" "$out/got"
}
refuses() { # WANTED NAME ARGUMENTS...: the program fails with WANTED in its messages
    wanted=$1 name=$2
    shift 2
    if "$out/$name" "$@" >"$out/got" 2>&1; then fail "$name $*: exit status 0"; else pass; fi
    try "message of $name $*" grep -qF "$wanted" "$out/got"
}
try "load" "$out/load" build/demo.safetensors 2
prints list build/demo.safetensors norm.bias <<'END'
embed.weight BF16 4 2
norm.bias F32 2
ids U8 2 3
norm.bias[0] = 0.5
norm.bias[1] = -0.5
END
evil='{"a\u001b]0;evil\u0007\u0000\u00e9":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}  '
printf '\126\0\0\0\0\0\0\0%s' "$evil" >"$out/evil.safetensors"
prints list "$out/evil.safetensors" <<'END'
a\x1b]0;evil\x07\x00\xc3\xa9 U8 0
END
prints embedded <<'END'
scan: 1 2 3 4
work buffer: 1 2 3 4
END
prints pack <<'END'
pitch I16, 6 bytes at 72, in place
voices/boris.safetensors: no such file or directory
readme.txt: file is truncated: 3 of its first 8 bytes are missing
files left open: 0
END
prints gather "$out/gather.safetensors" </dev/null
"$out/st" show "$out/gather.safetensors" layers.1 >"$out/got" 2>&1
printf '%s\n' '[[100. 101.]' ' [102. 103.]' ' [104. 105.]' ' [106. 107.]]' >"$out/wanted"
try "what gather wrote" diff "$out/wanted" "$out/got"
prints strict_load build/demo.safetensors <<'END'
ids: not used
norm.bias: 0.5 -0.5
embed.weight: 1 2 3 4 5 6 7 8
END
prints extents build/demo.safetensors <<'END'
3 extents
tensor 0: sum of bytes 1408
tensor 1: sum of bytes 254
tensor 2: sum of bytes 21
END
prints tied "$out/tied.safetensors" <<END
$out/tied.safetensors: 3 of 4 tensors
embed.weight is embed.weight
norm.weight is norm.weight
lm_head.weight is embed.weight
first_row is first_row
END
prints aliases "$out/tied.safetensors" <<'END'
lm_head.weight is embed.weight
END
prints aliases "$out/tied.safetensors" lm_head.weight <<'END'
embed.weight
END
refuses "no F32 tensor of this name" list build/demo.safetensors ids
refuses "norm.bias: missing" strict_load "$out/tied.safetensors"
refuses "embed.weight: wrong shape" strict_load "$out/tied.safetensors"
rm -rf "$out/model" && mkdir "$out/model"
for step in begin "write 1 2" "write 0 2" finish; do try "processes $step" "$out/processes" $step "$out/model"; done
[ "$("$out/st" check "$out/model")" = "$out/model: ok, 6 tensors, 384 bytes in 3 files" ] && pass || fail "processes: st check"
try "load" "$out/load" build/demo.safetensors 2
python=build/venv/bin/python
[ -x $python ] || python=python3
if ! $python -c 'import numpy, safetensors' 2>/dev/null; then
    have "Python with safetensors and numpy"
elif [ -x "$out/npy" ]; then
    try "npy" env PYTHONDONTWRITEBYTECODE=1 $python tests/interop/npy.py "$out/npy" "$out"
fi

# The programs of README.md are compiled as they are, as C99, C++11 and C++20, and print what README.md says.
readme() { # NUMBER NAME: builds the C block with this number
    awk -v n="$1" '/^```c$/ { on = ++k == n; next } /^```$/ { on = 0 } on' README.md >"$out/$2.c"
    try "README.md: $2 as C99" $cc -std=c99 -fsyntax-only $WARN -I. "$out/$2.c"
    for std in c++11 c++20; do
        have g++ && try "README.md: $2 as $std" g++ -std=$std -fsyntax-only $WARN_CXX -I. -x c++ "$out/$2.c"
    done
    try "README.md: $2" $cc -std=gnu99 -O0 $WARN -I. "$out/$2.c" -o "$out/$2"
}
printed() { # LABEL TEXT: README.md contains the text, indented
    case $(cat README.md) in
    *"$(printf '%s\n' "$2" | sed 's/./    &/')"*) pass ;;
    *) fail "README.md does not print what $1 does:" "$2" ;;
    esac
}
readme 1 list && printed list "$("$out/list" build/demo.safetensors)"
readme 3 save && (cd "$out" && ./save) && printed "st ls" "$("$out/st" ls "$out/new.safetensors")"
readme 4 shard && rm -rf "$out/shards" && mkdir "$out/shards" && "$out/shard" build/demo.safetensors "$out/shards" &&
    printed "its index" "$(cat "$out/shards/model.safetensors.index.json")"
readme 2 values && printed values "$("$out/values" build/demo.safetensors)"
# damage: the demo with a number as metadata and NUL as padding; its last two bytes are missing
damage() {
    printf '\340\0\0\0\0\0\0\0%s%s%s\0\0\0\0\0\0\0' '{"__metadata__":{"epoch":3},' \
        '"embed.weight":{"dtype":"BF16","shape":[4,2],"data_offsets":[0,16]},"norm.bias":{"dtype":"F32","shape":[2],"data_offsets":[16,24]},' \
        '"ids":{"dtype":"U8","shape":[2,3],"data_offsets":[24,30]}}'
    tail -c 30 | head -c 28
}
# fp8: a weight of two rows with a scale for each, 1000 and 0.00001: 448 * 1000 is too large for F16, 2^-9 * 0.00001 too small
fp8() {
    printf '\250\0\0\0\0\0\0\0%-168s' '{"l.weight":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[8,12]},"l.weight_scale":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}'
    printf '\0\0\172\104\254\305\47\67\70\176\70\1'
}
# pieces FOLDER: a distributed checkpoint of two ranks: the rows of embed.weight by halves, norm.bias in the first file
pieces() {
    rows='{\"embed.weight\":{\"saved_offsets\":[' offsets='"dtype":"BF16","shape":[512,64],"data_offsets":[0,65536]}'
    mkdir "$1"
    {
        printf '\120\1\0\0\0\0\0\0%-336s' "{\"__metadata__\":{\"format\":\"pt\",\"DCP_SHARDING_INFO\":\"${rows}0,0]},\\\"norm.bias\\\":{\\\"saved_offsets\\\":[0]}}\"},\"embed.weight\":{$offsets,\"norm.bias\":{\"dtype\":\"BF16\",\"shape\":[64],\"data_offsets\":[65536,65664]}}"
        head -c 65664 /dev/zero
    } >"$1/shard-00001-model-00001-of-00001.safetensors"
    {
        printf '\330\0\0\0\0\0\0\0%-216s' "{\"__metadata__\":{\"format\":\"pt\",\"DCP_SHARDING_INFO\":\"${rows}512,0]}}\"},\"embed.weight\":{$offsets}"
        head -c 65536 /dev/zero
    } >"$1/shard-00002-model-00001-of-00001.safetensors"
}
# session FIRST-COMMAND: runs the commands of README.md from this one on and compares their output with README.md
session() {
    rm -rf "$out/session" && mkdir "$out/session" && cp build/demo.safetensors "$out/session"
    damage <build/demo.safetensors >"$out/session/damaged.safetensors"
    fp8 >"$out/session/fp8.safetensors"
    pieces "$out/session/step-900"
    head -c 16 /dev/zero >"$out/zeros"
    "$out/st" pack "$out/session/lora.safetensors" "lora_te_embed.lora_up.weight=F32:4,1:$out/zeros" \
        "lora_te_embed.lora_down.weight=F64:1,2:$out/zeros"
    for model in whole clip; do
        "$out/st" pack "$out/session/$model.safetensors" "embed.weight=F32:2,2:$out/zeros" "norm.bias=F32:4:$out/zeros"
    done
    awk -v first="    \$ $1" '$0 == first { on = 1 } on && /^[^ ]/ { exit } !on { next } /^$/ { blank = blank "\n"; next }
        { printf "%s%s\n", blank, substr($0, 5); blank = "" }' README.md >"$out/wanted"
    sed -n 's/^\$ st /st /p' "$out/wanted" >"$out/commands"
    (
        cd "$out/session" || exit
        st() { ../st "$@"; }
        while read -r line; do
            printf '$ %s\n' "$line"
            eval "$line"
        done <../commands
    ) >"$out/got" 2>&1
    if [ -s "$out/commands" ]; then try "README.md: $1 and what follows" diff "$out/wanted" "$out/got"; else fail "README.md has no $1"; fi
}
session "st shard demo.safetensors parts --max-size 16B"
session "st repair damaged.safetensors mended.safetensors"
session "st ls step-900"
session "st merge whole.safetensors=text. clip.safetensors=image. both.safetensors --rename '*.embed.*=*.tokens.*' --dry-run"

wait
add_up
finish
