#!/bin/sh
# foreign.sh: compiles the header, the tests and the tool for macOS and the BSDs with zig cc, which is clang 22 with the
# headers of these systems. Nothing is run. Normally compiles the header in one dialect of C and one of C++ for each system,
# and the tests for one of them; FULL=1 compiles everything for all, and links the tool.
check=foreign
. tests/tools/lib.sh
zig=$(echo "$PWD"/build/venv/lib/python3*/site-packages/ziglang/zig)
have "$zig" || finish
ZIG_GLOBAL_CACHE_DIR=$PWD/build/zig ZIG_LOCAL_CACHE_DIR=$PWD/build/zig
export ZIG_GLOBAL_CACHE_DIR ZIG_LOCAL_CACHE_DIR

printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/whole.c"
cp "$out/whole.c" "$out/whole.cc"
# the macros that show what strict C hides have reserved names, some of which clang does not know
everything="-Weverything -Werror -Wno-padded -Wno-declaration-after-statement -Wno-unsafe-buffer-usage
    -Wno-reserved-macro-identifier"
posix=-D_POSIX_C_SOURCE=200809L
xopen=-D_XOPEN_SOURCE=700

compile() { # FLAG... FILE
    rm -f "$out/whole.o"
    try "$target $*" "$zig" cc -target $target -fno-sanitize=undefined -I. "$@" -c -o "$out/whole.o" &&
        { [ -s "$out/whole.o" ] || fail "$target $*: no object file"; }
}
main="x86_64-macos aarch64-macos x86_64-freebsd aarch64-freebsd x86_64-netbsd aarch64-netbsd x86_64-openbsd aarch64-openbsd"
other="x86-freebsd powerpc64-freebsd x86-netbsd arm-netbsd-eabi sparc64-netbsd x86-openbsd mips64-openbsd"
for target in $main; do
    compile -std=c99 $posix $everything "$out/whole.c"
    compile -std=c++11 $WARN_CXX "$out/whole.cc"
    [ "${FULL:-}" ] || continue
    compile -std=c99 $WARN "$out/whole.c"
    for std in c99 c11 c23; do
        for strict in "" $posix $xopen; do compile -std=$std $strict $everything "$out/whole.c"; done
    done
    for std in c++11 c++17 c++23; do
        for strict in "" $posix $xopen; do compile -std=$std $strict $WARN_CXX "$out/whole.cc"; done
    done
done
[ "${FULL:-}" ] && for target in $other; do compile -std=c99 $posix $everything "$out/whole.c"; done

# strict C after a system header: compiles, or the first error says what to include first
printf '#include <stdio.h>\n#include "whole.c"\n' >"$out/late.c"
for target in x86_64-macos x86_64-freebsd x86_64-netbsd x86_64-openbsd; do
    if "$zig" cc -target $target $posix -I. -c "$out/late.c" -o "$out/late.o" >"$out/said" 2>&1; then pass
    elif grep 'error:' "$out/said" | head -n 1 | grep -q '"safetensors.h: .*include it before'; then pass
    else
        fail "$target: no clear #error"
        head -n 5 "$out/said"
    fi
done

[ "${FULL:-}" ] && systems=$main || systems="aarch64-macos"
for target in $systems; do
    for source in tests/inside/inside.c $(grep -L ST_IMPLEMENTATION tests/*.c) tests/faults/*.c; do
        compile -Wall -Werror "$source"
    done
done
[ "${FULL:-}" ] && for target in $main; do
    try "$target: the tool does not build" "$zig" cc -target $target -O1 -I. -pthread examples/st/*.c examples/common/text.c \
        examples/common/json.c examples/common/lib.c -o "$out/st" || continue
    case $target:$(od -An -tx1 -N4 "$out/st" | tr -d ' ') in
    *macos*:cffaedfe | *bsd*:7f454c46) pass ;; # Mach-O, ELF
    *) fail "$target: not a program of this system" ;;
    esac
done
finish
