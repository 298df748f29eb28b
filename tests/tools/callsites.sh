#!/bin/sh
# callsites.sh: outside programs that were written against the calls before there was a header, where ../shared has them.
check=callsites
. tests/tools/lib.sh
run=../shared/callsites/run
if [ ! -x $run ]; then
    skip "no ../shared/callsites here"
    finish
fi
have gcc g++ && try "gcc" env CC=gcc CXX=g++ $run .
have clang-14 clang++-14 && try "clang" env CC=clang-14 CXX=clang++-14 CFLAGS=-O0 $run .
have tcc && try "tcc" env CC=tcc $run .
have gcc && try "gcc, ST_NO_SIMD" env CC=gcc CFLAGS=-DST_NO_SIMD $run . access
finish
