#!/bin/sh
# builtins.sh: links the freestanding library for machines without a libc, and compares the undefined symbols with those
# that section 13 of the manual lists. Each row of a target there adds to the rows above it. -Os and -O2 may need different
# symbols; the list has both. The memory functions may always be called.
check=builtins
. tests/tools/lib.sh
have arm-none-eabi-gcc clang-19 ld.lld-19 wasm-ld-19 llvm-nm-14 || finish

printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/whole.c"
opening="st_scan_begin st_scan_next st_scan_is st_open_memory st_open_io st_close st_find st_find_n st_find_all
    st_next_unused st_find_metadata st_read st_is_aligned"

build() { # FLAGS...
    try "$target $* does not build" $compiler -std=c99 -ffreestanding -ffunction-sections -fdata-sections -DST_FREESTANDING \
        -I. "$@" -c "$out/whole.c" -o "$out/whole.o"
}
# need ROW SYMBOL...: adds what a program needs that uses these symbols
need() {
    row=$1
    shift
    $linker --error-limit=0 $(printf " $keep%s" "$@") "$out/whole.o" -o "$out/program" >"$out/said" 2>&1
    sed -n 's/.*undefined symbol: //p' "$out/said" | grep -vxE 'memcpy|memmove|memset|memcmp' >>"$out/$row"
    grep 'error:' "$out/said" | grep -v 'undefined symbol: ' >"$out/strange" || return 0
    fail "$target, $row does not link: $(head -n 3 "$out/strange")"
}
functions() {
    llvm-nm-14 -g --defined-only "$out/whole.o" | awk '$3 ~ /^st_/ { print $3 }'
}
# target NAME COMPILER: compares all rows
target() {
    target=$1 compiler=$2
    rm -f "$out/opening" "$out/reader" "$out/all"
    for level in -Os -O2; do
        build $level -DST_NO_WRITER -DST_NO_CONVERT || return
        need opening $opening
        need reader $(functions)
        build $level || return
        need all $(functions)
    done
    count=0
    for row in opening reader all; do
        count=$((count + 1))
        sort -u "$out/$row" >"$out/needed"
        awk -v target="$target" -v rows=$count '
            !/^ \*     / { on = 0 }
            /^ \*     [A-Za-z]/ { on = $2 == target }
            on && rows-- > 0 { for (i = 1; i <= NF; i++) if ($i ~ /^__/) print $i }' safetensors.h | tr -d , | sort >"$out/listed"
        if diff "$out/listed" "$out/needed" >"$out/said"; then pass; else
            fail "$target, $row: not the symbols of the manual (< listed, > needed):"
            cat "$out/said"
        fi
    done
}
linker="ld.lld-19 --gc-sections -e st_scan_begin" keep=--undefined=
target Cortex-M0 "arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb"
target Cortex-M4 "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb"
target RV32IM "clang-19 --target=riscv32 -march=rv32im -mabi=ilp32"
linker="wasm-ld-19 --no-entry" keep=--export=
target wasm32 "clang-19 --target=wasm32"

# with instructions that copy memory, a module imports nothing
target=wasm32 compiler="clang-19 --target=wasm32 -mbulk-memory"
build -Os && try "wasm32 with -mbulk-memory imports something" $linker --export-all "$out/whole.o" -o "$out/program"
finish
