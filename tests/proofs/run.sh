#!/bin/sh
# run.sh: Frama-C's WP proves the contracts of contracts.c for the functions of the header itself, on a 32-bit and on a 64-bit
# machine. A goal without a proof fails, and so does another number of goals: a lost goal would prove nothing.
# `run.sh planted` plants the bugs of the file `planted` one at a time, by sed: each must leave a goal without a proof.
check=proofs${1:+-$1}
. tests/tools/lib.sh
have frama-c why3 z3 cvc4 || finish

functions="sti_add64_saturated sti_add_saturated sti_multiply_saturated sti_load32 sti_load64 sti_memset sti_memcmp
    sti_utf8_length sti_utf8_prefix sti_utf8_encode sti_utf8_decode
    sti_json_offset sti_json_fail_at sti_json_fail sti_json_fail_type sti_is_blank sti_json_byte sti_json_peek
    sti_json_colon sti_json_enter sti_json_next sti_json_hex sti_json_skip_digits
    sti_stored_axis"

try "loops.acsl does not fit the header" awk -f tests/proofs/annotate.awk tests/proofs/loops.acsl safetensors.h || finish
mv "$out/said" "$out/safetensors.h"
HOME=$PWD/$out # why3 writes its list of provers there
export HOME
try "why3 finds no provers" why3 config detect || finish

# prove MACHINE SECONDS FUNCTION...: proves the functions of $out/annotated.h; sets $proved to "PROVED / GOALS"
prove() {
    log=$out/$1
    # Frama-C does not know the type __int128
    set -- -machdep "$1" -wp-timeout "$2" -wp-fct "$(shift 2 && echo "$@" | tr ' ' ,)"
    frama-c -wp -wp-rte -wp-model Typed+Cast -wp-prover z3,cvc4 -wp-par 2 "$@" \
        -cpp-extra-args="-I$out -U__SIZEOF_INT128__" tests/proofs/contracts.c >"$log" 2>&1
    proved=$(sed -n 's/^\[wp\] Proved goals: *//p' "$log")
}

all_proved() { [ "$proved" = "${proved% / *} / ${proved% / *}" ]; }

cp "$out/safetensors.h" "$out/annotated.h"
if [ "$check" = proofs-planted ]; then
    prove gcc_x86_64 5 $functions
    if all_proved; then pass; else fail "without a bug: $proved proved"; fi
    while read -r function edit; do
        sed "/^[A-Za-z].*[ *]$function(.*{\$/,/^}/$edit" "$out/safetensors.h" >"$out/annotated.h"
        prove gcc_x86_64 5 "$function"
        echo "$function $edit: proved $proved; not:" $(sed -n 's/.*\[Failed\] Goal typed_cast_\([a-z0-9_]*\).*/\1/p' "$log")
        if [ -z "$proved" ]; then fail "$function $edit: Frama-C failed" && head -n 5 "$log"; fi
        if all_proved; then fail "$function $edit: all proved"; else pass; fi
    done <tests/proofs/planted
    finish
fi

for machine in gcc_x86_32:466 gcc_x86_64:467; do
    expected=${machine#*:}
    prove "${machine%:*}" 20 $functions
    echo "${machine%:*}: goals proved: ${proved:-none}"
    if [ "$proved" = "$expected / $expected" ]; then pass; else
        fail "${machine%:*}: expected $expected goals, all proved"
        grep -A2 -E 'Failed|Unknown|Timeout|Error|error' "$log" | head -n 30
    fi
done
finish
