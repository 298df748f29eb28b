#!/bin/sh
# program.sh SOURCE: builds and runs one of
#   tests/NAME.c     a test
#   fuzz/NAME.c      a fuzz harness with its replay main, over its seeds and regressions
#   tests/NAME.sh    a script that drives the command-line tool
# Sources that contain ST_IMPLEMENTATION contain the library; others are linked with an object file of it. Programs share
# these parts, which tests/tools/programs.sh builds before it starts them:
#   library.o   the library         plain.o   tests/quick/plain.c
#   st          the tool            inside    the tests of tests/inside/inside.c in one program
# and lists in $PARTS. If PARTS is unset, this script builds the parts itself, and each test as a program of its own.
# All output files are in $OUT. A program's output goes to $OUT/NAME.log, whose last line is the total. A program that does
# not build, crashes, or does not print its total counts as one failure.
#   CC CFLAGS LDFLAGS   the compiler                    EXE      suffix of programs (.exe)
#   WHOLE_CFLAGS        more flags for a test that      RUN      what starts programs
#                       contains the library, alone     LIMIT    seconds one program may run
#   ST_SCRATCH          directory for the tests' scratch directories (build)
set -u
made() { [ -f "$OUT/$1" ] || [ -f "$OUT/$1${EXE:-}" ]; }
part() { # NAME: builds that shared part
    case $1 in
    library.o) $CC $CFLAGS -I. -c -o "$OUT/library.o" examples/common/lib.c ;; # the header alone, as in a program of several files
    plain.o) $CC $CFLAGS -c -o "$OUT/plain.o" tests/quick/plain.c ;;
    inside) $CC $CFLAGS -o "$OUT/inside${EXE:-}" tests/inside/inside.c "$OUT/plain.o" ${LDFLAGS:-} ;;
    st) $CC $CFLAGS -I. -pthread -o "$OUT/st${EXE:-}" examples/st/*.c examples/common/text.c examples/common/json.c "$OUT/library.o" ${LDFLAGS:-} ;;
    esac >"$OUT/$1.said" 2>&1 || rm -f "$OUT/$1" "$OUT/$1${EXE:-}"
}
if [ "$1" = --parts ]; then
    shift
    for p in "$@"; do part "$p"; done
    exit 0
fi

name=${1##*/}
name=${name%.*}
log=$OUT/$name.log
program=$OUT/$name${EXE:-}
run="${RUN:-} $program"
flags= parts= sources=$1
if grep -q ST_IMPLEMENTATION "$1"; then flags=${WHOLE_CFLAGS:-}; else
    flags=-D_FILE_OFFSET_BITS=64 parts=library.o # for the test's own calls of the system, on 32 bits
fi
case $1 in
fuzz/*)
    sources="$1 fuzz/main.c"
    seeds=${name#fuzz_}
    case $seeds in quick) # the library without its quick paths, beside the one with them
        parts=plain.o
        seeds=open ;;
    esac
    for d in fuzz/seeds/$seeds fuzz/regressions/$seeds; do
        [ -d "$d" ] && run="$run $(find "$d" -type f ! -name '.*' ! -name '*.md')"
    done
    ;;
tests/quick.c) parts=plain.o ;;
tests/threads.c | tests/load_threads.c | tests/faults/edit_files.c) sources="$1 -pthread" ;; # which older systems keep in a library of its own
*.sh)
    parts="library.o st" sources=
    run="sh $1 $OUT/st${EXE:-}" # it looks at RUN itself
    ;;
esac
case " ${PARTS:-} " in *" inside "*)
    if [ "$1" = "tests/$name.c" ] && grep -q "^#include \"../$name.c\"" tests/inside/inside.c; then
        parts=inside sources=
        run="${RUN:-} $OUT/inside${EXE:-} $name"
    fi ;;
esac
failure() {
    echo "$name: $1" >>"$log"
    echo "$name: 0 passed, 1 failed" >>"$log"
    exit 0
}
: >"$log"
for p in $parts; do
    # without PARTS, build what is missing or older than its sources
    [ "${PARTS:-}" ] || { made "$p" && [ -z "$(find safetensors.h examples/st tests -newer "$OUT/$p" -name '*.[ch]')" ]; } || part "$p"
    made "$p" || { cat "$OUT/$p.said" >"$log"; failure "$p does not build"; }
    case $p in *.o) sources="$sources $OUT/$p" ;; esac
done
case $parts in
*st | inside) ;;
*) $CC $CFLAGS $flags -I. -o "$program" $sources ${LDFLAGS:-} >"$log" 2>&1 || failure "does not build" ;;
esac
command -v timeout >/dev/null && run="timeout ${LIMIT:-900} $run"
$run >"$OUT/$name.said" 2>&1 </dev/null
status=$?
tr -d '\r' <"$OUT/$name.said" >>"$log"
case $(tail -n 1 "$log") in
"$name"*": "*" passed, 0 failed"*) [ $status = 0 ] || failure "passed, then ended with exit status $status" ;;
"$name"*": "*" passed, "*" failed"*) ;;
*) failure "ended without its sum, exit status $status" ;;
esac
