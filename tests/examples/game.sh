#!/bin/sh
# game.sh: examples/game under a virtual X server. Pictures are compared: of runs whose brain is replaced half-way, and of
# runs whose brain is damaged half-way.
check=example-game
. tests/tools/lib.sh
cc=${CC:-cc}
have sdl2-config xvfb-run || finish
echo '#include <stb/stb_easy_font.h>' | $cc -E - >/dev/null 2>&1 || { have stb_easy_font.h; finish; }
sources="examples/game/main.c examples/game/brain.c examples/common/lib.c"
sdl="$(sdl2-config --cflags) $(sdl2-config --libs) -lm"
try "build" $cc -std=gnu99 -O1 $WARN -I. $sources $sdl -o "$out/game" || finish
game=$out/game
if command -v clang-14 >/dev/null; then # libraries of the X client leak, so leaks are not looked for
    try "build with sanitizers" clang-14 -g -O0 -fsanitize=address,undefined -fno-sanitize-recover=all -I. $sources $sdl \
        -o "$out/game-asan" && game=$out/game-asan
fi
export ASAN_OPTIONS=detect_leaks=0
[ -x build/st ] || ${MAKE:-make} build/st >/dev/null
for behaviour in seek shy orbit; do
    try "make $behaviour" "$game" --make "$out/$behaviour.safetensors" --behaviour $behaviour
    try "check $behaviour" build/st check "$out/$behaviour.safetensors"
done

# play NAME CHANGE: plays 40 frames. After frame 20 CHANGE is run, with the brain in $brain. Leaves NAME.bmp, .log and .err
play() {
    brain=$out/$1.brain
    rm -f "$out/$1.bmp" "$out/$1.log" "$out/pipe"
    cp "$out/seek.safetensors" "$brain"
    touch -d @1000000000.1 "$brain"
    mkfifo "$out/pipe"
    "$game" "$brain" --frames 40 --wait 20 --screenshot "$out/$1.bmp" <"$out/pipe" >"$out/$1.log" 2>"$out/$1.err" &
    exec 7>"$out/pipe"
    tries=0
    until grep -q waiting "$out/$1.log" 2>/dev/null || [ $((tries += 1)) -gt 200 ]; do sleep 0.05; done
    eval "$2"
    echo >&7
    exec 7>&-
    wait $!
    status=$?
    [ $status = 0 ] && pass || fail "$1: exit status $status:" "$(tail -n 3 "$out/$1.err")"
}
said() { # NAME FILE TEXT
    grep -qF "$3" "$out/$1.$2" && pass || fail "$1: expected '$3', found:" "$(cat "$out/$1.$2")"
}
quiet() { [ -s "$out/$1.err" ] && fail "$1:" "$(cat "$out/$1.err")" || pass; }
# picture NAME: how its picture differs from that of `same`: equal, banner (only in the line of errors), or scene
picture() {
    python3 -c '
import sys
a, b = (open(name, "rb").read() for name in sys.argv[1:])
assert len(a) == len(b) > 640 * 400 * 3
banner = 54 + 24 * 640 * 3  # rows of a BMP file run from the bottom up
print("equal" if a == b else "banner" if a[banner:] == b[banner:] else "scene")' "$out/same.bmp" "$out/$1.bmp"
}
shows() { # NAME WANTED
    found=$(picture "$1" 2>&1)
    [ "$found" = "$2" ] && pass || fail "$1: the picture differs in: $found, expected: $2"
}
have python3 || finish
# the scripts run on one X server
if [ -z "${GAME_DISPLAY:-}" ]; then
    GAME_DISPLAY=1 xvfb-run -a sh "$0"
    exit
fi

play same ":"
said same log "ship at"
quiet same
grep -q brain "$out/same.log" && fail "same: reloaded without a change" || pass
play again "touch -d '1 hour ago' \"\$brain\"" # the same bytes with another time are loaded again
said again log "brain 2 from frame 20 on"
shows again equal

play shy 'cp "$out/shy.safetensors" "$brain.new" && mv "$brain.new" "$brain"'
said shy log "brain 2 from frame 20 on"
shows shy scene
[ "$(grep -c "^brain" "$out/shy.log")" = 1 ] && pass || fail "shy: one change, several reloads"
# in place, of the same length and in the same second
play orbit 'cat "$out/orbit.safetensors" >"$brain"; touch -d @1000000000.2 "$brain"'
said orbit log "brain 2 from frame 20 on"
shows orbit scene
cmp -s "$out/shy.bmp" "$out/orbit.bmp" && fail "two behaviours, one picture" || pass

play garbage 'echo garbage >"$brain"'
said garbage err "garbage.brain: "
said garbage err "goes on with the old brain"
shows garbage banner
play cut 'head -c 100 "$out/orbit.safetensors" >"$brain"'
said cut err "truncated"
shows cut banner
play gone 'rm "$brain"'
quiet gone
shows gone equal
play folder 'rm "$brain"; mkdir "$brain"'
shows folder banner
rm -rf "$out/folder.brain"
play other 'cp build/demo.safetensors "$brain"'
said other err "is this a brain?"
shows other banner
for bytes in 4 8 16 32 64; do head -c $bytes /dev/zero >"$out/$bytes"; done
try "a wrong shape" build/st pack "$out/shape.safetensors" "w1=F32:4,4:$out/64" "b1=F32:4:$out/16" "w2=F32:4,2:$out/32" \
    "b2=F32:2:$out/8"
play shape 'cp "$out/shape.safetensors" "$brain"'
said shape err "expected w1 [n,4]"
shows shape banner
printf '\377\377\377\377\0\0\0\0' >"$out/nan"
try "not a number" build/st pack "$out/nan.safetensors" "w1=F32:1,4:$out/16" "b1=F32:1:$out/4" "w2=F32:2,1:$out/8" \
    "b2=F32:2:$out/nan"
play nan 'cp "$out/nan.safetensors" "$brain"'
said nan err "no number"
shows nan banner
# the largest numbers: infinity less infinity at the second unit of speed
printf '\377\377\177\177\377\377\177\177\377\377\177\377\377\377\177\377' >"$out/vast"
cat "$out/vast" "$out/vast" "$out/vast" "$out/vast" >"$out/vast64"
head -c 32 "$out/vast64" >"$out/vast32"
try "vast weights" build/st pack "$out/vast.safetensors" "w1=F32:4,4:$out/vast64" "b1=F32:4:$out/vast" "w2=F32:2,4:$out/vast32" \
    "b2=F32:2:$out/8"
timeout 60 "$game" "$out/vast.safetensors" --frames 300 </dev/null >"$out/vast.log" 2>&1
grep -q '^ship at [0-9.]* [0-9.]* after' "$out/vast.log" && pass || fail "vast: $(cat "$out/vast.log")"
# standard input that cannot be read does not keep the game waiting
timeout 20 "$game" "$out/seek.safetensors" --frames 3 --wait 1 </ >"$out/no-input.log" 2>&1
status=$?
[ $status = 0 ] && pass || fail "no input: exit status $status"
# after a bad file the next good one is used, and the error is gone
brain=$out/twice.brain
cp "$out/seek.safetensors" "$brain"
rm -f "$out/twice.log" "$out/pipe" && mkfifo "$out/pipe"
"$game" "$brain" --frames 60 --wait 20 --screenshot "$out/twice.bmp" <"$out/pipe" >"$out/twice.log" 2>"$out/twice.err" &
exec 7>"$out/pipe"
for file in garbage.brain shy.safetensors; do
    waits=$((${waits:-0} + 1)) tries=0
    until [ "$(grep -c waiting "$out/twice.log" 2>/dev/null)" = $waits ] || [ $((tries += 1)) -gt 200 ]; do sleep 0.05; done
    cp "$out/$file" "$brain.new" && mv "$brain.new" "$brain"
    echo >&7
done
exec 7>&-
wait $! && pass || fail "twice: $(cat "$out/twice.err")"
said twice err "goes on with the old brain"
said twice log "brain 2 from frame 40 on"
python3 -c 'import sys; picture = open(sys.argv[1], "rb").read(); sys.exit(bytes([0x28, 0x28, 0xa0]) * 9 in picture)' "$out/twice.bmp" &&
    pass || fail "twice: the error stays"
try "half precision" build/st convert "$out/orbit.safetensors" "$out/half.safetensors" --dtype F16
play half 'cp "$out/half.safetensors" "$brain"'
said half log "brain 2 from frame 20 on"
shows half scene
place() { sed -n 's/^ship at \(.*\) after.*/\1/p' "$out/$1.log"; }
try "half steers as orbit does" awk -v a="$(place half)" -v b="$(place orbit)" 'BEGIN {
    split(a, p); split(b, q); exit !(a != "" && (p[1] - q[1]) ^ 2 + (p[2] - q[2]) ^ 2 < 1e-5) }'

# what is wrong at the start or on the command line ends the game
refuses() { # STATUS WANTED ARGUMENTS...
    wanted_status=$1 wanted=$2
    shift 2
    timeout 20 "$game" "$@" >"$out/refused" 2>&1 </dev/null
    status=$?
    [ $status = "$wanted_status" ] && grep -qF -- "$wanted" "$out/refused" && pass ||
        fail "game $*: exit status $status:" "$(cat "$out/refused")"
}
refuses 1 "no such file" "$out/none.safetensors"
head -c 68 /dev/zero >"$out/68"
head -c 272 /dev/zero >"$out/272"
head -c 136 /dev/zero >"$out/136"
build/st pack "$out/units.safetensors" "w1=F32:17,4:$out/272" "b1=F32:17:$out/68" "w2=F32:2,17:$out/136" "b2=F32:2:$out/8" >/dev/null
refuses 1 "1 to 16 elements" "$out/units.safetensors"
build/st pack "$out/units.safetensors" "w1=F32:0,4:/dev/null" "b1=F32:0:/dev/null" "w2=F32:2,0:/dev/null" "b2=F32:2:$out/8" >/dev/null
refuses 1 "1 to 16 elements" "$out/units.safetensors"
printf '\0\0\200\177' >"$out/infinite"
for file in 4 8 16; do head -c $((file - 4)) /dev/zero | cat - "$out/infinite" >"$out/infinite$file"; done
for wrong in w1 b1 w2 b2; do
    w1=16 b1=4 w2=8 b2=8
    eval "$wrong=infinite\$$wrong"
    build/st pack "$out/units.safetensors" "w1=F32:1,4:$out/$w1" "b1=F32:1:$out/$b1" "w2=F32:2,1:$out/$w2" "b2=F32:2:$out/$b2" >/dev/null
    refuses 1 "a weight is infinite" "$out/units.safetensors"
done
refuses 1 "garbage.brain" "$out/garbage.brain"
refuses 2 "which model?"
refuses 2 "one model only" a b
refuses 2 "unknown option" a --color red
refuses 2 "needs a value: --make" --make --help
[ -e ./--help ] && fail "a file named --help" || pass
long=$out/$(printf '%0200d' 1).safetensors
cp build/demo.safetensors "$long"
refuses 1 "is this a brain?" "$long"
refuses 2 "--frames wants a number" a --frames 0
refuses 2 "no such behaviour" --make "$out/x.safetensors" --behaviour lazy
refuses 1 "directory does not exist" --make "$out/none/x.safetensors"
try "help" "$game" --help
finish
