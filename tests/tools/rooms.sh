#!/bin/sh
# rooms.sh [--size]: the header's own order. Rooms are numbered upwards, each with a sentence and a `uses:` line that names
# only rooms above it, and it really uses no others; no function is declared before it is defined; none is over 70
# lines (100: the few below); no operating system is named outside rooms 5 and 13; the title's version is the macros'.
check=rooms
. tests/tools/lib.sh
long_allowed='' # a switch over tokens or a SIMD kernel
awk -v long_allowed="$long_allowed" -f tests/tools/rooms.awk safetensors.h >"$out/report"
while read -r verdict what; do
    case $verdict in
    pass) pass ;;
    fail) fail "$what" ;;
    info) echo "$what" ;;
    esac
done <"$out/report"
[ -s "$out/report" ] || fail "no report: is safetensors.h there?"
finish
