#!/bin/sh
# release.sh: checks that every place that names the version agrees, then writes build/release: the header, a source
# archive that has built the tool and run it, their SHA-256, and where URL is set the recipes of examples/integration with
# URL, checksums, HOMEPAGE and MAINTAINER filled in. The same tree makes the same archive, byte for byte.
#   make release URL=https://host/downloads HOMEPAGE=https://host MAINTAINER='Name <name@host>'
# VERSIONS_ONLY=1 stops after the comparison.
check=release
. tests/tools/lib.sh
macro() { sed -n "s/^#define $1 \"\{0,1\}\([0-9.]*\).*/\1/p" safetensors.h; }
version=$(macro ST_VERSION_STRING)
major=$(macro ST_VERSION_MAJOR) minor=$(macro ST_VERSION_MINOR) patch=$(macro ST_VERSION_PATCH)
# agree WHERE FOUND [WANTED]
agree() {
    [ "$2" = "${3-$version}" ] && pass || fail "$1 has '$2', expected '${3-$version}'"
}
# found FILE EXPRESSION: what the expression of sed finds first
found() { sed -n "s/$2.*/\1/p" "$1" | head -n 1; }
number='\([0-9][0-9.]*[0-9]\)'

agree "ST_VERSION_MAJOR, _MINOR and _PATCH" "$major.$minor.$patch"
agree ST_VERSION "$(macro ST_VERSION)" $((major * 10000 + minor * 100 + patch))
agree "the first line of safetensors.h" "$(found safetensors.h "^\/\* safetensors.h - version $number")"
history=$(awk '/^\/\* ---- 18 history/ { on = 1 } on && $2 ~ /^[0-9]+\.[0-9]+\.[0-9]+$/ { last = $2 " " $3 } END { print last }' safetensors.h)
agree "the history at the end of safetensors.h" "${history% *}"
date=${history#* }
agree README.md "$(found README.md ".*Version $number")"
st=${ST:-build/st}
if [ -x "$st" ]; then
    agree "st --version" "$("$st" --version | sed "s/^[^0-9]*$number.*/\1/; q")"
    "$st" help --man >"$out/st.1"
    agree "the manual page of st" "$(found "$out/st.1" "^\.TH ST 1 .*\"st $number")"
    agree "the date in the manual page (RELEASE_DATE in examples/st/help.c)" "$(found "$out/st.1" '^\.TH ST 1 \([0-9-]*\)')" "$date"
else
    fail "no $st"
fi
recipes=examples/integration
agree "$recipes/conan/conandata.yml" "$(found $recipes/conan/conandata.yml "^  \"$number\":")"
agree "$recipes/conan/conandata.yml, url" "$(found $recipes/conan/conandata.yml ".*safetensors-h-$number\.tar")"
agree "$recipes/vcpkg/port/vcpkg.json" "$(found $recipes/vcpkg/port/vcpkg.json ".*\"version\": \"$number")"
agree "$recipes/bazel/overlay/MODULE.bazel" "$(found $recipes/bazel/overlay/MODULE.bazel "^ *version = \"$number")"
agree "$recipes/bazel/source.json" "$(found $recipes/bazel/source.json ".*url.*safetensors-h-$number\.tar")"
agree "$recipes/bazel/source.json, strip_prefix" "$(found $recipes/bazel/source.json ".*strip_prefix.*safetensors-h-$number\"")"
agree "$recipes/bazel/consumer/MODULE.bazel" "$(found $recipes/bazel/consumer/MODULE.bazel ".*safetensors_h\", version = \"$number")"
for name in directory source_url source_filename; do
    agree "$recipes/meson/subprojects/safetensors.wrap, $name" \
        "$(found $recipes/meson/subprojects/safetensors.wrap "^$name = .*safetensors-h-$number" | sed 's/\.$//')"
done
agree "the subproject for Meson" "$(found $recipes/meson/subprojects/packagefiles/safetensors/meson.build ".*version: '$number'")"
agree "$recipes/xmake/packages/s/safetensors-h/xmake.lua" "$(found $recipes/xmake/packages/s/safetensors-h/xmake.lua ".*add_versions(\"$number")"
agree "$recipes/nix/package.nix" "$(found $recipes/nix/package.nix "^  version = \"$number")"
agree "$recipes/zig/build.zig.zon" "$(found $recipes/zig/build.zig.zon ".*safetensors-h-$number\.tar")"
agree "$recipes/debian/changelog" "$(found $recipes/debian/changelog "^safetensors-h (\([0-9.]*\)-")"
[ $failed = 0 ] && [ -z "${VERSIONS_ONLY:-}" ] || finish

# ---- the files ------------------------------------------------------------------------------------------------
have tar gzip sha256sum || finish
case $(tar --version 2>/dev/null) in *GNU*) ;; *) fail "the archive needs GNU tar" && finish ;; esac
name=safetensors-h-$version
rm -rf "$out/$name" "$out"/safetensors* "$out/SHA256SUMS" "$out/recipes"
cp safetensors.h "$out/safetensors.h"
if git rev-parse --is-inside-work-tree >"$out/said" 2>&1; then
    [ -z "$(git status --porcelain)" ] || echo "release: note: the working tree has changes that are not committed"
    git ls-files -z --cached >"$out/files"
else
    find . -path ./build -prune -o \( -type f -o -type l \) -printf '%P\0' >"$out/files"
fi
tar --null --files-from="$out/files" --sort=name --transform="flags=r;s,^,$name/," --mtime="$date 00:00:00 UTC" --owner=0 \
    --group=0 --numeric-owner --mode=u+rw,go=rX --format=ustar -cf "$out/$name.tar" && gzip -9nf "$out/$name.tar" || fail "tar"
tar -xzf "$out/$name.tar.gz" -C "$out" || fail "the archive cannot be unpacked"
try "make run in the archive" sh -c "cd '$out/$name' && ${MAKE:-make} run CC='${CC:-cc}'"
printed=$("$out/$name/build/st" --version 2>&1 | head -n 1)
case $printed in *"$version"*) pass ;; *) fail "st of the archive prints $printed" ;; esac
try "the archive holds another header" cmp safetensors.h "$out/$name/safetensors.h"
rm -rf "${out:?}/$name"
(cd "$out" && sha256sum safetensors.h "$name.tar.gz" >SHA256SUMS)

if [ -n "${URL:-}" ]; then
    have openssl sha512sum || finish
    sri() { printf 'sha256-%s' "$(openssl dgst -sha256 -binary "$1" | openssl base64 -A)"; }
    sha256=$(sha256sum "$out/$name.tar.gz" | cut -d ' ' -f 1) sha512=$(sha512sum "$out/$name.tar.gz" | cut -d ' ' -f 1)
    mkdir "$out/recipes"
    for folder in conan vcpkg bazel meson xmake nix zig debian; do cp -R "$recipes/$folder" "$out/recipes"; done
    expressions="s|@URL@|$URL|g; s|@SHA256@|$sha256|g; s|@SHA512@|$sha512|g; s|@SRI@|$(sri "$out/$name.tar.gz")|g
        s|@HOMEPAGE@|${HOMEPAGE:-$URL}|g; s|@MAINTAINER@|${MAINTAINER:-Unknown <unknown@localhost>}|g"
    for file in BUILD MODULE; do
        path=bazel/overlay/$file.bazel
        expressions="$expressions; s|@SRI:$path@|$(sri "$recipes/$path")|g"
    done
    find "$out/recipes" -type f | while read -r file; do
        sed "$expressions" "$file" >"$out/filled" && cat "$out/filled" >"$file"
    done
    left=$(grep -rlE '@(URL|SHA256|SHA512|SRI[^@]*|HOMEPAGE|MAINTAINER)@' "$out/recipes")
    [ -z "$left" ] && pass || fail "placeholders are left in $left"
fi
rm -f "$out/files" "$out/filled" "$out/said"
cat "$out/SHA256SUMS"
finish
