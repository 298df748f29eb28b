#!/bin/sh
# run.sh: Frama-C's WP proves the contracts of contracts.c for the functions of the header itself, on a 32-bit and on a 64-bit
# machine. A goal without a proof fails, and so does another number of goals: a lost goal would prove nothing.
check=proofs
. tests/tools/lib.sh
have frama-c why3 z3 cvc4 || finish

functions="sti_add64_saturated sti_add_saturated sti_load32 sti_load64
    sti_utf8_length sti_utf8_prefix sti_utf8_encode sti_utf8_decode
    sti_json_offset sti_json_fail_at sti_json_fail sti_is_blank sti_json_byte sti_json_peek sti_json_colon sti_json_hex
    sti_json_skip_digits sti_stored_axis"

try "loops.acsl does not fit the header" awk -f tests/proofs/annotate.awk tests/proofs/loops.acsl safetensors.h || finish
mv "$out/said" "$out/annotated.h"
HOME=$PWD/$out # why3 writes its list of provers there
export HOME
try "why3 finds no provers" why3 config detect || finish

# Frama-C does not know the type __int128
for machine in gcc_x86_32:275 gcc_x86_64:276; do
    expected=${machine#*:}
    frama-c -wp -wp-rte -wp-model Typed+Cast -wp-prover z3,cvc4 -wp-timeout 20 -wp-par 2 -machdep "${machine%:*}" \
        -wp-fct "$(echo $functions | tr ' ' ,)" -cpp-extra-args="-I$out -U__SIZEOF_INT128__" tests/proofs/contracts.c >"$out/${machine%:*}" 2>&1
    proved=$(sed -n 's/^\[wp\] Proved goals: *//p' "$out/${machine%:*}")
    echo "${machine%:*}: goals proved: ${proved:-none}"
    if [ "$proved" = "$expected / $expected" ]; then pass; else
        fail "${machine%:*}: expected $expected goals, all proved"
        grep -A2 -E 'Failed|Unknown|Timeout|Error|error' "$out/${machine%:*}" | head -n 30
    fi
done
finish
