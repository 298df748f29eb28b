#!/bin/sh
# programs.sh NAME SOURCE...: builds and runs tests, harnesses and scripts (see program.sh), $JOBS at once, in build/NAME.
# Prints the output of failed programs, one line for each program, and the total ("NAME: ..."; without "NAME: " if NAME is
# "test").
set -u
check=$1
shift
. tests/tools/lib.sh
OUT=$out
export OUT
set -- $(for source in "$@"; do [ -f "$source" ] && echo "$source"; done) # drops a pattern that matched nothing
[ $# -gt 0 ] || fail "no programs"
for tool in ${CC%% *} ${RUN:-}; do
    case $tool in -* | *=*) continue ;; esac
    have "$tool" || finish
done
rm -f "$out"/*.log

. tests/tools/parts.sh
printf '%s\n' "$@" | xargs -n 1 -P "${JOBS:-2}" sh tests/tools/program.sh
for source in "$@"; do
    log=${source##*/}
    log=$out/${log%.*}.log
    tail -n 1 "$log" | grep -q ' passed, 0 failed' || sed '$d' "$log" | tail -n 40
    tail -n 1 "$log"
done >"$out/all"
cat "$out/all"
[ $failed = 0 ] || finish
case $check in test) check= ;; esac
sh tests/tools/sum.sh "$check" <"$out/all"
