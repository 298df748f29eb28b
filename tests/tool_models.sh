#!/bin/sh
# tool_models.sh [ST]: tests the tool with models of several files as a black box (see tools/blackbox.sh): indexes,
# directories, the hub's cache; copy, merge and shard.

name=tool_models
. "$(dirname "$0")/tools/blackbox.sh"

# ---- files ----------------------------------------------------------------------------------------------------

a='"a":{"dtype":"F32","shape":[2],"data_offsets"' b='"b":{"dtype":"U8","shape":[3],"data_offsets"'
c='"c":{"dtype":"U8","shape":[4],"data_offsets"' d='"d.d":{"dtype":"U8","shape":[2],"data_offsets"'
pt='"__metadata__":{"format":"pt"}'
written single "{$pt,$a:[0,8]},$b:[8,11]},$c:[11,15]},$d:[15,17]}}" 'AAAAaaaabbbccccdd'
# index FILE METADATA NAME=SHARD...: writes an index
index() {
    file=$1 map=
    [ "$2" ] && map="\"metadata\": $2, "
    shift 2
    map="{$map\"weight_map\": {" comma=
    for pair; do
        map="$map$comma\"${pair%=*}\": \"${pair#*=}\"" comma=', '
    done
    printf '%s}}\n' "$map" >"$file"
}
one=model-00001-of-00002.safetensors two=model-00002-of-00002.safetensors
# sharded DIRECTORY: makes a directory with the tensors of `single` in two files, the second without metadata
sharded() {
    mkdir "$1"
    written "$1/$one" "{$pt,$a:[0,8]},$b:[8,11]}}" 'AAAAaaaabbb'
    written "$1/$two" "{$c:[0,4]},$d:[4,6]}}" 'ccccdd'
    index "$1/model.safetensors.index.json" '{"total_size": 17}' a=$one b=$one c=$two d.d=$two
}
sharded two
json=two/model.safetensors.index.json

# ---- reading --------------------------------------------------------------------------------------------------

for path in two two/ "$json"; do
    st check "$path"
    code "check $path" 0
    is "check $path" "$(cat out)" "$path: ok, 4 tensors, 17 bytes in 2 files"
    for t in a=AAAAaaaa b=bbb c=cccc d.d=dd; do
        st cat "$path" ${t%=*}
        is "cat $path ${t%=*}" "$(cat out)" "${t#*=}"
    done
    st ls "$path"
    code "ls $path" 0
    empty "ls $path" err
    has_line "ls $path: metadata" out '  format: pt'
    has_line "ls $path: metadata of the index" out '  total_size: 17'
    has_line "ls $path: total" out 'total  *4 tensors  *11 elements  *17 bytes in 2 files'
    is "ls $path: which tensor is where" \
        "$(sed -n 's/^two.*\(model-0000.\).*:$/\1/p; s/^\([a-d][.d]*\)  .*/\1/p' out | tr '\n' ' ')" \
        "model-00001 a b model-00002 c d.d "
done
st ls --json two
python "ls --json of two files" "
assert o['index'] == {'total_size': 17} and o['metadata'] == {'format': 'pt'}
assert [s['path'] for s in o['shards']] == ['two/$one', 'two/$two'] and o['shards'][1]['metadata'] is None
assert [(t['name'], t['shard']) for t in o['tensors']] == [('a', 0), ('b', 0), ('c', 1), ('d.d', 1)], o"
st meta two
is "meta of two files is the first one's" "$(cat out)" "format: pt"
# a directory of several files is not called like one file, unless it is there already
for command in copy shard "convert --dtype bf16"; do
    fails "omit .safetensors" $command two out.safetensors
    is "st $command makes no directory" "$(ls -d out.safetensors 2>&1 | grep -c "No such")" 1
done
mkdir out.safetensors
st copy two out.safetensors
code "copy into a directory called like a file" 0
rm -rf out.safetensors
st cat two dd
has_line "a near name in another file" err 'two: the model has no tensor dd; did you mean d.d?'
# a set without an index, beside a stale one, and incomplete
mkdir set && cp two/$one two/$two set
for path in set set/; do
    st check --no-index $path
    is "check --no-index $path" "$(cat out)" "$path: ok, 4 tensors, 17 bytes in 2 files"
done
index set/model.safetensors.index.json '' a=$one gone=$two
fails "--no-index opens the set" ls set
fails "does not contain it" ls set
st ls --partial set
code "ls --partial of an index with one tensor too many" 0
has_line "ls --partial" out 'total  *4 tensors.*'
st merge --no-index set merged.safetensors
code "merge --no-index" 0
st cat merged.safetensors d.d
is "merge --no-index: a tensor" "$(cat out)" dd
st index set
code "index in place of a stale one" 0
empty "index" out
st check set
is "index: the directory opens" "$(cat out)" "set: ok, 4 tensors, 17 bytes in 2 files"
st index --json set
python "index --json" "
assert o == {'path': 'set', 'tensors': 4, 'bytes': 17, 'file_bytes': $(cat set/*.safetensors | wc -c), 'files': 2}, o"
cp single set/x.safetensors.index.json
fails "the directory holds another model" index set
rm set/x.safetensors.index.json
fails "expected a directory" index single
refused "DIR is missing" index
for option in partial no-index index-decides; do refused "unknown option --$option" index --$option set; done
refused "cannot write to the Hugging Face cache" index hub:x
rm set/$two
fails "shard does not exist" index set
fails "shard does not exist (--partial opens the others)" ls --no-index set
st check --partial --no-index set
is "check --partial --no-index" "$(cat out)" "set: ok, 2 tensors, 11 bytes in 1 of 2 files"
st ls --partial --no-index set
has_line "ls --partial --no-index: total" out 'total .* 11 bytes in 1 of 2 files'
st hash --tensors --partial --no-index set
code "hash --partial" 0
is "hash --partial: only files that are there" "$(sed 's/  .*  /  /' out | tr '\n' ' ')" "file  set/$one data  set/$one tensor  a tensor  b "
st hash --json --partial --no-index set
python "hash --json --partial" "assert [f['path'] for f in o['files']] == ['set/$one'], o"
st check --hash --partial --no-index set
code "check --hash --partial" 1
has "check --hash --partial" out "set/$one: nothing to compare with"
lacks "check --hash --partial" out "$two"
st check --hash --json --partial --no-index set
python "check --hash --json --partial" "assert [h['path'] for h in o['hashes']] == ['set/$one'], o"
st meta --partial --no-index set --set k=v
code "meta --partial" 0
st meta --partial --no-index set
has_line "meta --partial" out 'k: v'
st merge --partial --no-index set merged.safetensors
empty "merge --partial: no warning about a file that is not there" err
rm set/$one && index set/model.safetensors.index.json '' a=$one
fails "no file of the model is there" meta --partial set --set k=v
rm -r set merged.safetensors
# a tensor in two shards
sharded copies && written copies/over.safetensors "{$b:[0,3]}}" BBB
index copies/model.safetensors.index.json '' a=$one b=over.safetensors c=$two d.d=$two
fails "tensor is in two shards (--index-decides chooses by the index)" ls copies
st cat --index-decides copies b
is "cat --index-decides" "$(cat out)" BBB
cp copies/model.safetensors.index.json kept
for path in copies copies/; do
    fails "the index names over.safetensors, which is not in the set" index $path
    is "index beside an overlay: the old index stays" "$(cat copies/model.safetensors.index.json)" "$(cat kept)"
done
rm kept
st ls --json --index-decides copies
python "ls --json --index-decides" "
assert [t['name'] for t in o['tensors']] == ['a', 'c', 'd.d', 'b'], o"
written copies/over.safetensors "{$a:[0,8]}}" XXXXxxxx
index copies/model.safetensors.index.json '' a=over.safetensors b=$one c=$two d.d=$two
st hash --tensors two && grep '^tensor' out | grep -v '  a$' | sort >hashes
st hash --tensors --index-decides copies
is "hash --index-decides: the tensors behind a dropped one" "$(grep '^tensor' out | grep -v '  a$' | sort)" "$(cat hashes)"
# variants
mkdir variants && cp single variants/x.safetensors && cp single variants/x.fp16.safetensors
fails "choose one" ls variants
fails "x.fp16.safetensors" ls variants
st check --variant fp16 variants
is "check --variant" "$(cat out)" "variants: ok, 4 tensors, 17 bytes"
fails "found no .safetensors file" ls --variant=bf16 variants
rm -r copies variants
# options for opening belong to commands that open models
refused "unknown option --partial" pack --partial out.safetensors a=U8::single
mkdir plain && cp single plain/model.safetensors
st check plain
is "a directory with one file" "$(cat out)" "plain: ok, 4 tensors, 17 bytes"
mkdir other && cp two/$one two/$two other && cp "$json" other/unusual.safetensors.index.json
st check other
is "an index of another name" "$(cat out)" "other: ok, 4 tensors, 17 bytes in 2 files"
mkdir empty
st check two empty single plain
code "one of four failed" 1
lines "one of four failed" out 4
st ls plain
lacks "one file is not counted" out files

# ---- what an index may hold -----------------------------------------------------------------------------------

each="ls cat copy merge shard meta" # reduced to one command below, once all have been tried
# bad LABEL STATUS TEXT: every command refuses `broken` with this status and text
bad() {
    st check broken
    code "$1" 1
    has "$1" out "broken: $2"
    has "$1" out "$3"
    lines "$1" out 1
    lacks_bytes "$1" out ' 1b' ' 07'
    for command in $each; do
        case $command in cat) last=a ;; ls | meta) last= ;; *) last=out ;; esac
        st $command broken $last
        code "$1: st $command" 1
        empty "$1: st $command" out
        has "$1: st $command" err "broken: $2"
        has "$1: st $command" err "$3"
        lacks_bytes "$1: st $command" err ' 1b' ' 07'
    done
    is "$1: nothing is written" "$(ls -d out.* 2>/dev/null)" ""
    if [ -d out ]; then fail "$1: a directory was made"; fi
    no_rest "$1"
    rm -rf broken
}
sharded broken && rm broken/$two
bad "a shard that is missing" ST_ERR_SHARD $two
sharded broken && rm broken/model.safetensors.index.json
bad "an index that is missing" ST_ERR_SHARD "found no index for a complete set of shards (--no-index opens it)"
sharded broken && rm broken/model.safetensors.index.json broken/$two
bad "an index and a shard that are missing" ST_ERR_SHARD "found no index for the shard"
each=shard
sharded broken && printf x >>broken/$two
bad "a shard that is too long" ST_ERR_TRAILING $two
sharded broken && printf '' >broken/$two
bad "a shard that is empty" ST_ERR_TRUNCATED $two
sharded broken && cp broken/$one broken/$two
bad "tensors in two shards" ST_ERR_SHARD "in two shards"
sharded broken && index broken/model.safetensors.index.json '' a=$one b=$two c=$two d.d=$two
bad "a tensor in another shard" ST_ERR_SHARD "$two, and not broken/$one"
sharded broken && index broken/model.safetensors.index.json '' a=$one x=$one c=$two
bad "a tensor that is in none" ST_ERR_SHARD "does not contain it"
for path in ../single /etc/passwd ../../x.safetensors /x.safetensors 'C:/x.safetensors' 'x\\\\y.safetensors' \
    two/../x.safetensors NUL.safetensors x.txt '' ' x.safetensors' 'a\u001b]0;x\u0007.safetensors' 'a\u0000.safetensors'; do
    sharded broken && index broken/model.safetensors.index.json '' a=$one "c=$path"
    bad "the path $path" ST_ERR_PATH ""
done
sharded broken && index broken/model.safetensors.index.json '' a=$one 'x\u001b]0;\u0007=none\u202e.safetensors'
bad "names that try something" ST_ERR_ ""
for text in '' '{' '[]' '{}' '{"weight_map": 1}' '{"weight_map": {"a": 1}}' '{"weight_map": {"a": "b", "a": "b"}}' "$(printf '\377')"; do
    sharded broken && printf %s "$text" >broken/model.safetensors.index.json
    bad "the index $text" ST_ERR_ ""
done
sharded broken && index broken/model.safetensors.index.json "{\"k\\u001b[31m\": \"v\\u001b]0;\\u0007\", \"deep\": [[1, {\"x\": null}]],
    \"raw\": \"$(printf '\302\233\342\200\256')\"}" a=$one c=$two
st ls broken
code "metadata of an index that tries something" 0
lacks_bytes "metadata of an index that tries something" out ' 1b' ' 07' ' c2 9b' ' e2 80 ae'
has "metadata of an index" out 'k\u001b[31m: '
has "metadata of an index" out 'deep: [[1, {"x": null}]]'
st ls --json broken
lacks_bytes "the same as JSON" out ' 1b' ' 07' ' c2 9b' ' e2 80 ae'
python "the same as JSON" "
assert o['index'] == {'k\\x1b[31m': 'v\\x1b]0;\\a', 'deep': [[1, {'x': None}]], 'raw': '\\x9b\\u202e'}, o['index']"
rm -rf broken

# ---- the hub's cache ------------------------------------------------------------------------------------------

commit=0123456789abcdef0123456789abcdef01234567
mkdir -p hub/models--owner--name/refs/pr hub/models--owner--name/snapshots/$commit hub/models--gpt/refs
printf %s $commit >hub/models--owner--name/refs/main
printf '%s\n' $commit >hub/models--owner--name/refs/pr/1
cp two/* hub/models--owner--name/snapshots/$commit
mkdir -p hub/models--gpt/snapshots/$commit && cp single hub/models--gpt/snapshots/$commit/model.safetensors
printf %s $commit >hub/models--gpt/refs/v1.0
HF_HUB_CACHE=$tmp/hub
export HF_HUB_CACHE
for given in owner/name owner/name@main owner/name@pr/1 owner/name@$commit; do
    st check hub:$given
    code "check hub:$given" 0
    is "check hub:$given" "$(cat out)" "hub:$given: ok, 4 tensors, 17 bytes in 2 files"
    st cat hub:$given d.d
    is "cat hub:$given" "$(cat out)" dd
done
st ls hub:gpt@v1.0
code "ls of the hub's cache" 0
has_line "ls of the hub's cache" out 'a  *F32 .*'
# a file, an index and a directory inside a repository
mkdir hub/models--owner--name/snapshots/$commit/vae
cp single hub/models--owner--name/snapshots/$commit/vae/d.safetensors
for given in hub:owner/name:vae hub:owner/name@main:vae/d.safetensors hf://owner/name/vae hf://owner/name@$commit/vae \
    hub:owner/name@$commit:vae; do
    st check $given
    is "check $given" "$(cat out)" "$given: ok, 4 tensors, 17 bytes"
done
for given in hub:owner/name:../../x hub:owner/name:/etc hub:owner/name:vae/../.. hf://owner/name/../x hub:owner/name:; do
    fails "ST_ERR_PATH" ls $given
done
fails "no such file" ls hub:owner/name:none.json
fails "is opened as hub:owner/name" ls hub/models--owner--name
rm -r hub/models--owner--name/snapshots/$commit/vae
st meta hub:gpt@v1.0
is "meta of the hub's cache" "$(cat out)" "format: pt"
quiet copy hub:gpt@v1.0 out.st
same "copy from the hub's cache" out.st single
for given in none owner/none owner/name@v2 gpt; do
    st check hub:$given
    code "check hub:$given" 1
    has_line "check hub:$given" out "hub:$given: ST_ERR_NOT_FOUND: .*refs/.*"
    st cat hub:$given a
    code "cat hub:$given" 1
    has "cat hub:$given" err "hub:$given: ST_ERR_NOT_FOUND: "
done
for given in '' @ @x ../name owner/../name a/b/c owner/name@../x owner/name@ 'owner\name'; do
    st check "hub:$given"
    code "check hub:$given" 1
    has "check hub:$given" out "hub:$given: ST_ERR_PATH: "
done
st check "hub:$(printf '\033x@\007')"
lacks_bytes "a repository that tries something" out ' 1b' ' 07'
printf 'no commit at all' >hub/models--gpt/refs/main
st check hub:gpt
has "what is no commit" out "hub:gpt: ST_ERR_PATH: "
rm hub/models--owner--name/snapshots/$commit/$two
st check hub:owner/name
has "a shard that is missing from the cache" out "hub:owner/name: ST_ERR_SHARD: "
has "a shard that is missing from the cache" out $two
for command in "copy single" "merge two" "shard single" "pack"; do
    case $command in pack) more=t=U8:3:bytes ;; *) more= ;; esac
    printf abc >bytes
    refused "cannot write to the Hugging Face cache: hub:gpt" $command hub:gpt $more
done
refused "cannot write to the Hugging Face cache: hub:gpt@v1.0" meta hub:gpt@v1.0 --set k=v
if [ ! "$RUN" ]; then # Windows does not allow such names
    cp single hub:file
    st check ./hub:file
    is "a file of such a name" "$(cat out)" "./hub:file: ok, 4 tensors, 17 bytes"
fi

# ---- merge ----------------------------------------------------------------------------------------------------

st merge two out.st
code "merge" 0
empty "merge" out
same "merge" out.st single
lines "merge: what it says of metadata" err 1
has_line "merge: what it says of metadata" err \
    "st merge: two/$two: metadata differs from two/$one, whose metadata was copied: format"
quiet merge single out.st
same "merge of one file" out.st single
st merge "$json" out.st --only 'd*' --rename d.d=e --json
code "merge of a part" 0
python "merge of a part" "assert o == {'path': 'out.st', 'tensors': 1, 'bytes': 2, 'file_bytes': o['file_bytes'], 'files': 1}"
st cat out.st e
is "merge of a part" "$(cat out)" dd
mkdir many
for i in 1 2 3 4 5 6; do
    written many/s$i.safetensors "{\"__metadata__\":{\"same\":\"1\",\"k1\":\"$i\",\"k2\":\"$i\",\"k3\":\"$i\",\"esc\\u001b$i\":\"\"},\
\"t$i\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}" $i
done
index many/model.safetensors.index.json '{"total_size": 6, "sharing": [], "\u001bx": 1}' t1=s1.safetensors t2=s2.safetensors \
    t3=s3.safetensors t4=s4.safetensors t5=s5.safetensors t6=s6.safetensors
st merge many out.st
code "merge of six" 0
lines "merge of six: what it says" err 5
has_line "merge of six: the index" err 'st merge: one file has no index; lost metadata of the index: sharing and 1 more'
has_line "merge of six: metadata" err 'st merge: many/s2.safetensors: metadata differs from .* copied: esc\\u001b1, esc\\u001b2, k1 and 2 more'
has_line "merge of six: metadata" err 'st merge: metadata also differs in 2 more files'
lacks_bytes "merge of six: metadata" err ' 1b'
is "merge of six" "$(names out.st)" "t1 t2 t3 t4 t5 t6 "
st meta out.st
has_line "merge of six: metadata" out "k1: 1"
cp single old
fails "ST_ERR_DUPLICATE" merge two old --rename a=b
fails "two: no tensor matches x" merge two old --only x
same "a merge that failed" old single
fails "two: ST_ERR_IO: this is a directory; expected the path of a file" merge two two
refused "IN and OUT are missing" merge
refused "OUT is missing" merge two

# ---- shard ----------------------------------------------------------------------------------------------------

files() { (cd "$1" && echo *); }
quiet shard single parts --max-size 11
is "shard" "$(files parts)" "$one $two model.safetensors.index.json"
is "shard" "$(names parts)" "a b c d.d "
st merge parts out.st
same "shard, then merge" out.st single
lines "both files have the metadata" err 0
st ls --json parts
python "shard: metadata" "
assert [s['metadata'] for s in o['shards']] == [{'format': 'pt'}] * 2 and o['index'] == {'total_size': 17}
assert [t['shard'] for t in o['tensors']] == [0, 0, 1, 1]"
split() { # WANTED OPTIONS...: WANTED lists the number of tensors in each file
    wanted=$1
    shift
    rm -rf split
    quiet shard single split "$@"
    st ls --json split
    got=$(sed -n 's/.*"offset":[0-9]*,"shard":\([0-9]*\).*/\1/p' out | sort | uniq -c | awk '{ printf "%s%d", space, $1; space = " " }')
    is "shard $*" "$got" "$wanted"
}
split 4
split 4 --max-size 17
split "3 1" --max-size 16
split "2 2" --max-size 12
split "1 2 1" --max-size 8
split "1 1 1 1" --max-size 1
split "1 2 1" --max-size 7B
split "1 1 2" --max-size 6B
split 4 --max-size 1KB
split 4 --max-size 0.02kb
split "2 2" --max-size 0.011KB
split 4 --max-size 1KiB
split 4 --max-size 5GB
split 4 --max-size "1.5 GiB"
split 1 --only a --max-size 1
split "1 1" --except a --except c --max-size 1
rm -rf split && quiet shard single split
is "shard of one file" "$(files split)" model.safetensors
for bad in 0 0MB x GB 5XB -1 1e9 "" 1.GB .5GB 18446744073709551616 99999999TB; do
    refused "--max-size: expected a size such as 5GB, 1.5GB or 500MiB, found $bad" shard single out "--max-size=$bad"
done
refused "OUT is missing" shard single
if [ -d out ]; then fail "a directory was made for nothing"; fi

# over an older model
rm -rf over && quiet shard single over --max-size 1
is "four files" "$(files over | wc -w | tr -d ' ')" 5
quiet shard single over --max-size 11
is "four files become two" "$(files over)" "$one $two model.safetensors.index.json"
quiet shard single over
is "two files become one" "$(files over)" model.safetensors
if [ "$RUN" ]; then
    skip "onto itself: files that are open cannot be replaced there"
else
    quiet shard over over --max-size 11
    is "onto itself" "$(files over)" "$one $two model.safetensors.index.json"
    st merge over out.st
    same "onto itself" out.st single
    quiet shard over over --max-size 1
    st check over
    is "onto itself, again" "$(cat out)" "over: ok, 4 tensors, 17 bytes in 4 files"
fi
rm -rf kept && mkdir kept && cp two/* kept
fails ST_ERR_DUPLICATE shard single kept --rename a=b
fails ST_ERR_DUPLICATE shard single kept --rename a=b --max-size 1
fails "no tensor matches" shard single kept --only zzz
for f in $one $two model.safetensors.index.json; do same "a shard that failed" kept/$f two/$f; done
fails "no/such: ST_ERR_NOT_FOUND" shard single no/such --max-size 11
fails "single: ST_ERR_IO: this is a file; expected a directory" shard two single --max-size 11
is "a file is no directory" "$(names single)" "a b c d.d "
fails ST_ERR_HEADER_LIMIT shard single new --max-size 11 --slack 100000001
if [ -d new ]; then fail "a directory that was made for nothing stays"; else pass; fi
st shard many shards --max-size 2 --json
code "what of the index is carried over" 0
python "shard --json" "
import glob, os
assert o == {'path': 'shards', 'tensors': 6, 'bytes': 6, 'files': 3,
    'file_bytes': sum(os.path.getsize(f) for f in glob.glob('shards/*.safetensors'))}, o"
lines "what of the index is carried over" err 4
st ls --json shards
python "what of the index is carried over" "assert o['index'] == {'total_size': 6, 'sharing': [], '\\x1bx': 1}, o['index']"

# ---- copy -----------------------------------------------------------------------------------------------------

st copy two again
code "copy of two files" 0
same "copy of two files" again/$one two/$one
lines "copy of two files: of metadata" err 1
st ls --json again
python "copy of two files" "assert [t['shard'] for t in o['tensors']] == [0, 0, 1, 1]"
# a split that depends on the order of tensors: the second file begins with a tensor that is not its largest
mkdir greedy
big='"big":{"dtype":"U8","shape":[9],"data_offsets"' x='"x":{"dtype":"I16","shape":[1],"data_offsets"'
written greedy/$one "{$c:[0,4]},$d:[4,6]}}" ccccdd
written greedy/$two "{$x:[0,2]},$big:[2,11]}}" xxBBBBBBBBB
index greedy/model.safetensors.index.json '{"total_size": 17}' c=$one d.d=$one x=$two big=$two
quiet copy greedy greedy.copy
for f in $one $two; do same "a split whose order is not the files'" greedy.copy/$f greedy/$f; done
st copy greedy greedy.ordered --keep-order
code "--keep-order" 0
has "--keep-order cannot have every split" err "greedy: no size limit gives this split"
# a split that no limit gives: the second file's tensors would fit into the first
mkdir odd
written odd/$one "{$a:[0,8]}}" AAAAaaaa
written odd/$two "{$b:[0,3]}}" bbb
written odd/z.safetensors "{$c:[0,4]},$d:[4,6]}}" ccccdd
index odd/model.safetensors.index.json '' a=$one b=$two c=z.safetensors d.d=z.safetensors
st copy odd odd.copy
code "a split without a limit" 0
has_line "a split without a limit" err "st copy: odd: no size limit gives this split; the copy is split by the size of its largest file"
st ls --json odd.copy
python "a split without a limit" "assert [t['shard'] for t in o['tensors']] == [0, 1, 1, 2]"
quiet copy greedy part --only 'c*'
is "a part that is in one file" "$(files part)" model.safetensors
fails "single: ST_ERR_IO: this is a file; expected a directory (st merge writes one file)" copy two single
same "a file in the place of a directory" single out.st
quiet copy plain out.st
same "a directory with one file is copied to a file" out.st single

# ---- many -----------------------------------------------------------------------------------------------------

awk 'BEGIN {
    printf "{"
    for (i = 0; i < 1000; i++) printf "%s\"t%04d\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[%d,%d]}", i ? "," : "", i, i * 2, i * 2 + 2
    printf "}"
}' >header
written thousand "$(cat header)" "$(awk 'BEGIN { for (i = 0; i < 1000; i++) printf "%02d", i % 100 }')"
quiet shard thousand thousand.parts --max-size 2 --no-sync
is "1,000 files" "$(ls thousand.parts | wc -l | tr -d ' ')" 1001
st check thousand.parts
is "1,000 files" "$(cat out)" "thousand.parts: ok, 1000 tensors, 2000 bytes in 1000 files"
quiet merge thousand.parts out.st
same "1,000 files" out.st thousand
st cat thousand.parts t0777
is "1,000 files" "$(cat out)" 77

finish
