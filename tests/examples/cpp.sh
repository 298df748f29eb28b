#!/bin/sh
# cpp.sh: compiles examples/cpp with each compiler and standard, with and without exceptions, without a warning; runs
# cpp_test.cc, also under the sanitizers, and the example program.
check=example-cpp
. tests/tools/lib.sh
have g++ || finish
limit=200 lines=$(grep -c '' examples/cpp/safetensors.hpp)
[ "$lines" -le $limit ] && pass || fail "safetensors.hpp has $lines lines, more than $limit"
none="-fno-exceptions -fno-rtti"
for compiler in g++ clang++-14 clang++-19; do
    have $compiler || continue
    for standard in 17 20 23; do
        [ $compiler$standard != clang++-1423 ] || standard=2b
        for flags in "" "$none"; do
            try "examples/cpp: $compiler -std=c++$standard $flags" $compiler -std=c++$standard $flags $WARN_CXX -I. \
                -fsyntax-only examples/cpp/main.cc
        done
    done
done
gcc -O1 -x c -DST_IMPLEMENTATION -c safetensors.h -o "$out/library.o" || fail "the library"
# tests NAME COMPILER FLAGS...
tests() {
    name=$1
    shift
    try "cpp_test: $name" "$@" $WARN_CXX -I. tests/examples/cpp_test.cc "$out/library.o" -o "$out/$name" &&
        try "cpp_test fails: $name" "$out/$name"
}
tests exceptions g++ -std=c++17
tests ranges g++ -std=c++20
tests none g++ -std=c++23 $none
if have clang++-14; then
    tests sanitized clang++-14 -std=c++20 -g -fsanitize=address,undefined -fno-sanitize-recover=all
    tests clang clang++-14 -std=c++17 $none
fi
for name in exceptions none; do
    if "$out/$name" abort >"$out/got" 2>&1; then fail "$name: a missing file is no error"; else pass; fi
    try "$name: message" grep -q 'no such file' "$out/got"
done

# the program: the library compiled as C++, with exceptions and without
${MAKE:-make} build/demo.safetensors >/dev/null
try "main.cc" g++ -std=c++17 $WARN_CXX -I. examples/cpp/main.cc -o "$out/cpp"
try "main.cc without exceptions" g++ -std=c++20 $none $WARN_CXX -I. examples/cpp/main.cc -o "$out/cpp-none"
printf 'H\0\0\0\0\0\0\0%-72s\0\0\200\77\0\0\0\100' '{"m":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}' \
    >"$out/matrix.safetensors"
for program in cpp cpp-none; do
    "$out/$program" build/demo.safetensors norm.bias >"$out/got" 2>&1
    printf '%s\n' 'embed.weight BF16' 'norm.bias F32' 'ids U8' 'first byte 0, values 0.5 -0.5' >"$out/wanted"
    try "output of $program" diff "$out/wanted" "$out/got"
    "$out/$program" "$out/matrix.safetensors" m >"$out/got" 2>&1
    printf '%s\n' 'm F32' 'first byte 0, values 1 2' 'diagonal 1' >"$out/wanted"
    try "diagonal of $program" diff "$out/wanted" "$out/got"
    "$out/$program" build/demo.safetensors none >"$out/got" 2>&1
    [ $? = 1 ] && grep -q 'no tensor of this name' "$out/got" && pass || fail "$program: unknown name"
    "$out/$program" "$out/missing" x >"$out/got" 2>&1
    [ $? = 1 ] && grep -q 'no such file' "$out/got" && pass || fail "$program: missing file"
    "$out/$program" >"$out/got" 2>&1
    [ $? = 2 ] && pass || fail "$program: usage"
done
finish
