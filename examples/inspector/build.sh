#!/bin/sh
# build.sh: makes build/inspector.html, one file with everything in it: the library as WebAssembly, the code of the
# worker that runs it, the page and its style. Needs clang 19 and lld 19; run it from the top of the repository.
# TO=DIRECTORY makes DIRECTORY.html, from parts in DIRECTORY.
set -eu
from=examples/inspector to=${TO:-build/inspector}
mkdir -p "$to"
"${WASM_CC:-clang-19}" --target=wasm32 -nostdlib -ffreestanding -fvisibility=hidden -std=c99 -O2 -mbulk-memory \
    ${WASM_CFLAGS:-} -I. -I$from -I$from/libc \
    -Wl,--no-entry -Wl,--gc-sections -Wl,--strip-all -Wl,--stack-first -Wl,-z,stack-size=262144 \
    $from/inspector.c $from/libc/libc.c examples/st/lenient.c examples/st/lenient_json.c -o "$to/inspector.wasm"

# join FILE...: one script of several modules, in an order in which each comes after those that it imports
join() {
    echo '"use strict";'
    for file in "$@"; do
        sed -e '/^import .* from "\.\/.*";$/d' -e '/^import {$/,/^} from "\.\/.*";$/d' -e 's/^export //' "$from/$file"
    done
}
join engine.js slice.js worker.js >"$to/worker.js"
{
    echo '(() => {'
    join dom.js table.js tree.js sizes.js tensor.js metadata.js compare.js page.js
    echo '})();'
} >"$to/page.js"
base64 -w 120 "$to/inspector.wasm" >"$to/inspector.base64"

# The content security policy allows this script by its hash, and no request to anywhere: not even a flaw in the page
# could send a file away.
{ echo && cat "$to/page.js"; } >"$to/script" # as it stands between the tags
hash=$(for byte in $(sha256sum "$to/script" | cut -c 1-64 | sed 's/../& /g'); do
    printf "\\$(printf %o "0x$byte")"
done | base64)

# Replaces each line that is the name of a part in double braces by the part.
awk -v to="$to" -v from="$from" -v hash="$hash" '
    function put(file, line) { while ((getline line <file) > 0) print line; close(file) }
    $1 == "{{style}}" { put(from "/page.css"); next }
    $1 == "{{wasm}}" { put(to "/inspector.base64"); next }
    $1 == "{{worker}}" { put(to "/worker.js"); next }
    $1 == "{{page}}" { put(to "/page.js"); next }
    { sub(/{{hash}}/, hash); print }' "$from/page.html" >"$to.html"
