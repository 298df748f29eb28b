#!/bin/sh
# nightly.sh TARGET...: makes each target with ten minutes of each fuzzer, and writes what came of it to tests/NIGHTLY.md.
set -u
FUZZ_SECONDS=${FUZZ_SECONDS:-600}
MAKE="${MAKE:-make} FUZZ_SECONDS=$FUZZ_SECONDS"
export MAKE
mkdir -p build/nightly
sh tests/tools/steps.sh build/nightly "$@" >build/nightly/report
status=$?
{
    echo '# The last nightly run'
    echo
    echo "$(date -u +%Y-%m-%d), \`make nightly\`, FUZZ_SECONDS=$FUZZ_SECONDS, commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
    echo
    echo '```'
    for tool in cc clang-14 clang-19 tcc valgrind wine qemu-s390x-static arm-none-eabi-gcc; do
        command -v $tool >/dev/null && $tool --version 2>/dev/null | head -n 1
    done
    echo
    cat build/nightly/report
    echo '```'
} >tests/NIGHTLY.md
cat build/nightly/report
exit $status
