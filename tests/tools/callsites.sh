#!/bin/sh
# callsites.sh: builds and runs programs that use the documented calls (tests/callsites).
check=callsites
. tests/tools/lib.sh
run=tests/callsites/run
have gcc g++ && try "gcc" env CC=gcc CXX=g++ $run .
have clang-14 clang++-14 && try "clang" env CC=clang-14 CXX=clang++-14 CFLAGS=-O0 $run .
have tcc && try "tcc" env CC=tcc $run .
have gcc && try "gcc, ST_NO_SIMD" env CC=gcc CFLAGS=-DST_NO_SIMD $run . access
finish
