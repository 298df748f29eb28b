#!/bin/sh
# rooms.sh [--size]: checks the structure of safetensors.h. Rooms are numbered in order, each with a description and a `uses:`
# line that lists earlier rooms only, and uses no others. Functions are defined before they are used, and have at most 70
# lines (100: the exceptions below). Only rooms 5 and 13 name operating systems. The title's version matches the macros.
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
