#!/bin/sh
# cover.sh [FIRST LAST]: runs the tests of the default build under gcov and lists every line and branch of rooms FIRST (6) to
# LAST (12) of safetensors.h that no test executes. At most 20 lines, each with STI_NEVER, are exempt. In the rooms after
# LAST the tests must execute $line_floor % of the lines and $branch_floor % of the branches; build/cover/missing lists
# the others. Tests that define a config macro compile a different header and are left out.
check=cover
. tests/tools/lib.sh
first=${1:-6} last=${2:-12}
line_floor=99 branch_floor=96 # 99.2 % and 96.3 % when they were set
have gcc gcov || finish
unset ST_SCRATCH # on the disk: only there are pages that are not in the page cache, for which room 16 has code of its own
OUT=$out
export OUT
sources=$(grep -sLE '^#[ ]*define ST_(NO_|FREESTANDING|STATIC|MALLOC|MEM|API|THREADS)' $TESTS)
rm -rf "$out" && mkdir -p "$out"
CC=gcc CFLAGS="-O0 --coverage"
export CC CFLAGS
set -- $sources
. tests/tools/parts.sh
printf '%s\n' $sources | xargs -n 1 -P "${JOBS:-2}" sh tests/tools/program.sh
for source in $sources; do
    name=$(basename "$source" .c)
    tail -n 1 "$out/$name.log" | grep -q ' passed, 0 failed' || fail "$source: $(tail -n 1 "$out/$name.log")"
done
for notes in "$out"/*.gcno; do # plain.c has another header
    case $notes in */plain.gcno) ;; *) gcov -b -c -t "$notes" >"${notes%.gcno}.gcov" 2>/dev/null ;; esac
done
awk -v first="$first" -v last="$last" -f tests/tools/cover.awk "$out"/*.gcov >"$out/report"
while read -r verdict what; do
    case $verdict in
    pass) passed=$((passed + what)) ;;
    fail) fail "$what" ;;
    info) echo "$what" ;;
    esac
done <"$out/report"
[ -s "$out/report" ] || fail "no report"

awk -v first=$((last + 1)) -v last=99 -f tests/tools/cover.awk "$out"/*.gcov >"$out/after"
sed -n 's/^fail //p' "$out/after" >"$out/missing"
set -- $(sed -n 's/^info rooms [^:]*: \([0-9]*\) lines, \([0-9]*\) branches.*/\1 \2/p' "$out/after") \
    $(grep -c ': never run: ' "$out/missing") $(grep -c ' never taken: ' "$out/missing")
for what in "lines $1 $3 $line_floor" "branches $2 $4 $branch_floor"; do
    set -- $what
    percent=$(awk -v all="$2" -v missed="$3" 'BEGIN { printf "%.1f", all ? 100 - 100 * missed / all : 0 }')
    echo "rooms $((last + 1)) and up: $percent % of $2 $1"
    if awk -v a="$percent" -v b="$4" 'BEGIN { exit a < b }'; then pass; else fail "$1 of rooms $((last + 1)) and up: under $4 % (see $out/missing)"; fi
done
finish
