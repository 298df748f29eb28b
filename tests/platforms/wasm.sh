#!/bin/sh
# wasm.sh SOURCE...: builds the tests as WebAssembly and runs them in node, whose files they read and write: with Emscripten
# through NODERAWFS, with WASI through a preopened directory. Also opens and saves a model in Emscripten's memory file system,
# and runs a module that was linked without any library.
check=wasm
. tests/tools/lib.sh
have node || finish
ST_SCRATCH=$out/scratch # a program that was stopped leaves its directory, and all of them have the same process number
export ST_SCRATCH
rm -rf "$ST_SCRATCH"

# left out: threads, processes, system calls that are replaced, kernels of other processors, files that node cannot map
sources=
for source in "$@"; do
    case $source in
    tests/*threads.c | tests/kernels.c | tests/huge.c | tests/target.c | tests/windows.c | *.sh) ;;
    tests/faults/bsd.c | tests/faults/calls.c | tests/faults/edit_files.c | tests/faults/models.c | tests/faults/sharding.c) ;;
    *) sources="$sources $source" ;;
    esac
done
run() { # NAME: builds and runs $sources
    sh tests/tools/programs.sh wasm/$1 $sources >"$out/$1.log"
    cat "$out/$1.log"
    set -- $(tail -n 1 "$out/$1.log")
    passed=$((passed + $2)) failed=$((failed + $4)) skipped=$((skipped + $6))
}

if have emcc; then
    # Emscripten 3.1.6 takes a node that has `fetch` for a browser
    CC="emcc -sNODERAWFS=1 -sALLOW_MEMORY_GROWTH=1 -sEXIT_RUNTIME=1 --pre-js tests/platforms/environment.js" CFLAGS=-O1 \
        EXE=.js RUN="node --no-experimental-fetch" run emscripten
    # without NODERAWFS: the program's own files, in memory
    if try "memfs does not build" emcc -O1 -I. -sALLOW_MEMORY_GROWTH=1 tests/platforms/memfs.c -o "$out/memfs.js"; then
        try "memfs" sh -c "node --no-experimental-fetch $out/memfs.js | grep -qx 'memfs: all right'"
    fi
fi
if have clang-14 wasm-ld-14; then
    CC="clang-14 --target=wasm32-wasi -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_PROCESS_CLOCKS -Wno-deprecated-declarations" \
        LDFLAGS="-lwasi-emulated-getpid -lwasi-emulated-process-clocks -Wl,-z,stack-size=1048576" CFLAGS=-O1 EXE=.wasm \
        RUN="node --no-warnings --no-turbo-fast-api-calls tests/platforms/wasi.mjs" run wasi
fi
# the program of chips.sh prints here what it prints as a program of this machine
chip="tests/platforms/chip.c tests/platforms/board.c"
if have clang-19 wasm-ld-19 && try "chip does not build here" cc -O1 $chip -o "$out/chip" &&
    try "bare does not build" clang-19 --target=wasm32 -mbulk-memory -ffreestanding -nostdlib -Os $chip -Wl,--no-entry \
        -Wl,--export-all -Wl,--allow-undefined -Wl,-z,stack-size=65536 -o "$out/bare.wasm"; then
    "$out/chip" >"$out/expected"
    node tests/platforms/bare.mjs "$out/bare.wasm" >"$out/found" 2>&1
    try "a module without any library prints other lines" diff "$out/expected" "$out/found"
fi
finish
