# parts.sh: builds the parts that the programs "$@" share in $OUT and lists them in $PARTS (see program.sh). Source it.
# The parts of a chain are built in order, the two chains in parallel.
library=$(grep -L ST_IMPLEMENTATION "$@" | head -n 1)
tool=$(printf '%s\n' "$@" | grep '\.sh$' | head -n 1)
quick=$(printf '%s\n' "$@" | grep 'quick\.c$' | head -n 1)
inside=$(for source in "$@"; do grep -o "^#include \"\.\./${source##*/}\"" tests/inside/inside.c; done | sed 1d) # two or more
chain=${library:+library.o}${tool:+ st} other=${quick:+plain.o}
[ -z "$inside" ] || other="plain.o inside"
PARTS="$chain $other"
export PARTS
(cd "$OUT" && rm -f library.o plain.o inside inside.exe st st.exe)
printf '%s\n' "$chain" "$other" | xargs -L 1 -P "${JOBS:-2}" sh tests/tools/program.sh --parts
