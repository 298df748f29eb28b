#!/bin/sh
# Tests examples/embed: small models of every kind, made and run by tests/examples/embed_reference.py; the real
# all-MiniLM-L6-v2; hostile models under ASan and UBSan; another processor under an emulator.
cd "$(dirname "$0")/../.." || exit 2
check=example-embed
. tests/tools/lib.sh
python=build/venv/bin/python
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
units="tests/examples/embed_units.c examples/embed/encoder.c examples/matrix/backend.c -lm"
reference() { # PROGRAM GROUP
    try "$2 ($1)" $python tests/examples/embed_reference.py "$1" "$2"
}

have cc make || finish
try "make build/examples/embed without warnings" sh -c "rm -f build/examples/embed && \
    ${MAKE:-make} build/examples/embed CC='${CC:-cc} -std=gnu99 $WARN'" || finish
# the line in the comment of main.c, as it stands there
line=$(sed -n '/^ \*  *cc /,/ -o embed$/s/^ \*  *//p' examples/embed/main.c | tr -d '\\\n' | sed 's/ -o embed$//')
try "cc line of main.c" sh -c "$line -O0 -o $out/embed" # without the time that optimizing takes
try "units" sh -c "${CC:-cc} -std=gnu99 -O3 $WARN -I. $units -o $out/units && $out/units"
if have aarch64-linux-gnu-gcc qemu-aarch64-static; then
    try "units on aarch64" sh -c "aarch64-linux-gnu-gcc -std=gnu99 -static -O2 $WARN -I. $units -o $out/units-arm64 && \
        qemu-aarch64-static $out/units-arm64"
fi
cp build/examples/embed "$out/embed" # the reference writes its models beside the program
if [ -x $python ] && $python -c 'import numpy, ml_dtypes' 2>/dev/null; then
    for group in kinds weights choices heads modules command_line; do reference "$out/embed" $group; done
    if [ -e build/models/all-MiniLM-L6-v2/model.safetensors ] && [ -e ../shared/real/minilm_expected.json ]; then
        reference "$out/embed" real
    else
        skip "real: all-MiniLM-L6-v2 or ../shared/real is not here"
    fi
    if have clang-14; then
        mkdir -p "$out/asan"
        sources=$(MAKEFLAGS= MAKELEVEL= ${MAKE:-make} -s -f Makefile -f - print-embed <<'EOF'
print-embed:
	@echo $(EMBED) $(COMMON)
EOF
        )
        try "build under ASan" sh -c "clang-14 -std=gnu99 -g -O0 $WARN -fsanitize=address,undefined \
            -fno-sanitize-recover=all -I. -pthread $sources -lutf8proc -lm -o $out/asan/embed"
        for group in hostile weights heads; do reference "$out/asan/embed" $group; done
    fi
else
    skip "no build/venv with numpy here"
fi
finish
