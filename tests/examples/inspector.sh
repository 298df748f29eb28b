#!/bin/sh
# inspector.sh: builds examples/inspector; compares what it reads with NumPy and st, in Node without a browser, with the
# sanitizer of undefined behaviour too; then uses the page in headless Chromium as a user does. Screenshots lie in
# build/example-inspector/files.
check=example-inspector
. tests/tools/lib.sh
files=$out/files axe=build/node/axe/axe.min.js
mkdir -p "$files"
have clang-19 wasm-ld-19 node || finish
[ -x build/venv/bin/python ] || { skip "no build/venv here" && finish; }
[ -x build/st ] || try "build/st" ${MAKE:-make} build/st || finish

try "build without warnings" env WASM_CFLAGS="$WARN" sh examples/inspector/build.sh || finish
try "page is one file" test -s build/inspector.html
try "code joins to valid scripts" sh -c 'node --check build/inspector/page.js && node --check build/inspector/worker.js'
dangers='innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?://'
if grep -nE "$dangers" build/inspector.html >"$out/said"; then
    fail "the page makes HTML from text, or names an address:" "$(cat "$out/said")"
else
    pass
fi
cp build/inspector/inspector.wasm "$out/inspector.wasm"

real= minilm=
if [ -d ../shared/real ]; then real=$(cd ../shared/real && pwd); else skip "no ../shared/real here"; fi
model=build/models/all-MiniLM-L6-v2/model.safetensors
if [ -e $model ]; then minilm=$(readlink -f $model); else skip "no all-MiniLM-L6-v2 here"; fi
export REAL_FILES="$real" MODEL="$minilm"
try "files and what NumPy reads in them" build/venv/bin/python tests/examples/inspector_files.py "$files" \
    ${real:+"$real/all-dtypes.safetensors" "$real/silero_vad_16k.safetensors"} || finish

# count WHAT: adds up what a script printed in $out/said
count() {
    grep -vE '^[a-z]+: [0-9]+ passed' "$out/said"
    set -- "$1" $(sed -nE 's/^[a-z]+: ([0-9]+) passed, ([0-9]+) failed/\1 \2/p' "$out/said")
    if [ $# != 3 ]; then fail "$1 ended early"; else passed=$((passed + $2)) failed=$((failed + $3)); fi
}
node tests/examples/inspector_engine.mjs "$out/inspector.wasm" "$files" build/st >"$out/said" 2>&1
count engine
if try "build with -fsanitize=undefined" env TO="$out/sanitized" \
    WASM_CFLAGS="-fsanitize=undefined -fsanitize-trap=all" sh examples/inspector/build.sh; then
    node tests/examples/inspector_engine.mjs "$out/sanitized/inspector.wasm" "$files" build/st >"$out/said" 2>&1
    count "engine with -fsanitize=undefined"
fi

have chromium || finish
[ -e $axe ] || { axe= && skip "no axe-core here: accessibility is not checked"; }
node tests/examples/inspector.mjs build/inspector.html "$files" build/st $axe >"$out/said" 2>&1
count browser
rm -f "$files/large.safetensors"
finish
