#!/bin/sh
# tool_targets.sh [ST]: tests as a black box (see tools/blackbox.sh) where the tool writes: to standard output, FIFOs and
# devices, in place (--direct), and into one tensor (put).

name=tool_targets
. "$(dirname "$0")/tools/blackbox.sh"

entries='"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}'
written m "{$entries}" 'abcdXY'
cp m before
mkdir parts
st shard m parts --max-size 4B
code "shard" 0
out_is() { # LABEL COMMAND ARGUMENTS...: exit code 0, nothing on standard error, and standard output is the model
    label=$1
    shift
    st "$@"
    code "$label" 0
    empty "$label" err
    same "$label" out before
}

# ---- standard output ------------------------------------------------------------------------------------------

out_is "copy to -" copy m -
out_is "merge to -" merge parts -
printf abcd >a.bin
printf XY >b.bin
out_is "pack to -" pack - a=U8:4:a.bin b=U8:2:b.bin
st convert m - --dtype f16
code "convert to -" 0
same "convert to - (nothing to convert)" out before
is "- is no file" "$(ls -d ./- 2>/dev/null)" ""
no_rest "to -"
if [ ! "$RUN" ]; then
    is "a file called -" "$("$tool" copy m ./- && cmp ./- before && rm ./- && echo fine)" fine
    is "standard output is piped" "$("$tool" copy m - | cat | cmp - before && echo fine)" fine
fi
fails "parts: no tensor matches x" copy parts - --only x
fails "-: ST_ERR_IO: a stream takes one file, and IN has several: use st merge" copy parts -
fails "a stream takes one file" shard m -
fails 'm: ST_ERR_DUPLICATE: a and b would both be named b' copy m - --rename a=b
fails 'standard output: ST_ERR_DUPLICATE: "a"' pack - a=U8:4:a.bin a=U8:4:a.bin
lacks "messages about standard output" err "(sink)"
refused "--json: cannot read back and describe what was written to -" copy m - --json
refused "--json: cannot read back and describe what was written to -" pack - a=U8:4:a.bin --json
refused "--json: cannot read back" merge parts - --json
fails "a.bin: has 4 bytes, but a needs 5 (U8 [5])" pack - a=U8:5:a.bin

# ---- FIFOs and devices ----------------------------------------------------------------------------------------

if [ $system = posix ] && mkfifo fifo 2>/dev/null; then
    stream() { # LABEL COMMAND ARGUMENTS...: OUT is fifo, or a link to it
        label=$1
        shift
        cat fifo >arrived &
        st "$@"
        wait $!
        code "$label" 0
        empty "$label" err
        same "$label" arrived before
        is "$label: a FIFO still" "$([ -p fifo ] && echo fifo)" fifo
        no_rest "$label"
    }
    stream "copy to a FIFO" copy m fifo
    stream "merge to a FIFO" merge parts fifo
    stream "pack to a FIFO" pack fifo a=U8:4:a.bin b=U8:2:b.bin
    ln -s fifo link
    stream "copy to a link to a FIFO" copy m link
    is "the link is a link" "$([ -L link ] && echo link)" link
    stream "--direct to a FIFO" copy --direct m fifo
    refused "--json: cannot read back" copy m fifo --json
    fails "a stream takes one file" copy parts fifo
    fails "ST_ERR_IO" meta fifo --set k=v
    ln -s /dev/null null
    quiet copy m null
    is "a link to a device" "$(readlink null)" /dev/null
    quiet pack null a=U8:4:a.bin
    is "a link to a device" "$(readlink null)" /dev/null
    if [ -w /dev/full ]; then
        fails "/dev/full: ST_ERR_IO: cannot write: No space left on device" copy m /dev/full
        "$tool" copy m - >/dev/full 2>err
        is "standard output is full: exit code" $? 1
        is "standard output is full" "$(cat err)" "st: cannot write to standard output: No space left on device"
    fi
    if [ -L /dev/stdout ]; then
        stdout=$(readlink /dev/stdout)
        out_is "copy to /dev/stdout, a file" copy m /dev/stdout
        is "copy to /dev/stdout, a pipe" "$("$tool" copy m /dev/stdout | cmp - before && echo fine)" fine
        is "/dev/stdout" "$(readlink /dev/stdout)" "$stdout"
    fi
    mkdir dir
    fails "this is a directory" copy m dir
    ln -s dir dirlink
    fails "this is a directory" copy m dirlink
    # a reader that never comes, and one that does not read
    for signal in TERM:143 HUP:129; do
        "$tool" copy m fifo >out 2>err &
        writer=$!
        sleep 1
        kill -${signal%:*} $writer
        wait $writer 2>/dev/null
        is "$signal while nobody reads" $? ${signal#*:}
        has "$signal while nobody reads" err "st copy: interrupted; fifo is unchanged"
    done
    head -c 300000 /dev/zero >zeros
    exec 3<>fifo
    "$tool" pack fifo z=U8:300000:zeros >out 2>err &
    writer=$!
    sleep 1
    kill -TERM $writer
    wait $writer 2>/dev/null
    is "TERM while the FIFO is full" $? 143
    has "TERM while the FIFO is full" err "st pack: interrupted; fifo is incomplete"
    exec 3>&-
else
    skip "FIFOs and devices are those of POSIX"
fi

# ---- in place -------------------------------------------------------------------------------------------------

quiet copy --direct m new
same "--direct" new before
printf 'an older file that is longer than the new one, which it does not show afterwards: %0200d' 0 >older
[ $system = posix ] && inode=$(ls -i older | awk '{ print $1 }')
quiet copy --direct m older
same "--direct over a file" older before
[ $system = posix ] && is "--direct: the same file" "$(ls -i older | awk '{ print $1 }')" "$inode"
quiet merge --direct parts older
same "merge --direct" older before
quiet pack --direct older a=U8:4:a.bin b=U8:2:b.bin
same "pack --direct" older before
quiet convert --direct m older --dtype f16
same "convert --direct" older before
for command in "copy m m" "merge m ./m" "convert m m --dtype f32"; do
    fails "ST_ERR_UNSUPPORTED: --direct cannot write to a file of IN: choose another OUT" $command --direct
    same "$command --direct" m before
done
fails "ST_ERR_UNSUPPORTED: --direct cannot write to a file of IN" merge parts parts/model-00001-of-00002.safetensors --direct
st check parts
code "parts are whole" 0
fails 'ST_ERR_ARGUMENT: "--direct"' shard m more --direct
if [ $system = posix ]; then
    ln -s new symbolic
    fails "ST_ERR_UNSUPPORTED: cannot write in place: the file is a symbolic link or has several names" copy m symbolic --direct
    ln new hard
    fails "ST_ERR_UNSUPPORTED: cannot write in place" copy m hard --direct
    same "files that are refused" new before
    rm symbolic hard
fi

# ---- put ------------------------------------------------------------------------------------------------------

st put --help
code "put --help" 0
has "put --help" out "usage: st put [OPTIONS] MODEL TENSOR FILE"
is "help fits 80 columns" "$(awk 'length($0) > 80' out)" ""
has "put --help" out "  --offset N"
has "put --help" out "  --no-sync"
written changed "{$entries}" 'ABCDXY'
written part "{$entries}" 'ABcdXY'
input() { # BYTES ARGUMENTS...: runs the tool with these bytes as standard input
    printf "$1" >bytes
    shift
    $limit $RUN "$tool" "$@" <bytes >out 2>err
    code=$?
}
printf ABCD >new.bin
quiet put m a new.bin
same "put" m changed
quiet put m a a.bin --no-sync
same "put back" m before
input AB put m a - --offset 0
code "put --offset 0 of two bytes" 0
same "put --offset 0" m part
input CD put m a --offset=2 -
code "put --offset 2" 0
same "put --offset 2" m changed
input '' put m a - --offset 4
code "nothing at the end" 0
same "nothing at the end" m changed
input abcd put m a -
code "put from standard input" 0
same "put from standard input" m before
if [ $system = posix ]; then
    is "put from a pipe" "$(printf ABCD | "$tool" put m a - && cmp m changed && echo fine)" fine
    cat a.bin >fifo &
    quiet put m a fifo
    same "put from a FIFO" m before
fi
for bytes in '' abc abcde; do
    printf "$bytes" >wrong
    fails "wrong: has" put m a wrong
    has "put a wrong size" err "but a needs 4 (U8 [4])"
    input "$bytes" put m a -
    code "put a wrong size from standard input" 1
    has "put a wrong size from standard input" err "but a needs 4 (U8 [4])"
    same "a wrong size" m before
done
input abc put m a - --offset 2
code "too much behind an offset" 1
has "too much behind an offset" err "standard input: continues after 2 bytes, but a has 2 from byte 2 on"
fails "new.bin: has 4 bytes, but a has 2 from byte 2 on" put m a new.bin --offset 2
refused "--offset is past the end of the tensor: 5" put m a new.bin --offset 5
refused "--offset: expected a number of bytes, found x" put m a new.bin --offset x
refused "expected MODEL, TENSOR and FILE" put m a
refused "too many arguments: expected MODEL, TENSOR and FILE" put m a new.bin more
refused "cannot write to the Hugging Face cache: hub:a/b" put hub:a/b a new.bin
fails "m: the model has no tensor c" put m c new.bin
fails "nowhere: cannot open" put m a nowhere
fails "nothing: ST_ERR_NOT_FOUND" put nothing a new.bin
same "what is refused changes nothing" m before
cp parts/*-00001-* one
printf QR >qr.bin
quiet put parts b qr.bin
st cat parts b
is "put into a model of several files" "$(cat out)" QR
quiet put parts/model.safetensors.index.json b b.bin
st cat parts b
is "put by the index" "$(cat out)" XY
same "the other file is as it was" "$(ls parts/*-00001-*)" one
if [ $system = posix ]; then
    ln -s m symbolic
    fails "ST_ERR_UNSUPPORTED: cannot write in place: the file is a symbolic link or has several names" put symbolic a new.bin
    ln m hard
    fails "ST_ERR_UNSUPPORTED" put m a new.bin
    same "links" m before
    rm hard symbolic
fi
# the hub's cache, also where it holds no links
commit=0123456789abcdef0123456789abcdef01234567
mkdir -p hub/models--a--b/blobs hub/models--a--b/snapshots/$commit
cp m hub/models--a--b/snapshots/$commit/model.safetensors
fails "cannot change a file of the Hugging Face cache" put hub/models--a--b/snapshots/$commit a new.bin
same "a file of the cache" hub/models--a--b/snapshots/$commit/model.safetensors before
blob=hub/models--a--b/blobs/$(printf '%064d' 7)
cp m $blob
fails "cannot change a file of the Hugging Face cache" put $blob a new.bin
same "a blob" $blob before
# more than a block of 64 MiB
head -c 70000001 /dev/zero | tr '\0' z >large.bin
head -c 70000001 /dev/zero >zero.bin
st pack large t=U8:70000001:zero.bin --no-sync
if [ "$code" = 0 ]; then
    quiet put large t large.bin --no-sync
    st cat large t
    same "more than a block" out large.bin
    quiet put large t a.bin --offset 69999000
    st cat large t --offset 69999000 --bytes 5
    is "at an offset" "$(cat out)" abcdz
fi
rm -f large large.bin zero.bin
finish
