#!/bin/sh
# nightly.sh TARGET...: makes each target without shortcuts, with $FUZZ_SECONDS (600) for each fuzzer, and writes the results
# to tests/NIGHTLY.md. Logs are in build/nightly.
set -u
FUZZ_SECONDS=${FUZZ_SECONDS:-600}
MAKE="${MAKE:-make} FUZZ_SECONDS=$FUZZ_SECONDS FULL=1"
export MAKE
begin=$(date +%s)
rm -rf build/nightly
mkdir -p build/nightly
sh tests/tools/steps.sh build/nightly "$@" >build/nightly/report 2>&1
status=$?
{
    echo '# The last nightly run'
    echo
    echo "$(date -u +%Y-%m-%d), $((($(date +%s) - begin) / 60)) minutes on $(nproc 2>/dev/null || echo some) processors, commit" \
        "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)$(git diff --quiet HEAD -- . ':!tests/NIGHTLY.md' 2>/dev/null || echo ' with changes')"
    echo
    echo "Command: \`make nightly\` with FUZZ_SECONDS=$FUZZ_SECONDS, which made these targets:"
    echo
    echo '```'
    cat build/nightly/report
    echo '```'
    echo
    echo 'Versions:'
    echo
    echo '```'
    uname -srm
    for tool in gcc gcc-11 g++ clang-14 clang-16 clang-19 tcc musl-gcc emcc avr-gcc frama-c valgrind strace wine qemu-s390x-static arm-none-eabi-gcc python3; do
        command -v $tool >/dev/null && $tool --version 2>/dev/null | head -n 1
    done
    build/venv/bin/python -m pip freeze 2>/dev/null
    echo '```'
} >tests/NIGHTLY.md
cat build/nightly/report
exit $status
