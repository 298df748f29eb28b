#!/bin/sh
# size.sh: prints figures and checks none: the header's lines, its code size by compiler and configuration, its compile time
# compared with stb_image.h (Debian's libstb-dev), and the stack depth of its deepest call path, hosted and on a Cortex-M4.
set -u
out=build/size
mkdir -p $out
awk -f tests/tools/rooms.awk safetensors.h | sed -n 's/^info /safetensors.h: /p'
printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >$out/whole.c
text() { # FILE.c COMPILER FLAGS...: the bytes of text and constants, or nothing
    source=$1 compiler=$2
    shift 2
    command -v "$compiler" >/dev/null || return
    "$compiler" -w "$@" -I. -c "$source" -o $out/text.o || return
    size=$(echo "$compiler" | sed 's/gcc.*/size/; s/clang.*/size/')
    command -v "$size" >/dev/null || size=size
    "$size" $out/text.o | awk 'NR == 2 { print $1 }'
}
row() { # LABEL COMPILER FLAGS...
    label=$1
    shift
    bytes=$(text $out/whole.c "$@")
    [ -z "$bytes" ] || printf '%-36s %8s bytes of text\n' "$label" "$bytes"
}
row "gcc -O2" gcc -O2
row "gcc -Os" gcc -Os
row "clang -O2" clang-14 -O2
row "gcc -Os ST_NO_FILES" gcc -Os -DST_NO_FILES
row "gcc -Os ST_FREESTANDING" gcc -Os -DST_FREESTANDING
row "mingw x86_64 -Os" x86_64-w64-mingw32-gcc -Os
row "Cortex-M4 -Os ST_FREESTANDING" arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -Os -ffreestanding -DST_FREESTANDING

# stb_image.h, as found by gcc
for name in stb_image.h stb/stb_image.h; do
    printf '#define STB_IMAGE_IMPLEMENTATION\n#include <%s>\n' $name >$out/stb.c
    gcc -E $out/stb.c >/dev/null 2>&1 && break
    rm -f $out/stb.c
done
seconds() { # FILE.c FLAGS...: processor time of the best of three compiles
    source=$1
    shift
    for i in 1 2 3; do
        (gcc -w "$@" -I. -c "$source" -o $out/text.o; times) # whose second line is that of children: 0m1.230000s 0m0.05s
    done | awk 'NR % 2 == 0 { split($1, t, "m"); printf "%.2f\n", t[1] * 60 + t[2] }' | sort -n | head -n 1
}
for flags in -O2 -Os; do
    ours=$(seconds $out/whole.c $flags)
    printf '%-36s %8s s of gcc' "compiling, $flags" "$ours"
    if [ -f $out/stb.c ]; then
        theirs=$(seconds $out/stb.c $flags)
        awk -v a="$ours" -v b="$theirs" -v text="$(text $out/stb.c gcc $flags)" 'BEGIN {
            printf "; stb_image.h %s s (%.2f of it), %s bytes of text", b, a / b, text }'
    fi
    echo
done

stack() { # LABEL COMPILER FLAGS...
    label=$1 compiler=$2
    shift 2
    command -v "$compiler" >/dev/null || return
    "$compiler" -w "$@" -fcallgraph-info=su -I. -c $out/whole.c -o $out/whole.o 2>/dev/null || return
    echo "deepest stack, $label: $(awk -f tests/tools/stack.awk $out/whole.ci)"
    for entry in st_open_memory st_open_io st_scan_begin st_open st_save; do
        grep -q "title: \"$entry\"" $out/whole.ci && echo "    $entry: $(awk -v root=$entry -f tests/tools/stack.awk $out/whole.ci)"
    done
}
stack "hosted, gcc -O2" gcc -O2
stack "Cortex-M4, -Os ST_FREESTANDING" arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -Os -ffreestanding -DST_FREESTANDING
