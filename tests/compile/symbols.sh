#!/bin/sh
# symbols.sh: checks the object file's symbols: no writable data, only external names with the prefix st_, none at all with
# ST_STATIC, and exactly the imports that tests/compile/imports.txt lists for the configuration.
check=symbols
. tests/tools/lib.sh
have gcc nm || finish

printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/whole.c"
# -fno-pic: otherwise tables of string constants count as writable until they are relocated
# -fno-tree-...: otherwise gcc replaces loops with strlen and memset, which would then appear in the list
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

# ST_STATIC: the same in a file that uses one function
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
