#!/bin/sh
# tool_hash.sh [ST]: tests st hash and st check --hash and --lfs as a black box (see tools/blackbox.sh).

name=tool_hash
. "$(dirname "$0")/tools/blackbox.sh"

# ---- st hash --------------------------------------------------------------------------------------------------

entries='"a":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]},"e":{"dtype":"F32","shape":[0,7],"data_offsets":[6,6]},'\
'"s":{"dtype":"BF16","shape":[],"data_offsets":[6,8]}'
model good "{$entries}" 'abcdefgh'
model other "{\"__metadata__\":{\"k\":\"v\"},$entries}" 'abcdefgh'
file=aa81beba8b9cc9d16c7a2ace7275302d1b7aac146eb2f464e01d41af97bace93
data=9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab
a=c9ef1c9efa8cb59a9b7ad96628fd4df9519802e8bba479e8d0ceab4f8818fbca e=a1b4076f1fb781c402a08e999f9dc0a66b1d5de1b523e5d8cab89ae08dd16a14 s=a46d2bb9ab006caa8163e319473714ad3ffe7aa8672826330e06b6d6e89840eb
fine hash good
is "hash" "$(cat out)" "file    $file  good
data    $data  good"
fine hash --tensors good
is "hash --tensors" "$(cat out)" "file    $file  good
data    $data  good
tensor  $a  a
tensor  $e  e
tensor  $s  s"
fine hash --json good
is "hash --json" "$(cat out)" "{\"path\":\"good\",\"files\":[{\"path\":\"good\",\"sha256\":\"$file\",\"data_sha256\":\"$data\"}]}"
fine hash --json --tensors good
python "hash --json --tensors" "
assert list(o) == ['path', 'files', 'tensors'] and o['tensors'] == [{'name': 'a', 'sha256': '$a'}, {'name': 'e', 'sha256': '$e'}, {'name': 's', 'sha256': '$s'}]"
fine hash other
has "the data of a file with other metadata" out "data    $data  other"
lacks "a file with other metadata" out "$file"
fine hash good other
lines "hash of two models" out 4
quiet meta other --set k=longer
fine hash --tensors other
has "the data after an edit of the metadata" out "data    $data  other"
has "a tensor after an edit of the metadata" out "tensor  $a  a"
model shaped '{"a":{"dtype":"U8","shape":[3,2],"data_offsets":[0,6]},"b":{"dtype":"I8","shape":[2,3],"data_offsets":[6,12]}}' 'abcdefabcdef'
fine hash --tensors shaped
lacks "the same bytes in another shape or dtype" out "$a"
model unknown '{"a":{"dtype":"Q3","shape":[9],"data_offsets":[0,3]}}' 'abc'
fine hash --tensors unknown
lines "hash of an unknown dtype" out 3
model none '{}'
fine hash --tensors none
has "the data of no tensors" out "data    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  none"
model hostile '{"\u001b]0;evil\u0007":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
fine hash --tensors hostile
lacks_bytes "a name that would control the terminal" out ' 1b' ' 07'
has "a name that would control the terminal" out '\u001b]0;evil\u0007'
model cut '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}' 'abc'
fails "cut: ST_ERR_TRUNCATED" hash cut
fails "no-such: ST_ERR_NOT_FOUND" hash no-such
st hash cut good
code "one of two fails" 1
has "one of two fails" out "file    $file  good"
refused "MODEL is missing" hash
refused "unknown option --tensor; did you mean --tensors?" hash --tensor good

# files of several blocks, which threads hash while the next block is read
dd if=/dev/zero bs=1048576 count=13 2>/dev/null | tr '\000' 'x' >bytes
printf tail >>bytes
cp bytes more && printf more >>more
dd if=/dev/zero bs=1048576 count=4 of=zeros 2>/dev/null
quiet pack big p=U8:13631492:bytes q=U8:13631496:more r=U8:4194304:zeros
mkdir parts
quiet shard big parts --max-size 14MB
is "the parts" "$(ls parts | wc -l | tr -d ' ')" 4
sum() { sha256sum "$1" | cut -d ' ' -f 1; }
if command -v sha256sum >/dev/null 2>&1; then
    fine hash --tensors big
    { printf 'U8\00013631492\000' && cat bytes; } >tensor-p
    { printf 'U8\00013631496\000' && cat more; } >tensor-q
    { printf 'U8\0004194304\000' && cat zeros; } >tensor-r
    cat bytes more zeros >all
    is "hash beside sha256sum" "$(cat out)" "file    $(sum big)  big
data    $(sum all)  big
tensor  $(sum tensor-p)  p
tensor  $(sum tensor-q)  q
tensor  $(sum tensor-r)  r"
    fine hash --tensors parts
    has "a tensor of several files" out "tensor  $(sum tensor-q)  q"
    has "a tensor of several files" out "tensor  $(sum tensor-r)  r"
    for part in parts/*.safetensors; do has "the files of a model" out "file    $(sum $part)  $part"; done
else
    skip "hash beside sha256sum: no sha256sum here"
fi

# ---- st check --hash ------------------------------------------------------------------------------------------

# digest FILE: its SHA-256 as st hash prints it
digest() {
    st hash "$1"
    sed -n 's/^file    \([0-9a-f]*\) .*/\1/p' out
}
mkdir -p hub/models--a--b/blobs hub/models--a--b/refs
commit=0123456789abcdef0123456789abcdef01234567
mkdir -p hub/models--a--b/snapshots/$commit
printf %s $commit >hub/models--a--b/refs/main
HF_HUB_CACHE=$tmp/hub
export HF_HUB_CACHE
blobs=hub/models--a--b/blobs
big=$(digest big)
cp big $blobs/$big
cp good $blobs/$file
for blob in $big $file; do
    fine check --hash $blobs/$blob
    has "a blob" out "; SHA-256 as expected"
done
# flip BYTE FILE: changes the lowest bit of that byte
flip() {
    old=$(dd if="$2" bs=1 skip="$1" count=1 2>/dev/null | od -An -tu1 | tr -d ' ')
    [ $((old % 2)) = 1 ] && new=$((old - 1)) || new=$((old + 1))
    printf "$(byte $new)" | dd of="$2" bs=1 seek="$1" count=1 conv=notrunc 2>/dev/null
}
size=$(wc -c <big | tr -d ' ')
for at in 4194303 4194304 8388608 $((size / 2)) $((size - 1)); do
    flip $at $blobs/$big
    st check --hash $blobs/$big
    code "a flipped bit of byte $at" 1
    has "a flipped bit of byte $at" out ": not ok, "
    has "a flipped bit of byte $at" out ", expected $big"
    flip $at $blobs/$big
done
fine check --hash $blobs/$big
i=0
while [ $i -lt $(wc -c <good) ]; do
    flip $i $blobs/$file
    st check --hash $blobs/$file
    [ $code = 1 ] || fail "a flipped bit of byte $i of a small file is not found"
    flip $i $blobs/$file
    i=$((i + 7))
done
fine check --hash $blobs/$file

nothing="nothing to compare with"
st check --hash good
code "a file that is no blob" 1
has "a file that is no blob" out "good: not ok, 3 tensors, 8 bytes; SHA-256 not confirmed:"
has "a file that is no blob" out "  good: $nothing: not a link to a blob"
cp good $blobs/$commit
st check --hash $blobs/$commit
code "a Git object" 1
has "a Git object" out "$nothing: the blob's name is a Git object"
for other in ${file}0 x$file ${file%?}g; do
    cp good $blobs/$other
    st check --hash $blobs/$other
    code "a blob named $other" 1
    has "a blob named $other" out "$nothing: the blob's name is not a SHA-256"
    rm $blobs/$other
done
upper=$(echo $file | tr abcdef ABCDEF)
mkdir -p capital/blobs notblobs && cp good capital/blobs/$upper && cp good notblobs/$file
fine check --hash capital/blobs/$upper
st check --hash notblobs/$file
code "a folder that is not blobs" 1
st check --hash --json good
code "check --hash --json of no blob" 1
python "check --hash --json of no blob" "
assert o['status'] == 'ST_OK' and o['hashes'] == [{'path': 'good', 'sha256': '$file', 'expected': None, 'verdict': 'unknown'}], o"
st check --hash --json $blobs/$file
python "check --hash --json" "
assert o['hashes'] == [{'path': '$blobs/$file', 'sha256': '$file', 'expected': '$file', 'verdict': 'equal'}], o"
st check --hash --deep $blobs/$file
code "check --hash --deep" 0
has "check --hash --deep" out "SHA-256 as expected; all read"
st check --hash cut
code "check --hash of a damaged file" 1
has "check --hash of a damaged file" out "cut: ST_ERR_TRUNCATED"

if [ $system = posix ]; then
    snapshot=hub/models--a--b/snapshots/$commit
    for part in parts/*.safetensors; do
        blob=$(digest $part)
        cp $part $blobs/$blob
        ln -s ../../blobs/$blob $snapshot/${part#parts/}
    done
    cp parts/model.safetensors.index.json $blobs/$commit
    ln -s ../../blobs/$commit $snapshot/model.safetensors.index.json
    fine check --hash hub:a/b
    is "check --hash of the cache" "$(cat out)" "hub:a/b: ok, 3 tensors, 31457292 bytes in 3 files; SHA-256 as expected"
    flip 4000000 $blobs/$blob
    st check --hash hub:a/b
    code "a flipped bit in the cache" 1
    has "a flipped bit in the cache" out ", expected $blob"
    lines "a flipped bit in the cache" out 2
    flip 4000000 $blobs/$blob
    rm $snapshot/${part#parts/} && cp $part $snapshot
    st check --hash hub:a/b
    code "a copy in the cache" 1
    has "a copy in the cache" out "$nothing: not a link"
    lines "a copy in the cache" out 2
    ln -s $snapshot/model-00001-of-00003.safetensors link
    fine check --hash link
else
    skip "links in the hub's cache: the tests make none here"
fi

# ---- st check --lfs -------------------------------------------------------------------------------------------

good_bytes=$(wc -c <good | tr -d ' ')
version='version https://git-lfs.github.com/spec/v1'
pointer() { printf '%s\n' "$@" >pointer; }
pointer "$version" "oid sha256:$file" "size $good_bytes"
fine check good --lfs pointer
is "check --lfs" "$(cat out)" "good: ok, 3 tensors, 8 bytes; SHA-256 as expected"
st check big --lfs=pointer
code "another file" 1
has "another file" out "  big: $size bytes, expected $good_bytes"
cp good flipped && flip $((good_bytes - 1)) flipped
st check flipped --lfs pointer
code "a flipped bit" 1
has "a flipped bit" out ", expected $file"
pointer "$version" "oid sha256:$file" "size $((good_bytes + 1))"
st check good --lfs pointer
code "another size" 1
has "another size" out "$good_bytes bytes, expected $((good_bytes + 1))"
wrong() { # WANTED LINE...
    wanted=$1
    shift
    pointer "$@"
    fails "$wanted" check good --lfs pointer
}
wrong "not a Git LFS pointer: expected the line version" "oid sha256:$file" "size 1"
wrong "not a Git LFS pointer: expected the line version" "version https://example.com/spec/v1" "oid sha256:$file" "size 1"
wrong "expected the line oid sha256:DIGEST" "$version" "size 1"
wrong "expected the line oid sha256:DIGEST" "$version" "oid sha1:$file" "size 1"
wrong "expected 64 hexadecimal digits" "$version" "oid sha256:${file%?}" "size 1"
wrong "expected 64 hexadecimal digits" "$version" "oid sha256:${file}0" "size 1"
wrong "expected 64 hexadecimal digits" "$version" "oid sha256:${file%?}g" "size 1"
wrong "expected the line size BYTES" "$version" "oid sha256:$file"
wrong "expected the line size BYTES" "$version" "oid sha256:$file" "size -1"
wrong "expected the line size BYTES" "$version" "oid sha256:$file" "size 18446744073709551616"
wrong "expected the line size BYTES" "$version" "oid sha256:$file" "size 1 "
wrong "expected the line size BYTES" "$version" "oid sha256:$file" "size 1" "more"
: >pointer
fails "not a Git LFS pointer" check good --lfs pointer
fails "not a Git LFS pointer" check good --lfs big
fails "pointer: " check good --lfs no-such-pointer
pointer "$version" "oid sha256:$file" "size $good_bytes"
printf '\000' >>pointer
fails "not a Git LFS pointer" check good --lfs pointer
pointer "$version" "oid sha256:$file" "size $good_bytes"
refused "--lfs: expected one MODEL, found other" check good other --lfs pointer
refused "missing value after option --lfs" check good --lfs
st check parts --lfs pointer
code "a pointer for several files" 1
has "a pointer for several files" out "a Git LFS pointer is for one file"
no_rest "st hash and st check"
finish
