#!/bin/sh
# arm.sh: compiles the reader for a Cortex-M4, freestanding, with -Os. It must have no writable data and import only the
# symbols that compilers may always call. Without error texts, a program that opens or scans has at most $text_limit bytes
# of code and constants, and every call path needs at most $stack_limit bytes of stack.
check=arm
. tests/tools/lib.sh
have arm-none-eabi-gcc arm-none-eabi-size arm-none-eabi-nm || finish
text_limit=10240
stack_limit=768

printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/reader.c"
target="-mcpu=cortex-m4 -mthumb"
for config in -DST_FREESTANDING "-DST_FREESTANDING -DST_NO_ERROR_TEXT"; do
    try "$config does not build" arm-none-eabi-gcc $target -Os -std=c99 -ffreestanding -ffunction-sections -fdata-sections \
        $WARN $config -fcallgraph-info=su -I. -c "$out/reader.c" -o "$out/reader.o" || finish
    set -- $(arm-none-eabi-size "$out/reader.o" | tail -n 1)
    echo "$config: the whole reader: $1 bytes of text and constants, $(($2 + $3)) of writable data"
    [ $(($2 + $3)) = 0 ] && pass || fail "$config: $(($2 + $3)) bytes of writable data"
    for symbol in $(arm-none-eabi-nm -u "$out/reader.o" | awk '{ print $2 }'); do
        case $symbol in
        memcpy | memmove | memset | memcmp | __aeabi_*) pass ;;
        *) fail "$config: wants $symbol" ;;
        esac
    done
done

# link like a program, which drops the unused functions of this configuration
for entry in st_open_memory st_open_io st_scan_begin; do
    try "$entry does not link" arm-none-eabi-gcc $target -nostdlib -Wl,--gc-sections -Wl,-e,$entry "$out/reader.o" -lgcc -o "$out/program" || continue
    set -- $(arm-none-eabi-size "$out/program" | tail -n 1)
    stack=$(awk -v root=$entry -f tests/tools/stack.awk "$out/reader.ci")
    echo "$config: $entry: $1 bytes of text and constants, stack $stack"
    [ "$1" -le $text_limit ] && pass || fail "$entry: $1 bytes of text, over $text_limit"
    [ "${stack%% *}" -le $stack_limit ] && pass || fail "$entry: ${stack%%:*} of stack, over $stack_limit"
done
finish
