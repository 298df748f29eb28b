#!/bin/sh
# warnings.sh: compiles the whole header in every dialect with every installed compiler, with warnings as errors: the flags
# in lib.sh, clang's -Weverything less three, clang-cl, and the header compiled by itself.
check=warnings
. tests/tools/lib.sh

printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/whole.c"
cp "$out/whole.c" "$out/whole.cc"
everything="-Weverything -Werror -Wno-padded -Wno-declaration-after-statement"

# compile COMPILER FLAG... FILE; front: runs the front end only, which reports all warnings of clang, and all of gcc and g++ but
# those on flow and on unused functions. These do not depend on the dialect: one full compilation by each gcc reports them
compile() {
    have "$1" || return 0
    try "$*" "$@" -I. -c -o "$out/whole.o"
}
front() {
    have "$1" || return 0
    try "$*" "$@" -I. -fsyntax-only
}

for compiler in gcc gcc-11; do
    compile $compiler $WARN -O2 -std=c99 "$out/whole.c"
    for std in gnu99 c11 c17 c2x; do front $compiler $WARN -std=$std "$out/whole.c"; done
done
for std in c99 gnu99 c11 c17 c2x; do
    for compiler in clang-14 clang-16 clang-19; do front $compiler $WARN -std=$std "$out/whole.c"; done
    front clang-14 $everything -std=$std "$out/whole.c"
    front clang-16 $everything -Wno-unsafe-buffer-usage -std=$std "$out/whole.c"
    front clang-19 $everything -Wno-unsafe-buffer-usage -std=$std "$out/whole.c"
done
front clang-19 $everything -Wno-unsafe-buffer-usage -std=c23 "$out/whole.c"
for std in c++11 c++14 c++17 c++20 c++2b; do
    for compiler in g++ g++-11 clang++-14 clang++-16 clang++-19; do front $compiler $WARN_CXX -std=$std "$out/whole.cc"; done
done
compile g++ $WARN_CXX -O1 -std=c++11 -fno-exceptions -fno-rtti "$out/whole.cc"
compile tcc -Wall -Werror "$out/whole.c"
compile musl-gcc $WARN -std=c99 "$out/whole.c"
for target in x86_64 i686; do
    compile $target-w64-mingw32-gcc $WARN -O1 -std=c99 "$out/whole.c"
    front $target-w64-mingw32-gcc $WARN -std=gnu11 "$out/whole.c"
done
front x86_64-w64-mingw32-g++ $WARN_CXX -std=c++11 "$out/whole.cc"
compile s390x-linux-gnu-gcc $WARN -O1 -std=c99 "$out/whole.c"
compile i686-linux-gnu-gcc $WARN -O1 -std=c99 "$out/whole.c"
compile arm-none-eabi-gcc $WARN -O1 -std=c99 -ffreestanding -mcpu=cortex-m4 -DST_FREESTANDING "$out/whole.c"
compile clang-19 --target=riscv32 -march=rv32imac $WARN -O1 -std=c99 -ffreestanding -DST_FREESTANDING "$out/whole.c"
# 16-bit size_t: gcc 5 warns of limits that size_t always keeps, and of variables that are set
compile avr-gcc -Wall -Wextra -Wshadow -Werror -Wno-type-limits -Wno-maybe-uninitialized -Os -std=c99 -mmcu=atmega2560 \
    -ffreestanding -DST_FREESTANDING -DST_NO_WRITER "$out/whole.c"
# without a Windows SDK this covers compiler-specific code only; 19.00 is MSVC 2015
for target in x86_64 i686 aarch64; do
    front clang-19 --target=$target-pc-windows-msvc -fms-compatibility-version=19.00 -ffreestanding $WARN \
        -DST_FREESTANDING "$out/whole.c"
    front clang-19 --target=$target-pc-windows-msvc -fms-compatibility-version=19.00 -ffreestanding $WARN_CXX -std=c++14 \
        -DST_FREESTANDING "$out/whole.cc"
done

# the Windows code and the tests, with Wine's headers, which differ from the SDK's and do not compile as C++ here
headers=/usr/include/wine/wine
msvc() { # COMPILER TARGET FLAG... FILE
    compiler=$1 target=$2
    shift 2
    front $compiler --target=$target-pc-windows-msvc -fms-compatibility-version=19.20 -isystem $headers/msvcrt \
        -isystem $headers/windows -Wno-deprecated-declarations -I. -Dsig_atomic_t=int "$@" # which Wine's signal.h lacks
}
if [ -d $headers/windows ]; then
    for target in x86_64 i686 aarch64; do
        msvc clang-14 $target $WARN "$out/whole.c"
        msvc clang-19 $target $WARN "$out/whole.c"
        msvc clang-14 $target $WARN_CXX -std=c++14 -DST_NO_FILES "$out/whole.cc"
    done
    for source in tests/inside/inside.c $(grep -L ST_IMPLEMENTATION tests/*.c tests/faults/*.c); do
        msvc clang-19 x86_64 -Wall -Werror $source
    done
else
    have "Wine's headers (libwine-dev)"
fi

# the header by itself, without -Wpedantic and similar flags, as a newcomer would compile it
for compiler in gcc clang-14 clang-19 tcc musl-gcc x86_64-w64-mingw32-gcc; do
    compile $compiler -x c -DST_IMPLEMENTATION safetensors.h
done
compile gcc -x c++ -DST_IMPLEMENTATION safetensors.h
finish
