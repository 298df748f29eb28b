#!/bin/sh
# vad.sh: builds examples/vad and compares its probabilities and segments with those of NumPy (vad_reference.py) and with the
# published weights' in ../shared/real; damages models and recordings; runs the firmware under QEMU.
check=example-vad
. tests/tools/lib.sh
cc=${CC:-cc} make=${MAKE:-make}
python=build/venv/bin/python
$python -c 'import numpy' 2>/dev/null || python=python3
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
reference="$python tests/examples/vad_reference.py"
real=../shared/real
model=$real/silero_vad_16k.safetensors recording=$real/speech_16k.wav
common="examples/common/text.c examples/common/progress.c"
parts="examples/vad/vad.c examples/vad/wav.c examples/vad/segments.c"
lib=$out/lib.o # the library is compiled once; tests of its own run it under sanitizers
status() { # LABEL WANTED PROGRAM...: the exit status of the program; its output is in $out/output
    label=$1 wanted=$2
    shift 2
    "$@" >"$out/output" 2>&1 </dev/null
    got=$?
    if [ $got = "$wanted" ]; then pass; else fail "$label: exit status $got, expected $wanted"; fi
}
says() { try "$1: expected the message '$2'" grep -qF -- "$2" "$out/output"; }

try "make build/examples/vad" $make build/examples/vad
vad=build/examples/vad
try "the library" $cc -std=gnu99 -O0 $WARN -I. -c examples/common/lib.c -o "$lib"
try "no warnings" $cc -std=gnu99 -O2 $WARN -I. -fsyntax-only examples/vad/*.c
compiler="$cc" sanitize=
if have clang-14; then
    try "no warnings from clang" clang-14 -std=gnu99 $WARN -I. -fsyntax-only examples/vad/*.c
    compiler=clang-14 sanitize="-fno-sanitize-recover=all -fsanitize=address,undefined"
fi
try "with sanitizers" $compiler -std=gnu99 -O1 -g $WARN $sanitize -I. examples/vad/*.c $common "$lib" -lm -o "$out/vad-checked"
try "vad_check" $compiler -std=gnu99 -O1 -g $WARN $sanitize -I. tests/examples/vad_check.c $parts $common "$lib" -lm -o "$out/vad_check"

status "--help" 0 "$vad" --help
says "--help" "usage: vad [OPTION]"
usage() { # WANTED ARGUMENTS...: refused with this message
    message=$1
    shift
    status "vad $*" 2 "$vad" "$@"
    cp "$out/said" "$out/said.copy"
    says "vad $*" "$message"
    says "vad $*" "Try: vad --help"
}
usage "expected a model and a recording"
usage "expected a model and a recording" x
usage "one argument too many" a b c
usage "no such option" --loud a b
usage "expected a value" a b --pad
usage "expected a probability" --threshold 1.5 a b
usage "expected a probability" --threshold nan a b
usage "expected a probability" --threshold '' a b
usage "expected a probability" --low-threshold -0.1 a b
usage "expected whole milliseconds" --pad 1.5 a b
usage "expected whole milliseconds" --min-speech 999999999 a b
usage "expected whole milliseconds" --min-silence x a b
usage "cannot be combined" --json --probabilities a b

if $python -c 'import numpy' 2>/dev/null; then
    small=$out/small.safetensors tone=$out/tone.wav
    try "a small model" $reference model "$small"
    try "a recording" $reference speech "$tone"
    try "probabilities by NumPy" sh -c "$reference probabilities '$small' '$tone' >'$out/wanted'"
    try "probabilities" sh -c "'$vad' --probabilities '$small' '$tone' >'$out/got'"
    try "number of probabilities" test "$(wc -l <"$out/got")" = "$(wc -l <"$out/wanted")"
    try "probabilities of a small model" $reference compare "$out/got" "$out/wanted" 1e-6 94
    try "segments of a small model" $reference segments "$vad" "$small" "$tone" "$out/wanted"
    try "segments.c alone" $reference cases "$out/vad_check"
    try "weights at any alignment" "$out/vad_check" alignment "$small" "$tone"
    rm -rf "$out/damaged" && mkdir "$out/damaged"
    try "damaged models" $reference damage "$small" "$out/damaged"
    try "damaged models and recordings are refused" $reference hostile "$out/vad-checked" "$small" "$out/damaged"
else
    have "Python with numpy"
    small=
fi

if [ -r $model ] && [ -r $recording ]; then
    try "probabilities of real speech" sh -c "'$vad' --probabilities --time $model $recording >'$out/real' 2>'$out/time'"
    echo "    vad: $(cat "$out/time")"
    speed=$(sed -n 's/.*: \([0-9]*\) times real time/\1/p' "$out/time")
    try "at least ten times real time" test "${speed:-0}" -ge 10
    try "1,875 probabilities" test "$(wc -l <"$out/real")" = 1875
    if [ -n "$small" ]; then
        try "probabilities of real speech" $reference compare "$out/real" $real/speech_16k.expected.txt 1e-4 1000
        sed 's/^/    real speech: /' "$out/said"
        $reference probabilities $model $recording >"$out/numpy"
        try "all probabilities of real speech" $reference compare "$out/real" "$out/numpy" 2e-6 1875
        try "segments of real speech" $reference segments "$vad" $model $recording "$out/numpy"
        try "real weights at any alignment" "$out/vad_check" alignment $model $recording
    fi
else
    skip "real speech: $real is not here"
    model=$small recording=$tone
fi

if command -v s390x-linux-gnu-gcc >/dev/null && command -v qemu-s390x-static >/dev/null && [ -n "$small" ]; then
    try "a big-endian machine: vad" s390x-linux-gnu-gcc -static -O0 $WARN -I. examples/vad/*.c $common \
        examples/common/lib.c -lm -o "$out/vad-s390x"
    head -c 30000 "$tone" >"$out/short.wav"
    for program in "$vad" "qemu-s390x-static $out/vad-s390x"; do
        $program --probabilities "$small" "$out/short.wav" 2>/dev/null
    done >"$out/both"
    head -n 30 "$out/both" >"$out/little" && tail -n +31 "$out/both" >"$out/big"
    try "a big-endian machine: probabilities" $reference compare "$out/big" "$out/little" 1e-5 30
else
    skip "a big-endian machine: no s390x-linux-gnu-gcc or qemu-s390x-static here"
fi

# ---- firmware ------------------------------------------------------------------------------------------------------

arm="arm-none-eabi-gcc -std=gnu99 -O2 -mthumb -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard"
# run_board CORE BOARD ELF CHUNKS: runs the firmware and compares its probabilities with $out/wanted-board
run_board() {
    timeout 120 qemu-system-arm -M "$2" -nographic -semihosting -icount shift=0 -kernel "$3" >"$out/got" 2>"$out/report" \
        </dev/null
    got=$?
    if [ $got = 0 ]; then pass; else fail "$1: exit status $got: $(head -n 3 "$out/report")" && return 1; fi
    try "$1: $4 probabilities" test "$(wc -l <"$out/got")" = "$4"
    try "$1: probabilities" $reference compare "$out/got" "$out/wanted-board" 1e-4 "$4"
}
# link OFFSET MODEL: a firmware of the objects that were compiled before, with another model
link() {
    head -c 20524 "$recording" >"$out/clip.wav"
    rm -f "$out/other.elf"
    try "firmware with $2" $arm -I. -nostartfiles -Wl,-T,examples/vad/firmware/board.ld -DMODEL="\"$2\"" \
        -DRECORDING="\"$out/clip.wav\"" -DMODEL_OFFSET="$1" examples/vad/firmware/files.S "$out/main.o" "$out/board.o" \
        "$out/vad.o" "$out/wav.o" -o "$out/other.elf"
}
value() { sed -n "s/^$1: //p" "$out/report"; }
limit() { # LABEL VALUE LIMIT
    if [ "${2:-999999999}" -le "$3" ]; then pass; else fail "$1: $2, over $3"; fi
}
if have arm-none-eabi-gcc arm-none-eabi-nm arm-none-eabi-size qemu-system-arm && [ -n "$model" ]; then
    try "firmware without warnings" $arm $WARN -I. -c examples/vad/firmware/main.c -o "$out/main.o"
    try "board.c without warnings" $arm $WARN -I. -c examples/vad/firmware/board.c -o "$out/board.o"
    for part in vad wav segments; do
        try "$part.c without warnings" $arm $WARN -fno-math-errno -I. -c examples/vad/$part.c -o "$out/$part.o"
        for symbol in $(arm-none-eabi-nm -u "$out/$part.o" | awk '{ print $2 }'); do
            case $symbol in
            memcpy | memset | memcmp | vad_* | st_is_aligned | st_has_shape | __aeabi_dcmp*) pass ;;
            *) fail "$part.c uses $symbol" ;;
            esac
        done
    done
    if [ -r $real/speech_16k.expected.txt ]; then cp $real/speech_16k.expected.txt "$out/wanted-board"; else
        cp "$out/wanted" "$out/wanted-board"
    fi
    long=93
    [ ! -r $real/speech_16k.expected.txt ] || long=400
    rm -f build/examples/vad-firmware.elf build/examples/vad-firmware-m7.elf
    try "make build/examples/vad-firmware.elf" $make build/examples/vad-firmware.elf VAD_MODEL="$model" VAD_WAV="$recording" \
        VAD_WAV_BYTES=$((44 + 1024 * long))
    if run_board "Cortex-M4" mps2-an386 build/examples/vad-firmware.elf $long; then
        text=$(arm-none-eabi-size -A build/examples/vad-firmware.elf | awk '$1 == ".text" { print $2 }')
        variables=$(arm-none-eabi-size -A build/examples/vad-firmware.elf | awk '/^\.(data|bss) / { n += $2 } END { print n }')
        echo "    Cortex-M4: $text bytes of code and constants, of which vad.c" \
            "$(arm-none-eabi-size "$out/vad.o" | awk 'NR == 2 { print $1 }'); $variables of variables; then:"
        sed 's/^/        /' "$out/report"
        limit "code and constants" "$text" 20480
        limit "variables" $variables 10240
        limit "stack" "$(value 'bytes of stack')" 3072
        limit "instructions a chunk" "$(value 'instructions a chunk')" 1800000
        try "weights in place" test "$(value 'weights in place')" = 1
    fi
    try "make build/examples/vad-firmware-m7.elf" $make build/examples/vad-firmware-m7.elf VAD_MODEL="$model" \
        VAD_WAV="$recording"
    if run_board "Cortex-M7" mps2-an500 build/examples/vad-firmware-m7.elf 64; then
        echo "    Cortex-M7: $(value 'instructions a chunk') instructions a chunk"
    fi
    if link 1 "$model" && run_board "Cortex-M4, unaligned weights" mps2-an386 "$out/other.elf" 20; then
        try "unaligned weights are copied" test "$(value 'weights in place')" = 0
        echo "    Cortex-M4, unaligned weights: $(value 'instructions a chunk') instructions a chunk"
    fi
    refused() { # FILE WANTED: the firmware refuses this model
        link 0 "$out/damaged/$1.safetensors"
        status "firmware with $1" 1 timeout 60 qemu-system-arm -M mps2-an386 -nographic -semihosting -kernel "$out/other.elf"
        says "firmware with $1" "$2"
    }
    if [ -n "$small" ]; then
        refused missing "conv3.bias: missing"
        refused shape "conv2.weight: wrong shape"
        refused cut "model: ST_ERR_TRUNCATED"
        refused nan "NaN"
        cp "$out/wanted" "$out/wanted-board"
        recording=$tone
        link 0 "$out/damaged/good-escaped.safetensors" &&
            run_board "Cortex-M4, escaped names" mps2-an386 "$out/other.elf" 20
    fi
    rm -f build/examples/vad-firmware*
fi
finish
