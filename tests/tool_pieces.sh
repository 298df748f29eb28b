#!/bin/sh
# tool_pieces.sh [ST]: tests commands on pieces of PyTorch distributed checkpoints, and on several INs, as a black box
# (see tools/blackbox.sh). tests/interop/pieces.py compares random pieces with numpy.

name=tool_pieces
. "$(dirname "$0")/tools/blackbox.sh"

# piece FILE HEADER INFO DATA: a file of pieces; INFO is DCP_SHARDING_INFO, without backslashes
piece() {
    info=$(printf %s "$3" | sed 's/"/\\"/g')
    model "$1" "{\"__metadata__\":{\"DCP_SHARDING_INFO\":\"$info\",\"DCP_VERSION\":\"1.0\",\"format\":\"pt\"},$2}" "$4"
}
# entry NAME SHAPE BEGIN END [DTYPE]
entry() { printf '"%s":{"dtype":"%s","shape":[%s],"data_offsets":[%s,%s]}' "$1" "${5:-U8}" "$2" "$3" "$4"; }
# at NAME OFFSETS
at() { printf '"%s":{"saved_offsets":[%s]}' "$1" "$2"; }
file() { echo "shard-0000$1-model-0000${2:-1}-of-0000${3:-1}.safetensors"; }

# w is 3 by 4: two rows in two files, cut at column 1; the last row in a third. v is whole, s is a scalar
fill() { # DIRECTORY
    rm -rf "$1" && mkdir "$1"
    piece "$1/$(file 1)" "$(entry w 2,1 0 2),$(entry v 3 2 5)" "{$(at w 0,0),$(at v 0)}" 'aexyz'
    piece "$1/$(file 2)" "$(entry w 2,3 0 6),$(entry s '' 6 7)" "{$(at w 0,1), $(at s '')}" 'bcdfghs'
    piece "$1/$(file 3)" "$(entry w 1,4 0 4)" "{$(at w 2,0)}" 'ijkl'
}
fill d
written whole "{\"__metadata__\":{\"format\":\"pt\"},$(entry s '' 0 1),$(entry v 3 1 4),$(entry w 3,4 4 16)}" 'sxyzabcdefghijkl'

# ---- whole tensors --------------------------------------------------------------------------------------------

for d in d d/; do
    quiet merge $d out.st
    same "merge $d" out.st whole
done
quiet copy d out.st
same "copy makes one file" out.st whole
quiet convert d out.st --dtype f16
same "convert of integers" out.st whole
fine convert d out.st --dtype f16 --only w
st show out.st w 1,2
is "convert of pieces" "$(cat out)" 103.0
quiet shard d parts --max-size 4
quiet merge parts out.st
same "shard" out.st whole
st check --deep d
is "check --deep" "$(cat out)" "d: ok, 3 tensors, 16 bytes in 3 files; all read"
st diff d whole
is "diff" "$(cat out)" "3 tensors are the same"
st cat d w --offset 3 --bytes 6
is "cat" "$(cat out)" defghi
st show d w 2,1:3
is "show" "$(cat out)" "[106 107]"
quiet merge d out.st --only w --rename w=x
st cat out.st x
is "a part, renamed" "$(cat out)" abcdefghijkl
st ls d
has_line "ls: a whole tensor" out 'w  *U8  *\[3,4\]  *12'
has_line "ls: a piece" out "  at \\[0,1\\]  *\\[2,3\\]  *6  *[0-9]*  d/$(file 2)"
has "ls: a scalar" out '  at []'
has_line "ls: totals" out 'total .* 16 bytes in 3 files'
st ls --json d
python "ls --json" "
w = [t for t in o['tensors'] if t['name'] == 'w'][0]
assert w['shape'] == [3, 4] and w['bytes'] == 12 and 'offset' not in w
assert [(p['saved_offsets'], p['shape'], p['shard'], p['bytes']) for p in w['pieces']] == [
    ([0, 0], [2, 1], 0, 2), ([0, 1], [2, 3], 1, 6), ([2, 0], [1, 4], 2, 4)]
assert [s['metadata'] for s in o['shards']] == [{'format': 'pt'}] * 3 and o['metadata'] == {'format': 'pt'}"
st ls --json "d/$(file 2)"
python "ls of one file" "assert [t['shape'] for t in o['tensors']] == [[2, 3], []]"

st ls d --match 's' --match 'w'
has_line "ls --match: a piece" out "  at \\[0,1\\]  *\\[2,3\\]  *6  *[0-9]*  d/$(file 2)"
lacks "ls --match" out "  at [0]  "
has_line "ls --match: totals" out 'total .* 13 bytes in 3 files'
st ls d --sort size
is "ls --sort" "$(sed -n 's/  *U8 .*//p' out | tr '\n' ' ')" "w v s "
has_line "ls --sort: the pieces follow their tensor" out "  at \\[2,0\\]  *\\[1,4\\]  *4  *[0-9]*  d/$(file 3)"
st ls --tree d
has_line "ls --tree: totals" out 'total .* 16 bytes in 3 files'
lacks "ls --tree" out "  at ["

# every command sees the files and the whole tensors
st hash --tensors whole
grep '^tensor' out | sort >wanted
st hash --tensors d
grep '^tensor' out | sort >got
same "hash --tensors" got wanted
is "hash: the files" "$(grep -c '^file .*  d/shard-0000' out)" 3
st hash "d/$(file 2)"
cat out >two.hash
st hash d
is "hash of a file" "$(grep -F "$(file 2)" out)" "$(cat two.hash)"
st hash --json d
python "hash --json" "assert len(o['files']) == 3"
st check --hash d
code "check --hash" 1
has "check --hash" out "$(file 3): nothing to compare with"
fails "d: cannot write into pieces of tensors: write one file with st merge" put d v "d/$(file 1)"
fails "d: the directory holds pieces of tensors, which need no index" index d
cp -R d changed
quiet meta changed --set a=b --unset format
st meta changed
is "meta --set" "$(cat out)" "a: b"
for f in 1 2 3; do
    st meta "changed/$(file $f)"
    has_line "meta --set: file $f" out "a: b"
    has "meta --set: file $f" out "DCP_SHARDING_INFO"
done
quiet meta changed --set format=pt --unset a
quiet merge changed out.st
same "meta keeps the offsets" out.st whole
quiet meta changed --in-place --unset format
st meta changed
is "meta --in-place" "$(cat out)" "no metadata"
rm -rf changed
fails "--direct cannot write to a file of IN" merge d "d/$(file 2)" --direct
quiet merge d direct.st --direct
same "--direct" direct.st whole
rm -rf parts && quiet shard d parts --max-size 4 --name unet
is "--name" "$(ls parts | head -n 1)" unet-00001-of-00002.safetensors
fails "OUT is one file: --name is for several" merge d out.st --name unet

# without ranks in the names; the order of the info, blanks, other keys and other tensors do not matter
mkdir e
piece e/model-00001-of-00002.safetensors "$(entry w 2,2 0 4)" \
    "{ \"gone\": {\"saved_offsets\": [7], \"x\": [{}, [1.5e3, \"]\"], null]}, \"w\": {\"y\": {\"z\": []}, \"saved_offsets\" : [ 0 , 0 ]} } " abef
piece e/model-00002-of-00002.safetensors "$(entry w 2,2 0 4)" "{$(at w 0,2)}" cdgh
quiet merge e out.st
st cat out.st w
is "without ranks" "$(cat out)" abcdefgh
written e/model.safetensors "{$(entry n 1 0 1)}" n
is "model.safetensors comes first" "$(names e)" "n "

# escapes in names
mkdir f
model "f/$(file 1)" '{"__metadata__":{"DCP_SHARDING_INFO":"{\"\\u00e9\\ud83d\\ude00\\n\\\"\": {\"saved_offsets\": [0]}}"},"\u00e9\ud83d\ude00\n\"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}' q
quiet merge f out.st
st meta out.st
is "no other metadata" "$(cat out)" "no metadata"
st cat out.st "$(printf '\303\251\360\237\230\200\n"')"
is "escapes" "$(cat out)" q

# empty pieces, and a tensor without elements
mkdir g
piece "g/$(file 1)" "$(entry w 2 0 2),$(entry z 0,3 2 2)" "{$(at w 0),$(at z 0,0)}" ab
piece "g/$(file 2)" "$(entry w 0 0 0)" "{$(at w 2)}" ''
quiet merge g out.st
st ls --json out.st
python "empty pieces" "assert sorted((t['name'], t['shape']) for t in o['tensors']) == [('w', [2]), ('z', [0, 3])]"

# elements of 4 bits: rows of three halves of a byte, two rows together fill bytes
mkdir h
piece "h/$(file 1)" "$(entry w 2,3 0 3 F4)" "{$(at w 0,0)}" abc
piece "h/$(file 2)" "$(entry w 2,3 0 3 F4)" "{$(at w 2,0)}" def
quiet merge h out.st
st cat out.st w
is "elements of 4 bits" "$(cat out)" abcdef
piece "h/$(file 1)" "$(entry w 4,1 0 2 F4)" "{$(at w 0,0)}" ab
piece "h/$(file 2)" "$(entry w 4,1 0 2 F4)" "{$(at w 0,1)}" cd
fails 'h: ST_ERR_SUBBYTE: shard-00001' merge h out.st

# more files than are kept open
mkdir many
info= i=10
while [ $i -lt 99 ]; do
    piece many/shard-000$i-model-00001-of-00001.safetensors "$(entry w 3,1 0 3)" "{$(at w 0,$((i - 10)))}" "$((i % 7))$((i % 5))$((i % 3))"
    i=$((i + 1))
done
quiet merge many out.st
st ls --json out.st
python "many files" "assert o['tensors'][0]['shape'] == [3, 89]"
st cat out.st w
is "many files" "$(cut -c 1-20 out)" "$(for i in 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29; do printf %d $((i % 7)); done)"
is "many files" "$(cut -c 179-190 out)" "$(for i in 10 11 12 13 14 15 16 17 18 19 20 21; do printf %d $((i % 3)); done)"
if (ulimit -n 20) 2>/dev/null && [ $system = posix ]; then
    (ulimit -n 20 && $limit $RUN "$tool" merge many few.st) >few 2>&1
    same "few file descriptors: $(cat few)" few.st out.st
fi

# ---- what is refused ------------------------------------------------------------------------------------------

cp whole old
bad() { # WANTED ENTRY INFO DATA: in place of file 2
    fill b
    piece "b/$(file 2)" "$2" "$3" "$4"
    wanted=$1
    fails "b: $wanted" merge b old
    same "an older OUT stays: $wanted" old whole
}
rm -rf b && cp -R d b && rm "b/$(file 2)"
fails 'b: ST_ERR_SHARD: no file has the element [0,1] of "w": is a file missing?' merge b old
rm -rf b && cp -R d b && rm "b/$(file 1)"
fails 'b: ST_ERR_SHARD: no file has the element [0,0] of "w": is a file missing?' merge b old
rm -rf b && cp -R d b && cp "b/$(file 3)" "b/$(file 4)"
fails "b: ST_ERR_SHARD: pieces of \"w\" overlap at [2,0]: in $(file 3) and $(file 4)" merge b old
same "an older OUT stays" old whole
w=$(entry w 2,3 0 6)
bad 'ST_ERR_SHARD: pieces of "w" overlap at [0,0]' "$w" "{$(at w 0,0)}" bcdfgh
bad 'ST_ERR_SHARD: no file has the element [0,1] of "w"' "$w" "{$(at w 1,1)}" bcdfgh # and [2,1] is there twice
bad 'ST_ERR_SHARD: no file has the element [0,1] of "w"' "$w" "{$(at w 0,2)}" bcdfgh
bad 'ST_ERR_SHARD: pieces of "w" overlap at [2,1]' "$(entry w 3,3 0 9)" "{$(at w 0,1)}" bcdfghxyz
bad "ST_ERR_SHARD: $(file 2): \"w\" has another dtype than in $(file 1)" "$(entry w 2,3 0 6 I8)" "{$(at w 0,1)}" bcdfgh
bad "ST_ERR_SHARD: $(file 2): \"w\" has another number of dimensions than in $(file 1)" "$(entry w 6 0 6)" "{$(at w 0)}" bcdfgh
bad "ST_ERR_SHARD: pieces of \"v\" overlap at [0]: in $(file 1) and $(file 2)" "$w,$(entry v 3 6 9)" "{$(at w 0,1),$(at v 0)}" bcdfghxyz
bad "ST_ERR_SCHEMA: $(file 2): \"w\" has no saved_offsets" "$w" "{}" bcdfgh
bad "ST_ERR_SCHEMA: $(file 2): \"w\" has no saved_offsets" "$w" "{\"w\":{}}" bcdfgh
bad "ST_ERR_SCHEMA: $(file 2): \"w\" has another number of dimensions than saved_offsets" "$w" "{$(at w 0)}" bcdfgh
bad "ST_ERR_SCHEMA: $(file 2): \"w\" has another number of dimensions than saved_offsets" "$w" "{$(at w 0,1,2)}" bcdfgh
bad "ST_ERR_DUPLICATE: $(file 2): \"w\" is in DCP_SHARDING_INFO twice" "$w" "{$(at w 0,1),$(at w 0,1)}" bcdfgh
for offset in 9223372036854775807 18446744073709551615; do
    bad "ST_ERR_OVERFLOW: $(file 2): \"w\" would end beyond 2^63 elements" "$w" "{$(at w 0,$offset)}" bcdfgh
done
bad "ST_ERR_OVERFLOW: $(file 1): \"w\" would have more than 2^63 bits" "$w" "{$(at w 4611686018427387904,1)}" bcdfgh
bad 'ST_ERR_SHARD: no file has the element [0,1] of "w"' "$w" "{$(at w 0,1000000000000000)}" bcdfgh
deep=$(i=0; while [ $i -lt 40 ]; do printf '['; i=$((i + 1)); done)
for info in '' '[]' '{' '{"w"}' '{"w":1}' '{"w":{"saved_offsets":[0,1]}' '{"w":{"saved_offsets":[0,1]}}}' '{"w":{"saved_offsets":[0,1,]}}' \
    '{"w":{"saved_offsets":[0 1]}}' '{"w":{"saved_offsets":[0,-1]}}' '{"w":{"saved_offsets":[0,1.0]}}' '{"w":{"saved_offsets":[0,1e0]}}' \
    '{"w":{"saved_offsets":[0,01]}}' '{"w":{"saved_offsets":[0,"1"]}}' '{"w":{"saved_offsets":[0,18446744073709551616]}}' \
    '{"w":{"saved_offsets":[0,1],"saved_offsets":[0,1]}}' '{"w":{"saved_offsets":{}}}' '{"w":{"saved_offsets":[0,1]},}' \
    '{w:{"saved_offsets":[0,1]}}' '{"w":{"saved_offsets":[0,1],"x":}}' "{\"x\":$deep" "{\"w\":{\"saved_offsets\":[0,1]},\"x\":${deep}1"; do
    bad "ST_ERR_JSON: $(file 2): DCP_SHARDING_INFO: expected " "$w" "$info" bcdfgh
done
for text in '{\"w\\ud800\": {}}' '{\"w\\q\": {}}' '{\"w\\u12\": {}}' '{\"\\udc00\": {}}'; do
    fill b
    model "b/$(file 2)" "{\"__metadata__\":{\"DCP_SHARDING_INFO\":\"$text\"},$w}" bcdfgh
    fails "b: ST_ERR_JSON: $(file 2): DCP_SHARDING_INFO: expected " merge b old
done
fill b
model "b/$(file 2)" "{$w}" bcdfgh
fails "b: ST_ERR_SCHEMA: $(file 2): the metadata has no DCP_SHARDING_INFO" merge b old
model "b/$(file 2)" "{\"__metadata__\":{\"DCP_SHARDING_INFO\":\"{}\",\"DCP_VERSION\":\"2.0\"},$w}" bcdfgh
fails "b: ST_ERR_UNSUPPORTED: $(file 2): unknown DCP_VERSION; expected 1.0" merge b old
model "b/$(file 2)" "{$w}" bcdfg
fails "b: ST_ERR_TRUNCATED" merge b old
has "a damaged file is named" err "$(file 2)"
fill b
piece "b/$(file 4 1 2)" "$(entry n 1 0 1)" "{$(at n 0)}" n
fails "b: ST_ERR_SHARD: $(file 4 1 2): belongs to another set than $(file 1)" merge b old
rm -rf b && mkdir b
piece "b/$(file 1 1 3)" "$(entry n 1 0 1)" "{$(at n 0)}" n
piece "b/$(file 2 3 3)" "$(entry m 1 0 1)" "{$(at m 0)}" n
fails "b: ST_ERR_SHARD: no file is number 2 of 3" merge b old
piece "b/$(file 2 2 3)" "$(entry k 1 0 1)" "{$(at k 0)}" n
quiet merge b out.st
is "numbers may come from any rank" "$(names out.st)" "k m n "
rm -rf b && mkdir b
piece "b/shard-0001-model-00001-of-00001.safetensors" "$(entry n 1 0 1)" "{$(at n 0)}" n
piece "b/shard-00001-model-00002-of-00001.safetensors" "$(entry n 1 0 1)" "{$(at n 0)}" n
fails "b: ST_ERR_SHARD" merge b old # names that are no names of pieces: two candidates
same "an older OUT stays" old whole

# another format in one file: the message about metadata
fill b
model "b/$(file 3)" "{\"__metadata__\":{\"DCP_SHARDING_INFO\":\"{\\\"w\\\": {\\\"saved_offsets\\\": [2,0]}}\",\"format\":\"np\"},$(entry w 1,4 0 4)}" ijkl
st merge b out.st
code "other metadata" 0
same "other metadata" out.st whole
has_line "other metadata" err "st merge: b/$(file 3): metadata differs from b/$(file 1), whose metadata was copied: format"

# ---- several INs ----------------------------------------------------------------------------------------------

written one "{\"__metadata__\":{\"k\":\"1\"},$(entry a 1 0 1),$(entry b 1 1 2)}" ab
written two "{\"__metadata__\":{\"k\":\"1\"},$(entry a 1 0 1),$(entry c 1 1 2)}" AC
written three "{\"__metadata__\":{\"k\":\"2\"},$(entry x 1 0 1 I8)}" x
content() { # WANTED FILE: "name=bytes " of its tensors
    got=
    for n in $(names "$2"); do
        st cat "$2" "$n"
        got="$got$n=$(cat out) "
    done
    is "$2" "$got" "$1"
}
for c in copy merge; do
    quiet $c one two=t. out.st
    content "a=a b=b t.a=A t.c=C " out.st
    st meta out.st
    is "$c: metadata of the first" "$(cat out)" "k: 1"
    fails "st $c: one and two both have a tensor a; give one a prefix: IN=PREFIX" $c one two none.st
    fails "st $c: one and one both have a tensor" $c one one none.st
    fails "no-such: ST_ERR_NOT_FOUND" $c one no-such none.st
    fails "no-such: ST_ERR_NOT_FOUND" $c one no-such=p. none.st
done
quiet merge one= two=t. out.st
content "a=a b=b t.a=A t.c=C " out.st
quiet merge one=p. out.st
content "p.a=a p.b=b " out.st
quiet merge one=p. two=q. out.st --only 'p.*' --rename 'p.*=*'
content "a=a b=b " out.st
fails "one and 1 more: no tensor matches z" merge one=p. two out.st --only z
fails "one=x: ST_ERR_NOT_FOUND" merge one=x=y two none.st
cp one 'e=1.st'
quiet merge 'e=1.st' two=t. out.st
content "a=a b=b t.a=A t.c=C " out.st
quiet merge 'e=1.st=p.' out.st
content "p.a=a p.b=b " out.st
st merge one three out.st
code "other metadata of an IN" 0
has_line "other metadata of an IN" err "st merge: three: metadata differs from one, whose metadata was copied: k"
content "x=x a=a b=b " out.st
st merge d=w. one out.st
code "pieces and a file" 0
content "a=a b=b w.s=s w.v=xyz w.w=abcdefghijkl " out.st
rm -rf parts && quiet shard one two=t. parts --max-size 2
is "shard" "$(names parts)" "a b t.a t.c "
st ls --json parts
python "shard: two files" "assert len(o['shards']) == 2 and o['metadata'] == {'k': '1'}"
quiet merge parts=p. one out.st
content "a=a b=b p.a=a p.b=b p.t.a=A p.t.c=C " out.st
quiet convert one=p. two out.st --dtype f32 --only '*a'
st show out.st p.a
is "convert of several" "$(cat out)" "[97.]"
st show out.st a
is "convert of several" "$(cat out)" "[65.]"
is "convert of several" "$(names out.st)" "a p.a c p.b "
st merge one=p. two out.st --dry-run --rename 'p.*=*.'
is "--dry-run" "$(tr '\n' ';' <out)" "p.a -> a.;p.b -> b.;a -> a;c -> c;"
cp one self
if [ $system = posix ]; then
    quiet merge self two=t. self
    content "a=a b=b t.a=A t.c=C " self
    fails "ST_ERR_UTF8" merge "one=$(printf '\377')" out.st
fi
mkdir indexed
cp one indexed/s.safetensors
printf '{"metadata":{"total_size":2,"by":"hand"},"weight_map":{"a":"s.safetensors"}}' >indexed/model.safetensors.index.json
st merge indexed=i. two out.st
code "metadata of an index" 0
has_line "metadata of an index" err "st merge: one file has no index; lost metadata of the index: by"
rm -rf parts && quiet shard indexed=i. two parts --max-size 1
st ls --json parts
python "metadata of the first index" "assert o['index'] == {'total_size': 4, 'by': 'hand'}"
fails "--direct cannot write to a file of IN" merge one two=t. two --direct
quiet merge one two=t. out.st
st merge one two=t. -
code "several INs to standard output" 0
same "several INs to standard output" out out.st

# options about opening are for each IN
rm -rf stale && quiet shard one stale --max-size 1 && rm stale/*.json
fails "stale: ST_ERR_SHARD: found no index" merge stale=s. two out.st
quiet merge stale=s. two out.st --no-index
content "a=A c=C s.a=a s.b=b " out.st
st merge d=d. stale=s. out.st --no-index --only '*.a' --only '*.s'
code "--no-index beside pieces" 0
content "d.s=s s.a=a " out.st
rm -rf lacking && quiet shard one lacking --max-size 1 && rm lacking/model-00002-of-00002.safetensors
quiet copy two=t. lacking out.st --partial
content "a=a t.a=A t.c=C " out.st
mkdir variants && cp one variants/model.fp16.safetensors && cp two variants/model.safetensors
quiet merge variants=v. two=t. out.st --variant fp16 --except 't.*'
content "v.a=a v.b=b " out.st

# the names of the files: those of IN, if there is one IN without a prefix
for stem in a/b '' x-00001-of-00002; do
    fails "named: ST_ERR_ARGUMENT: --name: expected the start of a file name" shard one named --max-size 1 --name "$stem"
done
rm -rf named && quiet shard one named --max-size 1 --name unet
rm -rf parts && quiet shard named parts --max-size 1
is "the names of IN" "$(ls parts | head -n 1)" unet-00001-of-00002.safetensors
rm -rf parts && quiet shard named two=t. parts --max-size 2
is "the names of several INs" "$(ls parts | head -n 1)" model-00001-of-00002.safetensors
rm -rf parts && quiet shard named two=t. parts --max-size 2 --name unet
is "several INs: --name" "$(ls parts | head -n 1)" unet-00001-of-00002.safetensors

# IN in the hub's cache
snapshot=hub/models--a--b/snapshots/0123456789abcdef0123456789abcdef01234567
mkdir -p $snapshot/te hub/models--a--b/refs
printf 0123456789abcdef0123456789abcdef01234567 >hub/models--a--b/refs/main
cp one $snapshot/te/model.safetensors && cp two $snapshot/te/x=y.safetensors
export HF_HUB_CACHE="$PWD/hub"
quiet merge hub:a/b:te/model.safetensors=x. hf://a/b@main/te/model.safetensors=y. two=z. out.st --except "z.*"
content "x.a=a x.b=b y.a=a y.b=b " out.st
quiet merge hub:a/b:te/x=y.safetensors= one=o. out.st
content "a=A c=C o.a=a o.b=b " out.st
fails "a/b:nothing" merge hub:a/b:nothing=x. one out.st
unset HF_HUB_CACHE

# scales of quantized weights, in pieces and beside another IN
mkdir q
piece "q/$(file 1)" "$(entry l.weight 1,2 0 2 I8)" "{$(at l.weight 0,0)}" '\001\002'
piece "q/$(file 2)" "$(entry l.weight_scale 1 2 6 F32),$(entry l.weight 1,2 0 2 I8)" "{$(at l.weight_scale 0),$(at l.weight 1,0)}" '\003\004\000\000\000\077'
st convert q out.st --dtype f32
code "scales of pieces" 0
has "scales of pieces" err "applied 1 scale and left out 1 tensor of the quantization"
st show out.st l.weight
is "scales of pieces" "$(tr -d '\n' <out)" "[[0.5 1. ] [1.5 2. ]]"
st convert q=a. q=b. out.st --dtype f32 --rename '*.l.*=*.m.*'
code "scales of several INs" 0
is "scales of several INs" "$(names out.st)" "a.m.weight b.m.weight "
st show out.st b.m.weight 1
is "scales of several INs" "$(cat out)" "[1.5 2. ]"
st convert q=a. one out.st --dtype f32 --dry-run
is "convert --dry-run lists what is written" "$(tr '\n' ';' <out)" "a.l.weight -> a.l.weight;a -> a;b -> b;"
st convert q=a. one out.st --dtype f32 --dry-run --no-scales
lines "convert --dry-run --no-scales" out 4

i=0 all=
while [ $i -lt 120 ]; do all="$all one=$i." i=$((i + 1)); done
quiet merge $all out.st
is "120 INs" "$(names out.st | wc -w | tr -d ' ')" 240

finish
