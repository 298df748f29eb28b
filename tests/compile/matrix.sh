#!/bin/sh
# matrix.sh: compiles the header with each config macro alone, with each and ST_STATIC, and with all together: as C99 with
# gcc -O2, whose flow warnings need optimization, and as C++11 with clang. Also compiles the declarations with each macro,
# and checks that the header tests and documents exactly these macros.
check=matrix
. tests/tools/lib.sh
have gcc g++ clang++-14 || finish

macros="ST_STATIC ST_API ST_NO_FILES ST_NO_MMAP ST_NO_MALLOC ST_NO_WRITER ST_NO_CONVERT ST_NO_SIMD ST_NO_ERROR_TEXT ST_FREESTANDING
ST_MALLOC ST_FREE ST_MEMCPY ST_MEMMOVE ST_MEMSET ST_MEMCMP"
switches="ST_STATIC ST_NO_FILES ST_NO_MMAP ST_NO_MALLOC ST_NO_WRITER ST_NO_CONVERT ST_NO_SIMD ST_NO_ERROR_TEXT ST_FREESTANDING"
all=-DST_STATIC
for m in $switches; do [ $m = ST_STATIC ] || all="$all -D$m"; done

# a user's definitions: own functions; <string.h> is only included by the header
cat >"$out/whole.c" <<'END'
#include <stddef.h>
#ifdef OWN_MEMORY
#ifdef __cplusplus
extern "C" {
#endif
void *own_malloc(size_t n);
void own_free(void *p);
#ifdef __cplusplus
}
#endif
#define ST_MALLOC(n) own_malloc(n)
#define ST_FREE(p) own_free(p)
#endif
#ifdef OWN_STRING
#ifdef __cplusplus
extern "C" {
#endif
void *own_memcpy(void *to, const void *from, size_t n);
void *own_memmove(void *to, const void *from, size_t n);
void *own_memset(void *to, int byte, size_t n);
int own_memcmp(const void *a, const void *b, size_t n);
#ifdef __cplusplus
}
#endif
#define ST_MEMCPY(d, s, n) own_memcpy(d, s, n)
#define ST_MEMMOVE(d, s, n) own_memmove(d, s, n)
#define ST_MEMSET(d, c, n) own_memset(d, c, n)
#define ST_MEMCMP(a, b, n) own_memcmp(a, b, n)
#endif
#ifdef EXPORTED
#define ST_API extern __attribute__((visibility("default")))
#endif
#ifdef LINKAGE
#define ST_API extern "C"
#endif
#ifndef DECLARATIONS
#define ST_IMPLEMENTATION
#endif
#include "safetensors.h"
END
cp "$out/whole.c" "$out/whole.cc"

both() { # FLAGS...
    try "gcc $*" gcc -std=gnu99 -O2 $WARN "$@" -I. -c "$out/whole.c" -o "$out/whole.o"
    try "clang++ $*" clang++-14 -std=c++11 -fsyntax-only $WARN_CXX "$@" -I. "$out/whole.cc"
}
for m in $switches; do
    both -D$m
    [ $m = ST_STATIC ] || both -D$m -DST_STATIC
    [ $m = ST_STATIC ] || both -D$m -DDECLARATIONS # static declarations alone would have no bodies
done
for m in OWN_MEMORY OWN_STRING EXPORTED; do
    both -D$m
    both -D$m -DDECLARATIONS
done
try "clang++ ST_API='extern \"C\"'" clang++-14 -std=c++11 -fsyntax-only $WARN_CXX -DLINKAGE -I. "$out/whole.cc"
try "g++ ST_API='extern \"C\"'" g++ -std=c++11 -fsyntax-only -DLINKAGE -I. "$out/whole.cc"
both -DOWN_MEMORY -DST_STATIC
both -DOWN_MEMORY -DST_FREESTANDING
try "ST_FREESTANDING calls ST_MALLOC where it is defined" grep -q own_malloc "$out/whole.o"
both -DOWN_STRING -DST_STATIC
both $all
both $all -DOWN_STRING
both -DOWN_MEMORY -DOWN_STRING -DEXPORTED

for m in $macros ST_IMPLEMENTATION; do
    try "the manual's table has no line for $m" grep -qE "^ \*.*\b$m\b" safetensors.h
done
for m in $(grep -oE '^# *(if|ifdef|ifndef|elif) .*' safetensors.h | grep -oE '\bST_[A-Z0-9_]+' | sort -u); do
    case " $(echo $macros) ST_IMPLEMENTATION " in *" $m "*) continue ;; esac
    try "$m is tested by the header, but not listed here and so not compiled" grep -qE "^# *define +$m\b" safetensors.h
done
finish
