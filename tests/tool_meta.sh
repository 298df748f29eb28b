#!/bin/sh
# tool_meta.sh [ST]: tests st meta on models of several files, --get and --set-file as a black box (see tools/blackbox.sh).

name=tool_meta
. "$(dirname "$0")/tools/blackbox.sh"

# ---- files ----------------------------------------------------------------------------------------------------

# make DIRECTORY: a model of three files, with metadata in the first and the third
make() {
    rm -rf "$1" && mkdir "$1"
    model "$1/model-00001-of-00003.safetensors" '{"__metadata__":{"format":"np","only":"1"}, "b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}              ' 'bba'
    model "$1/model-00002-of-00003.safetensors" '{"c":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}' 'ccc'
    model "$1/model-00003-of-00003.safetensors" '{"__metadata__":{"other":"x"},"d":{"dtype":"Q3","shape":[9],"data_offsets":[0,4]}}' 'dddd'
    f=model-0000 of=-of-00003.safetensors
    printf '{"metadata":{"total_size":10},"weight_map":{"a":"%s","b":"%s","c":"%s","d":"%s"}}' \
        ${f}1$of ${f}1$of ${f}2$of ${f}3$of >"$1/model.safetensors.index.json"
}
one=model-00001-of-00003.safetensors two=model-00002-of-00003.safetensors three=model-00003-of-00003.safetensors
# metadata LABEL FILE WANTED: the metadata of the file as JSON
metadata() {
    st meta --json "$2"
    is "$1: $2" "$(cat out)" "$3"
}
# each LABEL DIRECTORY WANTED...: the metadata of its three files
each() {
    metadata "$1" "$2/$one" "$3"
    metadata "$1" "$2/$two" "$4"
    metadata "$1" "$2/$three" "$5"
}
# unchanged LABEL DIRECTORY: it is as `make` makes it
unchanged() {
    for file in $one $two $three model.safetensors.index.json; do same "$1: $file" "$2/$file" "original/$file"; done
    is "$1: names" "$(ls -A "$2" | wc -l | tr -d ' ')" 4
}
make original
same_data() { # LABEL DIRECTORY: the tensors are those of `original`, in their order
    for file in $one $two $three; do
        st hash "$2/$file"
        sed -n 's/^data  *\([0-9a-f]*\) .*/\1/p' out >digest
        st hash "original/$file"
        is "$1: data of $file" "$(sed -n 's/^data  *\([0-9a-f]*\) .*/\1/p' out)" "$(cat digest)"
        order_of "$2/$file"
        order=$entries
        order_of "original/$file"
        is "$1: order of $file" "$order" "$entries"
    done
    same "$1: the index" "$2/model.safetensors.index.json" original/model.safetensors.index.json
}
order_of() { # FILE: sets $entries to its tensors in their order, of unknown dtypes too
    quiet copy --keep-order "$1" listed
    quiet meta listed --clear
    quiet copy --keep-order listed plain
    entries=$(tr -d '\000-\037' <plain | sed 's/^[^{]*//')
}

# ---- all files ------------------------------------------------------------------------------------------------

for given in m m/model.safetensors.index.json; do
    make m
    quiet meta $given --set format=pt
    each "--set of $given" m '{"format":"pt","only":"1"}' '{"format":"pt"}' '{"format":"pt","other":"x"}'
    same_data "--set of $given" m
    st meta $given
    is "meta prints the first file's" "$(cat out)" "format: pt
only: 1"
done
is "what is in the directory" "$(ls -A m | wc -l | tr -d ' ')" 4
quiet meta m --clear
each "--clear" m null null null
quiet meta m --set a=1 --set b=2 --no-sync
fine meta m --unset a --set c=3 --json
is "meta --json after a change" "$(cat out)" '{"b":"2","c":"3"}'
each "--unset" m '{"b":"2","c":"3"}' '{"b":"2","c":"3"}' '{"b":"2","c":"3"}'
make m
quiet meta m --unset other
each "--unset of a key of one file" m '{"format":"np","only":"1"}' null '{}'
make m
fails "m: the metadata has no key onyl; did you mean only?" meta m --unset onyl
unchanged "--unset of no file's key" m
data=$(data_offset m/$one)
quiet meta m --set k=v
is "a header with slack keeps its length" "$(data_offset m/$one)" "$data"
mkdir single && cp original/$two single/model.safetensors
quiet meta single --set k=v
metadata "a directory of one file" single/model.safetensors '{"k":"v"}'
if [ $system = posix ]; then
    make m
    chmod 604 m/$two
    quiet meta m --set k=v
    is "permissions" "$(ls -l m/$two | cut -c1-10)" "-rw----r--"
    mkdir elsewhere && mv m/$two elsewhere && ln -s ../elsewhere/$two m/$two
    quiet meta m --set k=w
    is "a link is replaced" "$(ls -l m/$two | cut -c1)" -
    metadata "a link is replaced" m/$two '{"k":"w"}'
    metadata "what it led to stays" elsewhere/$two '{"k":"v"}'
fi

# all or nothing: a file that cannot be written, one that is damaged, a value that is wrong
make m
if [ $system = posix ]; then # Windows has no such arguments
    bad=$(printf 'k\377=v')
    fails "ST_ERR_UTF8" meta m --set "$bad"
    unchanged "a key that is not UTF-8" m
fi
printf x >>m/$three
fails "ST_ERR_TRAILING" meta m --set k=v
make m
if (trap '' XFSZ && ulimit -f 1 && ! dd if=/dev/zero of=large bs=4096 count=1) 2>/dev/null; then
    dd if=/dev/zero of=bytes bs=100000 count=1 2>/dev/null
    quiet pack m/$three d=U8:100000:bytes --meta other=x
    cp m/$three before-three
    (trap '' XFSZ && ulimit -f 20 && st meta m --set k=v && printf %s "$code" >code)
    is "no space for the third file" "$(cat code)" 1
    has "no space for the third file" err "m/$three: ST_ERR_IO: "
    lacks "no temporary name in a message" err .st-
    same "the third file" m/$three before-three
    cp original/$three m
    unchanged "no space for the third file" m
    no_rest "no space for the third file"
else
    skip "a limit on the size of files: not here"
fi

# ---- in place -------------------------------------------------------------------------------------------------

make m
for file in $one $two $three; do quiet copy --keep-order original/$file m/$file --slack 60; done
rm -rf roomy && cp -r m roomy
quiet meta m --in-place --set format=pt
each "in place" m '{"format":"pt","only":"1"}' '{"format":"pt"}' '{"format":"pt","other":"x"}'
same_data "in place" m
for file in $one $two $three; do is "in place: length" "$(wc -c <m/$file)" "$(wc -c <roomy/$file)"; done
rm -rf m && cp -r roomy m
cp original/$two m
fails "m/$two: ST_ERR_TOO_LARGE: new header needs 96 bytes before the data, only 61 available" meta m --in-place --set key=v1
has "how to make room" err "omit --in-place"
for file in $one $three; do same "what fits in some files only: $file" m/$file roomy/$file; done
same "what fits in some files only" m/$two original/$two
if [ $system = posix ]; then
    rm -rf m && cp -r roomy m
    mv m/$three target && ln -s ../target m/$three
    fails "m/$three: ST_ERR_UNSUPPORTED" meta m --in-place --set k=v
    for file in $one $two $three; do same "a link among files to edit in place: $file" m/$file roomy/$file; done
fi

# ---- --get and --set-file -------------------------------------------------------------------------------------

make m
fine meta m --get format
is "--get" "$(cat out)" np
fine meta m/$three --get other --json
is "--get --json" "$(cat out)" '"x"'
fails "m: the metadata has no key forma; did you mean format?" meta m --get forma
fails "the metadata has no key format" meta m/$two --get format
fails "the metadata has no key other" meta m --get other # which is in the third file only
fails "ST_ERR_NOT_FOUND" meta no-such --get k
: >none
printf 'two\nlines \303\251 \033[31m\tq"\\' >value
cp value wanted && echo >>wanted
quiet meta m --set-file text=value --set-file empty=none
st meta m --get text
same "--set-file and --get" out wanted
st meta m/$two --get text --json
is "--get --json of control characters" "$(cat out)" '"two\nlines é \u001b[31m\tq\"\\"'
st meta m --get empty
is "an empty file" "$(cat out)" ""
st meta m
has "printing escapes it" out 'text: two\nlines é \u001b[31m\tq"\'
$RUN "$tool" meta m --set-file in=- <value
st meta m --get in
same "--set-file from standard input" out wanted
awk 'BEGIN { for (i = 0; i < 300000; i++) printf "%d", i % 10 }' >long
quiet meta m --set-file long=long
st meta m --get long
is "--set-file of 300000 bytes" "$(wc -c <out | tr -d ' ')" 300001
printf '\377' >odd
make m
fails "ST_ERR_UTF8" meta m --set-file k=odd
fails "no-such-value: " meta m --set-file k=no-such-value
unchanged "--set-file that failed" m
refused "--set-file: expected K=PATH, found k" meta m --set-file k
refused "--set: expected K=V, found k" meta m --set k
refused "--get cannot be combined with a change" meta m --get k --set k=v
refused "nothing to change" meta m --get k --in-place
refused "missing value after option --get" meta m --get

# ---- the hub's cache ------------------------------------------------------------------------------------------

commit=0123456789abcdef0123456789abcdef01234567
mkdir -p hub/models--a--b/blobs hub/models--a--b/refs hub/models--a--b/snapshots
cp -r original hub/models--a--b/snapshots/$commit
printf %s $commit >hub/models--a--b/refs/main
HF_HUB_CACHE=$tmp/hub
export HF_HUB_CACHE
snapshot=hub/models--a--b/snapshots/$commit
refused "cannot write to the Hugging Face cache" meta hub:a/b --set k=v
fails "cannot change a file of the Hugging Face cache" meta $snapshot --set k=v
fails "cannot change a file of the Hugging Face cache" meta $snapshot/$one --set k=v --in-place
unchanged "a snapshot" $snapshot
fine meta hub:a/b --get format
if [ $system = posix ]; then
    blob=$(printf '%064d' 7)
    cp original/$one hub/models--a--b/blobs/$blob
    ln -s hub/models--a--b/blobs/$blob link
    fails "cannot change a file of the Hugging Face cache" meta link --set k=v
    same "a blob" hub/models--a--b/blobs/$blob original/$one
fi
no_rest "st meta"
finish
