#!/bin/sh
# tool_values.sh [ST]: tests the commands that read data as a black box (see tools/blackbox.sh): check --deep, diff, convert.

name=tool_values
. "$(dirname "$0")/tools/blackbox.sh"

# ---- check --deep ---------------------------------------------------------------------------------------------

# deep DTYPE ELEMENTS DATA NAN INFINITY BAD_BOOL: check --deep finds these numbers of each in such a tensor
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
# the data: largest finite value of both signs, infinity of both signs, NaN with the smallest and largest bits, NaN, -0
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
is "check --deep" "$(cat out)" "three: not ok, 3 tensors, 11 bytes; all read: 1 BOOL byte other than 0 and 1, 1 NaN, 1 infinity
  a\\u001b: 1 NaN, 1 infinity
  b: 1 BOOL byte other than 0 and 1"
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
has_line "many tensors are cut short" out '  and 10 more tensors (use --json to list all)'
lines "many tensors are cut short" out 22
st check --deep --json nans
python "many tensors are all there in JSON" "assert len(o['tensors']) == 30 and o['nan'] == 30"
# larger than a block
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
# diff_of WANTED-CODE ARGUMENTS...: st diff ends with this exit code and writes no error
diff_of() {
    wanted=$1
    shift
    st diff "$@"
    code "diff $*" $wanted
    empty "diff $*" err
}
diff_of 1 A B
is "diff" "$(cat out)" "- a  F32 [2]
~ b  U8 [3]  2 of 3 bytes differ, from 1, up to 10 at [1]
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
    'changed': [{'name': 'b', 'dtype': 'U8', 'shape': [3], 'now': {'dtype': 'U8', 'shape': [3]},
        'bytes': 2, 'first': 1, 'largest': 10, 'at': [1]},
        {'name': 'c', 'dtype': 'U8', 'shape': [4], 'now': {'dtype': 'I8', 'shape': [2, 2]}, 'bytes': None, 'first': None, 'largest': None, 'at': None}],
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
is "the last element of many" "$(cat out)" "~ t  F32 [750001]  2 of 3000004 bytes differ, from 3000002, up to nan at [750000]
1 changed, 0 tensors are the same"
model scalar '{"s":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"z":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}' x
model scalar2 '{"s":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"z":{"dtype":"U8","shape":[0,1],"data_offsets":[1,1]}}' x
diff_of 1 scalar scalar2
has_line "a scalar is no array" out '~ s  U8 \[\] -> U8 \[1\]'
model one '{"s":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}' y
diff_of 1 scalar one
has_line "one byte" out '~ s  U8 \[\]  1 of 1 byte differs, at 0, up to 1 at \[\]'
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

# numbers WANTED DTYPE SHAPE DATA DTYPE2 DATA2: diff prints WANTED about a tensor with these two contents
numbers() {
    length=$(printf "$4" | wc -c | tr -d ' ')
    model n1 "{\"t\":{\"dtype\":\"$2\",\"shape\":[$3],\"data_offsets\":[0,$length]}}" "$4"
    length=$(printf "$6" | wc -c | tr -d ' ')
    model n2 "{\"t\":{\"dtype\":\"$5\",\"shape\":[$3],\"data_offsets\":[0,$length]}}" "$6"
    diff_of 1 n1 n2
    has "numbers of $2 $4 and $5 $6" out "$1"
}
one_f32='\0\0\200\077' two_f32='\0\0\0\100' nan_f32='\0\0\300\177' inf_f32='\0\0\200\177' zero_f32='\0\0\0\0'
numbers "4 bytes differ, from 2, up to 1 at [0]" F32 1 "$one_f32" F32 "$two_f32"
numbers "4 of 12 bytes differ, from 6, up to 1 at [1]" F32 3 "$one_f32$one_f32$one_f32" F32 "$one_f32$two_f32$two_f32"
numbers "up to 2 at [2,1]" F32 3,2 "$one_f32$one_f32$one_f32$one_f32$one_f32$two_f32" F32 "$one_f32$one_f32$two_f32$one_f32$one_f32$zero_f32"
numbers "up to nan at [1]" F32 3 "$one_f32$one_f32$one_f32" F32 "$zero_f32$nan_f32$inf_f32"
numbers "up to inf at [2]" F32 3 "$nan_f32$inf_f32$one_f32" F32 "\\1\\0\\300\\177$inf_f32$inf_f32"
numbers "1 of 4 bytes differ, from 3, the same numbers" F32 1 "$zero_f32" F32 '\0\0\0\200'
numbers "F32 [2] -> BF16 [2], the same numbers" F32 2 "$one_f32$two_f32" BF16 '\200\077\0\100'
numbers "F32 [2] -> F16 [2], up to 1 at [1]" F32 2 "$one_f32$two_f32" F16 '\0\074\0\074'
numbers "F32 [1] -> U8 [1], up to 254 at [0]" F32 1 "$one_f32" U8 '\377'
numbers "I8 [1] -> U8 [1], up to 256 at [0]" I8 1 '\377' U8 '\377'
numbers "BOOL [2] -> U8 [2], up to 1 at [1]" BOOL 2 '\0\1' U8 '\0\2'
numbers "up to 3 at [2]" F4 4 '\0\102' F4 '\0\106'
numbers "up to 1 at [1]" F6_E2M3 4 '\0\0\0' F6_E2M3 '\0\2\0'
numbers "up to 1 at [1]" C64 2 "$one_f32$two_f32$one_f32$two_f32" C64 "$one_f32$two_f32$one_f32$one_f32"
numbers "C64 [1] -> F32 [1]" C64 1 "$one_f32$two_f32" F32 "$one_f32"
lacks "C64 and F32 are not set side by side" out "up to"
numbers "up to 1 at [1]" I64 2 '\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0' I64 '\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0'
diff_of 1 n1 n2 --json
python "diff --json of numbers" "assert o['changed'][0]['largest'] == 1 and o['changed'][0]['at'] == [1]"
numbers "up to nan at [0]" F32 1 "$one_f32" F32 "$nan_f32"
diff_of 1 n1 n2 --json
python "diff --json of NaN" "assert o['changed'][0]['largest'] == 'nan' and o['changed'][0]['at'] == [0]"

# trouble WANTED A B: diff fails with exit code 2
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
refused "expected two models, A and B" diff
refused "expected two models, A and B" diff A
refused "too many arguments: expected A and B" diff A B A
refused "did you mean --metadata" diff A B --metdata
if [ -w /dev/full ] && [ ! "$RUN" ]; then
    "$tool" diff A B >/dev/full 2>err
    is "diff to a full disk" $? 2
    "$tool" check --deep nans >/dev/full 2>err
    is "check --deep to a full disk" $? 1
fi

# ---- convert --------------------------------------------------------------------------------------------------

f32="$one_f32$two_f32" # a format of printf
model floats '{"__metadata__":{"k":"v"},"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},
"x":{"dtype":"F16","shape":[2],"data_offsets":[16,20]}}' "\\1\\0\\0\\0\\0\\0\\0\\0$f32\\0\\074\\0\\100"
# dtypes WANTED OPTIONS...: WANTED lists the dtypes of ids, w and x after the conversion
dtypes() {
    wanted=$1
    shift
    rm -f converted
    quiet convert floats converted "$@"
    st ls --json converted
    for t in ids w x; do sed -n "s/.*\"name\":\"$t\",\"dtype\":\"\([A-Z0-9_]*\)\".*/\1/p" out; done >got
    is "convert $*" "$(tr '\n' ' ' <got)" "$wanted "
    st diff floats converted
    lacks "convert $*: numbers are kept" out "up to"
}
dtypes "I64 BF16 BF16" --dtype bf16
dtypes "I64 BF16 BF16" --dtype=BF16
dtypes "I64 F64 F64" --dtype f64
dtypes "I64 F8_E4M3 F8_E4M3" --dtype f8_e4m3
dtypes "I64 F32 F32" --dtype F32
dtypes "I64 I8 I8" --dtype i8
dtypes "I64 F16 F16" --dtype F16 --only 'w' --only x
dtypes "I64 BF16 F16" --dtype BF16 --only w
dtypes "I64 BF16 F16" --dtype BF16 --except x
dtypes "F32 F32 F16" --dtype F32 --only ids
st meta converted
is "convert keeps the metadata" "$(cat out)" "k: v"
quiet convert floats converted --dtype bf16
st cat converted w
is "convert: the bytes" "$(hex out)" " 80 3f 00 40 "
model beyond '{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}' '\377\377\177\177\377\377\177\377\0\0\300\177'
st convert beyond converted --dtype f16
code "beyond the range" 0
is "beyond the range" "$(cat err)" "st convert: 2 saturated, 0 underflowed to zero, 0 became NaN"
st cat converted w
is "beyond the range" "$(hex out)" " 00 7c 00 fc 00 7e "
fine convert floats converted --dtype bf16 --rename 'w=v' --only w --json
python "convert --json" "assert (o['path'], o['tensors'], o['bytes'], o['files']) == ('converted', 3, 16, 1), o"
st cat converted v
is "convert and rename" "$(hex out)" " 80 3f 00 40 "
st shard floats fparts --max-size 8
st convert fparts cparts --dtype bf16
code "a split that no limit gives any more" 0
has_line "a split that no limit gives any more" err 'st convert: fparts: no size limit gives this split; .*'
quiet convert fparts cparts --dtype f64
st ls --json cparts
python "convert: several files stay several" "
assert [(t['name'], t['dtype'], t['shard']) for t in o['tensors']] == [('ids', 'I64', 0), ('w', 'F64', 1), ('x', 'F64', 2)], o['tensors']
assert o['metadata'] == {'k': 'v'} and o['index'] == {'total_size': 40}"
diff_of 1 fparts cparts
is "convert: the numbers" "$(cat out)" "~ w  F32 [2] -> F64 [2], the same numbers
~ x  F16 [2] -> F64 [2], the same numbers
2 changed, 1 tensor is the same"
# three bytes before the numbers make the writer's blocks end within elements
dd if=/dev/urandom of=noise bs=1000 count=4000 2>/dev/null
printf xyz >three-bytes
quiet pack noisy w=F32:1000000:noise b=U8:3:three-bytes
quiet convert noisy converted --dtype f64
quiet convert noisy converted2 --dtype f64 --keep-order
diff_of 0 converted converted2
quiet pack noisy2 b=U8:3:three-bytes w=F32:1000000:noise --keep-order
quiet convert noisy2 converted2 --dtype f64 --keep-order
st ls converted2
has_line "elements do not begin on multiples of their size" out 'b  .*'
diff_of 0 converted converted2
diff_of 1 noisy converted
has "F32 as F64 loses nothing" out "the same numbers"
quiet convert converted2 again --dtype f32
diff_of 0 converted converted2
st diff noisy again
lacks "F32 as F64 and back" out "up to"
model complex '{"c":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}' "$f32"
quiet convert complex converted --dtype f32
diff_of 0 complex converted
printf old >old
fails '"c": cannot convert C64 to F32' convert complex old --dtype f32 --only c
is "a convert that failed" "$(cat old)" old
fails "floats: no tensor matches v" convert floats old --dtype f32 --only v
written opaque-float '{"q":{"dtype":"Q8","shape":[1],"data_offsets":[0,1]}}' x
quiet convert opaque-float converted --dtype f32
same "what is not known stays" converted opaque-float
fails '"q": cannot convert Q8 to F32' convert opaque-float old --dtype f32 --only q
fails "cut: ST_ERR_TRUNCATED" convert cut old --dtype f32
refused "--dtype is missing" convert floats old
refused "unknown dtype f33; did you mean F32" convert floats old --dtype f33
refused "unknown dtype " convert floats old --dtype ''
long_dtype=float_with_a_name_that_is_longer_than_any
refused "unknown dtype $long_dtype" convert floats old --dtype $long_dtype
# the names of other libraries
for other in float32=F32 Float32=F32 FLOAT=F32 bfloat16=BF16 float16=F16 half=F16 fp16=F16 double=F64 f8=F8_E4M3 fp8=F8_E4M3 \
    float8_e4m3fn=F8_E4M3 float8_e5m2=F8_E5M2 float8_e4m3fnuz=F8_E4M3FNUZ int8=I8 int64=I64 uint8=U8 bool=BOOL; do
    quiet convert floats converted --dtype ${other%=*} --only x
    st ls converted
    has_line "--dtype $other" out "x  *${other#*=}  *\[2\] .*"
done
for unwritable in fp4 complex64 float8_e8m0fnu; do
    refused "conversion is not supported to" convert floats old --dtype $unwritable
done
for dtype in F4 f6_e2m3 F6_E3M2 F8_E8M0 C64; do
    refused "conversion is not supported to" convert floats old --dtype $dtype
done
refused "cannot write to the Hugging Face cache: hub:o/n" convert floats hub:o/n --dtype f32

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
