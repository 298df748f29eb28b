# lib.sh: what the checks share: counts, words, the list of tests. Sourced from the top of the repository, with $check set.
# Each check ends with `finish`, which prints "NAME: N passed, N failed, N skipped".
LC_ALL=C.UTF-8
export LC_ALL
passed=0 failed=0 skipped=0
out=build/$check
mkdir -p "$out"

# the warnings of design: none of them may fire, and no pragma hides one
WARN_CXX="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wsign-conversion -Wcast-qual -Werror"
WARN="$WARN_CXX -Wstrict-prototypes"

pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    echo "FAILED $check: $*"
}
skip() {
    skipped=$((skipped + 1))
    echo "skipped $check: $*"
}
# have TOOL...: whether all are here; if not, a skip, which is a failure in CI, where tests/tools/install brought them
have() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 && continue
        if [ "${CI:-}" = true ]; then fail "no $tool, though tests/tools/install should bring it"; else skip "no $tool here"; fi
        return 1
    done
}
# try LABEL COMMAND...: passes if the command does; shows what it said otherwise
try() {
    label=$1
    shift
    if "$@" >"$out/said" 2>&1; then pass; else
        fail "$label"
        sed -n '1,30s/^/    /p' "$out/said"
        return 1
    fi
}
finish() {
    echo "$check: $passed passed, $failed failed, $skipped skipped"
    [ $failed = 0 ]
    exit
}
