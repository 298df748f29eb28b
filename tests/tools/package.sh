#!/bin/sh
# package.sh lib|install|install-lib|uninstall: builds the shared library, installs and removes files for the Makefile.
# Reads PREFIX, LIBDIR, DESTDIR, CC, CFLAGS, LDFLAGS and ST (the tool) from the environment.
#   install      header, st with manual page and completions, pkg-config file, CMake package
#   install-lib  the shared library with a pkg-config file and a CMake file of its own, so that a distribution can put
#                them into a package of their own
#   uninstall    removes what both install
set -eu
cc=${CC:-cc} st=${ST:-build/st} templates=examples/integration/package
prefix=${PREFIX:-/usr/local} libdir=${LIBDIR:-$PREFIX/lib}
root=${DESTDIR:-}$prefix libroot=${DESTDIR:-}$libdir
macro() { sed -n "s/^#define $1 \"\{0,1\}\([0-9.]*\).*/\1/p" safetensors.h; }
version=$(macro ST_VERSION_STRING)
# The binary interface changes with the minor version until 1.0, later with the major version only.
abi=$(macro ST_VERSION_MAJOR)
[ "$abi" != 0 ] || abi=0.$(macro ST_VERSION_MINOR)

# file: the library; link: the name that -lsafetensors finds; links: other names; implib: Windows' import library
export='__attribute__((visibility("default"))) extern'
links= implib=
case $($cc -dumpmachine 2>/dev/null || uname -s) in
*mingw*)
    file=safetensors-$abi.dll link=libsafetensors.dll.a implib=$link export='__declspec(dllexport) extern'
    flags="-shared -static-libgcc -Wl,--out-implib,build/lib/$implib"
    ;;
*apple* | *Darwin*)
    file=libsafetensors.$version.dylib link=libsafetensors.dylib links="libsafetensors.$abi.dylib $link"
    flags="-dynamiclib -install_name $libdir/libsafetensors.$abi.dylib -current_version $version -compatibility_version $version"
    ;;
*)
    file=libsafetensors.so.$version link=libsafetensors.so links="libsafetensors.so.$abi $link"
    flags="-shared -Wl,-soname,libsafetensors.so.$abi"
    ;;
esac

lib() {
    mkdir -p build/lib
    set -- -x c -fvisibility=hidden -DST_IMPLEMENTATION "-DST_API=$export" safetensors.h -x none
    case $file in *.dll) ;; *) set -- -fPIC "$@" ;; esac
    $cc ${CFLAGS:-} "$@" $flags ${LDFLAGS:-} -o "build/lib/$file"
    for name in $links; do ln -sf "$file" "build/lib/$name"; done
}

# put MODE FILE TARGET: the mode does not depend on the umask of the user
put() {
    mkdir -p "$(dirname "$3")"
    cp "$2" "$3"
    chmod "$1" "$3"
}
# fill TEMPLATE TARGET: up leads from the CMake package to the prefix, so that the tree can be moved
fill() {
    case $libdir/ in
    "$prefix"/*) up=$(printf '%s' "${libdir#"$prefix"}/cmake/safetensors" | sed 's,/[^/]*,/..,g; s,^/,,') ;;
    *) up= ;;
    esac
    mkdir -p "$(dirname "$2")"
    sed -e "s|@VERSION@|$version|g; s|@ABI@|$abi|g; s|@PREFIX@|$prefix|g; s|@LIBDIR@|$libdir|g; s|@UP@|$up|g" \
        -e "s|@FILE@|$file|g; s|@IMPLIB@|$implib|g" "$templates/$1" >"$2"
    chmod 644 "$2"
}
make_text() { # TARGET ARGUMENTS...: what st prints
    target=$1
    shift
    mkdir -p "$(dirname "$target")"
    $st "$@" >"$target"
    chmod 644 "$target"
}
umask 022
man=$root/share/man/man1/st.1
bash=$root/share/bash-completion/completions/st
zsh=$root/share/zsh/site-functions/_st
fish=$root/share/fish/vendor_completions.d/st.fish
cmake=$libroot/cmake/safetensors
dlldir=$libroot
case $file in *.dll) dlldir=$root/bin ;; esac

case $1 in
lib) lib ;;
install)
    put 644 safetensors.h "$root/include/safetensors.h"
    put 755 "$st" "$root/bin/st"
    make_text "$man" help --man
    make_text "$bash" help --completion bash
    make_text "$zsh" help --completion zsh
    make_text "$fish" help --completion fish
    fill safetensors.pc.in "$libroot/pkgconfig/safetensors.pc"
    fill safetensors-config.cmake.in "$cmake/safetensors-config.cmake"
    fill safetensors-config-version.cmake.in "$cmake/safetensors-config-version.cmake"
    ;;
install-lib)
    put 755 "build/lib/$file" "$dlldir/$file"
    [ -z "$implib" ] || put 644 "build/lib/$implib" "$libroot/$implib"
    for name in $links; do ln -sf "$file" "$libroot/$name"; done
    fill safetensors-shared.pc.in "$libroot/pkgconfig/safetensors-shared.pc"
    fill safetensors-shared.cmake.in "$cmake/safetensors-shared.cmake"
    ;;
uninstall)
    rm -f "$root/include/safetensors.h" "$root/bin/st" "$man" "$bash" "$zsh" "$fish" "$dlldir/$file" \
        "$libroot/pkgconfig/safetensors.pc" "$libroot/pkgconfig/safetensors-shared.pc" "$cmake"/safetensors-*.cmake
    for name in $links $implib; do rm -f "$libroot/$name"; done
    [ ! -d "$cmake" ] || rmdir "$cmake"
    ;;
esac
