#!/bin/sh
# warnings.sh: the whole header in every dialect of every compiler here, with the warnings of design as errors; clang's
# -Weverything less three flags; the front end for MSVC; and the header all by itself, without another file.
check=warnings
. tests/tools/lib.sh

printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/whole.c"
cp "$out/whole.c" "$out/whole.cc"
everything="-Weverything -Werror -Wno-padded -Wno-declaration-after-statement"

# compile COMPILER FLAG... FILE
compile() {
    have "$1" || return 0
    try "$*" "$@" -I. -c -o "$out/whole.o"
}

for std in c99 gnu99 c11 c17 c2x; do
    compile gcc $WARN -O2 -std=$std "$out/whole.c"
    compile clang-14 $WARN -O1 -std=$std "$out/whole.c"
    compile clang-14 $everything -std=$std "$out/whole.c"
    compile clang-19 $everything -Wno-unsafe-buffer-usage -std=$std "$out/whole.c"
done
for std in c++11 c++14 c++17 c++20; do
    compile g++ $WARN_CXX -O1 -std=$std "$out/whole.cc"
    compile clang++-14 $WARN_CXX -O1 -std=$std "$out/whole.cc"
done
compile g++ $WARN_CXX -O1 -std=c++11 -fno-exceptions -fno-rtti "$out/whole.cc"
compile tcc -Wall -Werror "$out/whole.c"
compile musl-gcc $WARN -std=c99 "$out/whole.c"
for target in x86_64 i686; do
    compile $target-w64-mingw32-gcc $WARN -O1 -std=c99 "$out/whole.c"
    compile $target-w64-mingw32-gcc $WARN -O1 -std=gnu11 "$out/whole.c"
done
compile x86_64-w64-mingw32-g++ $WARN_CXX -O1 -std=c++11 "$out/whole.cc"
compile s390x-linux-gnu-gcc $WARN -O1 -std=c99 "$out/whole.c"
compile i686-linux-gnu-gcc $WARN -O1 -std=c99 "$out/whole.c"
compile arm-none-eabi-gcc $WARN -O1 -std=c99 -ffreestanding -mcpu=cortex-m4 -DST_FREESTANDING "$out/whole.c"
# no Windows SDK here, so this proves the branches of the compiler, not those of the system; 19.00 is MSVC 2015
for target in x86_64 i686 aarch64; do
    compile clang-19 --target=$target-pc-windows-msvc -fms-compatibility-version=19.00 -ffreestanding $WARN \
        -DST_FREESTANDING "$out/whole.c"
    compile clang-19 --target=$target-pc-windows-msvc -fms-compatibility-version=19.00 -ffreestanding $WARN_CXX -std=c++14 \
        -DST_FREESTANDING "$out/whole.cc"
done

# the header by itself; without -Wpedantic and kin, which is how a stranger would type it
for compiler in gcc clang-14 clang-19 tcc musl-gcc x86_64-w64-mingw32-gcc; do
    compile $compiler -x c -DST_IMPLEMENTATION safetensors.h
done
compile gcc -x c++ -DST_IMPLEMENTATION safetensors.h
finish
