#!/bin/sh
# arm.sh: the reader on a Cortex-M4, -Os, freestanding: at most 10 KiB of text, 512 bytes of stack on any path of calls,
# no writable data, and no symbol wanted but what a compiler may always call.
check=arm
. tests/tools/lib.sh
have arm-none-eabi-gcc arm-none-eabi-size arm-none-eabi-nm || finish

printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/reader.c"
try "does not build" arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -Os -std=c99 -ffreestanding -ffunction-sections $WARN \
    -DST_FREESTANDING -fcallgraph-info=su -I. -c "$out/reader.c" -o "$out/reader.o" || finish
arm-none-eabi-size -A "$out/reader.o" >"$out/sections"
text=$(awk '$1 ~ /^\.(text|rodata)/ { n += $2 } END { print n + 0 }' "$out/sections")
data=$(awk '$1 ~ /^\.(data|bss)/ { n += $2 } END { print n + 0 }' "$out/sections")
stack=$(awk -f tests/tools/stack.awk "$out/reader.ci")
wanted=$(arm-none-eabi-nm -u "$out/reader.o" | awk '{ print $2 }' | sort | tr '\n' ' ')
echo "arm: text and constants $text bytes, writable data $data, deepest stack: $stack; wants: $wanted"
[ "$text" -le 10240 ] && pass || fail "text is $text bytes, over 10240"
[ "$data" = 0 ] && pass || fail "$data bytes of writable data"
[ "${stack%% *}" -le 512 ] && pass || fail "stack: $stack, over 512"
for symbol in $wanted; do
    case $symbol in
    memcpy | memmove | memset | memcmp | __aeabi_*) pass ;;
    *) fail "wants $symbol" ;;
    esac
done
finish
