#!/bin/sh
# symbols.sh: what the object file shows the world: no writable data, nothing external without the prefix st_, all of it
# static with ST_STATIC, and wanted from outside just what tests/compile/imports.txt lists for that config.
check=symbols
. tests/tools/lib.sh
have gcc nm || finish

printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/whole.c"
# -fno-pic: else tables of constant strings count as writable until they are relocated;
# -fno-tree-...: else gcc sees strlen and memset in loops, and the list would be the compiler's and not the header's
flags="-O1 -fno-pic -fno-tree-loop-distribute-patterns -fno-stack-protector -U_FORTIFY_SOURCE -I."
examine() { # CONFIG FLAGS...
    config=$1
    shift
    try "$config does not build" gcc $flags "$@" -c "$out/whole.c" -o "$out/$config.o" || return
    nm "$out/$config.o" >"$out/said"
    writable=$(awk '$2 ~ /^[dDbBcCsSgG]$/ { print $3 }' "$out/said" | tr '\n' ' ')
    [ -z "$writable" ] && pass || fail "$config: writable data: $writable"
    strange=$(awk '$2 ~ /^[A-Z]$/ && $3 !~ /^st_/ { print $3 }' "$out/said" | tr '\n' ' ')
    [ -z "$strange" ] && pass || fail "$config: external without the prefix st_: $strange"
    imports=$(awk '$1 == "U" { print $2 }' "$out/said" | sed 's/64$//; s/@.*//' | sort -u | tr '\n' ' ')
    echo "$config: $imports" | sed 's/ *$//' >>"$out/imports.txt"
}
rm -f "$out/imports.txt"
examine default
examine no_mmap -DST_NO_MMAP
examine no_files -DST_NO_FILES
examine no_malloc -DST_NO_MALLOC
examine no_writer -DST_NO_WRITER
examine no_convert -DST_NO_CONVERT
examine no_simd -DST_NO_SIMD
examine no_error_text -DST_NO_ERROR_TEXT
examine freestanding -DST_FREESTANDING

# ST_STATIC: the same from inside a file that uses one call
printf '#define ST_STATIC\n#define ST_IMPLEMENTATION\n#include "safetensors.h"\nconst char *user(void);\nconst char *user(void) { return st_status_name(ST_OK); }\n' >"$out/static.c"
try "ST_STATIC does not build" gcc $flags -c "$out/static.c" -o "$out/static.o"
external=$(nm -g --defined-only "$out/static.o" | awk '$3 != "user" { print $3 }' | tr '\n' ' ')
[ -z "$external" ] && pass || fail "ST_STATIC leaves external: $external"

grep -v '^#' tests/compile/imports.txt >"$out/imports.expected"
if diff "$out/imports.expected" "$out/imports.txt" >"$out/said"; then pass; else
    fail "imports are not those of tests/compile/imports.txt (< listed, > found):"
    cat "$out/said"
fi
finish
