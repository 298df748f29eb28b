#!/bin/sh
# wine.sh SOURCE...: builds and runs the tests and harnesses, and the programs of tests/callsites, as Windows programs.
# BITS=32: as 32-bit programs. Wine can exit with 0 without running a program, so only the printed totals count.
case ${BITS:-64} in
32) check=wine32 machine=i686 ;;
*) check=wine machine=x86_64 ;;
esac
. tests/tools/lib.sh
CC=$machine-w64-mingw32-gcc
have $CC wine || finish
# a prefix has 32-bit libraries only if Wine found them when it made the prefix
WINEPREFIX=$PWD/build/${check}prefix WINEDEBUG=-all
export WINEPREFIX WINEDEBUG
if [ $check = wine32 ]; then
    [ -d build/libwine32/lib ] || { skip "no build/libwine32, which tests/tools/install nightly brings"; finish; }
    WINEDLLPATH=$PWD/build/libwine32/lib
    export WINEDLLPATH
fi
[ -d "$WINEPREFIX" ] || wineboot -i >/dev/null 2>&1 # the first start takes seconds, which no test should pay for
CC=$CC CFLAGS="-O1 -g" LDFLAGS="-static -lshell32" EXE=.exe RUN=wine LIMIT=900 \
    sh tests/tools/programs.sh $check "$@" >"$out/programs"
cat "$out/programs"
set -- $(tail -n 1 "$out/programs")
passed=$2 failed=$4 skipped=$6
# cxx is left out: it includes sys/statvfs.h
try "outside programs" env CC=$CC RUN=wine tests/callsites/run . read errors sources write over shards access list
finish
