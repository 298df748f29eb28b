# blackbox.sh: functions for the scripts that test the command-line tool as a black box. A script sets $name and sources
# this first; the script's argument is the path of the tool. The script then runs in a new directory under $ST_SCRATCH
# (build), makes its own files there, and ends with `finish`, which prints "NAME: N passed, N failed, N skipped".
# RUN is the program that starts the tool (RUN=wine). Tests that the machine cannot run are reported as skipped.

tool=${1:-build/st}
case $tool in /*) ;; *) tool=$PWD/$tool ;; esac
[ -f "$tool" ] || { echo "$name: there is no $tool" >&2; exit 2; }
real=$(cd "$(dirname "$0")/../../shared/real" 2>/dev/null && pwd)

passed=0 failed=0 skipped=0
scratch=${ST_SCRATCH:-build}
mkdir -p "$scratch" && tmp=$(mktemp -d "$scratch/tmp.$name.XXXXXX") || exit 2
trap 'cd / && rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
tmp=$(cd "$tmp" && pwd) && cd "$tmp" || exit 2
unset NO_COLOR
LC_ALL=C${RUN:+.UTF-8} # Wine converts arguments to UTF-16 and must know that they are UTF-8
export LC_ALL
limit=$(timeout 60 true 2>/dev/null && echo timeout 60) # so that a tool that hangs does not hang the tests

# ---- harness --------------------------------------------------------------------------------------------------

pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    echo "$name: FAILED: $*"
}
skip() {
    skipped=$((skipped + 1))
    echo "$name: skipped: $*"
}
# st ARGUMENTS...: runs the tool; sets $code and writes the files out and err
st() {
    $limit $RUN "$tool" "$@" >out 2>err </dev/null
    code=$?
    # On a busy machine, one start of some thousand fails in Wine itself, with exit code 1 and no message
    if [ "$RUN" ] && [ $code = 1 ] && [ ! -s out ] && [ ! -s err ]; then
        echo "$name: started again: $*"
        $limit $RUN "$tool" "$@" >out 2>err </dev/null
        code=$?
    fi
}
# is LABEL GOT WANTED
is() { if [ "$2" = "$3" ]; then pass; else fail "$1: got '$2', wanted '$3'"; fi; }
# has LABEL FILE TEXT, lacks LABEL FILE TEXT
has() { if grep -qF -e "$3" "$2"; then pass; else fail "$1: no '$3' in: $(head -c 600 "$2")"; fi; }
lacks() { if grep -qF -e "$3" "$2"; then fail "$1: '$3' in: $(head -c 600 "$2")"; else pass; fi; }
# has_line LABEL FILE REGEX
has_line() { if grep -q -e "^$3\$" "$2"; then pass; else fail "$1: no line '$3' in: $(head -c 600 "$2")"; fi; }
lines() { is "$1" "$(($(wc -l <"$2")))" "$3"; }
empty() { if [ -s "$2" ]; then fail "$1: $2 holds $(head -c 200 "$2")"; else pass; fi; }
code() { if [ "$code" = "$2" ]; then pass; else fail "$1: exit code $code, wanted $2; $(head -c 600 err)"; fi; }
hex() { od -An -v -tx1 "$1" | tr -s ' \n' '  '; }
# lacks_bytes LABEL FILE HEX...: HEX is like ' 1b'
lacks_bytes() {
    what=$1 dump=$(hex "$2")
    shift 2
    for bytes; do
        case $dump in *"$bytes"*) fail "$what: bytes$bytes reach the terminal" ;; *) pass ;; esac
    done
}
# python LABEL PROGRAM: runs assertions about `o`, the JSON object in the file out
if python3 -c 'import json' 2>/dev/null; then have_python=1; else have_python=; fi
python() {
    if [ ! "$have_python" ]; then
        skip "$1: no python3 here"
    elif printf '%s\n' 'import json, sys' 'o = json.loads(open("out", "rb").read().decode("utf-8"))' "$2" >t.py &&
        python3 t.py >py 2>&1; then
        pass
    else
        fail "$1: $(tail -n 3 py)"
    fi
}
# model FILE HEADER [DATA]: writes a safetensors file; DATA is a format of printf
byte() { printf '\\%03o' $(($1 % 256)); }
model() {
    n=$(($(printf %s "$2" | wc -c)))
    {
        printf "$(byte $n)$(byte $((n / 256)))$(byte $((n / 65536)))\\000\\000\\000\\000\\000"
        printf %s "$2"
        printf "${3:-}"
    } >"$1"
}
same() { if cmp -s "$2" "$3"; then pass; else fail "$1: $2 is not $3: $(hex "$2" | head -c 400)"; fi; }
# no_rest LABEL: fails if a temporary file is left in or below this directory
no_rest() {
    rest=$(find . -name '.st-*')
    if [ "$rest" ]; then fail "$1: left behind: $rest"; find . -name '.st-*' -exec rm -f {} +; else pass; fi
}
# fine ARGUMENTS...: the command succeeds and writes nothing to standard error
fine() {
    st "$@"
    code "st $*" 0
    empty "st $*" err
    no_rest "st $*"
}
# quiet ARGUMENTS...: the command succeeds and writes nothing at all
quiet() {
    fine "$@"
    empty "st $*" out
}
# fails WANTED ARGUMENTS...: the command ends with exit code 1 and WANTED is in its message
fails() {
    wanted=$1
    shift
    st "$@"
    code "st $*" 1
    empty "st $*" out
    has "st $*" err "$wanted"
    no_rest "st $*"
}
# refused WANTED COMMAND ARGUMENTS...: the command line is wrong: exit code 2, WANTED and the usage in the message
refused() {
    wanted=$1
    shift
    st "$@"
    code "st $*" 2
    empty "st $*" out
    has "st $*" err "$wanted"
    has "st $*" err "usage: st $1 "
    has "st $*" err "for more, type st $1 --help"
    no_rest "st $*"
}
# key NAME: prints the number under that key in the JSON object in out
key() { sed -n "s/.*\"$1\":\\([0-9]*\\).*/\\1/p" out; }
names() { # FILE: prints the names of its tensors in their order
    st ls --json "$1"
    sed -n 's/^\[*{"name":"\([^"]*\)".*/\1/p' out | tr '\n' ' '
}
data_offset() {
    st ls --json "$1"
    key data_offset
}
# written FILE HEADER [DATA]: like model, with the header padded to a multiple of 8 as the library does it
written() {
    header=$2
    while [ $(($(printf %s "$header" | wc -c) % 8)) != 0 ]; do header="$header "; done
    model "$1" "$header" "${3:-}"
}
system=$([ "$RUN" ] && echo other || echo posix) # links, permissions and signals are tested on posix
finish() {
    echo "$name: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
    exit
}
