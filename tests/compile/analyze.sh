#!/bin/sh
# analyze.sh: runs the static analyzers of gcc and clang on the whole header. They are slow and report false positives,
# so only `make nightly` runs this.
check=analyze
. tests/tools/lib.sh
have gcc clang-14 || finish
printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/whole.c"
try "gcc -fanalyzer" gcc -O1 -fanalyzer -Wall -Wextra -Werror -I. -c "$out/whole.c" -o "$out/whole.o"
try "clang --analyze" clang-14 --analyze --analyzer-output text -Xclang -analyzer-werror -I. "$out/whole.c"
finish
