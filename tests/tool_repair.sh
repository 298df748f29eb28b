#!/bin/sh
# tool_repair.sh [ST]: tests what the command-line tool does with damaged files, as a black box (see tools/blackbox.sh):
# repair, ls --lenient, meta --lenient, and the messages about downloads that are not finished.

name=tool_repair
. "$(dirname "$0")/tools/blackbox.sh"

# raw FILE LENGTH HEADER [DATA]: writes a file with any header length; HEADER and DATA are formats of printf
raw() {
    printf "$(byte $2)$(byte $(($2 / 256)))\\000\\000\\000\\000\\000\\000$3${4:-}" >"$1"
}
# damaged FILE HEADER [DATA]: with the right header length; HEADER and DATA are formats of printf
damaged() {
    raw "$1" $(($(printf "$2" | wc -c))) "$2" "${3:-}"
}
# mended LABEL IN WANTED LINE...: repair writes WANTED with exit code 0, and reports each LINE
mended() {
    label=$1 in=$2 wanted=$3
    shift 3
    cp "$in" before
    fine repair "$in" out.st
    same "$label" out.st "$wanted"
    same "$label: IN is not changed" "$in" before
    for line; do has_line "$label" out "  byte $line"; done
    is "$label: number of faults" "$(grep -c '^  byte' out)" $#
    has "$label" out "$in: $# fault"
    has_line "$label" out "out.st: .* bytes"
    st repair --dry-run "$in"
    code "$label: dry run" 0
    for line; do has_line "$label: dry run" out "  byte $line"; done
    has "$label: dry run" out "dry run, nothing written: "
    st check out.st
    code "$label: st check" 0
    st ls --lenient "$in"
    code "$label: ls" 0
    for line; do has_line "$label: ls" out "  byte ${line%: *}"; done
    is "$label: ls" "$(grep -c '^  byte' out)" $#
    st meta --lenient "$in"
    code "$label: meta" 0
    for line; do has_line "$label: meta" out "fault: byte ${line%: *}"; done
    st ls --lenient --json "$in"
    python "$label: ls --json" "assert len(o['faults']) == $#"
    rm -f out.st
}
# partly LABEL IN WANTED LINE...: repair writes WANTED, with exit code 1
partly() {
    label=$1 in=$2 wanted=$3
    shift 3
    st repair "$in" out.st
    code "$label" 1
    empty "$label" err
    same "$label" out.st "$wanted"
    for line; do has_line "$label" out "  byte $line"; done
    is "$label: number of faults" "$(grep -c '^  byte' out)" $#
    has "$label" out "; not all of the file could be saved"
    rm -f out.st
}
# hopeless LABEL IN MESSAGE: repair fails with the library's message and writes nothing; so do ls and meta
hopeless() {
    echo old >out.st
    for arguments in "repair $2 out.st" "repair --dry-run $2" "ls --lenient $2" "meta --lenient $2"; do
        st $arguments
        code "$1: $arguments" 1
        empty "$1: $arguments" out
        has "$1: $arguments" err "$3"
        no_rest "$1"
    done
    has "$1: an older OUT stays" out.st old
    rm -f out.st
}

a='"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}' b='"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}'
meta='"__metadata__":{"k":"v"}'
written whole "{$meta,$a,$b}" 'aabb'
written plain "{$a,$b}" 'aabb'
written first "{$a}" 'aa'
length=$(($(printf %s "{$a,$b}" | wc -c)))
padding=$(printf "%$(((8 - length % 8) % 8))s" '')
padded=$((length + ${#padding}))

# ---- sound files ----------------------------------------------------------------------------------------------

for f in whole plain first; do
    fine repair $f out.st
    same "a sound file is copied" out.st $f
    has_line "a sound file" out "$f: sound, nothing to mend"
    lines "a sound file" out 2
done
written kept '{"z":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}' 'zyyyy'
fine repair kept out.st
same "the order of tensors is kept" out.st kept
fine repair whole out.st --json
python "repair --json" "
assert o == {'path': 'whole', 'out': 'out.st', 'tensors': 2, 'bytes': 4, 'lost': 0, 'faults': []}"
fine repair whole aligned --align 64
is "--align" "$(($(data_offset aligned) % 64))" 0
fine repair whole slack --slack 100
is "--slack" "$(($(wc -c <slack) - $(wc -c <whole) > 90))" 1
rm -f out.st
fine repair --dry-run whole out.st
is "--dry-run writes nothing" "$(ls out.st 2>/dev/null)" ""
fine ls whole
cp out strict
fine ls --lenient whole
same "ls --lenient of a sound file" out strict
fine meta whole
cp out strict
fine meta --lenient whole
same "meta --lenient of a sound file" out strict

# ---- mended ---------------------------------------------------------------------------------------------------

damaged zeroed "{$a,$b}\\000\\000\\000" 'aabb'
mended "NUL padding" zeroed plain "$((8 + length)): NUL bytes after the header's JSON object: replaced by spaces"
damaged bom "\\357\\273\\277{$a,$b}" 'aabb'
mended "a byte order mark" bom plain "8: byte order mark before the header: removed"
damaged blanks " \\n\\t {$a,$b}" 'aabb'
mended "blanks before the header" blanks plain "8: blanks before the header: 4: removed"
many=$(printf '%5000s' '')
damaged many-blanks "$many{$a,$b}" 'aabb'
mended "many blanks before the header" many-blanks plain "8: blanks before the header: 5000: removed"
{ printf '\357\273\277' && cat plain; } >bom-first
mended "a byte order mark before the length" bom-first plain "0: bytes before the header length: 3: removed"
{ printf '\n' && cat plain; } >blank-first
mended "a blank before the length" blank-first plain "0: bytes before the header length: 1: removed"
for tail in '\000\000\000\000' '\n' 'xyz' '        '; do
    { cat plain && printf "$tail"; } >trailing
    n=$(($(printf "$tail" | wc -c)))
    mended "bytes after the data" trailing plain "$((8 + padded + 4)): $n extra bytes after the last tensor: removed"
done
damaged garbage "{$a,$b}xyz" 'aabb'
mended "text after the JSON object" garbage plain "$((8 + length)): other bytes after the header's JSON object: removed"
for wrong in 0 1 $((padded - 9)) $((padded - 8)) $((padded + 1)) $((padded + 3)) $((padded + 4)) $((padded + 5)) 9999 65535; do
    raw length $wrong "{$a,$b}$padding" 'aabb'
    mended "header length $wrong" length plain "0: the header length is $wrong, expected $padded: corrected"
done
raw length $length "{$a,$b}$padding" 'aabb'
[ "$padding" ] && mended "the length without the padding" length plain "0: the header length is $length, expected $padded: corrected"
damaged gap '{"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[5,7]}}' '.aa..bb'
mended "gaps" gap plain '9: "a": data starts at offset 1, expected 0: a gap: the gap is closed' \
    '61: "b": data starts at offset 5, expected 3: a gap: the gap is closed'
damaged shared '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"c":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}' 'xyz'
written own '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]},"c":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}' 'xyxyyz'
mended "tensors that share bytes" shared own \
    '61: "b": data starts at offset 0, expected 2: other tensors have these bytes: has bytes of its own' \
    '113: "c": data starts at offset 1, expected 2: other tensors have these bytes: has bytes of its own'
damaged twice "{$a,$b,$a}" 'aabb'
mended "the same tensor twice" twice plain \
    '113: "a": data starts at offset 0, expected 2: other tensors have these bytes: has bytes of its own' \
    '113: "a": duplicate tensor: kept once'
damaged equal "{$a,\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}" 'aaaa'
mended "equal tensors of the same name" equal first '61: "a": duplicate tensor: kept once'

damaged values '{"__metadata__":{"i":3,"f":1.50,"t":true,"n":null,"o":{"x":[1, 2]},"s":"x","e":"","nan":NaN},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}' aa
written strings '{"__metadata__":{"e":"","f":"1.50","i":"3","n":"null","nan":"NaN","o":"{\"x\":[1, 2]}","s":"x","t":"true"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}' aa
no_string='metadata value is not a string: its JSON text becomes the string'
mended "metadata values that are not strings" values strings "25: \"i\": $no_string" "31: \"f\": $no_string" \
    "40: \"t\": $no_string" "49: \"n\": $no_string" "58: \"o\": $no_string" "90: \"nan\": $no_string"
st meta --lenient --json values
code "meta --lenient --json" 0
lines "meta --lenient --json: faults" err 6
python "meta --lenient --json" "
assert o == {'i': '3', 'f': '1.50', 't': 'true', 'n': 'null', 'o': '{\"x\":[1, 2]}', 's': 'x', 'e': '', 'nan': 'NaN'}"
damaged list '{"__metadata__":[1,"x"],"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}' aa
written list-text '{"__metadata__":{"__metadata__":"[1,\"x\"]"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}' aa
mended "metadata that is no object" list list-text "9: \"__metadata__\": $no_string"
damaged again "{$meta,\"__metadata__\":{\"k\":\"v\"},$a,$b}" aabb
mended "metadata twice" again whole '34: "__metadata__": duplicate key: its entries are added to the others' \
    '50: "k": duplicate metadata entry: kept once'
damaged control '{"__metadata__":{"k":"a\nb"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}' aa
written escaped '{"__metadata__":{"k":"a\nb"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}' aa
mended "control characters" control escaped '25: "k": unescaped control character in a string: escaped'
damaged fraction '{"a":{"dtype":"U8","shape":[2.0],"data_offsets":[0.0,2.0]}}' aa
integers='integers are written with a fraction: written without'
mended "integers with a fraction" fraction first "35: $integers" "56: $integers"
damaged spelled '{"a":{"dtype":"F8_E8M0FNU","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"bfloat16","shape":[1],"data_offsets":[2,4]}}' 'aabb'
written known '{"a":{"dtype":"F8_E8M0","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]}}' 'aabb'
st ls --lenient spelled
has_line "ls --lenient: a dtype as it is spelled" out 'a  *F8_E8M0FNU  *\[2\]  *2  *[0-9]*'
mended "other spellings of dtypes" spelled known '9: "a": dtype F8_E8M0 is spelled F8_E8M0FNU: spelled as it should be' \
    '69: "b": dtype BF16 is spelled bfloat16: spelled as it should be'
damaged fields '{"a":{"dtype":"U8","shape":[2],"x":[{}],"data_offsets":[0,2],"shape":[2]}}' aa
mended "fields without meaning, and one twice" fields first '8: fields of tensor entries that readers ignore: 1: removed' \
    '77: duplicate field in a tensor entry: one is kept'
damaged all " {\"__metadata__\":{\"k\":3},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]},$a}\\000" 'aa.bb\000'
written all-mended "{\"__metadata__\":{\"k\":\"3\"},$a,$b}" 'aabb'
st repair all out.st
code "several faults" 0
same "several faults" out.st all-mended
is "several faults" "$(grep -c '^  byte' out)" 5

# a tensor of an unknown dtype is bytes
written unknown '{"q":{"dtype":"I4","shape":[4],"data_offsets":[0,2]},"w":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}' 'qqw'
fine repair unknown out.st
same "an unknown dtype" out.st unknown
has_line "an unknown dtype" out '  byte 9: "q": unknown dtype I4: kept as it is, as bytes'
st ls --lenient unknown
code "ls --lenient: an unknown dtype" 0
has_line "ls --lenient: an unknown dtype" out '  byte 9: "q": unknown dtype I4'
has_line "ls --lenient: an unknown dtype" out 'q  *I4  *\[4\]  *2  *[0-9]*'

# ---- left out -------------------------------------------------------------------------------------------------

head -c $((8 + padded + 3)) plain >cut
partly "a cut file" cut first "61: \"b\": tensor is truncated: 1 of 2 bytes are missing: left out" \
    "$((8 + padded + 3)): file is truncated: 1 of $((8 + padded + 4)) bytes are missing: the tensors that are whole remain"
st ls --lenient cut
code "ls --lenient of a cut file" 0
has_line "ls --lenient: cut tensors too" out 'b  *U8  *\[2\]  *2  *[0-9]*'
st repair cut out.st --json
code "repair --json of a cut file" 1
python "repair --json of a cut file" "
assert o['lost'] == 1 and o['tensors'] == 1 and o['bytes'] == 2 and len(o['faults']) == 2
assert o['faults'][0] == {'position': 61, 'subject': 'b', 'message': 'tensor is truncated: 1 of 2 bytes are missing', 'mend': 'left out', 'lost': True}
assert o['faults'][1]['lost'] is False"
damaged size "{$a,\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[2,4]}}" aabb
partly "a wrong size" size first '61: "b": shape and dtype need 8 bytes, data_offsets give 2: left out'
damaged bits "{$a,\"b\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[2,4]}}" aabb
partly "bits that fill no byte" bits first "61: \"b\": the tensor's 12 bits do not fill whole bytes: left out"
damaged large "{$a,\"b\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[2,4]}}" aabb
partly "too large" large first '61: "b": tensor too large: its size does not fit 64 bits: left out'
damaged differ "{$a,\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}}" aabbcc
partly "different tensors of one name" differ first '61: "b": duplicate tensor name: the tensors differ: left out' \
    '113: "b": duplicate tensor name: the tensors differ: left out'
damaged utf8 "{$a,\"\\377\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}" aabb
partly "a name that is not UTF-8" utf8 first '61: "\\xff": tensor name with invalid UTF-8 or an invalid escape: left out'
damaged surrogate "{$a,\"\\\\ud800\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}" aabb
partly "a lone surrogate" surrogate first '61: "\\ud800": tensor name with invalid UTF-8 or an invalid escape: left out'
damaged keys "{\"__metadata__\":{\"k\":1,\"k\":2,\"x\":\"\\377\"},$a}" aa
written no-keys "{\"__metadata__\":{},$a}" aa
partly "metadata that differs, or is not UTF-8" keys no-keys "25: \"k\": $no_string" "31: \"k\": $no_string" \
    '25: "k": duplicate metadata key: the values differ: left out' '31: "k": duplicate metadata key: the values differ: left out' \
    '37: "x": metadata entry with invalid UTF-8 or an invalid escape: left out'
for entry in 3 '[]' '{}' '{"dtype":"U8","shape":[2]}' '{"shape":[2],"data_offsets":[2,4]}' '{"dtype":"U8","data_offsets":[2,4]}' \
    '{"dtype":8,"shape":[2],"data_offsets":[2,4]}' '{"dtype":"U8","shape":2,"data_offsets":[2,4]}' \
    '{"dtype":"U8","shape":[-2],"data_offsets":[2,4]}' '{"dtype":"U8","shape":[2.5],"data_offsets":[2,4]}' \
    '{"dtype":"U8","shape":["2"],"data_offsets":[2,4]}' '{"dtype":"U8","shape":[2],"data_offsets":[4,2]}' \
    '{"dtype":"U8","shape":[2],"data_offsets":[2]}' '{"dtype":"U8","shape":[2],"data_offsets":[2,3,4]}' \
    '{"dtype":"U8","shape":[2],"data_offsets":[2,4,6]}' \
    '{"dtype":"U8","shape":[2],"data_offsets":[2,18446744073709551616]}' \
    '{"dtype":"U8","shape":[2],"data_offsets":[2,4],"shape":[1]}' '{"dtype":"U8\u0000","shape":[2],"data_offsets":[2,4]}'; do
    model entry "{$a,\"b\":$entry}" aabb
    st repair entry out.st
    code "entry $entry" 1
    same "entry $entry" out.st first
    has_line "entry $entry" out '  byte 61: "b": .*: left out'
done

# ---- refused --------------------------------------------------------------------------------------------------

head -c 2000 /dev/zero >zeros 2>/dev/null || : >zeros
[ -s zeros ] && hopeless "zeros" zeros "ST_ERR_JSON at byte 8: the header length is 0: is the download finished?"
: >empty
hopeless "an empty file" empty "ST_ERR_TRUNCATED at byte 0: file is empty"
printf '<!DOCTYPE html><html><body>not found</body></html>' >page
hopeless "an HTML page" page "HTML"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' >pointer
hopeless "a Git LFS pointer" pointer "git lfs pull"
printf 'PK\003\004\024\000\000\000\010\000\000\000\000\000\000\000' >archive
hopeless "a ZIP archive" archive "ZIP"
printf '\200\002}q\000X\005\000\000\000helloq\001K\001s.' >pickle
hopeless "a pickle" pickle "pickle"
printf '{"error":"Invalid username or password."}' >text
hopeless "JSON text" text "JSON text without"
printf 'Access to model acme/x is restricted. You must have access to it' >sentence
hopeless "a sentence" sentence "ST_ERR_HEADER_LIMIT"
damaged comma "{$a,}" aa
hopeless "a trailing comma" comma "comma: nothing can be mended: byte 61: "
head -c 70 plain >no-header
hopeless "a header that is cut" no-header "ST_ERR_TRUNCATED at byte 70"
raw beyond 99999 "{$a" aa
hopeless "a header length past the end, and no end of the header" beyond "ST_ERR_TRUNCATED"
head -c $((8 + padded + 1)) plain >nothing
st repair nothing out.st
code "no tensor is whole" 1
has "no tensor is whole" err "nothing: no tensor can be saved"
has_line "no tensor is whole: its faults" out '  byte 9: "a": tensor is truncated: 1 of 2 bytes are missing: left out'
is "no tensor is whole: no OUT" "$(ls out.st 2>/dev/null)" ""
# the length is wrong and the file is cut: where the data starts is not certain
raw moved 3 "{$a,$b}$padding" 'aab'
hopeless "a wrong length of a cut file" moved "do not tell for certain where the data starts"
n=$(($(printf %s "{$a}" | wc -c)))
raw nul-only $((n + 8)) "{$a}\\000\\000"
hopeless "a file that is cut in padding of NUL" nul-only "do not tell for certain where the data starts"
x=x
while [ $(($(printf %s "{\"$x\":${a#*:}}" | wc -c) % 8)) != 7 ]; do x="${x}x"; done
damaged either "{\"$x\":${a#*:}}" ' a\n'
hopeless "a space that may be padding, and a blank at the end" either "do not tell for certain where the data starts"
damaged neither "{\"$x\":${a#*:}}" ' ab'
st repair neither out.st
code "a space that is padding" 0
is "a space that is padding" "$(st cat out.st $x; cat out)" ab
nested=
while [ ${#nested} -lt 200 ]; do nested="[$nested"; done
damaged deep "{\"a\":{\"dtype\":$nested"
hopeless "values nested too deep" deep "nothing can be mended: byte 145: expected fewer nested containers"
hopeless "a directory" . "expected a file, not a directory"
printf '{}' >index.json
hopeless "an index" index.json "expected a file, not a directory, an index"
hopeless "the cache" hub:acme/x "expected a file, not a directory, an index or hub:"
hopeless "no file" missing ST_ERR_NOT_FOUND
# a million names of the same bytes would make a disk full
n=0 entries=
while [ $n -lt 100 ]; do
    entries="$entries,\"$n\":{\"dtype\":\"U8\",\"shape\":[60000],\"data_offsets\":[0,60000]}" n=$((n + 1))
done
model bomb "{${entries#,}}" "$(printf '%60000s' '')"
st repair bomb out.st
code "shared bytes" 0
n=0 entries=
while [ $n -lt 320 ]; do
    entries="$entries,\"$n\":{\"dtype\":\"U8\",\"shape\":[40000],\"data_offsets\":[0,40000]}" n=$((n + 1))
done
model bomb "{${entries#,}}" "$(printf '%40000s' '')"
rm -f out.st
st repair bomb out.st
code "shared bytes: too many" 1
has "shared bytes: too many" err "100 times"
is "shared bytes: too many" "$(ls out.st 2>/dev/null)" ""

# ---- command line ---------------------------------------------------------------------------------------------

refused "IN and OUT are missing" repair
refused "OUT is missing" repair zeroed
refused "IN and OUT are missing" repair --dry-run
refused "too many arguments" repair zeroed out.st more
refused "OUT must not be IN: zeroed" repair zeroed zeroed
refused "OUT must not be IN: ./zeroed" repair zeroed ./zeroed
for out in - /dev/stdout; do
    refused "OUT must be a file" repair zeroed $out
done
if [ $system = posix ]; then
    ln -s zeroed link
    refused "OUT must not be IN: link" repair zeroed link
fi
refused "--align: expected a power of two" repair zeroed out.st --align 9
refused "--lenient only shows metadata" meta --lenient zeroed --set k=v
st repair --help
code "repair --help" 0
for option in dry-run align slack no-sync json; do has "repair --help" out "  --$option"; done
is "help fits 80 columns" "$(for c in ls meta check repair; do $RUN "$tool" $c --help; done | awk 'length($0) > 80')" ""
printf '{"\033]0;x\007":3,"a":{"dtype":"\033[2J","shape":[2],"data_offsets":[0,2]},"__metadata__":{"\033[1m":2}}' >text
n=$(($(wc -c <text)))
{ printf "$(byte $n)\\000\\000\\000\\000\\000\\000\\000" && cat text && printf aa; } >hostile
for arguments in "repair hostile out.st" "ls --lenient hostile" "meta --lenient hostile"; do
    st $arguments
    lacks_bytes "st $arguments" out ' 1b' ' 07'
done

# ---- downloads that are not finished --------------------------------------------------------------------------

full='{"a":{"dtype":"U8","shape":[900],"data_offsets":[0,900]},"b":{"dtype":"U8","shape":[100],"data_offsets":[900,1000]}}'
ones=$(printf '%1000s' '') zero300='' n=0
while [ $n -lt 300 ]; do zero300="$zero300\\000" n=$((n + 1)); done
written done "$full" "$ones"
written hole "$full" "$(printf '%400s' '')$zero300$zero300"
written short-hole "$full" "$(printf '%700s' '')$zero300"
warning='warning: the last 600 bytes are zero, from tensor a on: is the download finished?'
fine check --deep hole
has_line "check --deep: zeros at the end" out "hole: ok, 2 tensors, 1000 bytes; all read"
has_line "check --deep: zeros at the end" out "  $warning"
fine check hole
lacks "check without --deep" out zero
for f in done short-hole; do
    fine check --deep $f
    lacks "check --deep $f" out zero
done
st check --deep --json hole
python "check --deep --json" "assert o['zeros'] == [{'path': 'hole', 'bytes': 600, 'from': 'a'}] and o['status'] == 'ST_OK'"
st check --deep --json done
python "check --deep --json" "assert o['zeros'] == []"
mkdir parts
cp done parts/model-00001-of-00002.safetensors
written parts/model-00002-of-00002.safetensors '{"c":{"dtype":"U8","shape":[600],"data_offsets":[0,600]}}' "$zero300$zero300"
printf '{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00001-of-00002.safetensors","c":"model-00002-of-00002.safetensors"}}' >parts/model.safetensors.index.json
fine check --deep parts
has "check --deep: several files" out "the last 600 bytes of parts/model-00002-of-00002.safetensors are zero, from tensor c on"
lines "check --deep: several files" out 2
{ printf '\357\273\277' && cat parts/model.safetensors.index.json; } >index && mv index parts/model.safetensors.index.json
st check parts
code "an index with a byte order mark" 1
has "an index with a byte order mark" out "ST_ERR_JSON at byte 0"
has "an index with a byte order mark" out "byte order mark"

finish
