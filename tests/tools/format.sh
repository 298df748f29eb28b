#!/bin/sh
# format.sh [--fix]: checks or fixes all C and C++ files with clang-format 14. Hand-aligned tables are between
# `clang-format off` and `on`.
check=format
. tests/tools/lib.sh
have clang-format-14 || finish
for file in $(find safetensors.h tests fuzz examples -name '*.[ch]' -o -name '*.cc' | sort); do
    [ "${1:-}" != --fix ] || clang-format-14 -i "$file"
    try "$file is not as .clang-format has it (tests/tools/format.sh --fix)" clang-format-14 --dry-run -Werror "$file"
done
finish
