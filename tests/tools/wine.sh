#!/bin/sh
# wine.sh SOURCE...: builds and runs the tests and harnesses, and the programs of tests/callsites, as Windows programs.
# Wine can exit with 0 without running a program, so only the printed totals count.
check=wine
. tests/tools/lib.sh
have x86_64-w64-mingw32-gcc wine || finish
WINEPREFIX=$PWD/build/wineprefix WINEDEBUG=-all
export WINEPREFIX WINEDEBUG
[ -d "$WINEPREFIX" ] || wineboot -i >/dev/null 2>&1 # the first start takes seconds, which no test should pay for
CC=x86_64-w64-mingw32-gcc CFLAGS="-O1 -g" LDFLAGS="-static -lshell32" EXE=.exe RUN=wine LIMIT=900 \
    sh tests/tools/programs.sh wine "$@" >"$out/programs"
cat "$out/programs"
set -- $(tail -n 1 "$out/programs")
passed=$2 failed=$4 skipped=$6
# cxx is left out: it includes sys/statvfs.h
try "outside programs" env CC=x86_64-w64-mingw32-gcc RUN=wine tests/callsites/run . read errors sources write over shards access list
finish
