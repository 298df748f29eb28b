#!/bin/sh
# tool_write.sh [ST]: tests the commands that write files as a black box (see tools/blackbox.sh): copy, meta, pack.

name=tool_write
. "$(dirname "$0")/tools/blackbox.sh"

# ---- files ----------------------------------------------------------------------------------------------------

# a file with blanks in its header, tensors in another order, and unsorted metadata
model loose '{ "b": {"shape":[2], "dtype":"U8", "data_offsets":[0,2]}, "w": {"dtype":"F32","shape":[1],"data_offsets":[2,6]},
  "__metadata__": {"z":"1", "a":"2"}, "a": {"data_offsets":[6,10],"dtype":"F32","shape":[]} }   ' 'bbWWWWAAAA'
meta='"__metadata__":{"a":"2","z":"1"}'
a='"a":{"dtype":"F32","shape":[],"data_offsets"' w='"w":{"dtype":"F32","shape":[1],"data_offsets"'
b='"b":{"dtype":"U8","shape":[2],"data_offsets"'
written canonical "{$meta,$a:[0,4]},$w:[4,8]},$b:[8,10]}}" 'AAAAWWWWbb'
written kept "{$meta,$b:[0,2]},$w:[2,6]},$a:[6,10]}}" 'bbWWWWAAAA'
written none "{$b:[0,2]}}" 'bb'
written empty "{\"__metadata__\":{},$b:[0,2]}}" 'bb'
written nothing '{}'
written nothing-but-metadata "{$meta}"
written opaque '{"y":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'\
'"x":{"dtype":"Q3_K","shape":[7],"data_offsets":[1,4]}}' 'yxxx'
written hostile '{"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'\
'"\u001b]0;\u0007":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'\
'"nul\u0000end":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"nul\u0000t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"q\"\\":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}}' 'nN'
model cut '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}' 'abc'
mkdir dir

# ---- help -----------------------------------------------------------------------------------------------------

st --help
for c in copy merge shard convert meta pack put; do
    has "help" out "  st $c "
    st $c --help
    code "$c --help" 0
    has "$c --help" out "usage: st $c [OPTIONS]"
    st --help
done
st --help
wide=$(for c in $(sed -n 's/^  st \([a-z][a-z-]*\) .*/\1/p' out) -; do $RUN "$tool" ${c#-} --help; done | awk 'length($0) > 80')
is "help fits 80 columns" "$wide" ""
for option in only except rename rename-file dry-run keep-order align slack no-sync direct json; do
    st copy --help
    has "copy --help" out "  --$option"
done
for option in dtype no-scales only except rename keep-order align slack no-sync json; do
    st convert --help
    has "convert --help" out "  --$option"
done
for option in set unset clear in-place no-sync json; do
    st meta --help
    has "meta --help" out "  --$option"
done
for option in meta keep-order align slack no-sync direct json; do
    st pack --help
    has "pack --help" out "  --$option"
done

# ---- copy -----------------------------------------------------------------------------------------------------

quiet copy loose out.st
same "the canonical order" out.st canonical
quiet copy canonical again
same "a canonical file is copied as it is" again canonical
quiet copy --keep-order loose out.st
same "--keep-order" out.st kept
quiet copy --no-sync loose out.st
same "--no-sync" out.st canonical
for f in none empty nothing nothing-but-metadata opaque hostile; do
    quiet copy $f out.st
    same "copy of $f" out.st $f
done
fine copy loose out.st --json
python "copy --json" "
import os
assert list(o) == ['path', 'tensors', 'bytes', 'file_bytes', 'files']
assert o == {'path': 'out.st', 'tensors': 3, 'bytes': 10, 'file_bytes': os.path.getsize('out.st'), 'files': 1}"
lines "copy --json" out 1
is "copy --json: file_bytes" "$(key file_bytes)" "$(wc -c <out.st | tr -d ' ')"

for align in 8 16 64 4096 1048576; do
    fine copy loose aligned --align $align
    is "--align $align" $(($(data_offset aligned) % align)) 0
    quiet copy aligned out.st
    same "--align $align changes nothing else" out.st canonical
done
is "--align brings no more than it must" "$(data_offset aligned)" 1048576
for slack in 0 1 100 5000; do
    fine copy loose slack --slack=$slack
    spare=$(($(wc -c <slack) - $(wc -c <canonical)))
    is "--slack $slack" $((spare >= slack && spare < slack + 8)) 1
    quiet copy slack out.st
    same "--slack $slack changes nothing else" out.st canonical
done
fine copy loose both --slack 100 --align 512
is "--slack and --align" "$(data_offset both)" 512
for bad in 0 1 4 7 12 x 8x "" -8 18446744073709551616; do
    refused "--align: expected a power of two, 8 or more, found $bad" copy loose out.st "--align=$bad"
done
for bad in x 1k "" -1 99999999999999999999; do
    refused "--slack: expected a number of bytes, found $bad" copy loose out.st "--slack=$bad"
done
fails ST_ERR_HEADER_LIMIT copy loose out.st --slack 100000001

# tensors chosen by name
entries='"d.x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}' n=1
for t in d.y e.x e.y.x é.x; do
    entries="$entries,\"$t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[$n,$((n + 1))]}" n=$((n + 1))
done
model five "{$entries}" '12345'
chosen() { # WANTED OPTIONS...: the copy has the tensors WANTED
    wanted=$1
    shift
    quiet copy five out.st "$@"
    is "copy $*" "$(names out.st)" "$wanted"
}
chosen "d.x d.y e.x e.y.x é.x "
chosen "d.x d.y " --only 'd.*'
chosen "d.x e.x e.y.x é.x " --only '*.x'
chosen "d.x e.x é.x " --only '?.x'
chosen "d.x " --only d.x
chosen "d.x e.y.x " --only d.x --only=e.y.x
chosen "e.y.x " --only '*.*.*'
chosen "e.y.x " --only 'e*y*x'
chosen "d.x d.y e.x e.y.x é.x " --only '*'
chosen "d.x d.y e.x e.y.x é.x " --only '**'
chosen "d.x d.y e.x é.x " --only '???'
chosen "e.x e.y.x é.x " --except 'd.*'
chosen "e.y.x é.x " --except 'd.*' --except e.x
chosen "d.y " --only 'd.*' --except '*.x'
chosen "" --except '*'
chosen "d.x d.y e.y.x new é.x " --rename e.x=new
chosen "d.x d.y e.x e.y.x é.x " --rename d.x=tmp --rename d.y=d.x --rename tmp=d.y
st cat out.st d.x
is "names change places, bytes do not" "$(cat out)" 2
chosen "e.x e.y.x m.x m.y é.x " --rename 'd.*=m.*'
chosen "xa xb ya yb yc " --rename 'd.x=xa' --rename d.y=xb --rename 'e.x=ya' --rename 'e.y.x=yb' --rename 'é.x=yc'
chosen "m.x new " --only 'd.*' --rename d.y=new --rename 'd.*=m.*'
chosen "m.x new " --only 'd.*' --rename 'd.*=m.*' --rename m.y=new
chosen "d-x d-y e-x e-y.x é-x " --rename '*.*=*-*'
chosen "x.d y.d " --only 'd.*' --rename '*.*=.**' --rename '.d*=*.d'
chosen "ad.xb ad.yb " --only 'd.*' --rename '*=a*b'
chosen "e<y>x " --only e.y.x --rename 'e*y*x=e<y>x**' --rename '*..=*'
chosen "[e][y.x] " --only e.y.x --rename '*.*=[*][*]'
chosen "[][d] d.y e.x e.y.x é.x " --rename '*d*.x=[*][d]*'
chosen "[e][y][] " --only e.y.x --rename '*.*.x*=[*][*][*]'
chosen "d.x.old d.y.old " --only 'd.*' --rename '*=*.old'
chosen "e.x.y " --only e.y.x --rename 'e.*.x=e.x.*'
chosen "ax d.y e.x e.y.x é.x " --rename 'd.x=ax'
chosen "d.y e.x e.y.x t=5 é.x " --rename 'd.x=t=5'
chosen " " --only d.x --rename d.x=
fails "five: no tensor matches d.z; did you mean d.x" copy five out.st --only d.z
fails "five: no tensor matches f.*" copy five out.st --only 'd.*' --only 'f.*'
fails "five: no tensor matches D.x" copy five out.st --except D.x
fails "five: no copied tensor matches d.z; did you mean" copy five out.st --rename d.z=n
fails "five: no copied tensor matches e.y*y.x" copy five out.st --rename 'e.y*y.x=n*' # both ends of one name, but they overlap
fails "five: no copied tensor matches d.x" copy five out.st --except d.x --rename d.x=n
fails "five: no copied tensor matches d.x" copy five out.st --rename 'd.*=m.*' --rename d.x=n
fails "five: no copied tensor matches e.y.*y.x" copy five out.st --rename 'e.y.*y.x=n*'
fails "five: no copied tensor matches *.y.*.y" copy five out.st --rename '*.y.*.y=**'
fails 'five: ST_ERR_DUPLICATE: d.x and d.y would both be named d.y' copy five out.st --rename d.x=d.y
fails 'five: ST_ERR_DUPLICATE: d.x and d.y would both be named d.x' copy five out.st --rename d.x=d.y --rename d.y=d.x
fails 'out.st: ST_ERR_ARGUMENT: "__metadata__"' copy five out.st --rename d.x=__metadata__
for bad in x '*=x' 'x=*' '*.*=*' '*=**' '**=*' '**=**' ''; do
    refused "--rename: expected FROM=TO, with as many * in TO as in FROM, and no **, found $bad" copy five out.st --rename "$bad"
done

# rules in a file come first; --dry-run prints names and writes nothing
printf '\357\273\277# a comment\r\n\r\n  d.*=m.* \r\n\t# another\nm.x=n#1' >rules
chosen "m.y n " --only 'd.*' --rename-file rules --rename 'n#1=n'
st copy five none.st --rename-file rules --dry-run
code "--dry-run" 0
empty "--dry-run" err
printf '%s\n' 'd.x -> n#1' 'd.y -> m.y' 'e.x -> e.x' 'e.y.x -> e.y.x' 'é.x -> é.x' >wanted
same "--dry-run" out wanted
st copy five none.st --only d.x --rename 'd.x="' --dry-run --json
is "--dry-run --json" "$(cat out)" '{"from":"d.x","to":"\""}'
st copy five none.st --rename "d.x=$(printf '\033')x" --dry-run
lacks_bytes "--dry-run escapes names" out ' 1b'
if [ -f none.st ]; then fail "--dry-run wrote a file"; else pass; fi
fails "would both be named d.y" copy five none.st --rename d.x=d.y --dry-run
printf '# one\n\nd.x=a\n*.*=*\n' >rules
fails "rules:4: expected FROM=TO, with as many * in TO as in FROM, and no **, found *.*=*" copy five out.st --rename-file rules
printf 'd.x=a\nd.x=b' >rules
fails "rules:2: five: no copied tensor matches d.x" copy five out.st --rename-file rules
printf 'd.x=a\0b\n' >rules
fails "rules:1: expected FROM=TO" copy five out.st --rename-file rules
printf '\033=x\n' >rules
fails 'rules:1: five: no copied tensor matches \u001b' copy five out.st --rename-file rules
printf '' >rules
quiet copy five out.st --rename-file rules
fails "no-such: cannot open: " copy five out.st --rename-file no-such
printf 'd.x=new\n' | $RUN "$tool" copy five out.st --only d.x --rename-file - >out 2>err
is "--rename-file of standard input: exit code" $? 0
is "--rename-file of standard input" "$(names out.st)" "new "
printf 'd.x=new\nd.x' | $RUN "$tool" copy five out.st --rename-file - >out 2>err
is "a wrong rule in standard input: exit code" $? 1
has "a wrong rule in standard input" err "standard input:2: expected FROM=TO"
i=0
while [ $i -lt 3000 ]; do echo "# $i $entries"; i=$((i + 1)); done >rules
echo d.x=x >>rules
quiet copy five out.st --only d.x --rename-file rules
is "a long file of rules" "$(names out.st)" "x "
fails 'matches \u001bx' copy five out.st --only "$(printf '\033x')"
lacks_bytes "globs in errors are escaped" err ' 1b'
refused "IN and OUT are missing" copy
refused "OUT is missing" copy loose
refused "missing value after option --only" copy loose out.st --only
refused "unknown option --olny; did you mean --only" copy loose out.st --olny x
refused "takes no value" copy loose out.st --json=yes

# a failure leaves the old file
cp canonical old
for bad in cut no-such dir; do
    fails "$bad: ST_ERR_" copy $bad old
    fails "$bad: ST_ERR_" copy --json $bad old
    fails "$bad: ST_ERR_" copy $bad $bad
done
fails "five: ST_ERR_DUPLICATE" copy five old --rename d.x=d.y
same "a copy that failed" old canonical
fails "dir: ST_ERR_IO: this is a directory; expected the path of a file" copy loose dir
fails "no-such/out.st: ST_ERR_NOT_FOUND" copy loose no-such/out.st
fails "canonical/out.st: ST_ERR_" copy loose canonical/out.st
same "a copy below a file" old canonical
is "nothing was made" "$(ls -A dir)$(ls -d no-such 2>/dev/null)" ""

# a copy onto itself
cp loose self
st copy self self
no_rest "copy onto itself"
if [ $code = 0 ]; then
    same "copy onto itself" self canonical
elif [ $system = other ]; then # Windows cannot replace an open file
    has "copy onto itself is refused" err "self: ST_ERR_IO"
    same "copy onto itself is refused" self loose
else
    fail "copy onto itself: $(cat err)"
fi

utf8=$(printf 'na\303\257ve \345\220\215.safetensors')
if cp loose "$utf8" 2>/dev/null; then
    quiet copy "$utf8" "$utf8.copy"
    same "paths beyond ASCII" "$utf8.copy" canonical
    quiet meta "$utf8.copy" --clear --set "k=$utf8"
    st meta "$utf8.copy"
    has_line "metadata beyond ASCII" out "k: $utf8"
    printf 12 >"$utf8.bytes"
    quiet pack "$utf8.copy" "$utf8=U8:2:$utf8.bytes"
    st cat "$utf8.copy" "$utf8"
    is "files and names beyond ASCII" "$(cat out)" 12
else
    skip "paths beyond ASCII: none here"
fi

if [ $system = posix ]; then
    cp loose held && ln held other-name && ln -s held link && ln -s loose to-loose
    quiet copy held held
    same "copy onto a file of two names" held canonical
    same "the other name keeps the old file" other-name loose
    quiet copy to-loose out.st
    same "a link is read through" out.st canonical
    quiet copy kept link
    is "a link is replaced" "$(ls -l link | cut -c1)" -
    same "a link is replaced" link canonical
    same "and what it named stays" held canonical
    ln -s no-such hanging
    quiet copy loose hanging
    same "a link to nothing is replaced" hanging canonical
    is "a link to nothing leads nowhere still" "$(ls -d no-such 2>/dev/null)" ""

    mode() { ls -l "$1" | cut -c1-10; }
    rm -f new
    (umask 027 && "$tool" copy loose new)
    is "permissions of a new file" "$(mode new)" -rw-r-----
    chmod 604 new
    quiet copy kept new
    is "permissions of the file replaced" "$(mode new)" -rw----r--
    quiet meta new --set k=v
    is "permissions of a file with new metadata" "$(mode new)" -rw----r--
    if [ "$(id -u)" = 0 ]; then
        skip "a directory that cannot be written: root writes everywhere"
    else
        mkdir closed && cp loose closed/old && chmod 555 closed
        fails "closed/new: ST_ERR_IO: " copy loose closed/new
        fails "closed/old: ST_ERR_IO: " copy canonical closed/old
        fails "closed/old: ST_ERR_IO: " meta closed/old --set k=v
        same "in a directory that cannot be written" closed/old loose
        chmod 755 closed
    fi

    if mkfifo fifo 2>/dev/null; then
        cat fifo >arrived & # tool_targets.sh tests more of this
        quiet copy loose fifo
        wait $!
        same "copy to a FIFO" arrived canonical
        fails "fifo: ST_ERR_IO" copy fifo out.st
        fails "fifo: ST_ERR_IO" meta fifo --set k=v
        printf 12 >bytes
        if [ -p fifo ]; then pass; else fail "a FIFO was replaced"; fi
    else
        skip "a FIFO as target: none here"
    fi
    if [ -p fifo ] && [ -c /dev/full ]; then # only if FIFOs survive, or the machine could lose its device
        fails "/dev/full: ST_ERR_IO" copy loose /dev/full
        fails "/dev/full: ST_ERR_IO" meta /dev/full --set k=v
        fails "/dev/full: ST_ERR_IO" pack /dev/full a=U8:2:bytes
        if [ -c /dev/full ]; then pass; else fail "/dev/full was replaced"; fi
        is "nothing is left beside /dev/full" "$(find /dev -maxdepth 1 -name '.st-*' 2>/dev/null)" ""
    else
        skip "/dev/full as target: none here"
    fi
else
    skip "links, permissions and devices: not here"
fi

# ---- meta -----------------------------------------------------------------------------------------------------

st meta loose
code "meta" 0
is "meta" "$(cat out)" "z: 1
a: 2"
st meta none
is "meta of a file without" "$(cat out)" "no metadata"
st meta empty
is "empty metadata" "$(cat out)" "the metadata is empty"
json() { # LABEL FILE WANTED: the metadata of FILE
    st meta --json "$2"
    code "$1" 0
    is "$1" "$(cat out)" "$3"
}
json "meta --json" loose '{"z":"1","a":"2"}'
json "meta --json of a file without" none null
json "meta --json, empty" empty '{}'
json "meta --json of opaque tensors" opaque null
fails "cut: ST_ERR_TRUNCATED" meta cut
fails "cut: ST_ERR_TRUNCATED" meta --json cut
fails "no-such: ST_ERR_NOT_FOUND" meta no-such

# edited FROM WANTED OPTIONS...: meta with these options gives the metadata WANTED, through a new file and in place
edited() {
    from=$1 wanted=$2
    shift 2
    fine copy $from roomy --slack 300 --keep-order
    room=$(data_offset roomy)
    cp $from bare
    quiet meta bare --clear
    quiet copy bare bare-copy --keep-order
    for place in "" --in-place; do
        cp roomy changed
        quiet meta changed $place "$@"
        json "meta $place $* of $from" changed "$wanted"
        is "meta $place $*: the header keeps its length" "$(data_offset changed)" "$room"
        quiet meta changed --clear
        quiet copy changed out.st --keep-order
        same "meta $place $*: the tensors" out.st bare-copy
    done
    cp roomy changed
    fine meta changed "$@" --json
    is "meta $* --json" "$(cat out)" "$wanted"
}
edited loose '{"a":"2","k":"v","z":"1"}' --set k=v
edited loose '{"a":"new","z":"1"}' --set a=new
edited loose '{"a":"3","z":""}' --set a=1 --set z= --set a=3
edited loose '{"a":"b=c","z":"1"}' --set a=b=c
edited loose '{"":"v","a":"2","z":"1"}' --set =v
edited loose '{"z":"1"}' --unset a
edited loose '{}' --unset a --unset z
edited loose null --clear
edited loose '{"k":"v"}' --clear --set k=v
edited loose '{"k":"v","z":"1"}' --set k=v --unset a
edited loose '{"a":"new","z":"1"}' --set a=new --unset a
edited none '{"k":"v"}' --set k=v
edited none null --clear
edited empty null --clear
edited empty '{"k":"v"}' --set k=v
edited opaque '{"k":"v"}' --set k=v
edited hostile '{"k":"v"}' --set k=v
edited loose '{"a":"2","q\"\\":"\u001b","z":"1"}' --set "$(printf 'q"\\=\033')"
cp loose changed
quiet meta changed --set k=v
is "meta keeps the order of the tensors" "$(names changed)" "b w a "
fails "changed: the metadata has no key kk; did you mean k?" meta changed --unset kk
fails "changed: the metadata has no key a" meta changed --clear --unset a
quiet meta changed --set k=w --no-sync
json "meta --no-sync" changed '{"a":"2","k":"w","z":"1"}'
long=$(awk 'BEGIN { for (i = 0; i < 10000; i++) printf "v" }')
fine copy loose aligned --align 4096 --slack 100
cp aligned before
fails "aligned: ST_ERR_TOO_LARGE" meta aligned --in-place --set "k=$long"
has "how to make room" err "copy the file first with st copy --slack N"
same "what does not fit in place changes nothing" aligned before
quiet meta aligned --set "k=$long"
is "a header that grows keeps the alignment" $(($(data_offset aligned) % 4096)) 0
json "a header that grows" aligned "{\"a\":\"2\",\"k\":\"$long\",\"z\":\"1\"}"
quiet meta aligned --unset k
quiet copy aligned out.st
same "a header that grew keeps the tensors" out.st canonical
cp none tight
fails "tight: ST_ERR_TOO_LARGE" meta tight --in-place --set k=v
same "not a byte to spare in place" tight none
fails "no-such: ST_ERR_NOT_FOUND" meta no-such --set k=v
fails "no-such: ST_ERR_NOT_FOUND" meta no-such --in-place --set k=v
cp cut cut-before
fails "cut: ST_ERR_TRUNCATED" meta cut --in-place --set k=v
fails "cut: ST_ERR_TRUNCATED" meta cut --set k=v
same "a broken file stays as it is" cut cut-before
fails "dir: ST_ERR_" meta dir --set k=v
if [ $system = posix ]; then
    cp before one && ln one two && cp before three && ln -s three link-to-three
    fails "one: ST_ERR_UNSUPPORTED" meta one --in-place --set k=v
    fails "link-to-three: ST_ERR_UNSUPPORTED" meta link-to-three --in-place --set k=v
    same "a file of two names is not edited in place" two before
    same "a link is not edited in place" three before
    quiet meta one --set k=v
    json "a file of two names, through a new one" one '{"a":"2","k":"v","z":"1"}'
    same "the other name keeps the old one" two before
    odd=$(printf 'k\377=v')
    fails "three: ST_ERR_UTF8" meta three --set "$odd"
    fails "three: ST_ERR_UTF8" meta three --in-place --set "$odd"
    same "a key that is not UTF-8" three before
fi
refused "PATH is missing" meta
refused "too many arguments: expected one PATH" meta loose none
refused "--set: expected K=V, found k" meta loose --set k
refused "nothing to change" meta loose --in-place
refused "nothing to change" meta loose --no-sync
refused "missing value after option --unset" meta loose --unset
refused "unknown option --slack" meta loose --slack 5

# ---- pack -----------------------------------------------------------------------------------------------------

printf abcdefgh >eight
printf WXYZ >four
: >zero
quiet pack out.st w=F32:1:four a=F32::four b=U8:2,4:eight z=BF16:0,7:zero
written wanted "{$a:[0,4]},$w:[4,8]},\
\"z\":{\"dtype\":\"BF16\",\"shape\":[0,7],\"data_offsets\":[8,8]},\"b\":{\"dtype\":\"U8\",\"shape\":[2,4],\"data_offsets\":[8,16]}}" WXYZWXYZabcdefgh
same "pack" out.st wanted
quiet pack out.st w=F32:[1]:four 'a=F32:[]:four' 'b=U8:[2,4]:eight' 'z=BF16:[0,7]:zero' --no-sync
same "shapes in brackets" out.st wanted
quiet pack --keep-order --meta z=1 out.st --meta=a=2 w=F32:1:four a=F32::four
written wanted "{$meta,$w:[0,4]},$a:[4,8]}}" WXYZWXYZ
same "pack --keep-order --meta" out.st wanted
quiet pack out.st --meta =v --meta 'k=' --meta 'e==' a=F32::four
json "metadata that is hard to cut" out.st '{"":"v","e":"=","k":""}'
fine pack out.st b=U8:8:eight --align 256 --slack 64 --json
is "pack --json" "$(cat out)" "{\"path\":\"out.st\",\"tensors\":1,\"bytes\":8,\"file_bytes\":264,\"files\":1}"
is "pack --align" "$(data_offset out.st)" 256
quiet pack eight b=U8:8:eight
st cat eight b
is "pack of a file onto itself" "$(cat out)" abcdefgh
printf abcdefgh >eight
quiet pack out.st "x:y=U8:8:eight"
is "a name with a colon" "$(names out.st)" "x:y "
printf abcdefgh >a:b 2>/dev/null && [ $system = posix ] && quiet pack out.st x=U8:8:a:b
quiet pack -- out.st -x=U8:8:eight
is "a name that begins like an option" "$(names out.st)" "-x "
if [ $system = posix ]; then
    awk 'BEGIN { for (i = 0; i < 3000003; i++) printf "%c", 97 + i * 7 % 26 }' >bytes
    quiet pack out.st big=U8:3000003:bytes
    "$tool" cat out.st big >got
    same "a tensor of many blocks" got bytes
    head -c 3000000 bytes | "$tool" pack out.st big=U16:1500000:- a=F32::four
    is "a tensor of standard input: exit code" $? 0
    "$tool" cat out.st big | cmp - bytes >got 2>&1
    has "a tensor of standard input" got "EOF on -"
    "$tool" pack out.st big=U8:3000003:- <bytes
    "$tool" cat out.st big >got
    same "standard input that is a file" got bytes
fi
# every dtype
for d in BOOL:8 F4:16 U8:8 I8:8 F8_E5M2:8 F8_E4M3:8 F8_E8M0:8 F8_E4M3FNUZ:8 F8_E5M2FNUZ:8 I16:4 U16:4 F16:4 BF16:4 \
    I32:2 U32:2 F32:2 C64:1 F64:1 I64:1 U64:1; do
    quiet pack out.st "t=$d:eight"
    st ls out.st
    has_line "pack $d" out "t  *${d%:*}  *\\[${d#*:}\\]  *8  *[0-9]*"
done
printf 123 >three-bytes
quiet pack out.st t=F6_E2M3:4:three-bytes u=F6_E3M2:2,2:three-bytes

cp canonical old
fails "eight: has 8 bytes, but t needs 7 (U8 [7])" pack old t=U8:7:eight
fails "eight: has 8 bytes, but t needs 24 (F32 [2,3])" pack old t=F32:2,3:eight
fails "four: has 4 bytes, but t needs 0 (U8 [0])" pack old t=U8:0:four
fails "zero: has 0 bytes, but t needs 1 (U8 [])" pack old t=U8::zero
fails "no-such: cannot open: " pack old t=U8::no-such
fails "dir: cannot " pack old t=U8::dir
fails 'old: ST_ERR_DUPLICATE: "t"' pack old t=U8:8:eight t=U8:8:eight
fails 'old: ST_ERR_DUPLICATE: "k"' pack old t=U8:8:eight --meta k=v --meta k=w
fails 'old: ST_ERR_ARGUMENT: "__metadata__"' pack old __metadata__=U8:8:eight
fails 'old: ST_ERR_SUBBYTE: "t"' pack old t=F4:15:eight
fails 'old: ST_ERR_OVERFLOW: "t"' pack old t=U8:4294967296,4294967296:eight
fails 'old: ST_ERR_OVERFLOW: "t"' pack old t=U64:2305843009213693952:eight
fails "ST_ERR_OVERFLOW" pack old t=U64:4611686018427387904,8,0:zero
fails "no-such/out.st: ST_ERR_NOT_FOUND" pack no-such/out.st t=U8:8:eight
fails "dir: ST_ERR_IO" pack dir t=U8:8:eight
fails "ST_ERR_HEADER_LIMIT" pack old t=U8:8:eight --slack 100000001
same "a pack that failed" old canonical
input() { # WANTED BYTES ARGUMENTS...: the command fails with these bytes as standard input
    wanted=$1
    printf %s "$2" >given
    shift 2
    $limit $RUN "$tool" "$@" >out 2>err <given
    code=$?
    code "st $* of standard input" 1
    has "st $* of standard input" err "$wanted"
    no_rest "st $* of standard input"
}
input "standard input: ends after 7 bytes, but t needs 8 (U8 [8])" 1234567 pack old t=U8:8:-
input "standard input: continues after 8 bytes, but t needs 8 (U8 [8])" 123456789 pack old t=U8:8:-
input "standard input: continues after 0 bytes, but t needs 0 (U8 [0])" 1 pack old t=U8:0:-
same "a pack of too much or too little" old canonical
refused "OUT and NAME=DTYPE:SHAPE:FILE are missing" pack
refused "NAME=DTYPE:SHAPE:FILE is missing" pack out.st
refused "standard input can be used for one tensor only, and is used again for u" pack out.st t=U8:1:- u=U8:1:-
refused "--meta: expected K=V, found k" pack out.st t=U8:8:eight --meta k
for bad in t t= t=U8 t=U8: t=U8:8 t=U8:8: U8:8:eight =; do
    refused "expected NAME=DTYPE:SHAPE:FILE, found $bad" pack out.st "$bad"
done
quiet pack out.st t=f32:2:eight
st ls out.st
has_line "a dtype in lower case" out "t  *F32  *\[2\]  *8  *[0-9]*"
quiet pack out.st t=float32:2:eight
quiet pack out2.st t=F32:2:eight
same "a dtype as other libraries call it" out.st out2.st
refused "unknown dtype " pack out.st t=:2:eight
refused "unknown dtype Q8" pack out.st t=Q8:2:eight
for bad in , 2, ,2 2,,3 '[' ']' '[2' '2]' '[2,]' '[[2]]' 2x4 -1 +2 ' 2' '2, 4' 0x8 18446744073709551616; do
    refused "expected a shape such as 2,3 or [2,3], or empty for a scalar, found $bad" pack out.st "t=U8:$bad:eight"
done

# ---- much and large -------------------------------------------------------------------------------------------

count=20000
awk -v n=$count 'BEGIN {
    printf "{"
    for (i = n - 1; i >= 0; i--) {
        printf "%s\"t%05d\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[%d,%d]}", i < n - 1 ? "," : "", i,
            i % 2 ? "U8" : "I16", i % 2 ? 2 : 1, (n - 1 - i) * 2, (n - i) * 2
    }
    printf "}"
}' >header
n=$(($(wc -c <header)))
{
    printf "$(byte $n)$(byte $((n / 256)))$(byte $((n / 65536)))\\000\\000\\000\\000\\000"
    cat header
    awk -v n=$count 'BEGIN { for (i = n - 1; i >= 0; i--) printf "%02d", i % 100 }'
} >many
quiet copy many out.st
is "20,000 tensors" "$(names out.st | awk '{ print NF, $1, $10000, $10001, $20000 }')" "20000 t00000 t19998 t00001 t19999"
st cat out.st t12345
is "the bytes of one of 20,000" "$(cat out)" 45
quiet copy many out.st --only 't*7' --rename 't*=layer.*.weight' --except 't0*'
is "1,000 of 20,000" "$(names out.st | awk '{ print NF, $1 }')" "1000 layer.10007.weight"

# large FILE MIB: makes a sparse file with that many MiB of zeros
large() {
    bytes=$(($2 * 1048576))
    written "$1" "{\"t\":{\"dtype\":\"U8\",\"shape\":[$bytes],\"data_offsets\":[0,$bytes]}}"
    dd if=/dev/zero of="$1" bs=1 count=0 seek=$(($(wc -c <"$1") + bytes)) 2>/dev/null
}
# these tests limit the address space, which not every system and sanitizer allows
if [ $system = posix ] && sh -c 'ulimit -v 40000 && "$0" --version || exit 1' "$tool" >/dev/null 2>&1; then
    large large 96
    (ulimit -v 40000 && "$tool" copy large large.out --no-sync) >out 2>err
    is "96 MiB in 40 MB of memory: exit code" $? 0
    empty "96 MiB in 40 MB of memory" err
    same "96 MiB in 40 MB of memory" large.out large
    (ulimit -v 40000 && "$tool" meta large.out --no-sync --set k=v) 2>err
    empty "new metadata for 96 MiB" err
    json "new metadata for 96 MiB" large.out '{"k":"v"}'
    (ulimit -v 40000 && "$tool" pack large.out --no-sync big=U8:100663296:- </dev/zero) 2>err
    has "an endless input" err "continues after 100663296 bytes"
    (ulimit -v 40000 && head -c 100663296 /dev/zero | "$tool" pack large.out --no-sync t=U8:100663296:-) 2>err
    empty "96 MiB of standard input" err
    same "96 MiB of standard input" large.out large
    rm -f large large.out
else
    skip "large files in little memory: no limit to be had here"
fi

# ---- a disk that is full --------------------------------------------------------------------------------------

# a limit on the length of files acts as the full disk; its unit is 512 or 1,024 bytes
if [ $system = posix ] && (trap '' XFSZ && ulimit -f 100) 2>/dev/null; then
    large large 1
    cp canonical old && cp aligned grown
    full() { # WANTED ARGUMENTS...: the command fails and leaves no temporary file
        wanted=$1
        shift
        (trap '' XFSZ && ulimit -f 100 && $limit "$tool" "$@") >out 2>err
        is "st $* to a full disk: exit code" $? 1
        has "st $* to a full disk" err "$wanted"
        no_rest "st $* to a full disk"
    }
    full "old: ST_ERR_IO: " copy large old
    full "new-file: ST_ERR_IO: " copy large new-file
    full "old: ST_ERR_IO: " pack old t=U8:1000000:- </dev/zero
    full "large: ST_ERR_IO: " meta large --set k=v
    full "grown: ST_ERR_IO: " meta grown --set "k=$long$long$long$long$long$long$long$long$long$long$long$long"
    same "a full disk" old canonical
    same "a full disk" grown aligned
    json "a full disk" large null
    is "a full disk: no new file" "$(ls -d new-file 2>/dev/null)" ""
else
    skip "a full disk: no limit to be had here"
fi

# ---- Ctrl-C ---------------------------------------------------------------------------------------------------

# A FIFO that stays open for writing is an input that never ends. The temporary file shows that the tool has begun.
if [ $system = posix ] && [ -p fifo ]; then
    exec 3<>fifo
    cp canonical old
    wait_for() { # waits for a temporary file, ten seconds at most
        tries=0
        while [ ! "$(find . -name '.st-*')" ] && [ $tries -lt 1000 ]; do
            sleep 0.01 2>/dev/null || sleep 1
            tries=$((tries + 1))
        done
    }
    for signal in TERM:143 HUP:129; do # not INT, which shells ignore in background processes
        printf 'a few' >&3
        "$tool" pack old t=U8:5000000:- <fifo >out 2>err &
        writer=$!
        wait_for
        kill -${signal%:*} $writer
        wait $writer 2>/dev/null
        is "${signal%:*} while it writes: exit code" $? ${signal#*:}
        has "${signal%:*} while it writes" err "st pack: interrupted; old is unchanged"
        no_rest "${signal%:*} while it writes"
        same "${signal%:*} while it writes" old canonical
    done
    # A signal must not be lost if it comes between the tool's look at its flag and a read that blocks. Here it is sent as
    # soon as the temporary file exists, which is about that moment: it used to hang in one try of four.
    race() { # NUMBER: prints "hangs" if the tool hangs
        mkdir race.$1 && cp canonical race.$1/old
        $limit "$tool" pack race.$1/old t=U8:5000000:- <fifo >race.$1/out 2>&1 &
        writer=$!
        until set -- $1 race.$1/.st-* && [ -e "$2" ]; do :; done
        pid=${2##*/.st-} # the tool's own: `timeout` may not know it yet, and would leave the tool running
        kill -TERM ${pid%%-*}
        wait $writer
        case $? in 143) cmp canonical race.$1/old || echo changed ;; *) echo hangs ;; esac
        rm -rf race.$1
    }
    long_limit=$limit
    limit=${limit:+timeout 5}
    for round in $(awk 'BEGIN { for (i = 0; i < 20; i++) print i }'); do
        race 1 &
        race 2 &
        race 3 &
        wait
    done >races 2>/dev/null
    limit=$long_limit
    is "a signal just before a read that blocks" "$(sort races | uniq -c)" ""
    exec 3>&-
    if [ "$limit" ] && [ ! "$(sh -c 'kill -INT $$; echo ignored' 2>/dev/null)" ]; then
        exec 3<>fifo
        timeout -s INT 1 "$tool" pack old t=U8:8:- <fifo >out 2>err
        has "INT while it writes" err "st pack: interrupted; old is unchanged"
        no_rest "INT while it writes"
        same "INT while it writes" old canonical
        exec 3>&-
    else
        skip "INT: ignored here, or nobody to send it"
    fi
    large large 256
    "$tool" copy large old >out 2>err &
    writer=$!
    wait_for
    kill -TERM $writer 2>/dev/null
    wait $writer 2>/dev/null
    status=$?
    no_rest "TERM while it copies"
    if [ $status = 143 ] && [ -s err ]; then
        has "TERM while it copies" err "st copy: interrupted; old is unchanged"
        same "TERM while it copies" old canonical
    else
        skip "TERM while it copies: too quick for us"
    fi
    rm -f large old
else
    skip "signals: only where the tool starts by itself"
fi

# ---- progress -------------------------------------------------------------------------------------------------

slow() { # writes two MiB with a pause between them
    head -c 1048576 /dev/zero
    sleep 2
    head -c 1048576 /dev/zero
}
if [ $system = posix ]; then
    slow | "$tool" pack out.st t=U8:2097152:- >out 2>err
    is "no progress where there is no terminal" "$(cat out err)" ""
fi
if [ $system = posix ] && script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
    export tool
    head -c 2097152 /dev/zero >two-mib
    script -qec '{ head -c 1048576 two-mib; sleep 2; head -c 1048576 two-mib; } | "$tool" pack out.st t=U8:2097152:-' /dev/null \
        >out 2>err </dev/null
    has "progress on a terminal" out "] 100 %  2.0 MiB of 2.0 MiB  "
    has "progress on a terminal: the rate" out "iB/s"
    is "progress is wiped away" "$(tr '\r' '\n' <out | tail -n 1 | tr -d ' ')" ""
    lacks_bytes "progress is no escape sequence" out ' 1b'
    script -qec '"$tool" copy loose out.st' /dev/null >out 2>err </dev/null
    is "a quick copy says nothing" "$(cat out err)" ""
else
    skip "progress: script(1) of util-linux is not here"
fi

# ---- real files -----------------------------------------------------------------------------------------------

if [ "$real" ]; then
    quiet copy "$real/all-dtypes-shuffled.safetensors" out.st
    same "all dtypes, in the reference's order" out.st "$real/all-dtypes.safetensors"
    quiet copy "$real/all-dtypes.safetensors" out.st
    same "all dtypes, once more" out.st "$real/all-dtypes.safetensors"
    quiet copy --keep-order "$real/silero_vad_16k.safetensors" out.st
    is "silero: the tensors" "$(names out.st)" "$(names "$real/silero_vad_16k.safetensors")"
    for t in $(names out.st); do
        "$tool" cat out.st "$t" >got 2>/dev/null
        "$tool" cat "$real/silero_vad_16k.safetensors" "$t" >wanted 2>/dev/null
        same "silero: $t" got wanted
    done
    fails "ST_ERR_TRUNCATED" copy "$real/cut-download.safetensors" out.st
else
    skip "real files: ../shared/real is not here"
fi

finish
