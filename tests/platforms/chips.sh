#!/bin/sh
# chips.sh: builds tests/platforms/chip.c for microcontrollers, runs it under QEMU and simavr, and compares its output with
# that of the same program on this machine. Measures the code of a program that only scans or opens, without error texts,
# and the deepest stack with an intact model (arm.sh bounds that of every path). Each chip has limits.
check=chips
. tests/tools/lib.sh

sources="tests/platforms/chip.c tests/platforms/board.c"
flags="-std=gnu99 -Os -ffreestanding -ffunction-sections -fdata-sections -Wl,--gc-sections"
printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/reader.c"

try "the program does not build here" cc -std=gnu99 -O1 $sources -o "$out/host" || finish
try "the program fails here" "$out/host" || finish
grep -v '^stack' "$out/said" >"$out/expected"

# limit WHAT NUMBER LIMIT: a number has to be there
limit() {
    if [ "${2:-none}" -le "$3" ] 2>/dev/null; then pass; else fail "$name: $1 is ${2:-missing}, the limit is $3"; fi
}
# chip NAME TEXT STACK READ_STACK COMPILE LINK SIZE RUN: TEXT, STACK are the limits of scanning and opening, READ_STACK
# that of st_read_as; the last four are commands
chip() {
    name=$1 text=$2 stack=$3 read_stack=$4 compile=$5 link=$6 size=$7 run=$8
    have ${compile%% *} ${run%% *} || return
    try "$name: reader does not build" $compile $flags $warn -DST_FREESTANDING -DST_NO_WRITER -DST_NO_ERROR_TEXT -I. \
        -c "$out/reader.c" -o "$out/reader.o" || return
    for entry in st_scan_begin st_open_memory st_open_io; do
        try "$name: $entry does not link" $compile $flags $alone -Wl,-e,$entry "$out/reader.o" $runtime -o "$out/reader" ||
            continue
        set -- $($size "$out/reader" | tail -n 1)
        echo "$name: $entry: $1 bytes of code and constants, $(($2 + $3)) of data"
        limit "$entry: code and constants" $(($1 + $2)) $text
    done

    try "$name: the program does not build" $compile $flags $warn $sources $link $runtime -o "$out/$name" || return
    timeout 60 $run "$out/$name" >"$out/said" 2>&1 </dev/null
    # simavr colours the lines and ends each with a period
    sed "s/$(printf '\033')\[[0-9;]*m//g; s/\.*\r*$//" "$out/said" | grep -v '^Loaded ' >"$out/$name.txt"
    sed -n "s/^stack/$name: stack/p" "$out/$name.txt"
    grep -v '^stack' "$out/$name.txt" >"$out/found"
    if diff "$out/expected" "$out/found" >"$out/said"; then pass; else
        fail "$name: not the output of this machine (< this machine, > $name):"
        head -n 20 "$out/said"
    fi
    for call in scan open_memory open_io; do limit "stack of $call" "$(deepest $call)" $stack; done
    limit "stack of read_as" "$(deepest read_as)" $read_stack
}
deepest() { # CALL
    sed -n "s/^stack of $1: //p" "$out/$name.txt" | sort -n | tail -n 1
}

warn="-Wall -Wextra -Wconversion -Wshadow -Wsign-conversion -Wcast-qual -Werror"
# without the memory functions that compilers may call, which are the libc's
alone="-nostdlib -Wl,--defsym=memcpy=0 -Wl,--defsym=memmove=0 -Wl,--defsym=memset=0 -Wl,--defsym=memcmp=0"
board="-nostdlib -T tests/platforms/board.ld -Wl,--defsym=flash"
semihosting="-nographic -monitor none -serial none -semihosting-config enable=on,target=native"

arm() { # NAME TEXT STACK READ_STACK CPU FLASH RAM MACHINE
    runtime=-lgcc
    chip $1 $2 $3 $4 "arm-none-eabi-gcc -mcpu=$5 -mthumb" "$board=$6 -Wl,--defsym=ram=$7" arm-none-eabi-size \
        "qemu-system-arm -M $8 $semihosting -kernel"
}
arm cortex-m0 10752 768 2304 cortex-m0 0 0x20000000 microbit
arm cortex-m4 10240 768 2176 cortex-m4 0 0x20000000 mps2-an386
arm cortex-m33 10240 768 2176 cortex-m33 0x10000000 0x38000000 mps2-an505

runtime=
rv32="clang-19 --target=riscv32-unknown-elf -march=rv32imac -mabi=ilp32 -Wno-unused-command-line-argument"
chip rv32imac 14336 768 2176 \
    "$rv32 --ld-path=/usr/bin/ld.lld-19" "$board=0x20400000 -Wl,--defsym=ram=0x80000000" llvm-size-14 \
    "qemu-system-riscv32 -M sifive_e -bios none $semihosting -kernel"

# size_t has 16 bits. Its compiler, gcc 5, reports limits that a size_t always keeps and variables that are set. Constants
# lie in memory, so the program keeps a copy of the model there.
warn="-Wall -Wextra -Wno-type-limits -Wno-maybe-uninitialized -Werror" alone=-nostartfiles
chip atmega2560 27136 640 2048 "avr-gcc -mmcu=atmega2560" "" avr-size "simavr -m atmega2560 -f 16000000"
finish
