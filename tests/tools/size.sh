#!/bin/sh
# size.sh: figures: lines of the header, longest function, .text of the reading half by compiler and config, stack.
set -u
mkdir -p build/size
awk -f tests/tools/rooms.awk safetensors.h | sed -n 's/^info /safetensors.h: /p'
printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >build/size/whole.c
row() { # LABEL COMPILER FLAGS...
    label=$1 compiler=$2
    shift 2
    command -v "$compiler" >/dev/null || return 0
    "$compiler" -Wno-unused-function "$@" -I. -c build/size/whole.c -o build/size/whole.o || return 0
    size=$(echo "$compiler" | sed 's/gcc.*/size/; s/clang.*/size/')
    command -v "$size" >/dev/null || size=size
    printf '%-36s %8s bytes of text\n' "$label" "$("$size" build/size/whole.o | awk 'NR == 2 { print $1 }')"
}
row "gcc -O2" gcc -O2
row "gcc -Os" gcc -Os
row "clang -O2" clang-14 -O2
row "gcc -Os ST_NO_FILES" gcc -Os -DST_NO_FILES
row "gcc -Os ST_FREESTANDING" gcc -Os -DST_FREESTANDING
row "mingw x86_64 -Os" x86_64-w64-mingw32-gcc -Os
row "Cortex-M4 -Os ST_FREESTANDING" arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -Os -ffreestanding -DST_FREESTANDING
if gcc -O2 -fcallgraph-info=su -I. -c build/size/whole.c -o build/size/whole.o 2>/dev/null; then
    echo "deepest stack of a path of calls, gcc -O2: $(awk -f tests/tools/stack.awk build/size/whole.ci)"
fi
