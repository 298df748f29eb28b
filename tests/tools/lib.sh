# lib.sh: functions that the checks share: counting, reporting, the list of tests. Source it from the top of the repository
# with $check set. Each check ends with `finish`, which prints "NAME: N passed, N failed, N skipped".
LC_ALL=C.UTF-8
export LC_ALL
passed=0 failed=0 skipped=0
out=build/$check
mkdir -p "$out"

# the code compiles without these warnings and without pragmas that disable them
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
# have TOOL...: returns whether all tools exist; if not, counts a skip, or in CI, which installs all tools, a failure
have() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 && continue
        if [ "${CI:-}" = true ]; then fail "no $tool, though tests/tools/install should bring it"; else skip "no $tool here"; fi
        return 1
    done
}
# try LABEL COMMAND...: passes if the command succeeds; otherwise prints its output
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
