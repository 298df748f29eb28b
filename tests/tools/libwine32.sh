#!/bin/sh
# libwine32.sh: unpacks Debian's 32-bit Wine libraries in build/libwine32, with which the 64-bit Wine runs 32-bit programs.
# Runs as root. apt gets directories of its own: `dpkg --add-architecture` would concern the whole system.
set -eu
[ ! -d build/libwine32/lib ] || exit 0
rm -rf build/libwine32
mkdir -p build/libwine32/lists/partial build/libwine32/archives/partial build/libwine32/sources
cd build/libwine32
: >status
awk 'BEGIN { RS = ""; ORS = "\n\n" } /bookworm-updates/' /etc/apt/sources.list.d/debian.sources |
    sed 's/^Suites:.*/Suites: bookworm\nArchitectures: i386/' >sources/debian.sources
apt="-qq -o APT::Architectures::=amd64 -o APT::Architectures::=i386 -o Dir::State::lists=$PWD/lists
    -o Dir::State::status=$PWD/status -o Dir::Cache=$PWD -o Dir::Cache::archives=$PWD/archives
    -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$PWD/sources -o APT::Sandbox::User=root"
apt-get $apt update
apt-get $apt download libwine:i386
mkdir unpacked
dpkg-deb --fsys-tarfile libwine_*_i386.deb | tar -x -C unpacked --wildcards './usr/lib/i386-linux-gnu/wine/i386-windows/*'
mv unpacked/usr/lib/i386-linux-gnu/wine lib
rm -rf unpacked lists archives sources status ./*.deb ./*.bin
