#!/bin/sh
# examples.sh: the programs of examples/ build without a warning as C and run; those of examples/integration build from an
# installed copy, from CMake and from Meson, where these are here.
check=examples
. tests/tools/lib.sh
cc=${CC:-cc}
for source in examples/*.c; do
    name=$(basename "$source" .c) libraries=
    if [ $name = npy ]; then
        echo '#include <zlib.h>' | $cc -E - >/dev/null 2>&1 || { have zlib.h; continue; }
        libraries=-lz
    fi
    try "$source" $cc -std=gnu99 -O1 $WARN -I. "$source" $libraries -o "$out/$name"
done
try "examples/st" $cc -std=gnu99 -O1 $WARN -I. examples/st/*.c -o "$out/st"
try "make run" ${MAKE:-make} run
try "list" "$out/list" build/demo.safetensors
try "pack" "$out/pack"
python=build/venv/bin/python
[ -x $python ] || python=python3
if ! $python -c 'import numpy, safetensors' 2>/dev/null; then
    have "Python with safetensors and numpy"
elif [ -x "$out/npy" ]; then
    try "npy" env PYTHONDONTWRITEBYTECODE=1 $python tests/interop/npy.py "$out/npy" "$out"
fi

# the programs of README.md, as they stand there, print what it says; they are C99, C++11 and C++20
readme() { # NUMBER NAME: that C block of it
    awk -v n="$1" '/^```c$/ { on = ++k == n; next } /^```$/ { on = 0 } on' README.md >"$out/$2.c"
    try "README.md: $2 as C99" $cc -std=c99 -fsyntax-only $WARN -I. "$out/$2.c"
    for std in c++11 c++20; do
        have g++ && try "README.md: $2 as $std" g++ -std=$std -fsyntax-only $WARN_CXX -I. -x c++ "$out/$2.c"
    done
    try "README.md: $2" $cc -std=gnu99 -O0 $WARN -I. "$out/$2.c" -o "$out/$2"
}
printed() { # LABEL TEXT: stands in it, indented
    case $(cat README.md) in
    *"$(printf '%s\n' "$2" | sed 's/./    &/')"*) pass ;;
    *) fail "README.md does not print what $1 does:" "$2" ;;
    esac
}
readme 1 list && printed list "$("$out/list" build/demo.safetensors)"
readme 2 save && (cd "$out" && ./save) && printed "st ls" "$("$out/st" ls "$out/new.safetensors")"
readme 3 shard && rm -rf "$out/parts" && mkdir "$out/parts" && "$out/shard" build/demo.safetensors "$out/parts" &&
    printed "its index" "$(cat "$out/parts/model.safetensors.index.json")"
readme 4 values && printed values "$("$out/values" build/demo.safetensors)"
# the commands of README.md from the line $1 on, run one after the other, print what stands below each; $ began each of them
session() { # FIRST-COMMAND
    rm -rf "$out/session" && mkdir "$out/session" && cp build/demo.safetensors "$out/session"
    awk -v first="    \$ $1" '$0 == first { on = 1 } on && /^[^ ]/ { exit } !on { next } /^$/ { blank = blank "\n"; next }
        { printf "%s%s\n", blank, substr($0, 5); blank = "" }' README.md >"$out/wanted"
    sed -n 's/^\$ st /st /p' "$out/wanted" >"$out/commands"
    (
        cd "$out/session" || exit
        st() { ../st "$@"; }
        while read -r line; do
            printf '$ %s\n' "$line"
            eval "$line"
        done <../commands
    ) >"$out/got" 2>&1
    if [ -s "$out/commands" ]; then try "README.md: $1 and what follows" diff "$out/wanted" "$out/got"; else fail "README.md has no $1"; fi
}
session "st shard demo.safetensors parts --max-size 16B"

prefix=$PWD/$out/prefix
try "make install" ${MAKE:-make} install PREFIX=/usr DESTDIR="$prefix"
for file in include/safetensors.h bin/st lib/pkgconfig/safetensors.pc; do
    try "make install leaves no $file" test -s "$prefix/usr/$file"
done
consumer=examples/integration/consumer.c
if have pkg-config; then
    try "install where it stays" ${MAKE:-make} install PREFIX="$prefix/here"
    try "pkg-config" sh -c "$cc $consumer \$(PKG_CONFIG_PATH='$prefix/here/lib/pkgconfig' pkg-config --cflags 'safetensors >= 0.1') -o $out/consumer"
    try "pkg-config: consumer runs" "$out/consumer"
fi
if have cmake; then
    try "cmake" sh -c "cmake -S examples/integration/cmake -B '$out/cmake' && cmake --build '$out/cmake' && '$out/cmake/consumer'"
fi
if have meson ninja; then
    try "meson" sh -c "rm -rf '$out/meson' && meson setup '$out/meson' examples/integration/meson && meson compile -C '$out/meson' && '$out/meson/consumer'"
fi
finish
