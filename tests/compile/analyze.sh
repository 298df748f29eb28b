#!/bin/sh
# analyze.sh: gcc's and clang's static analyzers over the whole header; slow and fond of false alarms, so nightly only.
check=analyze
. tests/tools/lib.sh
have gcc clang-14 || finish
printf '#define ST_IMPLEMENTATION\n#include "safetensors.h"\n' >"$out/whole.c"
try "gcc -fanalyzer" gcc -O1 -fanalyzer -Wall -Wextra -Werror -I. -c "$out/whole.c" -o "$out/whole.o"
try "clang --analyze" clang-14 --analyze --analyzer-output text -Xclang -analyzer-werror -I. "$out/whole.c"
finish
