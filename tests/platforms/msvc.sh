#!/bin/sh
# msvc.sh SOURCE...: builds and runs the tests as programs of Microsoft's ABI and dialect: clang-cl, its /W4, Wine's headers,
# and import libraries made from Wine's DLLs. Microsoft's own compiler and SDK are not used.
check=msvc
. tests/tools/lib.sh
have clang-19 lld-link-19 llvm-dlltool-14 llvm-readobj-14 wine || finish
headers=/usr/include/wine/wine
dlls=/usr/lib/x86_64-linux-gnu/wine/x86_64-windows
[ -d $headers/windows ] || { have "Wine's headers (libwine-dev)"; finish; }
flags="-fms-compatibility-version=19.20 -isystem $headers/msvcrt -isystem $headers/windows -Wno-deprecated-declarations"

# what these headers lack
corrections="-Dsig_atomic_t=int -D_findfirst=_findfirst64i32 -D_findnext=_findnext64i32"

printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/whole.c"
for target in x86_64 i686; do
    try "/W4, $target" clang-19 --driver-mode=cl --target=$target-pc-windows-msvc -fms-compatibility-version=19.20 /W4 /WX \
        -Wno-deprecated-declarations -imsvc $headers/msvcrt -imsvc $headers/windows -I. /c "$out/whole.c" /Fo"$out/whole.obj"
done

for dll in ucrtbase kernel32 shell32 ntdll; do
    { echo "LIBRARY $dll.dll" && echo EXPORTS &&
        llvm-readobj-14 --coff-exports $dlls/$dll.dll | sed -n 's/^ *Name: \([A-Za-z_?]\)/\1/p'; } >"$out/$dll.def"
    try "$dll.lib" llvm-dlltool-14 -m i386:x86-64 -d "$out/$dll.def" -l "$out/$dll.lib" || finish
done
compiler="clang-19 --target=x86_64-pc-windows-msvc $flags"
try "msvc_start.c" $compiler -c tests/platforms/msvc_start.c -o "$out/start.o" || finish

WINEPREFIX=$PWD/build/wineprefix WINEDEBUG=-all
export WINEPREFIX WINEDEBUG
[ -d "$WINEPREFIX" ] || wineboot -i >/dev/null 2>&1
CC="$compiler" CFLAGS="-O1 $corrections" EXE=.exe RUN=wine LIMIT=900 LDFLAGS="-fuse-ld=lld-link-19 -nostdlib
    -Wl,-subsystem:console -Wl,-entry:mainCRTStartup -Wl,-nodefaultlib $out/start.o $out/ucrtbase.lib $out/kernel32.lib
    $out/shell32.lib $out/ntdll.lib" sh tests/tools/programs.sh msvc-tests "$@" >"$out/programs"
cat "$out/programs"
set -- $(tail -n 1 "$out/programs")
passed=$((passed + $2)) failed=$((failed + $4)) skipped=$((skipped + $6))
finish
