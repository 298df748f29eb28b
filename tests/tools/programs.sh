#!/bin/sh
# programs.sh NAME SOURCE...: builds and runs these tests, harnesses and scripts (program.sh says how), $JOBS at once, in
# build/NAME.
# Prints what failed, a line a program, and the sum of all ("NAME: ..."; only the figures for NAME "test").
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

# the parts that these programs share: each chain of parts is built in order, and the chains at once
library=$(grep -L ST_IMPLEMENTATION "$@" | head -n 1)
tool=$(printf '%s\n' "$@" | grep '\.sh$' | head -n 1)
quick=$(printf '%s\n' "$@" | grep 'quick\.c$' | head -n 1)
inside=$(for source in "$@"; do grep -o "^#include \"\.\./${source##*/}\"" tests/inside/inside.c; done | sed 1d) # two or more
chain=${library:+library.o}${tool:+ st} other=${quick:+plain.o}
[ -z "$inside" ] || other="plain.o inside"
PARTS="$chain $other"
export PARTS
(cd "$out" && rm -f library.o plain.o inside inside.exe st st.exe)
printf '%s\n' "$chain" "$other" | xargs -L 1 -P "${JOBS:-2}" sh tests/tools/program.sh --parts

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
