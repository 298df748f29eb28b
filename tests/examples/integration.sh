#!/bin/sh
# integration.sh: installs the library, moves it, builds consumers with pkg-config, CMake and Meson, from an installed copy,
# from this repository and from the release archive, and with Conan; checks the syntax of recipes that no tool here can run;
# uninstalls.
check=example-integration
. tests/tools/lib.sh
cc=${CC:-cc} make=${MAKE:-make}
folder=examples/integration
version=$(sed -n 's/^#define ST_VERSION_STRING "\(.*\)".*/\1/p' safetensors.h)
rm -rf "${out:?}"/*
says() { # LABEL PROGRAM: the consumer runs
    got=$("$2" 2>&1)
    [ "$got" = "safetensors.h $version: x, U8" ] && pass || fail "$1: the consumer prints: $got"
}

# ---- make install ---------------------------------------------------------------------------------------------
prefix=$PWD/$out/prefix
umask 077 # as for a careful root: installed files must be readable nevertheless
try "make install" $make install PREFIX=/usr DESTDIR="$prefix"
umask 022
find "$prefix" -type f | sed "s,^$prefix,," | sort >"$out/got"
cat >"$out/wanted" <<'FILES'
/usr/bin/st
/usr/include/safetensors.h
/usr/lib/cmake/safetensors/safetensors-config-version.cmake
/usr/lib/cmake/safetensors/safetensors-config.cmake
/usr/lib/pkgconfig/safetensors.pc
/usr/share/bash-completion/completions/st
/usr/share/fish/vendor_completions.d/st.fish
/usr/share/man/man1/st.1
/usr/share/zsh/site-functions/_st
FILES
try "make install: files" diff "$out/wanted" "$out/got"
unreadable=$(find "$prefix/usr" ! -perm -444)$(find "$prefix/usr" -type d ! -perm -555)$(find "$prefix/usr" -size 0)
[ -z "$unreadable" ] && pass || fail "not readable by everybody, or empty: $unreadable"
try "make install names DESTDIR" sh -c "! grep -rl '$prefix' '$prefix/usr/lib'"
try "make uninstall" $make uninstall PREFIX=/usr DESTDIR="$prefix"
[ -z "$(find "$prefix" -type f -o -type l -o -name 'safetensors*')" ] && pass ||
    fail "make uninstall leaves $(find "$prefix" -type f -o -type l -o -name 'safetensors*')"
try "make uninstall twice" $make uninstall PREFIX=/usr DESTDIR="$prefix"

# ---- the shared library ---------------------------------------------------------------------------------------
here=$PWD/$out/place
try "install, install-lib" $make install install-lib PREFIX="$here" ST_CFLAGS=-O0
abi=${version%.*}
if have nm readelf; then
    library=$here/lib/libsafetensors.so.$version
    readelf -d "$library" >"$out/dynamic"
    try "soname" grep -q "SONAME.*\[libsafetensors\.so\.$abi\]" "$out/dynamic"
    for link in libsafetensors.so libsafetensors.so.$abi; do try "$link" cmp "$library" "$here/lib/$link"; done
    nm -D --defined-only "$library" | awk '{ print $3 }' | sort >"$out/got"
    sed -n 's/^ST_API .*[ *]\(st_[a-z0-9_]*\)(.*/\1/p' safetensors.h | sort -u >"$out/wanted"
    try "symbols of the library, declarations of the header" diff "$out/wanted" "$out/got"
fi
if have pkg-config; then
    export PKG_CONFIG_PATH="$here/lib/pkgconfig"
    try "pkg-config" $cc $(pkg-config --cflags 'safetensors >= 0.5') $folder/consumer.c -o "$out/consumer" && says pkg-config "$out/consumer"
    try "pkg-config, library" $cc -DLINKED $folder/consumer.c $(pkg-config --cflags --libs safetensors-shared) -Wl,-rpath,"$here/lib" \
        -o "$out/consumer" && says "pkg-config, library" "$out/consumer"
    [ "$(pkg-config --modversion safetensors)" = "$version" ] && pass || fail "pkg-config: version"
    if have meson ninja; then
        try "Meson: installed" sh -c "meson setup '$out/meson-installed' $folder/meson && meson compile -C '$out/meson-installed'" &&
            says "Meson: installed" "$out/meson-installed/consumer"
    fi
    unset PKG_CONFIG_PATH
fi


# Windows: the library exports the same calls, and its import library serves a program
if have x86_64-w64-mingw32-gcc x86_64-w64-mingw32-objdump; then
    try "install-lib for Windows" $make install-lib CC=x86_64-w64-mingw32-gcc PREFIX="$PWD/$out/windows" ST_CFLAGS=-O0
    x86_64-w64-mingw32-objdump -p "$out/windows/bin/safetensors-$abi.dll" |
        awk '/Ordinal\/Name/ { on = 1; next } on && /^\t\[/ { print $NF }' | sort >"$out/got"
    sed -n 's/^ST_API .*[ *]\(st_[a-z0-9_]*\)(.*/\1/p' safetensors.h | sort -u >"$out/wanted"
    try "exports of the DLL" diff "$out/wanted" "$out/got"
    try "links the DLL" x86_64-w64-mingw32-gcc -DLINKED -I. $folder/consumer.c "-L$out/windows/lib" -lsafetensors \
        -o "$out/consumer.exe"
fi

# the tree can be moved, also to a path with a blank
moved="$PWD/$out/moved away"
mv "$here" "$moved"
try "compiles with the installed header" $cc "-I$moved/include" $folder/consumer.c -o "$out/consumer" && says header "$out/consumer"
try "links the library" $cc -DLINKED "-I$moved/include" $folder/consumer.c "-L$moved/lib" -lsafetensors -Wl,-rpath,"$moved/lib" \
    -o "$out/consumer" && says library "$out/consumer"
# ---- CMake ----------------------------------------------------------------------------------------------------
# cmake_build LABEL SOURCE ARGUMENTS...
cmake_build() {
    label=$1 source=$2
    shift 2
    try "CMake: $label" sh -c 'source=$1 build=$2; shift 2; cmake -S "$source" -B "$build" "$@" && cmake --build "$build"' \
        sh "$source" "$out/cmake-$label" -Wno-dev -DCMAKE_C_COMPILER="$cc" "$@"
}
if have cmake; then
    cmake_build installed $folder/cmake/consumer "-DCMAKE_PREFIX_PATH=$moved" &&
        says installed "$out/cmake-installed/consumer" && says "installed, library" "$out/cmake-installed/consumer-shared"
    cmake_build fetch $folder/cmake/consumer -DFROM=fetch -DSAFETENSORS_SHARED=ON && says fetch "$out/cmake-fetch/consumer" &&
        says "fetch, library" "$out/cmake-fetch/consumer-shared"
    cmake_build subdirectory $folder/cmake/consumer -DFROM=subdirectory && says subdirectory "$out/cmake-subdirectory/consumer"
    # versions: each is asked for in a project of one line
    mkdir -p "$out/versions"
    accepts() { # yes|no ARGUMENTS-OF-find_package
        cat >"$out/versions/CMakeLists.txt" <<TEXT
cmake_minimum_required(VERSION 3.19)
project(versions NONE)
find_package(safetensors $2 QUIET CONFIG PATHS "$moved" NO_DEFAULT_PATH)
if(safetensors_FOUND)
  message(STATUS "accepted: yes")
else()
  message(STATUS "accepted: no")
endif()
TEXT
        cmake -S "$out/versions" -B "$out/versions/build" >"$out/said" 2>&1
        grep -q "accepted: $1" "$out/said" && pass || fail "find_package(safetensors $2): expected $1"
    }
    major=${version%%.*} minor=${version#*.}
    minor=${minor%.*}
    next=$major.$((minor + 1))
    for yes in "" $version $major.$minor "$version EXACT" 0.1...$next "COMPONENTS shared"; do accepts yes "$yes"; done
    for no in $next $major.$((minor - 1)) 1 "0.1...<$version" "$major.$minor.99" "COMPONENTS static"; do accepts no "$no"; done
    # the CMake project installs the same files as make
    cmake_build project $folder/cmake -DSAFETENSORS_SHARED=ON -DCMAKE_INSTALL_LIBDIR=lib "-DCMAKE_INSTALL_PREFIX=/opt/st" &&
        says "the library as a project" "$out/cmake-project/consumer" &&
        try "cmake --install" env DESTDIR="$PWD/$out/cmake-root" cmake --install "$out/cmake-project"
    for file in cmake/safetensors/safetensors-config.cmake cmake/safetensors/safetensors-shared.cmake \
        cmake/safetensors/safetensors-config-version.cmake pkgconfig/safetensors.pc pkgconfig/safetensors-shared.pc; do
        sed "s,$here,/opt/st,g" "$moved/lib/$file" >"$out/wanted"
        try "cmake --install, make install: $file" diff "$out/wanted" "$out/cmake-root/opt/st/lib/$file"
    done
fi

# ---- the release archive, and the recipes that take it --------------------------------------------------------
try "make release" $make release URL="file://$PWD/build/release" HOMEPAGE=https://example.org MAINTAINER='A <a@example.org>' ST_CFLAGS=-O0
archive=safetensors-h-$version.tar.gz
recipes=build/release/recipes
try "SHA256SUMS" sh -c "cd build/release && sha256sum -c SHA256SUMS"
if have meson ninja; then
    cp -R $recipes/meson "$out/meson" && cp $folder/consumer.c "$out/consumer.c"
    try "Meson: wrap" sh -c "cd '$out/meson' && meson setup --wrap-mode=forcefallback build . && meson compile -C build" &&
        says "Meson: wrap" "$out/meson/build/consumer"
fi
CONAN=${CONAN:-build/venv/bin/conan}
if have "$CONAN"; then
    export CONAN_HOME="$PWD/$out/conan-home"
    "$CONAN" profile detect >"$out/said" 2>&1
    try "Conan" sh -c '"$0" create $1 --version $2 >$3/conan.log 2>&1' "$CONAN" $recipes/conan "$version" "$out"
    try "Conan: test_package" grep -q "safetensors.h $version" "$out/conan.log"
fi
if have python3; then
    try "Conan, vcpkg, Bazel: syntax" env PYTHONDONTWRITEBYTECODE=1 python3 - $recipes <<'PYTHON'
import ast, base64, hashlib, json, os, sys
top = sys.argv[1]
read = lambda *path: open(os.path.join(top, *path), encoding="utf-8").read()
for path in ("conan/conanfile.py", "conan/test_package/conanfile.py", "bazel/overlay/BUILD.bazel", "bazel/overlay/MODULE.bazel",
             "bazel/consumer/BUILD.bazel", "bazel/consumer/MODULE.bazel"):
    ast.parse(read(path), path)  # Starlark's syntax is Python's, as far as these files use it
json.loads(read("vcpkg/port/vcpkg.json"))
source = json.loads(read("bazel/source.json"))
sri = lambda data: "sha256-" + base64.b64encode(hashlib.sha256(data).digest()).decode()
archive = open(os.path.join(os.path.dirname(top), os.path.basename(source["url"])), "rb").read()
assert source["integrity"] == sri(archive), "integrity of the archive"
for name, integrity in source["overlay"].items():
    assert integrity == sri(read("bazel/overlay", name).encode()), name
assert hashlib.sha512(archive).hexdigest() in read("vcpkg/port/portfile.cmake")
assert hashlib.sha256(archive).hexdigest() in read("conan/conandata.yml")
assert hashlib.sha256(archive).hexdigest() in read("xmake/packages/s/safetensors-h/xmake.lua")
PYTHON
fi
if have tar; then
    try "the archive lacks LICENSE" sh -c "tar -tzf build/release/$archive | grep -q '/LICENSE$'"
fi
# the comparison of versions notices each place that is left behind
copy=$PWD/$out/copy
mkdir -p "$copy/build" && cp -R safetensors.h README.md Makefile examples tests "$copy" && cp build/st "$copy/build"
stale() { # FILE EXPRESSION
    cp "$copy/$1" "$out/kept"
    sed -i "$2" "$copy/$1"
    if cmp -s "$out/kept" "$copy/$1"; then fail "$2 changes nothing in $1"; fi
    if (cd "$copy" && VERSIONS_ONLY=1 sh tests/tools/release.sh) >"$out/said" 2>&1; then fail "release misses $2 in $1"; else pass; fi
    cp "$out/kept" "$copy/$1"
}
old="s/$(echo "$version" | sed 's/\./\\./g')/9.9.9/"
try "versions agree" sh -c "cd '$copy' && VERSIONS_ONLY=1 sh tests/tools/release.sh"
stale safetensors.h "1$old"
stale safetensors.h "/define ST_VERSION_STRING/$old"
stale safetensors.h '/define ST_VERSION_PATCH/s/[0-9]*$/7/'
stale safetensors.h '/define ST_VERSION /s/ [0-9][0-9]* / 9 /'
stale safetensors.h "s/^ \* $version  [0-9-]*\$/ * 9.9.9  2026-01-01/"
stale safetensors.h "s/^ \* $version  [0-9-]*\$/ * $version  2026-01-01/"
stale README.md "$old"
for file in $(grep -rlF "$version" $folder | grep -v README); do stale "$file" "$old"; done

# ---- uninstall ------------------------------------------------------------------------------------------------
try "make uninstall with the library" $make uninstall PREFIX="$moved"
[ -z "$(find "$moved" -type f -o -type l)" ] && pass || fail "make uninstall leaves $(find "$moved" -type f -o -type l)"
finish
