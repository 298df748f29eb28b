#!/bin/sh
# emulated.sh MACHINES SOURCE...: builds the tests with Debian's cross compilers and the undefined behaviour sanitizer, and
# runs them in qemu's user mode; i686 runs natively. MACHINES is one word, such as "mips m68k". Each machine has its programs
# and logs in build/MACHINE.
check=emulated
. tests/tools/lib.sh
machines=$1
shift
add() { passed=$((passed + $2)) failed=$((failed + $4)) skipped=$((skipped + $6)); }
for machine in $machines; do
    case $machine in
    arm64) system=aarch64-linux-gnu qemu=aarch64 ;;
    armhf) system=arm-linux-gnueabihf qemu=arm ;; # 32 bits
    i686) system=i686-linux-gnu qemu= ;;          # 32 bits
    m68k) system=m68k-linux-gnu qemu=m68k ;;      # 32 bits, big-endian, int and pointers are aligned to 2 bytes
    mips) system=mips-linux-gnu qemu=mips ;;      # 32 bits, big-endian
    ppc) system=powerpc-linux-gnu qemu=ppc ;;     # 32 bits, big-endian
    ppc64) system=powerpc64-linux-gnu qemu=ppc64 ;; # big-endian
    riscv64) system=riscv64-linux-gnu qemu=riscv64 ;;
    s390x) system=s390x-linux-gnu qemu=s390x ;;     # big-endian
    *)
        fail "unknown machine $machine"
        continue
        ;;
    esac
    # The sanitizer traps, as Debian has no run-time library of it for m68k, mips and riscv64.
    CC="$system-gcc -static" RUN=${qemu:+qemu-$qemu-static} LIMIT=1800 \
        CFLAGS="-O1 -g -fsanitize=undefined,float-cast-overflow -fsanitize-undefined-trap-on-error" \
        sh tests/tools/programs.sh "$machine" "$@" >"$out/$machine"
    cat "$out/$machine"
    add $(tail -n 1 "$out/$machine")
done
finish
