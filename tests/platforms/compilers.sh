#!/bin/sh
# compilers.sh: builds and runs the tests with compilers, dialects and flags that `make test` does not use: all tests where
# the whole code generator differs, and those that a flag can influence where it changes one thing. As C++, the library,
# the tool and the tests that are valid C++ too. ONLY="lto fast": only these runs.
check=compilers
. tests/tools/lib.sh

# run NAME CC CFLAGS LDFLAGS PROGRAM...: see tests/tools/programs.sh
run() {
    name=$1 cc=$2 cflags=$3 ldflags=$4
    shift 4
    case " ${ONLY:-$name} " in *" $name "*) ;; *) return 0 ;; esac
    have ${cc%% *} || return 0
    CC=$cc CFLAGS=$cflags LDFLAGS=$ldflags sh tests/tools/programs.sh compilers/$name "$@" >"$out/$name.log" 2>&1
    grep -E '^compilers/.*: [0-9]+ passed' "$out/$name.log" | tail -n 1 >"$out/$name.sum"
    read -r _ p _ f _ s _ <"$out/$name.sum" || { p=0 f=1 s=0; }
    echo "  $name ($cc $cflags): $p passed, $f failed, $s skipped"
    [ "$f" = 0 ] || grep -v ' passed, 0 failed' "$out/$name.log" | tail -n 40 | sed 's/^/    /'
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}
all="tests/*.c tests/faults/*.c fuzz/fuzz_*.c"
numbers="tests/kernels.c tests/numbers.c tests/numbers_scalar.c tests/json.c tests/view.c tests/load.c tests/access.c"

run gcc-11 gcc-11 -O2 "" $all tests/tool.sh
run clang-14 clang-14 -O2 "" $all
run clang-16 clang-16 "-O2 -std=gnu2x" "" $all
run clang-19 clang-19 "-O2 -std=gnu23" "" $all tests/tool.sh
for std in gnu99 gnu11 gnu17 gnu2x; do run gcc-$std gcc "-O1 -std=$std" "" tests/edit.c tests/load.c; done
run lto gcc "-O3 -flto" "" $all
run clang-lto clang-19 "-O3 -flto" -fuse-ld=lld-19 $numbers tests/edit.c tests/sharded.c
run static-pie gcc "-O2 -fPIE -D_FORTIFY_SOURCE=3 -fstack-protector-all" -static-pie $all
run fast gcc "-O3 -march=native -ffast-math" "" $numbers
run clang-fast clang-19 "-O3 -march=native -ffast-math" "" $numbers
run native clang-14 "-O2 -march=native" "" $numbers
run unsigned-char gcc "-O1 -funsigned-char" "" tests/*.c
run short-enums gcc "-O1 -fshort-enums" "" tests/*.c

# checks that the flags took effect
built() { [ -f "$out/$1" ]; }
if built static-pie/writer; then
    try "static-pie: position-independent" sh -c "readelf -h '$out/static-pie/writer' | grep -q 'Type: *DYN'"
    try "static-pie: no interpreter" sh -c "! readelf -l '$out/static-pie/writer' | grep -q INTERP"
    try "_FORTIFY_SOURCE: checked calls" sh -c "nm '$out/static-pie/library.o' | grep -q '_chk\$'"
fi
if built lto/library.o; then try "-flto: intermediate code" sh -c "readelf -SW '$out/lto/library.o' | grep -q gnu.lto"; fi

# g++ and clang++ compile *.c as C++. g++ needs -fpermissive, as the tests name members like their types. Only one of the tests
# in tests/inside, which does not compile as C++
cxx="tests/kernels.c tests/numbers_scalar.c tests/dtypes.c tests/access.c tests/load.c tests/view.c tests/lenient.c
    fuzz/fuzz_open.c fuzz/fuzz_roundtrip.c fuzz/fuzz_shards.c fuzz/fuzz_write.c tests/tool.sh tests/tool_write.sh"
for std in 11 23; do run g++-11-c++$std g++-11 "-O1 -std=gnu++$std -fpermissive -w" "" $cxx; done
for std in 14 17 20; do run g++-c++$std g++ "-O1 -std=gnu++$std -fpermissive -w" "" $cxx; done
run g++-no-exceptions g++ "-O2 -std=gnu++11 -fno-exceptions -fno-rtti -fpermissive -w" "" $cxx
run clang++-14 clang++-14 "-O1 -std=gnu++11 -w" "" $cxx
run clang++-16 clang++-16 "-O1 -std=gnu++17 -w" "" $cxx
run clang++-19 clang++-19 "-O2 -std=gnu++23 -fno-exceptions -fno-rtti -w" "" $cxx
finish
