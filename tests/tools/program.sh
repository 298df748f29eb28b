#!/bin/sh
# program.sh SOURCE: builds and runs one of
#   tests/NAME.c     a test
#   fuzz/NAME.c      a fuzz harness with its replay main, over its seeds and regressions
#   tests/NAME.sh    a script that drives the command-line tool
# A source that names ST_IMPLEMENTATION brings the library itself, the others are linked to one object of it.
# All in $OUT. What was said lies in $OUT/NAME.log, and the last line of that is the sum. A program that does not build, dies,
# or ends without its sum, has failed once.
#   CC CFLAGS LDFLAGS   the compiler          EXE    suffix of programs (.exe)
#   RUN                 what starts programs  LIMIT  seconds one may take
set -u
name=${1##*/}
name=${name%.*}
log=$OUT/$name.log
program=$OUT/$name${EXE:-}
sources=$1
library="examples/st/lib.c" # the header alone, as a program of several files has it
run="${RUN:-} $program"
case $1 in
fuzz/*)
    sources="$1 fuzz/main.c"
    seeds=${name#fuzz_}
    case $seeds in quick) # the library without its quick paths, beside the one with them
        sources="$sources tests/quick/plain.c"
        seeds=open ;;
    esac
    for d in fuzz/seeds/$seeds fuzz/regressions/$seeds; do
        [ -d "$d" ] && run="$run $(find "$d" -type f ! -name '.*' ! -name '*.md')"
    done
    ;;
tests/quick.c) sources="$1 tests/quick/plain.c" ;;
tests/threads.c | tests/load_threads.c) sources="$1 -pthread" ;; # which older systems keep in a library of its own
*.sh)
    sources="-I. -pthread $(ls examples/st/*.c | grep -v "$library")"
    program=$OUT/st${EXE:-}
    run="sh $1 $program" # it looks at RUN itself
    ;;
esac
failure() {
    echo "$name: $1" >>"$log"
    echo "$name: 0 passed, 1 failed" >>"$log"
    exit 0
}
# once NAME COMMAND...: what several programs want is made by the first, while the others wait for ten minutes at most
once() {
    made=$OUT/$1
    shift
    mkdir "$made.lock" 2>/dev/null && { "$@" >"$made.said" 2>&1; echo $? >"$made.built"; }
    seconds=0
    while [ ! -s "$made.built" ] && [ $seconds -lt 600 ]; do sleep 1; seconds=$((seconds + 1)); done
    cat "$made.said" >"$log"
    [ "$(cat "$made.built")" = 0 ]
}
if ! grep -q ST_IMPLEMENTATION "$1"; then
    once library $CC $CFLAGS -I. -c -o "$OUT/library.o" $library || failure "the library does not build"
    sources="$sources $OUT/library.o"
fi
build() { $CC $CFLAGS -o "$program" $sources ${LDFLAGS:-}; }
: >"$log"
case $1 in *.sh) once st build ;; *) build >"$log" 2>&1 ;; esac || failure "does not build"
command -v timeout >/dev/null && run="timeout ${LIMIT:-900} $run"
$run >"$OUT/$name.said" 2>&1 </dev/null
status=$?
tr -d '\r' <"$OUT/$name.said" >>"$log"
case $(tail -n 1 "$log") in
"$name"*": "*" passed, 0 failed"*) [ $status = 0 ] || failure "passed, then ended with exit status $status" ;;
"$name"*": "*" passed, "*" failed"*) ;;
*) failure "ended without its sum, exit status $status" ;;
esac
