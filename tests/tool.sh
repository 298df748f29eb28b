#!/bin/sh
# tool.sh [ST]: tests the command-line tool as a black box (see tools/blackbox.sh): main, ls, check, cat.

name=tool
. "$(dirname "$0")/tools/blackbox.sh"

# ---- files ----------------------------------------------------------------------------------------------------

two='{"__metadata__":{"format":"pt","by":"tool.sh"},'\
'"a":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]},"weight.b":{"dtype":"BF16","shape":[1],"data_offsets":[6,8]}}'
model good "$two" 'abcdefgh'
model none '{}'
model empty '{"__metadata__":{}}'
model lacking "$two" 'abcde'
model spare "$two" 'abcdefghij'
model json '{"a":}'
model schema '{"a":{"dtype":"U8","shape":[1]}}' 'a'
model dtype '{"a":{"dtype":"Q8","shape":[1],"data_offsets":[0,1]}}' 'a'
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' >lfs
printf '<!DOCTYPE html><html></html>' >html
: >nothing
mkdir dir
two_bytes=$((8 + $(printf %s "$two" | wc -c)))

# Names that would control a terminal or break JSON: NUL, quotes, a backslash, a window title, a colour, C1's CSI, DEL,
# bidirectional marks.
rlo=$(printf '\342\200\256') c1=$(printf '\302\233') ls=$(printf '\342\200\250') alm=$(printf '\330\234')
del=$(printf '\177') lri=$(printf '\342\201\246') lrm=$(printf '\342\200\216') emoji=$(printf '\360\237\230\200')
zero='"dtype":"U8","shape":[0],"data_offsets":[0,0]'
model hostile "{\"__metadata__\":{\"k\\u001b[31m\\u0000\":\"v${rlo}\\n\\\"\\u009b\"},\
\"nul\\u0000end\":{$zero},\"q\\\"\\\\\":{$zero},\"\\u001b]0;evil\\u0007\":{$zero},\"c${c1}31m\":{$zero},\
\"r${rlo}x\":{$zero},\"p${ls}\":{$zero},\"alm${alm}\":{$zero},\"d${del}\":{$zero},\"i${lri}\":{$zero},\
\"m${lrm}\":{$zero},\"\\n\\r\\t\\b\\f\":{$zero},\"${emoji}\\ud83d\\ude00\":{$zero},\"\":{$zero}}"
raw=" 00:  1b:  07:  7f:  08:  0c:  0d:  09: c2 9b: e2 80 ae: e2 80 a8: d8 9c: e2 81 a6: e2 80 8e"
lacks_raw() { # LABEL FILE [ALLOWED-BYTES]
    old=$IFS IFS=:
    for r in $raw; do
        r=" $(echo "$r" | tr -s ' ' | sed 's/^ //')"
        [ "$r" = "${3:-}" ] || lacks_bytes "$1" "$2" "$r"
    done
    IFS=$old
}

# ---- main -----------------------------------------------------------------------------------------------------

st
code "no command" 2
empty "no command" out
has "no command" err "usage: st"
for flag in -h --help help; do
    st $flag
    code "st $flag" 0
    has "st $flag" out "  st check "
    empty "st $flag" err
done
st --version
code "version" 0
has_line "version" out '[0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*'
st chekc good
code "unknown command" 2
has "unknown command" err "did you mean check?"
st --jsn
code "unknown option of st" 2
has "unknown option of st" err "unknown option --jsn"
for c in ls check hash cat show diff; do
    for flag in -h --help; do
        st $c $flag
        code "$c $flag" 0
        has "$c $flag" out "usage: st $c"
        empty "$c $flag" err
    done
    st help $c
    has "help $c" out "usage: st $c"
    st $c
    code "$c without a path" 2
    has "$c without a path" err "usage: st $c"
    empty "$c without a path" out
    st $c --no-such good
    code "$c --no-such" 2
    has "$c --no-such" err "unknown option --no-such"
done
st ls --jsn good
code "a misspelt option" 2
has "a misspelt option" err "did you mean --json?"
st ls --json=1 good
code "a flag with a value" 2
st ls good none
code "ls of two paths" 2
cp good ./--json
st ls -- --json
code "-- ends the options" 0
has "-- ends the options" out "weight.b"
st ls --json -- --json
python "-- ends the options" 'assert o["shards"][0]["path"] == "--json"'
st check -- --help
code "-- ends --help" 1
has "-- ends --help" out "ST_ERR_NOT_FOUND"
st check "$(printf 'x\033[31m')"
lacks_bytes "a path with ESC" out ' 1b'
st ls "--$(printf '\033[31m')"
lacks_bytes "an option with ESC" err ' 1b'
st "$(printf '\033[31m')"
lacks_bytes "a command with ESC" err ' 1b'

# ---- ls -------------------------------------------------------------------------------------------------------

st ls good
code ls 0
empty ls err
has_line "ls: metadata" out ' *format: pt'
has_line "ls: one line a tensor" out "a  *U8  *\[2,3\]  *6  *$two_bytes"
has_line "ls: one line a tensor" out "weight.b  *BF16  *\[1\]  *2  *$((two_bytes + 6))"
has_line "ls: total by dtype" out 'U8  *1 tensor  *6 elements  *6 bytes'
has_line "ls: total by dtype" out 'BF16  *1 tensor  *1 element  *2 bytes'
has_line "ls: total" out 'total  *2 tensors  *7 elements  *8 bytes'
is "ls: columns are aligned" "$(awk '/U8 +\[|BF16 +\[/ { print index($0, "[") }' out | sort -u | wc -l | tr -d ' ')" 1
lacks_bytes "ls: no colours in a file" out ' 1b'
model wide "{\"${emoji}\":{$zero},\"xyz\":{$zero}}" # the emoji is one column and four bytes wide
st ls wide
is "ls: columns count characters" "$(awk '/U8 +\[/ { print index($0, "[") }' out | tr '\n' ' ' | awk '{ print $1 - $2 }')" 3
st ls none
code "ls of no tensors" 0
lacks "ls of no tensors" out metadata
has "ls of no tensors" out "0 tensors"
st ls empty
has "ls: metadata that is empty" out "metadata: empty"
for bad in lacking json nothing lfs no-such dir; do
    for flag in "" --json; do
        st ls $flag $bad
        code "ls $flag $bad" 1
        empty "ls $flag $bad" out
        has "ls $flag $bad" err "$bad: ST_ERR_"
    done
done

st ls --json good
code "ls --json" 0
python "ls --json" "
assert list(o) == ['metadata', 'index', 'shards', 'tensors']
assert o['metadata'] == {'format': 'pt', 'by': 'tool.sh'} and o['index'] is None
assert o['shards'] == [{'path': 'good', 'file_bytes': $two_bytes + 8, 'data_offset': $two_bytes, 'metadata': o['metadata']}]
assert list(o['shards'][0]) == ['path', 'file_bytes', 'data_offset', 'metadata']
assert o['tensors'] == [
    {'name': 'a', 'dtype': 'U8', 'shape': [2, 3], 'bytes': 6, 'offset': $two_bytes, 'shard': 0},
    {'name': 'weight.b', 'dtype': 'BF16', 'shape': [1], 'bytes': 2, 'offset': $two_bytes + 6, 'shard': 0}]
assert list(o['tensors'][0]) == ['name', 'dtype', 'shape', 'bytes', 'offset', 'shard']"
st ls --json none
python "ls --json: no metadata" "assert o['metadata'] is None and o['shards'][0]['metadata'] is None and o['tensors'] == []"
st ls --json empty
python "ls --json: empty metadata" "assert o['metadata'] == {} and o['shards'][0]['metadata'] == {}"
model scalar '{"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"z":{"dtype":"U8","shape":[18446744073709551615,0],"data_offsets":[4,4]}}' 'abcd'
st ls scalar
has_line "ls: a scalar" out 's  *F32  *\[\]  *4  *[0-9]*'
st ls --json scalar
python "ls --json: numbers of 64 bits" "assert o['tensors'][0]['shape'] == [] and o['tensors'][1]['shape'] == [18446744073709551615, 0]"

st ls hostile
code "hostile names" 0
lacks_raw "hostile names" out
for shown in 'nul\u0000end' 'q"\' '\u001b]0;evil\u0007' 'c\u009b31m' 'r\u202ex' 'p\u2028' 'alm\u061c' 'd\u007f' 'i\u2066' \
    'm\u200e' '\n\r\t\u0008\u000c' "$emoji$emoji" 'k\u001b[31m\u0000' 'v\u202e\n"\u009b'; do
    has "hostile names" out "$shown"
done
st ls --json hostile
lacks_raw "hostile names in JSON" out
python "hostile names in JSON" "
assert o['metadata'] == {'k\\x1b[31m\\0': 'v\\u202e\\n\"\\x9b'}
assert [t['name'] for t in o['tensors']] == ['nul\\0end', 'q\"\\\\', '\\x1b]0;evil\\a', 'c\\x9b31m', 'r\\u202ex', 'p\\u2028',
    'alm\\u061c', 'd\\x7f', 'i\\u2066', 'm\\u200e', '\\n\\r\\t\\b\\f', '\\U0001f600\\U0001f600', '']"

long_name=$(awk 'BEGIN { for (i = 0; i < 3000; i++) printf "n" }')
model lengthy "{\"__metadata__\":{\"log\":\"$long_name\"},\"$long_name\":{$zero},\"x\":{$zero}}"
st ls lengthy
has "a long name is not cut" out "$long_name  "
has "long metadata is" out "nnn... (3000 bytes)"
is "a long name does not widen the others" "$(awk '/^x / { print (length($0) < 300) }' out)" 1
for odd in '' a ab abc; do # characters of four bytes, none of which is cut in two
    model odd "{\"__metadata__\":{\"k\":\"$odd$(awk -v e="$emoji" 'BEGIN { for (i = 0; i < 40; i++) printf "%s", e }')\"}}"
    st ls odd
    has "long metadata is cut between characters" out "$emoji... ($((160 + ${#odd})) bytes)"
done
model pairs "{\"__metadata__\":{$(awk 'BEGIN { for (i = 0; i < 50; i++) printf "%s\"k%d\":\"v\"", i ? "," : "", i }')}}"
st ls pairs
has "much metadata is cut short" out "30 more"
st ls --json pairs
python "much metadata is all there in JSON" "assert len(o['metadata']) == 50"

# ---- check ----------------------------------------------------------------------------------------------------

st check good
code check 0
has_line check out "good: ok, 2 tensors, 8 bytes"
st check none
has_line "check of no tensors" out "none: ok, 0 tensors, 0 bytes"
st check good lacking good
code "one of three failed" 1
lines "one of three failed" out 3
is "the rest goes on" "$(grep -c 'good: ok, 2 tensors' out)" 2
# verdict FILE STATUS POSITION: check reports this status, as text and as JSON
verdict() {
    st check "$1"
    code "check $1" 1
    has_line "check $1" out "$1: $2${3:+ at byte $3}: ..*"
    lines "check $1" out 1
    empty "check $1" err
    is "check $1: the path stands once" "$(grep -o "$1: " out | wc -l | tr -d ' ')" 1
    st check --json "$1"
    code "check --json $1" 1
    python "check --json $1" "
assert list(o) == ['path', 'status', 'position', 'expected', 'actual', 'subject', 'message']
assert o['path'] == '$1' and o['status'] == '$2' and o['position'] == ${3:-None} and '$1' in o['message'], o"
}
verdict lacking ST_ERR_TRUNCATED $((two_bytes + 5))
python "check --json: expected and actual" "assert (o['expected'], o['actual']) == ($two_bytes + 8, $two_bytes + 5)"
verdict spare ST_ERR_TRAILING $((two_bytes + 10))
verdict json ST_ERR_JSON 13
verdict schema ST_ERR_SCHEMA 38
python "check --json: subject" "assert o['subject'] == 'a' and 'data_offsets' in o['message'], o"
verdict dtype ST_ERR_DTYPE 22
verdict lfs ST_ERR_FORMAT 0
verdict html ST_ERR_FORMAT 0
verdict nothing ST_ERR_TRUNCATED 0
verdict no-such ST_ERR_NOT_FOUND
verdict dir ST_ERR_NOT_FOUND
st check --json good
code "check --json" 0
python "check --json" "assert o == {'path': 'good', 'status': 'ST_OK', 'position': None, 'expected': 0, 'actual': 0, 'subject': '', 'message': ''}"
st check --json good lacking none
lines "check --json: an object a line" out 3

if [ "$(id -u)" = 0 ]; then
    skip "an unreadable file: root reads everything"
else
    cp good unreadable && chmod 0 unreadable
    st check unreadable
    has_line "an unreadable file" out "unreadable: ST_ERR_IO: .*Permission denied.*"
fi
if [ ! "$RUN" ] && mkfifo fifo 2>/dev/null; then
    st check fifo
    has_line "a FIFO" out "fifo: ST_ERR_IO: .*"
else
    skip "a FIFO: none here"
fi

# Paths that are hard to separate from the message after them.
for path in "a: b: c" "ends: " ": " "$(awk 'BEGIN { for (i = 0; i < 20; i++) printf "directory" }')" \
    "$(awk 'BEGIN { for (i = 0; i < 20; i++) printf "x: y/" }')"; do
    [ "$RUN" ] && continue # other systems cannot hold some of these names
    st check "$path"
    case $(cat out) in
    "$path: ST_ERR_NOT_FOUND: "*) pass ;;
    *) fail "check '$path': $(cat out)" ;;
    esac
    rest=$(sed 's/^.*ST_ERR_NOT_FOUND: //' out)
    case $rest in *directorydirectory* | *": "*) fail "check '$path' says it twice: $(cat out)" ;; *) pass ;; esac
done
odd=$(printf 'bad\377\033x')
if [ "$RUN" ] || ! cp good "$odd" 2>/dev/null; then
    skip "a path that is not UTF-8: none here"
else
    st check "$odd"
    has "a path that is not UTF-8" out 'bad\xff\u001bx: ok, 2 tensors'
    st check --json "$odd"
    python "a path that is not UTF-8 in JSON" "assert o['path'] == 'bad\\ufffd\\x1bx', o"
    lacks_bytes "a path that is not UTF-8 in JSON" out ' ff' ' 1b'
    st ls --json "$odd"
    python "a path that is not UTF-8 in JSON" "assert o['shards'][0]['path'] == 'bad\\ufffd\\x1bx', o"
    printf x >"$odd"
    st check "$odd"
    has "a broken one" out 'bad\xff\u001bx: ST_ERR_TRUNCATED at byte 1: '
    is "a broken one's path stands once" "$(grep -o 'bad' out | wc -l | tr -d ' ')" 1
fi
utf8=$(printf 'na\303\257ve \345\220\215.safetensors')
if cp good "$utf8" 2>/dev/null; then
    st check "$utf8"
    has_line "a path beyond ASCII" out "$utf8: ok, 2 tensors, 8 bytes"
else
    skip "a path beyond ASCII: none here"
fi

st check $(awk 'BEGIN { for (i = 0; i < 2500; i++) print "good json" }')
code "5,000 paths" 1
lines "5,000 paths" out 5000
is "5,000 paths" "$(grep -c '^good: ok' out)" 2500
st check --json $(awk 'BEGIN { for (i = 0; i < 5000; i++) print "good" }')
code "5,000 good paths" 0
lines "5,000 good paths" out 5000

# ---- cat ------------------------------------------------------------------------------------------------------

# part WANTED ARGUMENTS...: cat prints WANTED
part() {
    wanted=$1
    shift
    st cat "$@"
    code "cat $*" 0
    is "cat $*" "$(cat out)" "$wanted"
    empty "cat $*" err
}
part abcdef good a
part gh good weight.b
part bcdef good a --offset 1
part ab good a --bytes 2
part cd good a --offset 2 --bytes 2
part cd --bytes=2 good --offset=2 a
part f good a --offset 5
part "" good a --offset 6
part "" good a --offset 6 --bytes 0
part "" good a --bytes 0
part abcdef good -- a
part "" hostile ""
# refused LABEL ARGUMENTS...: cat fails with exit code 2 and prints its usage
refused() {
    what=$1
    shift
    st cat "$@"
    code "cat: $what" 2
    empty "cat: $what" out
    has "cat: $what" err "usage: st cat"
}
refused "a path alone" good
refused "two tensors" good a weight.b
refused "past the end" good a --offset 7
has "cat: past the end" err "the tensor has 6 bytes"
refused "more than there is" good a --bytes 7
refused "more than is left" good a --offset 4 --bytes 3
has "cat: more than is left" err "from this offset the tensor has 2 bytes"
refused "an offset near 2^64" good a --offset 18446744073709551615 --bytes 2
refused "an offset beyond 2^64" good a --offset 18446744073709551616
refused "an offset below 0" good a --offset -1
refused "no number" good a --bytes x
refused "half a number" good a --bytes 2k
refused "an empty number" good a --bytes ""
refused "a value that is missing" good a --bytes
st cat lacking a
code "cat of a broken file" 1
has "cat of a broken file" err "lacking: ST_ERR_TRUNCATED"
st cat good wieght.b
code "cat of no such tensor" 1
has_line "cat of no such tensor" err 'good: the model has no tensor wieght.b; did you mean weight.b?'
st cat good model.weight.b
has "cat of a name with another prefix" err "did you mean weight.b?"
st cat good zzzzzzzz
lacks "cat: nothing near" err "did you mean"
model near "{\"layer.1\":{$zero},\"layer.2\":{$zero},\"layer.3\":{$zero},\"layer.4\":{$zero},\"\\u001blayer.5\":{$zero}}"
st cat near layer.9
has "cat: three names are enough" err "did you mean layer.1, layer.2 or layer.3?"
st cat near "$(printf '\033')layer.6"
has "cat: names in errors are escaped" err 'no tensor \u001blayer.6; did you mean \u001blayer.5'
lacks_bytes "cat: names in errors are escaped" err ' 1b'

# ---- large files ----------------------------------------------------------------------------------------------

model_of() { # FILE HEADER-BYTES <HEADER: like model, for large headers
    {
        printf "$(byte $2)$(byte $(($2 / 256)))$(byte $(($2 / 65536)))$(byte $(($2 / 16777216)))\\000\\000\\000\\000"
        cat
    } >"$1"
}
model big '{"t":{"dtype":"U8","shape":[1000003],"data_offsets":[0,1000003]}}'
awk 'BEGIN { for (i = 0; i < 1000003; i++) printf "%c", 97 + i * 7 % 26 }' >bytes
cat bytes >>big
st cat big t
if cmp -s out bytes; then pass; else fail "cat of a tensor of many blocks"; fi
st cat big t --offset 262143 --bytes 262146
tail -c +262144 bytes | head -c 262146 >wanted
if cmp -s out wanted; then pass; else fail "cat of a part of many blocks"; fi

count=100000
awk -v n=$count 'BEGIN {
    printf "{"
    for (i = 0; i < n; i++) {
        printf "%s\"model.layers.%d.weight\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i ? "," : "", i, i, i + 1
    }
    printf "}"
}' >header
model_of many $(($(wc -c <header))) <header
awk -v n=$count 'BEGIN { for (i = 0; i < n; i++) printf "x" }' >>many
st ls many
code "100,000 tensors" 0
is "100,000 tensors" "$(grep -c '^model.layers' out)" $count
has_line "100,000 tensors" out "total  *$count tensors  *$count elements  *$count bytes.*"
st ls --json many
python "100,000 tensors in JSON" "assert len(o['tensors']) == $count and o['tensors'][-1]['name'] == 'model.layers.99999.weight'"
st check many
has_line "100,000 tensors" out "many: ok, $count tensors, $count bytes"
st cat many model.layers.x.weight
code "a near name among 100,000" 1
has "a near name among 100,000" err "did you mean model.layers."

# ---- output that cannot be written ----------------------------------------------------------------------------

if [ -w /dev/full ] && [ ! "$RUN" ]; then
    for c in "ls good" "ls --json many" "check good" "cat good a" "cat big t" "--version" "--help"; do
        "$tool" $c >/dev/full 2>err
        is "st $c to a full disk" $? 1
        has "st $c to a full disk" err "No space left"
    done
else
    skip "a full disk: no /dev/full"
fi
if [ ! "$RUN" ]; then
    for c in "ls good" "check good" "cat good a" "cat big t"; do
        "$tool" $c >&- 2>err
        is "st $c to a closed output" $? 1
        has "st $c to a closed output" err "cannot write to standard output"
    done
    for c in "ls many" "cat big t"; do
        { (
            trap '' PIPE
            "$tool" $c 2>err
            echo $? >status
        ); } | head -c 1 >/dev/null
        is "st $c to a reader that left" "$(cat status)" 1
        has "st $c to a reader that left" err "cannot write to standard output"
    done
    is "the files are as they were" "$("$tool" check good big many | grep -c ': ok, ')" 3
else
    skip "a closed output: only where the tool starts by itself"
fi

# ---- a terminal -----------------------------------------------------------------------------------------------

export TERM=xterm
if [ ! "$RUN" ] && script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
    esc=$(printf '\033')
    terminal() { script -qec "'$tool' $*" /dev/null >out 2>err </dev/null; }
    terminal ls hostile
    has "colours on a terminal" out "${esc}[1m"
    has "names on a terminal" out '\u001b]0;evil\u0007'
    lacks "names on a terminal" out "${esc}]0"
    lacks_bytes "names on a terminal" out ' 00' ' 07' ' 7f' ' 08' ' c2 9b' ' e2 80 ae' ' e2 80 a8' ' d8 9c'
    terminal check good json
    has "colours of check" out "${esc}[32mok${esc}[0m"
    has "colours of check" out "${esc}[31mST_ERR_JSON${esc}[0m"
    terminal ls --json good
    lacks_bytes "no colours in JSON" out ' 1b'
    export NO_COLOR=1
    terminal ls good
    lacks_bytes "NO_COLOR" out ' 1b'
    unset NO_COLOR
    export TERM=dumb
    terminal ls good
    lacks_bytes "TERM=dumb" out ' 1b'
    terminal cat good a
    lacks "raw bytes to a terminal" out abcdef
    has "raw bytes to a terminal" out "can disturb the terminal"
else
    skip "a terminal: script(1) of util-linux is not here"
fi

# ---- real files -----------------------------------------------------------------------------------------------

if [ "$real" ]; then
    st ls "$real/silero_vad_16k.safetensors"
    code "silero" 0
    has_line "silero" out 'lstm_cell.weight_ih  *F32  *\[512,128\]  *262144  *[0-9]*'
    has_line "silero" out 'total  *15 tensors  *309633 elements  *1238532 bytes (1.2 MiB)'
    for f in all-dtypes all-dtypes-shuffled; do
        st ls --json "$real/$f.safetensors"
        python "$f" "
assert len(o['tensors']) == 25 and len({t['dtype'] for t in o['tensors']}) == 22
ends = [t['offset'] + t['bytes'] for t in o['tensors']]
assert ends == sorted(ends) and ends[-1] == o['shards'][0]['file_bytes']"
        st ls "$real/$f.safetensors"
        has_line "$f" out 'layer.10.f8_e5m2fnuz  *F8_E5M2FNUZ  *\[8,4\]  *32  *[0-9]*'
    done
    st check "$real/cut-download.safetensors"
    code "a cut download" 1
    has "a cut download" out "ST_ERR_TRUNCATED at byte 100000: "
    has "a cut download says how much is missing" out "90768376"
    st check "$real/git-lfs-pointer.safetensors"
    has "a Git LFS pointer" out "ST_ERR_FORMAT at byte 0: "
    has "a Git LFS pointer" out "LFS"
    st check "$real"/*.json
    has "an index without its shards" out "ST_ERR_SHARD: \"model-00001-of-000"
else
    skip "real files: ../shared/real is not here"
fi

finish
