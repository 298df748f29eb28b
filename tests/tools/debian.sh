#!/bin/sh
# debian.sh: builds the source archive and from it the Debian packages with dpkg-buildpackage, examines them with lintian,
# installs them in a mount namespace of its own, so that the machine does not change, and runs debian/tests there.
# As root; needs debhelper, lintian and dpkg-dev (apt-get install debhelper lintian). Takes about a minute.
check=debian
. tests/tools/lib.sh
have dpkg-buildpackage dh lintian unshare || finish
version=$(sed -n 's/^#define ST_VERSION_STRING "\(.*\)".*/\1/p' safetensors.h)
top=$PWD
try "make release" ${MAKE:-make} release URL=https://downloads.example.org HOMEPAGE=https://example.org \
    MAINTAINER='Example Maintainer <maintainer@example.org>' || finish
rm -rf "${out:?}"/*
cp "build/release/safetensors-h-$version.tar.gz" "$out/safetensors-h_$version.orig.tar.gz"
tar -xzf "$out/safetensors-h_$version.orig.tar.gz" -C "$out"
source=$out/safetensors-h-$version
cp -R build/release/recipes/debian "$source/debian"
# a bug number is given with the first upload
sed -i 's/ (Closes: #nnnn)/ (Closes: #1000000)/' "$source/debian/changelog"
try "dpkg-buildpackage" sh -c "cd '$source' && dpkg-buildpackage -us -uc >../build.log 2>&1" ||
    { tail -n 40 "$out/build.log" | sed 's/^/    /' && finish; }
architecture=$(dpkg --print-architecture)
for package in libsafetensors-dev_$version-1_all safetensors-tools_$version-1_$architecture; do
    try "no $package" dpkg-deb --info "$out/$package.deb"
done
try "lintian" lintian --allow-root --fail-on error,warning,info --display-info "$out/safetensors-h_$version-1_$architecture.changes"
cat "$out/said"

# autopkgtest's steps: install the packages, run each test in the source tree
cat >"$out/tests.sh" <<END
set -e
for folder in usr etc var; do
    mkdir -p "/mnt/upper/\$folder" "/mnt/work/\$folder"
    mount -t overlay overlay -o "lowerdir=/\$folder,upperdir=/mnt/upper/\$folder,workdir=/mnt/work/\$folder" "/\$folder"
done
dpkg -i "$top/$out"/*.deb
cd "$top/$source"
for test in \$(sed -n 's/^Tests: //p' debian/tests/control); do
    AUTOPKGTEST_TMP=\$(mktemp -d) debian/tests/\$test
done
man -w st
END
try "debian/tests" unshare -m sh -c "mount -t tmpfs none /mnt && sh '$out/tests.sh' >'$out/said.tests' 2>&1 || { cat '$out/said.tests'; exit 1; }"
try "debian/tests printed" grep -q 'safetensors.h .*: x, U8' "$out/said.tests"
try "the tests changed the machine" sh -c '! dpkg -s libsafetensors-dev'
finish
