#!/bin/sh
# hostile.sh: compiles the header in difficult environments: with macro-heavy system headers before and after it, included
# twice, in a second file that needs only declarations, as C and C++ in one program, in strict dialects after other
# includes, and with flags that change plain char and floating point.
check=hostile
. tests/tools/lib.sh
have gcc g++ clang-14 x86_64-w64-mingw32-gcc i686-w64-mingw32-gcc || finish

cat >"$out/user.c" <<'END'
/* short names of other people's macros; the declarations must stand them all */
#define a 1
#define b 2
#define word unsigned short
#define hash 5
#define byte unsigned char
#define small char /* from Windows' rpcndr.h */
#include "safetensors.h"
#include "safetensors.h"
const char *user(void);
const char *user(void) { return st_status_name(ST_OK); }
END
# main.c: system headers, safetensors.h twice (the second include has no effect), more system headers
for order in before after; do
    {
        [ $order = after ] && echo '#define ST_IMPLEMENTATION' && echo '#include "safetensors.h"'
        cat <<'END'
#ifdef _WIN32
#include <windows.h>
#include <winsock.h>
#include <sys/stat.h>
#include <io.h>
#include <direct.h>
#else
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>
#include <dirent.h>
#include <netdb.h>
#include <signal.h>
#include <termios.h>
#include <sys/param.h>
#endif
#include <assert.h>
#include <ctype.h>
#ifndef __cplusplus
#include <complex.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
/* what games and drivers define */
#undef min
#undef max
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))
#define BIT(n) (1u << (n))
#define ALIGN(n, a) (((n) + (a) - 1) & ~((a) - 1))
#define TRUE 1
#define FALSE 0
#define byte unsigned char
#ifndef small /* Windows' rpcndr.h has it already */
#define small char
#endif
END
        [ $order = before ] && echo '#define ST_IMPLEMENTATION' && echo '#include "safetensors.h"'
        cat <<'END'
#define ST_IMPLEMENTATION /* again */
#include "safetensors.h"
#ifdef __cplusplus
extern "C"
#endif
const char *user(void);
int main(void) {
    st_model *model;
    st_error error;
    struct stat s;
    s.st_size = 0;
    if (st_open_memory(&model, "\2\0\0\0\0\0\0\0{}", 10, NULL, &error) != ST_OK || model->count != 0) return 1;
    st_close(model);
    return strcmp(user(), "ST_OK") != 0 || s.st_size != 0;
}
END
    } >"$out/$order.c"
    cp "$out/$order.c" "$out/$order.cc"
done

W="-Wall -Wextra -Werror -I."
pair() { # COMPILER-OF-MAIN MAIN COMPILER-OF-USER FLAGS...: builds both files, links, runs if it can
    one=$1 main=$2 two=$3
    shift 3
    try "$two user.c" $two $W -c "$out/user.c" -o "$out/user.o" &&
        try "$one $main $*" $one $W "$@" -c "$out/$main" -o "$out/main.o" &&
        try "$one $main $*: link" $one "$out/main.o" "$out/user.o" -o "$out/program.exe" &&
        case $one in *mingw*) ;; *) try "$one $main $*: run" "$out/program.exe" ;; esac
}
for order in before after; do
    pair gcc $order.c gcc
    pair gcc $order.c gcc -D_GNU_SOURCE -std=gnu11
    pair clang-14 $order.c gcc
    pair g++ $order.cc gcc
    pair x86_64-w64-mingw32-gcc $order.c x86_64-w64-mingw32-gcc
    pair x86_64-w64-mingw32-g++ $order.cc x86_64-w64-mingw32-gcc -DWIN32_LEAN_AND_MEAN
    pair i686-w64-mingw32-gcc $order.c i686-w64-mingw32-gcc -DUNICODE -D_UNICODE
done
pair gcc after.c gcc -std=c99

# strict C99 after a system header: compiles, or the first error says what to include first
strict() { # LABEL COMPILER...
    label=$1
    shift
    if "$@" $W -c "$out/strict.c" -o "$out/strict.o" >"$out/said" 2>&1; then pass
    elif grep 'error:' "$out/said" | head -n 1 | grep -q '"safetensors.h: .*include it before'; then pass
    else
        fail "$label: no clear #error"
        head -n 20 "$out/said"
    fi
}
printf '#include <stdio.h>\n#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/strict.c"
strict "-std=c99 after <stdio.h>" gcc -std=c99
strict "-std=c99 after <stdio.h>" clang-14 -std=c99
if have i686-linux-gnu-gcc; then strict "a 32-bit off_t" i686-linux-gnu-gcc; fi

# unsigned plain char, on whose sign vector code may depend, and imprecise floating point; `make compilers` tries each alone
if try "-funsigned-char -ffast-math" gcc -O1 -funsigned-char -ffast-math tests/inside/inside.c tests/quick/plain.c -o "$out/inside"; then
    for test in kernels numbers json; do try "-funsigned-char -ffast-math: $test" "$out/inside" $test; done
fi

# unsupported machines and contradictions: the compiler prints an explicit error
refused() { # WORDS COMPILER...
    words=$1
    shift
    if "$@" -DST_IMPLEMENTATION -x c -c safetensors.h -o "$out/refused.o" >"$out/said" 2>&1; then fail "$*: builds"
    elif grep 'error:' "$out/said" | head -n 1 | grep -q "$words"; then pass
    else
        fail "$*: no clear #error"
        head -n 20 "$out/said"
    fi
}
refused "safetensors.h: size_t must have" gcc -ffreestanding -DST_FREESTANDING -U__SIZE_MAX__ -D__SIZE_MAX__=65535u
if have avr-gcc; then refused "safetensors.h: size_t must have" avr-gcc -DST_NO_FILES -DST_NO_WRITER; fi
refused "safetensors.h: unknown byte order" gcc -U__BYTE_ORDER__
refused "safetensors.h: define both of ST_MALLOC" gcc -DST_MALLOC=malloc
refused "safetensors.h: define ST_MALLOC or ST_NO_MALLOC" gcc -DST_MALLOC=malloc -DST_FREE=free -DST_NO_MALLOC

# the layout of public structs does not depend on configuration, language, pointer size or packing pragmas
cat >"$out/layout.c" <<'END'
#include <stddef.h>
#include "safetensors.h"
typedef char error_is_344[sizeof(st_error) >= 336 + sizeof(size_t) && sizeof(st_error) <= 344 ? 1 : -1]; /* i686: 340 */
typedef char enums_are_32_bits[sizeof(st_status) == 4 && sizeof(st_dtype) == 4 && sizeof(st_advice) == 4 ? 1 : -1];
typedef char offset_is_64_bits[sizeof(((st_tensor *)0)->offset) == 8 ? 1 : -1];
END
for compiler in gcc clang-14 x86_64-w64-mingw32-gcc i686-w64-mingw32-gcc i686-linux-gnu-gcc s390x-linux-gnu-gcc; do
    have $compiler && for flags in "" -fshort-enums -DST_FREESTANDING "-DST_NO_MALLOC -DST_NO_FILES"; do
        try "$compiler $flags layout.c" $compiler $flags $W -Wno-unused-local-typedefs -c "$out/layout.c" -o "$out/layout.o"
    done
done
finish
