# blackbox.sh: what the scripts share that drive the command-line tool from outside. Sourced first, with $name set; the
# script's own argument says where the tool is. Moves to an empty directory under $ST_SCRATCH (build).
# RUN starts the tool where it cannot start itself (RUN=wine). What a machine lacks is said and counted as skipped.
# Each script ends with `finish`, which prints "NAME: N passed, N failed, N skipped".

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
LC_ALL=C${RUN:+.UTF-8} # Wine turns arguments into UTF-16, for which it must know what they are
export LC_ALL
limit=$(timeout 60 true 2>/dev/null && echo timeout 60) # a tool that hangs must not hang the tests

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
# st ARGUMENTS...: runs it; $code, out and err hold what came of it
st() {
    $limit $RUN "$tool" "$@" >out 2>err </dev/null
    code=$?
    # Once in some thousand starts on a busy machine Wine ends with 1 and without a word; the tool never does
    if [ "$RUN" ] && [ $code = 1 ] && [ ! -s out ] && [ ! -s err ]; then
        echo "$name: started again: $*"
        $limit $RUN "$tool" "$@" >out 2>err </dev/null
        code=$?
    fi
}
# is WHAT GOT WANTED
is() { if [ "$2" = "$3" ]; then pass; else fail "$1: got '$2', wanted '$3'"; fi; }
# has WHAT FILE TEXT, lacks WHAT FILE TEXT
has() { if grep -qF -e "$3" "$2"; then pass; else fail "$1: no '$3' in: $(head -c 600 "$2")"; fi; }
lacks() { if grep -qF -e "$3" "$2"; then fail "$1: '$3' in: $(head -c 600 "$2")"; else pass; fi; }
# has_line WHAT FILE REGEX
has_line() { if grep -q -e "^$3\$" "$2"; then pass; else fail "$1: no line '$3' in: $(head -c 600 "$2")"; fi; }
lines() { is "$1" "$(($(wc -l <"$2")))" "$3"; }
empty() { if [ -s "$2" ]; then fail "$1: $2 holds $(head -c 200 "$2")"; else pass; fi; }
code() { if [ "$code" = "$2" ]; then pass; else fail "$1: exit code $code, wanted $2; $(head -c 600 err)"; fi; }
hex() { od -An -v -tx1 "$1" | tr -s ' \n' '  '; }
# lacks_bytes WHAT FILE HEX...: each as ' 1b'
lacks_bytes() {
    what=$1 dump=$(hex "$2")
    shift 2
    for bytes; do
        case $dump in *"$bytes"*) fail "$what: bytes$bytes reach the terminal" ;; *) pass ;; esac
    done
}
# python WHAT PROGRAM: `o` is the object in the file out; the program asserts
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
# model FILE HEADER [DATA]: DATA is a format of printf
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
# whether a temporary was left in this directory or in those below it
no_rest() {
    rest=$(find . -name '.st-*')
    if [ "$rest" ]; then fail "$1: left behind: $rest"; find . -name '.st-*' -exec rm -f {} +; else pass; fi
}
# fine ARGUMENTS...: succeeds without a word of complaint
fine() {
    st "$@"
    code "st $*" 0
    empty "st $*" err
    no_rest "st $*"
}
# quiet ARGUMENTS...: and says nothing at all
quiet() {
    fine "$@"
    empty "st $*" out
}
# fails WANTED ARGUMENTS...: exit code 1, and WANTED in what it says
fails() {
    wanted=$1
    shift
    st "$@"
    code "st $*" 1
    empty "st $*" out
    has "st $*" err "$wanted"
    no_rest "st $*"
}
# refused WANTED COMMAND ARGUMENTS...: a slip of the command line
refused() {
    wanted=$1
    shift
    st "$@"
    code "st $*" 2
    empty "st $*" out
    has "st $*" err "$wanted"
    has "st $*" err "usage: st $1 "
    has "st $*" err "st $1 --help says more"
    no_rest "st $*"
}
# key NAME: the number under that key in the object in out
key() { sed -n "s/.*\"$1\":\\([0-9]*\\).*/\\1/p" out; }
names() { # of FILE's tensors in their order
    st ls --json "$1"
    sed -n 's/^\[*{"name":"\([^"]*\)".*/\1/p' out | tr '\n' ' '
}
data_offset() {
    st ls --json "$1"
    key data_offset
}
# written FILE HEADER [DATA]: what the library would write, filled up with spaces to a multiple of 8
written() {
    header=$2
    while [ $(($(printf %s "$header" | wc -c) % 8)) != 0 ]; do header="$header "; done
    model "$1" "$header" "${3:-}"
}
system=$([ "$RUN" ] && echo other || echo posix) # links, permissions and signals are tried where they are the system's own
finish() {
    echo "$name: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
    exit
}
