#!/bin/sh
# tool_values.sh [ST]: what the tool says of the bytes of tensors, from outside: check --deep, diff. Makes its files
# itself (see tools/blackbox.sh).

name=tool_values
. "$(dirname "$0")/tools/blackbox.sh"

# ---- check --deep ---------------------------------------------------------------------------------------------

# deep DTYPE ELEMENTS DATA NAN INFINITY BAD_BOOL: what is found in a tensor of that dtype
deep() {
    length=$(printf "$3" | wc -c | tr -d ' ')
    model deep "{\"t\":{\"dtype\":\"$1\",\"shape\":[$2],\"data_offsets\":[0,$length]}}" "$3"
    st check --deep --json deep
    code "check --deep of $1" $(($6 > 0))
    python "check --deep of $1" "
assert (o['nan'], o['infinity'], o['bad_bool']) == ($4, $5, $6), o
assert o['tensors'] == ([{'name': 't', 'nan': $4, 'infinity': $5, 'bad_bool': $6}] if $4 + $5 + $6 else []), o"
    st check --deep deep
    words="deep: $([ $6 = 0 ] || echo 'not ')ok, 1 tensor, $length byte"
    has "check --deep of $1" out "$words"
}
# the greatest finite value of both signs, infinity of both signs, NaN: the least, the greatest, negative
deep F64 8 '\377\377\377\377\377\377\357\177\377\377\377\377\377\377\357\377\0\0\0\0\0\0\360\177\0\0\0\0\0\0\360\377\1\0\0\0\0\0\360\177\377\377\377\377\377\377\377\377\0\0\0\0\0\0\370\177\0\0\0\0\0\0\0\200' 3 2 0
deep F32 8 '\377\377\177\177\377\377\177\377\0\0\200\177\0\0\200\377\1\0\200\177\377\377\377\377\0\0\300\177\0\0\0\200' 3 2 0
deep C64 4 '\377\377\177\177\377\377\177\377\0\0\200\177\0\0\200\377\1\0\200\177\377\377\377\377\0\0\300\177\0\0\0\200' 3 2 0
deep F16 8 '\377\173\377\373\0\174\0\374\1\174\377\377\0\176\0\200' 3 2 0
deep BF16 8 '\177\177\177\377\200\177\200\377\201\177\377\377\300\177\0\200' 3 2 0
deep F8_E5M2 8 '\173\373\174\374\175\377\176\200' 3 2 0
deep F8_E4M3 6 '\176\376\177\377\170\200' 2 0 0
deep F8_E8M0 4 '\376\377\177\0' 1 0 0
deep F8_E4M3FNUZ 4 '\177\377\200\0' 1 0 0
deep F8_E5M2FNUZ 4 '\177\377\200\0' 1 0 0
for dtype in F4:8 F6_E2M3:4 F6_E3M2:4 U8:3 I8:3 U16:2 I16:2 U32:1 I32:1 U64:1 I64:1; do
    case $dtype in F4*) bytes='\377\377\377\377' ;; F6* | ?8*) bytes='\377\377\377' ;; ?16*) bytes='\377\377\377\377' ;;
    *32*) bytes='\377\377\377\377' ;; *) bytes='\377\377\377\377\377\377\377\377' ;; esac
    deep ${dtype%:*} ${dtype#*:} $bytes 0 0 0
done
deep BOOL 3 '\0\1\0' 0 0 0
deep BOOL 4 '\0\1\2\377' 0 0 2
deep F32 0 '' 0 0 0

model three '{"a\u001b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"BOOL","shape":[1],"data_offsets":[8,9]},
"c":{"dtype":"BF16","shape":[1],"data_offsets":[9,11]}}' '\0\0\300\177\0\0\200\177\2\0\0'
st check --deep three
code "a BOOL of 2" 1
is "check --deep" "$(cat out)" "three: not ok, 3 tensors, 11 bytes; all read: 1 BOOL byte that is neither 0 nor 1, 1 NaN, 1 infinity
  a\\u001b: 1 NaN, 1 infinity
  b: 1 BOOL byte that is neither 0 nor 1"
st check three
code "it is what the format allows" 0
model fine '{"b":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}' '\0\1'
st check --deep fine three
code "one of two" 1
has_line "nothing found" out 'fine: ok, 1 tensor, 2 bytes; all read'
st check --json fine
lacks "no counts without --deep" out nan
st check --deep --json fine three no-such
lines "check --deep --json" out 3
model nans "{$(awk 'BEGIN { for (i = 0; i < 30; i++) printf "%s\"t%d\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i ? "," : "", i, i, i + 1 }')}" \
    "$(awk 'BEGIN { for (i = 0; i < 30; i++) printf "\\177" }')"
st check --deep nans
code "NaN is no fault" 0
has_line "many tensors: the sum" out 'nans: ok, 30 tensors, 30 bytes; all read: 30 NaN'
has_line "many tensors are cut short" out '  and 10 more tensors (--json shows all)'
lines "many tensors are cut short" out 22
st check --deep --json nans
python "many tensors are all there in JSON" "assert len(o['tensors']) == 30 and o['nan'] == 30"
# more than a block
head -c 3000000 /dev/zero >zeros
n=3000004
model large "{\"t\":{\"dtype\":\"F32\",\"shape\":[$((n / 4))],\"data_offsets\":[0,$n]}}"
cp large large2
{ cat zeros && printf '\0\0\300\377'; } >>large
{ cat zeros && printf '\0\0\0\0'; } >>large2
st check --deep large
has "the last of many" out "all read: 1 NaN"
mkdir parts
st shard large parts
st shard nans nans.parts --max-size 2
st check --deep nans.parts
has_line "a model of several files" out 'nans.parts: ok, 30 tensors, 30 bytes in 15 files; all read: 30 NaN'
st check --deep --dep
has "check --dep" err "did you mean --deep?"
cp large cut && head -c 100 large >cut
st check --deep cut
code "a file that is cut short" 1
has "a file that is cut short" out "cut: ST_ERR_TRUNCATED"

# ---- diff -----------------------------------------------------------------------------------------------------

a='"a":{"dtype":"F32","shape":[2],"data_offsets"' b='"b":{"dtype":"U8","shape":[3],"data_offsets"'
c='"c":{"dtype":"U8","shape":[4],"data_offsets"'
model A "{\"__metadata__\":{\"k\":\"1\",\"old\":\"x\"},$a:[0,8]},$b:[8,11]},$c:[11,15]}}" 'AAAAaaaabbbcccc'
model B "{\"__metadata__\":{\"k\":\"2\",\"new\":\"y\"},\"d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},
$b:[1,4]},\"c\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[4,8]}}" 'dbXYcccc'
# diff WANTED-CODE ARGUMENTS...
diff_of() {
    wanted=$1
    shift
    st diff "$@"
    code "diff $*" $wanted
    empty "diff $*" err
}
diff_of 1 A B
is "diff" "$(cat out)" "- a  F32 [2]
~ b  U8 [3]  2 of 3 bytes differ, from 1
~ c  U8 [4] -> I8 [2,2]
+ d  U8 [1]
1 removed, 1 added, 2 changed, 0 tensors are the same"
diff_of 1 --metadata A B
is "diff --metadata" "$(tail -n 4 out)" "~ metadata k: 1 -> 2
+ metadata new: y
- metadata old: x
1 removed, 1 added, 2 changed, 3 in metadata, 0 tensors are the same"
diff_of 1 --json A B
python "diff --json" "
assert o == {'removed': [{'name': 'a', 'dtype': 'F32', 'shape': [2]}], 'added': [{'name': 'd', 'dtype': 'U8', 'shape': [1]}],
    'changed': [{'name': 'b', 'dtype': 'U8', 'shape': [3], 'now': {'dtype': 'U8', 'shape': [3]}, 'bytes': 2, 'first': 1},
        {'name': 'c', 'dtype': 'U8', 'shape': [4], 'now': {'dtype': 'I8', 'shape': [2, 2]}, 'bytes': None, 'first': None}],
    'same': 0, 'metadata': None}, o"
diff_of 1 --json --metadata A B
python "diff --json --metadata" "assert o['metadata'] == 3"
diff_of 0 A A
is "diff of the same" "$(cat out)" "3 tensors are the same"
diff_of 0 --json A A
python "diff --json of the same" "assert o == {'removed': [], 'added': [], 'changed': [], 'same': 3, 'metadata': None}"
st meta A --json
cp A A.meta && st meta A.meta --clear --set k=3
diff_of 0 A A.meta
diff_of 1 A A.meta --metadata
is "metadata alone" "$(tail -n 1 out)" "2 in metadata, 3 tensors are the same"
st copy A A.copy --align 4096 --slack 100
st shard A A.parts --max-size 8
HF_HUB_CACHE=$tmp/hub
export HF_HUB_CACHE
commit=0123456789abcdef0123456789abcdef01234567
mkdir -p hub/models--o--n/refs hub/models--o--n/snapshots/$commit
printf %s $commit >hub/models--o--n/refs/main
cp A.parts/* hub/models--o--n/snapshots/$commit
for other in A.copy A.parts A.parts/model.safetensors.index.json hub:o/n; do
    diff_of 0 A $other --metadata
    diff_of 0 $other A
    diff_of 1 $other B
done
st copy A.parts A.renamed --only a --rename a=z
diff_of 1 A.parts A.renamed/
is "a rename is one less and one more" "$(tail -n 1 out)" "3 removed, 1 added, 0 tensors are the same"
diff_of 1 large large2
is "the last element of many" "$(cat out)" "~ t  F32 [750001]  2 of 3000004 bytes differ, from 3000002
1 changed, 0 tensors are the same"
model scalar '{"s":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"z":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}' x
model scalar2 '{"s":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"z":{"dtype":"U8","shape":[0,1],"data_offsets":[1,1]}}' x
diff_of 1 scalar scalar2
has_line "a scalar is no array" out '~ s  U8 \[\] -> U8 \[1\]'
model one '{"s":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}' y
diff_of 1 scalar one
has_line "one byte" out '~ s  U8 \[\]  1 of 1 byte differs, at 0'
model opaque '{"q":{"dtype":"Q3_K","shape":[7],"data_offsets":[0,3]}}' xyz
model opaque2 '{"q":{"dtype":"Q4_K","shape":[7],"data_offsets":[0,3]}}' xyz
diff_of 0 opaque opaque
diff_of 1 opaque opaque2
has_line "dtypes not known here" out '~ q  Q3_K \[7\] -> Q4_K \[7\]'
zero='"dtype":"U8","shape":[0],"data_offsets":[0,0]'
model hostile "{\"__metadata__\":{\"k\\u001b\":\"\\u0007\"},\"\\u001b]0;evil\\u0007\":{$zero},\"nul\\u0000a\":{$zero},\"same\":{$zero}}"
model hostile2 "{\"nul\\u0000b\":{$zero},\"\\u202ex\":{$zero},\"same\":{$zero}}"
diff_of 1 hostile hostile2 --metadata
lacks_bytes "names are escaped" out ' 1b' ' 07' ' 00' ' e2 80 ae'
has_line "a NUL in a name counts" out '- nul\\u0000a  U8 \[0\]'
has_line "a NUL in a name counts" out '+ nul\\u0000b  U8 \[0\]'
diff_of 1 hostile hostile2 --json
lacks_bytes "names are escaped in JSON" out ' 1b' ' 07' ' 00' ' e2 80 ae'
model keys "{\"__metadata__\":{$(awk 'BEGIN { for (i = 0; i < 5000; i++) printf "%s\"k%d\":\"%d\"", i ? "," : "", i, i }')}}"
model keys2 "{\"__metadata__\":{$(awk 'BEGIN { for (i = 4999; i >= 0; i--) printf "%s\"k%d\":\"%d\"", i < 4999 ? "," : "", i, i == 77 ? 0 : i }')}}"
diff_of 1 --metadata keys keys2
is "the order of keys is no difference" "$(head -n 1 out)" "~ metadata k77: 77 -> 0"
lines "the order of keys is no difference" out 2

# trouble OTHER WANTED A B: exit code 2
trouble() {
    st diff "$2" "$3"
    code "diff $2 $3" 2
    empty "diff $2 $3" out
    has "diff $2 $3" err "$1"
}
trouble "no-such: ST_ERR_NOT_FOUND" no-such A
trouble "no-such: ST_ERR_NOT_FOUND" A no-such
trouble "cut: ST_ERR_TRUNCATED" A cut
trouble "hub:none: ST_ERR_NOT_FOUND" hub:none A
refused "it takes two, A and B" diff
refused "it takes two, A and B" diff A
refused "it takes only two, A and B" diff A B A
refused "did you mean --metadata" diff A B --metdata
if [ -w /dev/full ] && [ ! "$RUN" ]; then
    "$tool" diff A B >/dev/full 2>err
    is "diff to a full disk" $? 2
    "$tool" check --deep nans >/dev/full 2>err
    is "check --deep to a full disk" $? 1
fi

# ---- large files in little memory, progress -------------------------------------------------------------------

if [ $system = posix ] && sh -c 'ulimit -v 40000 && "$0" --version || exit 1' "$tool" >/dev/null 2>&1; then
    written sparse '{"t":{"dtype":"F16","shape":[50331648],"data_offsets":[0,100663296]}}'
    dd if=/dev/zero of=sparse bs=1 count=0 seek=$(($(wc -c <sparse) + 100663296)) 2>/dev/null
    (ulimit -v 40000 && "$tool" check --deep sparse) >out 2>err
    has "96 MiB in 40 MB of memory" out "sparse: ok, 1 tensor, 100663296 bytes; all read"
    (ulimit -v 40000 && "$tool" diff sparse sparse) >out 2>err
    has "diff of 96 MiB in 40 MB of memory" out "1 tensor is the same"
    rm -f sparse
else
    skip "large files in little memory: no limit to be had here"
fi

finish
