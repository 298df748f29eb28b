#!/bin/sh
# ckpt.sh: the checkpoint manager: acceptance vectors V-F6, V-F8 and V-F10 to V-F17, hostile directories, several processes,
# system calls that fail or are the last one before a crash, and Windows.
check=example-ckpt
. tests/tools/lib.sh
top=$PWD out=$PWD/$out
sources="examples/ckpt/*.c examples/common/memory.c examples/common/folder.c examples/common/text.c examples/common/json.c
    examples/common/progress.c"
cc=${CC:-cc}
$cc -O1 -I. -c examples/common/lib.c -o "$out/lib.o" || exit 1
try "build with warnings" $cc -std=gnu99 -O1 -g $WARN -I. $sources "$out/lib.o" -o "$out/ckpt" || finish
wc=$(cat examples/ckpt/* | wc -l)
[ "$wc" -lt 1000 ] && pass || fail "$wc lines"
if have clang-14; then
    # fast enough for the library, too
    try "build with sanitizers" clang-14 -std=gnu99 -O1 -g $WARN -fsanitize=address,undefined -fno-sanitize-recover=all -I. \
        $sources "$out/lib.o" -o "$out/ckpt-asan" || cp "$out/ckpt" "$out/ckpt-asan"
else
    cp "$out/ckpt" "$out/ckpt-asan"
fi
[ -x build/st ] || ${MAKE:-make} build/st >/dev/null
rm -rf "$out/work" && mkdir "$out/work" && cd "$out/work" || exit 1
st=$top/build/st
ckpt=$out/ckpt-asan
head -c 48 /dev/zero >zeros
head -c 16 zeros >zeros16
head -c 8 zeros >zeros8
"$st" pack single.safetensors w.a=F32:2,2:zeros16 w.b=F16:4:zeros8 w.c=F32:4:zeros16 || exit 1
mkdir sharded && "$st" shard single.safetensors sharded --max-size 16B >/dev/null || exit 1

# run ARGUMENTS...: sets $status, got and messages
run() {
    timeout 60 $ckpt "$@" >got 2>messages
    status=$?
    if grep -q 'Sanitizer\|runtime error' messages; then fail "$*: $(grep -m 1 'Sanitizer\|runtime error' messages)"; fi
}
# is STATUS WANTED ARGUMENTS...: the exit status, and exactly this on standard output
is() {
    wanted_status=$1 wanted=$2
    shift 2
    run "$@"
    if [ $status = "$wanted_status" ] && [ "$(cat got)" = "$wanted" ]; then pass; else
        fail "$where: ckpt $*: exit status $status"
        printf '    %s\n' "$wanted" "$(cat got)" "$(head -n 3 messages)"
    fi
}
# refuses STATUS MESSAGE ARGUMENTS...: the exit status, and this on standard error
refuses() {
    wanted_status=$1 wanted=$2
    shift 2
    run "$@"
    if [ $status = "$wanted_status" ] && grep -qF -e "$wanted" messages; then pass; else
        fail "$where: ckpt $*: exit status $status: $(head -n 3 messages)"
    fi
}
# begin RUN: an empty directory; later functions make checkpoints in it, each a minute newer than the last
begin() {
    where=$1 time=1767225600 # 2026-01-01T00:00:00Z
    rm -rf "$1" && mkdir -p "$1/checkpoints"
}
save() { # ID: a checkpoint with a model of one file
    mkdir -p "$where/checkpoints/checkpoint-$1"
    cp single.safetensors "$where/checkpoints/checkpoint-$1/model.safetensors"
    age "$1"
}
age() { # ID: makes it the newest
    time=$((time + 60))
    touch -d "@$time" "$where/checkpoints/checkpoint-$1"
}
left() { # WANTED: the checkpoints that are there
    now=$(ls "$where/checkpoints" | sed 's/^checkpoint-//' | sort -n | tr '\n' ' ')
    if [ "$now" = "$1 " ]; then pass; else fail "$where: ckpt leaves $now, not $1"; fi
    if ls -A "$where/checkpoints" | grep -q '^\.'; then fail "$where: $(ls -A "$where/checkpoints" | grep '^\.')"; fi
}
path() { # RUN ID: the answer of latest and next
    echo "{\"path\": \"$1/checkpoints/checkpoint-$2\"}"
}
none='{"path": null}'

usage_and_help() {
    where=usage
    run --help
    [ $status = 0 ] && grep -q '^usage: ckpt COMMAND DIR' got && [ ! -s messages ] && pass || fail "--help"
    refuses 2 "COMMAND is missing"
    refuses 2 "unknown command delete" delete x
    refuses 2 "DIR is missing after latest" latest
    refuses 2 "unexpected argument y" latest x y
    refuses 2 "unknown option --force" latest x --force
    refuses 2 "unknown option --max=3" rotate x --max=3
    refuses 2 "this option needs a value: --max" rotate x --max
    for n in 0 -1 x 1000000000 99999999999999999999 ''; do refuses 2 "expected --max N" rotate x --max "$n"; done
    refuses 2 "expected --max N" rotate x
    refuses 2 "expected --n N" best x --metric loss --n 0
    refuses 2 "--metric KEY is missing" best x
    refuses 2 "ID is missing" next x
    refuses 2 "an ID cannot contain a slash" next x ../y
    refuses 2 "expected KEY=NUMBER" save-metrics x loss
}

# V-F8: which file is found. V-F16: an explicit path
found() { # FILE IS_INDEX IS_SAFETENSORS: what validate says of the directory d
    is 0 "{\"path\": \"d\", \"valid\": true, \"file\": \"$1\", \"is_index\": $2, \"is_safetensors\": $3}" validate d
}
invalid='"valid": false, "file": null, "is_index": false, "is_safetensors": false}'
detection() {
    where=detection
    rm -rf d && mkdir d
    is 1 "{\"path\": \"d\", $invalid" validate d
    is 1 "{\"path\": \"nowhere\", $invalid" validate nowhere
    : >d/model.safetensors
    found model.safetensors false true
    : >d/pytorch_model.bin
    found pytorch_model.bin false false
    : >d/pytorch_model.bin.index.json
    found pytorch_model.bin.index.json true false
    : >d/model.safetensors.index.json
    found model.safetensors.index.json true true
    rm d/* && : >d/pytorch_model.bin.index.json
    found pytorch_model.bin.index.json true false
    rm d/* && : >d/pytorch_model.bin
    found pytorch_model.bin false false
    rm d/* && mkdir d/model.safetensors
    is 1 "{\"path\": \"d\", $invalid" validate d
    : >d/.forgather_no_model_weights
    is 0 '{"path": "d", "valid": true, "file": null, "is_index": false, "is_safetensors": false}' validate d
    is 0 '{"path": "d", "ok": true, "read": false}' verify d
    is 0 '{"path": "d", "tensors": 0, "shards": []}' info d
    rm -rf d && mkdir d && : >d/pytorch_model.bin
    refuses 1 "d: holds only files of PyTorch" verify d
    # F09: a directory to save to
    refuses 1 "d: holds a checkpoint" validate d --output
    run validate d --output --overwrite
    [ $status = 0 ] && grep -q "will be overwritten" messages && pass || fail "--overwrite"
    refuses 1 "zeros: is not a directory" validate zeros --output
    run validate nowhere --output
    [ $status = 0 ] && pass || fail "a new directory to save to"
    # F47, V-F16
    begin resume && save 1 && save 2
    is 0 "$(path resume 2)" latest resume --resume true
    is 0 "$(path resume 1)" latest resume --resume resume/checkpoints/checkpoint-1
    is 0 "$none" latest resume --resume resume/checkpoints/checkpoint-3
    is 0 "$none" latest resume --resume zeros
    is 0 "$none" latest resume --resume false
}

# V-F12, V-F13
newest() {
    begin order && save 300 && save 100 && save 200
    is 0 "$(path order 200)" latest order
    is 0 '{"path": "order/checkpoints/checkpoint-200"}' latest order/
    begin invalid && mkdir invalid/checkpoints/checkpoint-1 && is 0 "$none" latest invalid
    cp single.safetensors invalid/model.safetensors && is 0 "$none" latest invalid # no fallback to the root
    begin empty && is 0 "$none" latest empty
    rmdir empty/checkpoints && is 0 "$none" latest empty
    is 0 "$none" latest nowhere
    cp single.safetensors empty/model.safetensors && is 0 '{"path": "empty"}' latest empty
    refuses 1 "zeros: " latest zeros
    begin equal # equal times: by number, of any length, at the end of the name
    newer=18446744073709551616
    for id in 9 10 x-11 step_12 "$newer" 18446744073709551615 0018446744073709551617 13; do save $id; done
    touch -d 2026-01-01 equal/checkpoints/checkpoint-*
    for id in 0018446744073709551617 "$newer" 18446744073709551615 13 x-11 10 9 step_12; do
        is 0 "$(path equal $id)" latest equal
        rm -r "equal/checkpoints/checkpoint-$id"
    done
    begin manifest && save 1 && save 2
    printf '{"step": 1, "timestamp": "2026-01-01T09:00:00+00:00"}' >manifest/checkpoints/checkpoint-1/checkpoint_manifest.json
    age 2
    is 0 "$(path manifest 1)" latest manifest
    printf '{"timestamp": "2026-01-01T01:00:00.5+05:30"}' >manifest/checkpoints/checkpoint-1/checkpoint_manifest.json
    is 0 "$(path manifest 2)" latest manifest
    printf '{"timestamp": "2026-01-01T01:00:00.5-05:30"}' >manifest/checkpoints/checkpoint-1/checkpoint_manifest.json
    is 0 "$(path manifest 1)" latest manifest
    for bad in '{"timestamp": 5}' '{"timestamp": "2026-02-30T00:00:00"}' '{"timestamp": "soon"}' '[' '' '{"timestamp": "2030-01-01"} x' \
        '{"timestamp": "2030-01-01T25:00"}' '{"timestamp": "2030-01-01T00:00:00+1"}' '{"timestamp": "2030-01-01\u0000"}'; do
        printf %s "$bad" >manifest/checkpoints/checkpoint-1/checkpoint_manifest.json
        touch -d 2025-01-01 manifest/checkpoints/checkpoint-1
        is 0 "$(path manifest 2)" latest manifest
        grep -q "checkpoint-1: checkpoint_manifest.json has no valid timestamp" messages && pass || fail "no warning about $bad"
    done
    for id in 1000 step_500 0; do is 0 "{\"path\": \"m/checkpoints/checkpoint-$id\"}" next m $id; done
}

# V-F11
rotation() {
    begin r2 && save 100 && save 200
    is 0 '{"deleted": [], "kept": ["r2/checkpoints/checkpoint-100", "r2/checkpoints/checkpoint-200"], "dry_run": false}' rotate r2 --max 3
    left "100 200"
    begin r3 && save 100 && save 200 && save 300
    run rotate r3 --max 3 && left "100 200 300"
    begin r4 && save 100 && save 200 && save 300 && save 400
    is 0 '{"deleted": ["r4/checkpoints/checkpoint-100"], "kept": ["r4/checkpoints/checkpoint-200", "r4/checkpoints/checkpoint-300", "r4/checkpoints/checkpoint-400"], "dry_run": true}' \
        rotate r4 --max 3 --dry-run
    left "100 200 300 400"
    run rotate r4 --max 3 && left "200 300 400"
    begin best && save 100 && save 200 && save 300 && save 400
    run rotate best --max 3 --best ./best//checkpoints/../checkpoints/checkpoint-100/ && left "100 300 400"
    begin kept && save 100 && save 200 && save 300 && save 400 && save 500
    run rotate kept --max 3 --keep kept/checkpoints/checkpoint-100 --keep checkpoint-200 && left "100 200 500"
    begin r5 && save 100 && save 200 && save 300 && save 400 && save 500
    run rotate r5 --max 2 && left "400 500"
    begin both && save 100 && save 200 && save 300 && save 400
    run rotate both --max 2 --best both/checkpoints/checkpoint-100 --keep both/checkpoints/checkpoint-200 && left "100 200"
    is 0 '{"deleted": [], "kept": [], "dry_run": false}' rotate nowhere --max 2
    mkdir -p without && is 0 '{"deleted": [], "kept": [], "dry_run": false}' rotate without --max 2
    begin typo && save 1 && save 2 && save 3
    refuses 1 "checkpoint-7: to be kept, but no checkpoint of this run" rotate typo --max 1 --keep checkpoint-7
    left "1 2 3"
    # what counts is all directories, valid or not
    begin counted && mkdir counted/checkpoints/checkpoint-1 && age 1 && save 2 && save 3
    run rotate counted --max 2 && left "2 3"
    # a rotation that was interrupted is completed
    mkdir -p counted/checkpoints/.doomed-1-0/a/b && : >counted/checkpoints/.doomed-1-0/a/b/c
    run rotate counted --max 2 && left "2 3"
}

# V-F14
metrics() {
    where=metrics m='m é/x/y'
    rm -rf 'm é'
    is 0 null metrics "$m"
    is 0 "{\"path\": \"$m/eval_metrics.json\", \"metrics\": 3}" save-metrics "$m" loss=0.5 eval_acc=-1.25e-3 'quote"\é=7'
    printf '{\n  "loss": 0.5,\n  "eval_acc": -1.25e-3,\n  "quote\\"\\\\é": 7\n}' >wanted
    try "what save-metrics writes" cmp wanted "$m/eval_metrics.json"
    is 0 '{   "loss": 0.5,   "eval_acc": -1.25e-3,   "quote\"\\é": 7 }' metrics "$m"
    run save-metrics "$m" loss=0.25 && is 0 '{   "loss": 0.25 }' metrics "$m"
    run save-metrics "$m" && is 0 '{}' metrics "$m"
    long=0.$(printf '%0400d' 1)
    run save-metrics "$m" loss=$long && is 0 "{   \"loss\": $long }" metrics "$m"
    is 0 '{"metric": "loss", "greater_is_better": false, "best": [{"path": "'"$m"'", "value": 0}], "last_qualifies": true}' \
        best d --metric loss --path "$m"
    for bad in loss=nan loss=NaN loss=1e999 loss=1$(printf '%0400d' 0) loss= loss=+1 loss=01 loss=0x1 'loss=1 ' loss=inf =1 'loss=null' 'loss=[1]'; do
        refuses 2 "expected KEY=NUMBER with a finite number" save-metrics "$m" ok=1 "$bad"
    done
    refuses 2 "a key is given twice" save-metrics "$m" a=1 b=2 a=3
    refuses 2 "a key is not UTF-8" save-metrics "$m" "$(printf 'a\377')=1"
    is 0 "{   \"loss\": $long }" metrics "$m"
    [ "$(ls -A "$m")" = eval_metrics.json ] && pass || fail "save-metrics leaves $(ls -A "$m")"
    refuses 1 "zeros/eval_metrics.json: " save-metrics zeros loss=1
    # metrics that are saved later do not make a checkpoint the newest
    begin later && save 1 && save 2 && run save-metrics later/checkpoints/checkpoint-1 loss=1 && is 0 "$(path later 2)" latest later
    # what Python writes and JSON lacks
    mkdir -p nan && printf '{"loss": NaN, "x": -Infinity, "NaN \\" Infinity": Infinity}' >nan/eval_metrics.json
    is 0 '{"loss": null, "x": null, "NaN \" Infinity": null}' metrics nan
    is 0 '{"metric": "loss", "greater_is_better": false, "best": [], "last_qualifies": false}' best d --metric loss --path nan
    grep -q "nan: left out: no finite number" messages && pass || fail "no warning about NaN"
    for bad in '[1]' '{' '{"loss": 1} x' '{"loss": }' '' nan; do
        printf '%s' "$bad" >nan/eval_metrics.json
        refuses 1 "nan/eval_metrics.json: " metrics nan
    done
    printf '{"loss": 1}\0x' >nan/eval_metrics.json && refuses 1 "nan/eval_metrics.json: " metrics nan
    # a process with the same number crashed here
    mkdir leftover && sh -c ': >leftover/.ckpt-$$-0.tmp && exec "$0" save-metrics leftover loss=1' "$out/ckpt" >got 2>messages
    [ $? = 0 ] && is 0 '{   "loss": 1 }' metrics leftover || fail "a leftover of a crash: $(cat messages)"
    begin again && save 1
    sh -c 'ln -s nothing again/.ckpt-$$-0.tmp && exec "$0" link again' "$out/ckpt" >got 2>messages
    [ $? = 0 ] && [ -e again/model.safetensors ] && pass || fail "a leftover of a crash: $(cat messages)"
    rm nan/eval_metrics.json && truncate -s 2G nan/eval_metrics.json && refuses 1 "nan/eval_metrics.json: File too large" metrics nan
    rm nan/eval_metrics.json && mkfifo nan/eval_metrics.json && refuses 1 "nan/eval_metrics.json: " metrics nan
}

# V-F15, F46
best_list() {
    begin limit
    best=
    for step in 100:.10 200:.15 300:.50 400:.40 500:.30; do
        save ${step%:*}
        new=limit/checkpoints/checkpoint-${step%:*}
        run save-metrics $new loss=0${step#*:}
        set --
        for p in $best $new; do set -- "$@" --path $p; done
        run best limit --metric loss --n 2 "$@"
        cp got list
        best=$(grep -o 'limit/checkpoints/checkpoint-[0-9]*' got)
        set --
        for p in $best; do set -- "$@" --keep $p; done
        run rotate limit --max 4 "$@"
    done
    left "100 200 400 500"
    is 0 '{"metric": "loss", "greater_is_better": false, "best": [{"path": "limit/checkpoints/checkpoint-100", "value": 0.1}, {"path": "limit/checkpoints/checkpoint-200", "value": 0.15}], "last_qualifies": false}' \
        best limit --metric loss --n 2
    [ "$(cat list)" = "$(cat got)" ] && pass || fail "the last list: $(cat list)"
    # better than the worst but not than the best
    run save-metrics limit/checkpoints/checkpoint-500 loss=0.12
    run best limit --metric loss --n 2
    grep -q '"best": .*checkpoint-100", "value": 0.1}.*checkpoint-500", "value": 0.12}], "last_qualifies": true' got && pass ||
        fail "the list of two: $(cat got)"
    # 0 is a value; eval_KEY counts if there is no KEY; bigger is better unless it is a loss
    run save-metrics limit/checkpoints/checkpoint-100 acc=0 eval_acc=9
    run save-metrics limit/checkpoints/checkpoint-200 eval_acc=-1
    is 0 '{"metric": "acc", "greater_is_better": true, "best": [{"path": "limit/checkpoints/checkpoint-100", "value": 0}, {"path": "limit/checkpoints/checkpoint-200", "value": -1}], "last_qualifies": false}' \
        best limit --metric acc --n 5
    run best limit --metric acc --smaller
    grep -q '"greater_is_better": false, "best": \[{"path": "limit/checkpoints/checkpoint-200"' got && pass || fail "--smaller: $(cat got)"
    run best limit --metric loss --greater && grep -q 'greater_is_better": true' got && pass || fail "--greater: $(cat got)"
    run best limit --metric eval_loss && grep -q 'greater_is_better": false, "best": \[\]' got && pass || fail "eval_loss: $(cat got)"
}

# verify and info: V-F10 and damage
models() {
    begin deep && save 1
    deep=deep/checkpoints/checkpoint-2
    cp -r sharded $deep && age 2
    is 0 "{\"path\": \"$deep\", \"ok\": true, \"tensors\": 3, \"shards\": 3, \"bytes\": 40, \"read\": true}" verify deep --read
    for n in 1 2 3; do
        cp $deep/model-0000$n-of-00003.safetensors saved
        rm $deep/model-0000$n-of-00003.safetensors
        refuses 1 "\"model-0000$n-of-00003.safetensors\": shard does not exist" verify $deep
        [ "$(cat got)" = "{\"path\": \"$deep\", \"ok\": false, \"read\": false}" ] && pass || fail "verify prints $(cat got)"
        found_=$(head -c 20 saved && head -c 100 zeros) && printf %s "$found_" >$deep/model-0000$n-of-00003.safetensors
        refuses 1 "model-0000$n-of-00003.safetensors: " verify $deep
        size=$(wc -c <saved)
        head -c $((size - 1)) saved >$deep/model-0000$n-of-00003.safetensors
        refuses 1 "1 of $size bytes are missing" verify $deep
        is 0 "{\"path\": \"$deep\", \"valid\": true, \"file\": \"model.safetensors.index.json\", \"is_index\": true, \"is_safetensors\": true}" validate $deep
        cp saved $deep/model-0000$n-of-00003.safetensors
    done
    sed 's/"w.a"/"w.z"/' sharded/model.safetensors.index.json >$deep/model.safetensors.index.json
    refuses 1 "does not contain" verify $deep
    # V-F10: names that share a tensor; V-F6: an index with four spaces and ASCII escapes opens as well
    cat >$deep/model.safetensors.index.json <<'END2'
{
    "metadata": {
        "total_size": 40,
        "param_sharing": [["lost", "also lost"], ["w.b", "tied", "\u00e9"], ["gone", "w.a"], ["w.c"]]
    },
    "weight_map": {
        "w.a": "model-00001-of-00003.safetensors",
        "w.c": "model-00002-of-00003.safetensors",
        "w.b": "model-00003-of-00003.safetensors"
    }
}
END2
    is 0 '{"path": "'$deep'", "tensors": 3, "bytes": 40, "dtypes": {"F16": {"tensors": 1, "bytes": 8}, "F32": {"tensors": 2, "bytes": 32}}, "shards": [{"file": "'$deep'/model-00001-of-00003.safetensors", "bytes": 88}, {"file": "'$deep'/model-00002-of-00003.safetensors", "bytes": 88}, {"file": "'$deep'/model-00003-of-00003.safetensors", "bytes": 72}], "param_sharing": [["w.a", "gone"], ["w.b", "tied", "é"]]}' \
        info deep
    refuses 1 "nowhere: no valid checkpoint" verify nowhere
    refuses 1 "nowhere: no valid checkpoint" info nowhere
}

# V-F17
links() {
    begin single && save 1
    one='{"checkpoint": "single/checkpoints/checkpoint-1", "links": ["single/model.safetensors"], "dry_run": '
    is 0 "${one}true}" link single --dry-run
    [ "$(ls -A single)" = checkpoints ] && pass || fail "--dry-run: $(ls -A single)"
    is 0 "${one}false}" link single
    [ "$(readlink single/model.safetensors)" = checkpoints/checkpoint-1/model.safetensors ] && pass || fail "link: $(ls -l single)"
    ln -sf nowhere single/model.safetensors # dangling
    is 0 "${one}false}" link single
    "$st" check single >said 2>&1 && pass || fail "st check: $(cat said)"
    rm single/model.safetensors && echo mine >single/model.safetensors
    refuses 1 "single/model.safetensors: is a file, not a link: --force replaces it" link single
    [ "$(cat single/model.safetensors)" = mine ] && pass || fail "a file was replaced without --force"
    is 0 "${one}true}" link single --force --dry-run
    [ "$(cat single/model.safetensors)" = mine ] && pass || fail "a file was replaced by --dry-run"
    is 0 "${one}false}" link single --force
    [ -L single/model.safetensors ] && pass || fail "--force: $(ls -l single)"
    # a newer checkpoint has shards: the older link goes
    cp -r sharded single/checkpoints/checkpoint-2 && age 2
    all='"single/model.safetensors.index.json", "single/model-00001-of-00003.safetensors", "single/model-00002-of-00003.safetensors", "single/model-00003-of-00003.safetensors"'
    is 0 "{\"checkpoint\": \"single/checkpoints/checkpoint-2\", \"links\": [$all], \"dry_run\": false}" link single
    [ "$(ls -A single | wc -l)" = 5 ] && "$st" check single | grep -q '3 tensors, 40 bytes in 3 files' && pass || fail "shards: $(ls -l single)"
    rm single/checkpoints/checkpoint-2/model-00002* && age 2
    run link single
    [ $status = 0 ] && grep -q 'model-00002-of-00003.safetensors: not linked: does not exist' messages && pass || fail "a missing shard"
    rm single/model-00001-of-00003.safetensors && mkdir single/model-00001-of-00003.safetensors
    before=$(ls -l single)
    refuses 1 "model-00001-of-00003.safetensors: is neither a link nor a file" link single --force
    [ "$before" = "$(ls -l single)" ] && pass || fail "links were changed before an error: $(ls -l single)"
    rmdir single/model-00001-of-00003.safetensors
    # an index from a stranger
    for bad in ../../x.safetensors /etc/x.safetensors train.py .safetensors .x.safetensors 'a\\\\b.safetensors' 'c:x.safetensors' 'x\u0000.safetensors'; do
        printf '{"weight_map": {"a": "%s"}}' "$bad" >single/checkpoints/checkpoint-2/model.safetensors.index.json
        refuses 1 "the index names a shard that is no file beside it" link single --force
    done
    for bad in '{"weight_map": {"a": 1}}' '[]' '{"weight_map": {"a": "x.safetensors"}' ''; do
        printf %s "$bad" >single/checkpoints/checkpoint-2/model.safetensors.index.json
        refuses 1 "single/checkpoints/checkpoint-2: " link single --force
    done
    [ "$before" = "$(mkdir single/model-00001-of-00003.safetensors && ls -l single)" ] || [ ! -L single/train.py ] && pass || fail "links to a stranger's files"
    begin torch && mkdir torch/checkpoints/checkpoint-1 && printf '{"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-1.bin"}}' \
        >torch/checkpoints/checkpoint-1/pytorch_model.bin.index.json && : >torch/checkpoints/checkpoint-1/pytorch_model-1.bin
    is 0 '{"checkpoint": "torch/checkpoints/checkpoint-1", "links": ["torch/pytorch_model.bin.index.json", "torch/pytorch_model-1.bin"], "dry_run": false}' link torch
    begin empty && refuses 1 "empty: no valid checkpoint" link empty
    rmdir empty/checkpoints && cp single.safetensors empty/model.safetensors
    refuses 1 "empty: has no checkpoints, but a model of its own" link empty
}

# what must never be deleted is in outside
hostile() {
    rm -rf outside && mkdir -p outside/checkpoint-1 && echo precious >outside/checkpoint-1/file
    begin hostile && save 2 && save 3
    : >hostile/checkpoints/checkpoint-file
    ln -s / hostile/checkpoints/checkpoint-root
    ln -s ../../outside/checkpoint-1 hostile/checkpoints/checkpoint-1
    ln -s ../../outside hostile/checkpoints/.doomed-link
    newline="hostile/checkpoints/checkpoint-a
b\"$(printf '\033\377')"
    mkdir "$newline" && touch -d 2020-01-01 "$newline"
    is 0 '{"deleted": ["hostile/checkpoints/checkpoint-a\nb\"\u001b'"$(printf '\357\277\275')"'"], "kept": ["hostile/checkpoints/checkpoint-2", "hostile/checkpoints/checkpoint-3"], "dry_run": false}' \
        rotate hostile --max 2
    grep -q 'checkpoint-root: ignored: a symbolic link' messages && pass || fail "no message about a link: $(cat messages)"
    # links and directories inside a checkpoint
    chain=hostile/checkpoints/checkpoint-2
    ln -s ../../../outside $chain/out && ln -s ../../../outside/checkpoint-1/file $chain/file && mkfifo $chain/fifo
    (cd $chain && python3 -c 'import os
for i in range(3000): os.mkdir("d"), os.chdir("d")' 2>/dev/null || mkdir -p d/d/d/d)
    age 2 && age 3 # the chain is older
    run rotate hostile --max 1
    [ $status = 0 ] && [ ! -e hostile/checkpoints/checkpoint-2 ] && [ ! -L hostile/checkpoints/checkpoint-2 ] && pass || fail "deep: $(cat messages)"
    [ "$(cat outside/checkpoint-1/file)" = precious ] && pass || fail "rotate deleted something outside"
    [ "$(ls -A hostile/checkpoints | wc -l)" = 5 ] && pass || fail "left: $(ls -A hostile/checkpoints)"
    # a file system that is mounted in a checkpoint
    begin mounted && save 1 && mkdir -p mounted/checkpoints/checkpoint-1/a/b && age 1 && save 2
    if unshare -m mount --bind outside/checkpoint-1 mounted/checkpoints/checkpoint-1/a/b 2>/dev/null; then
        timeout 60 unshare -m sh -c "mount --bind outside/checkpoint-1 mounted/checkpoints/checkpoint-1/a/b && exec $ckpt rotate mounted --max 1" \
            >got 2>messages
        [ $? = 1 ] && [ "$(cat outside/checkpoint-1/file)" = precious ] && pass || fail "a mount point: $(cat got messages)"
        run rotate mounted --max 1
        left 2
    fi
    # DIR/checkpoints is a link
    mkdir linked && ln -s ../outside linked/checkpoints
    where=linked
    refuses 1 "linked/checkpoints: is a symbolic link" rotate linked --max 1
    refuses 1 "linked/checkpoints: is a symbolic link" latest linked
    mkdir filed && : >filed/checkpoints && refuses 1 "filed/checkpoints: " rotate filed --max 1
    # manifests
    begin strange && save 1 && save 2 && m=strange/checkpoints/checkpoint-1/checkpoint_manifest.json
    truncate -s 2G $m && touch -d 2025-01-01 strange/checkpoints/checkpoint-1 && is 0 "$(path strange 2)" latest strange
    grep -q "cannot read checkpoint_manifest.json" messages && pass || fail "no warning about a large manifest"
    rm $m && mkfifo $m && touch -d 2025-01-01 strange/checkpoints/checkpoint-1 && is 0 "$(path strange 2)" latest strange
    grep -q "cannot read checkpoint_manifest.json" messages && pass || fail "no warning about a FIFO"
    rm $m && head -c 500000 /dev/zero | tr '\0' '[' >$m && touch -d 2025-01-01 strange/checkpoints/checkpoint-1
    is 0 "$(path strange 2)" latest strange
    # permission denied
    user=
    [ "$(id -u)" != 0 ] || user="setpriv --reuid 65534 --regid 65534 --clear-groups"
    if $user true 2>/dev/null && ! $user sh -c 'cd /root 2>/dev/null' && $user test -x "$ckpt"; then
        begin denied && save 1 && save 2 && save 3
        chmod 555 denied/checkpoints denied/checkpoints/*
        where=denied ckpt_=$ckpt ckpt="$user $ckpt"
        refuses 1 "denied/checkpoints/checkpoint-1: Permission denied" rotate denied --max 1
        refuses 1 "denied/checkpoints/checkpoint-1/eval_metrics.json: Permission denied" save-metrics denied/checkpoints/checkpoint-1 a=1
        refuses 1 "denied: Permission denied" link denied
        chmod 000 denied/checkpoints/checkpoint-3
        is 0 "$(path denied 2)" latest denied
        ckpt=$ckpt_
        chmod 755 denied/checkpoints denied/checkpoints/*
        left "1 2 3"
    else
        skip "permissions: no other user can run the program"
    fi
    "$ckpt" latest strange >/dev/full 2>messages
    [ $? = 1 ] && grep -q "standard output: cannot write" messages && pass || fail "a full device"
}

# several rotations at once; and checkpoints that others replace by links meanwhile
races() {
    begin crowd
    i=100
    while [ $i -lt 140 ]; do
        save $i && (cd crowd/checkpoints/checkpoint-$i && mkdir x y z && touch a b c d e f g h i j k l m n o p q r s t u v w) && age $i
        i=$((i + 1))
    done
    pids=
    for k in 1 2 3 4; do
        "$out/ckpt" rotate crowd --max 5 --keep crowd/checkpoints/checkpoint-100 >said.$k 2>&1 &
        pids="$pids $!"
    done
    for pid in $pids; do wait $pid && pass || fail "a rotation beside others: $(cat said.*)"; done
    left "100 136 137 138 139"
    command -v python3 >/dev/null || return
    begin swapped
    python3 "$top/tests/examples/ckpt.py" swap "$out/ckpt" >said 2>&1 && pass || fail "swapped: $(tail -n 3 said)"
}

# System calls fail, one at a time, or the program is killed there. Afterwards nothing is half done, and if the exit status
# is 0, everything is done.
prepare_metrics() {
    arguments="save-metrics f loss=0.25"
    mkdir f && echo '{"loss": 1}' >f/eval_metrics.json
}
judge_metrics() {
    case $(cat f/eval_metrics.json) in
    '{"loss": 1}') [ $status != 0 ] || fail "metrics, $1: exit status 0" ;;
    "$(printf '{\n  "loss": 0.25\n}')") ;;
    *) fail "metrics, $1: $(cat f/eval_metrics.json)" ;;
    esac
    left_=$(ls -A f | grep -v '^eval_metrics.json$')
    [ -z "$left_" ] || case $1 in *KILL | unlinkat* | renameat*) ;; *) fail "metrics, $1: $left_ is left" ;; esac
}
prepare_rotate() {
    arguments="rotate f --max 2 --keep checkpoint-2"
    begin f
    for id in 1 2 3 4 5; do
        save $id
        mkdir f/checkpoints/checkpoint-$id/more && cp zeros f/checkpoints/checkpoint-$id/more && age $id
    done
}
judge_rotate() { # what has the name of a checkpoint is whole; the next rotation completes the work
    for c in f/checkpoints/checkpoint-*; do
        diff -r $c "model/$c" >said 2>&1 || fail "rotate, $1: a damaged checkpoint: $(head -n 1 said)"
    done
    for id in 2 5; do [ -e f/checkpoints/checkpoint-$id ] || fail "rotate, $1: checkpoint-$id is deleted"; done
    there=$(ls -A f/checkpoints | tr '\n' ' ')
    [ $status != 0 ] || [ "$there" = "checkpoint-2 checkpoint-5 " ] || fail "rotate, $1: exit status 0, and there are $there"
    ./traced $arguments >got 2>messages || fail "rotate after $1: $(cat messages)"
    there=$(ls -A f/checkpoints | tr '\n' ' ')
    [ "$there" = "checkpoint-2 checkpoint-5 " ] || fail "rotate after $1: there are $there"
}
prepare_link() { # from three shards to three others of the same names
    arguments="link f"
    begin f && mkdir f/checkpoints/checkpoint-1 && cp sharded/* f/checkpoints/checkpoint-1 && age 1
    ./traced $arguments >got
    mkdir f/checkpoints/checkpoint-2 && cp sharded/* f/checkpoints/checkpoint-2 && age 2
}
judge_link() { # a model that opens is one of the two
    if "$st" check f >said 2>&1; then
        from=$(for link in f/model*; do readlink $link | cut -d / -f 2; done | sort -u)
        case $from in
        checkpoint-2) ;;
        checkpoint-1) [ $status != 0 ] || grep -q . messages || fail "link, $1: exit status 0 and the older model" ;;
        *) fail "link, $1: a mixture of" $from ;;
        esac
    else
        [ $status != 0 ] || fail "link, $1: exit status 0: $(cat said)"
    fi
    left_=$(ls -A f | grep '^\.')
    [ -z "$left_" ] || case $1 in *KILL | unlinkat* | renameat*) ;; *) fail "link, $1: $left_ is left" ;; esac
}
attempt() { # STRACE-OPTIONS...
    rm -rf f && cp -a model/f f
    timeout 20 strace "$@" ./traced $arguments >got 2>messages
    status=$?
}
faults() {
    have strace || return
    if ! (cd "$top" && $cc -O1 -static -I. $sources "$out/lib.o" -o "$out/work/traced") 2>said; then
        skip "no static programs: $(head -n 1 said)" && return
    fi
    if ! strace -o /dev/null -e inject=fsync:error=EIO:when=1 true 2>said; then
        skip "no program may be traced here: $(head -n 1 said)" && return
    fi
    for scenario in metrics rotate link; do
        rm -rf model f && mkdir model && prepare_$scenario && cp -a f model/f
        attempt -o trace
        before=$failed
        [ $status = 0 ] && judge_$scenario undisturbed && pass || fail "$scenario, undisturbed: $(cat messages)"
        for call in openat mkdir newfstatat fstat read write fsync close renameat unlinkat symlinkat getdents64 utimensat readlinkat; do
            count=$(grep -c "^$call(" trace) n=1
            # of the many calls that change nothing, some are enough
            case $call in newfstatat | fstat | close | getdents64) step=3 ;; *) step=1 ;; esac
            while [ $n -le "$count" ]; do
                attempt -o /dev/null -e "trace=$call" -e "inject=$call:error=EIO:when=$n"
                judge_$scenario "$call $n: EIO"
                case $call in
                write | fsync | renameat | symlinkat | unlinkat) [ $status = 1 ] || fail "$scenario, $call $n: EIO: exit status $status" ;;
                esac
                if [ $step = 1 ]; then
                    attempt -o /dev/null -e "trace=$call" -e "inject=$call:signal=SIGKILL:when=$n"
                    [ $status = 137 ] || fail "$scenario, $call $n: not killed"
                    judge_$scenario "$call $n: KILL"
                fi
                n=$((n + step))
            done
        done
        [ $failed = "$before" ] && pass
    done
    # another directory or link takes the name of a checkpoint between the listing and the deletion
    for replaced in directory link; do
        begin late && save 1 && save 2
        mkdir -p other && echo precious >other/file
        strace -o /dev/null -e trace=renameat -e inject=renameat:delay_enter=1500000 ./traced rotate late --max 1 >got 2>messages &
        pid=$!
        sleep 0.7
        mv late/checkpoints/checkpoint-1 late/1
        if [ $replaced = link ]; then ln -s ../../other late/checkpoints/checkpoint-1; else mv other late/checkpoints/checkpoint-1; fi
        wait $pid
        status=$?
        left "1 2"
        [ $status = 1 ] && [ "$(cat late/checkpoints/checkpoint-1/file)" = precious ] && pass || fail "a late $replaced: $(cat got messages)"
    done
}

# The same program on Windows. Hard links take the place of symbolic ones. Wine shows symbolic links as what they lead to, so
# the refusal of links is not tested there.
windows() {
    have x86_64-w64-mingw32-gcc wine || return
    WINEPREFIX=$top/build/wineprefix WINEDEBUG=-all
    export WINEPREFIX WINEDEBUG
    [ -d "$WINEPREFIX" ] || wineboot -i >/dev/null 2>&1
    if ! (cd "$top" && x86_64-w64-mingw32-gcc -std=gnu99 -O1 $WARN -I. -static $sources examples/common/lib.c -lshell32 \
        -o "$out/ckpt.exe") >said 2>&1; then
        fail "build for Windows: $(head -n 5 said)" && return
    fi
    ckpt_=$ckpt ckpt="wine $out/ckpt.exe"
    begin Größe-模型 && save 1 && save 2 && save 3 && save 4
    run latest $where
    if [ $status != 0 ] && [ ! -s got ]; then
        skip "wine runs no programs here: $(head -n 1 messages)"
        ckpt=$ckpt_
        return
    fi
    is 0 "$(path $where 4)" latest $where
    is 0 "{\"path\": \"$where/checkpoints/checkpoint-1/eval_metrics.json\", \"metrics\": 2}" save-metrics $where/checkpoints/checkpoint-1 loss=0.5 é=1
    run save-metrics $where/checkpoints/checkpoint-1 loss=0.25
    printf '{\n  "loss": 0.25\n}' >wanted
    try "metrics on Windows" cmp wanted $where/checkpoints/checkpoint-1/eval_metrics.json
    is 0 "$(path $where 4)" latest $where
    mkdir -p $where/checkpoints/checkpoint-3/a/b/c && cp zeros $where/checkpoints/checkpoint-3/a/b/c && age 3 && age 4
    printf '{"timestamp": "2026-01-01T00:00:00Z"}' >$where/checkpoints/checkpoint-2/checkpoint_manifest.json
    is 0 "{\"deleted\": [\"$where/checkpoints/checkpoint-2\", \"$where/checkpoints/checkpoint-3\"], \"kept\": [\"$where/checkpoints/checkpoint-1\", \"$where/checkpoints/checkpoint-4\"], \"dry_run\": false}" \
        rotate $where --max 2 --best $where/./checkpoints/checkpoint-1/
    left "1 4"
    is 0 "{\"path\": \"$where/checkpoints/checkpoint-4\", \"ok\": true, \"tensors\": 3, \"shards\": 1, \"bytes\": 40, \"read\": true}" verify $where --read
    is 0 "{\"checkpoint\": \"$where/checkpoints/checkpoint-4\", \"links\": [\"$where/model.safetensors\"], \"dry_run\": false}" link $where
    try "the link on Windows" cmp single.safetensors $where/model.safetensors
    cp -r sharded $where/checkpoints/checkpoint-5 && age 5
    run link $where
    [ $status = 0 ] && "$st" check $where | grep -q '3 tensors, 40 bytes in 3 files' && pass || fail "shards on Windows: $(ls -l $where; cat messages)"
    ls -A $where | grep -q '^\.' && fail "temporary files on Windows: $(ls -A $where)"
    refuses 2 "expected --max N" rotate $where
    ckpt=$ckpt_
}

usage_and_help
detection
newest
rotation
metrics
best_list
models
links
hostile
races
faults
if have python3; then
    python=$top/build/venv/bin/python
    [ -x "$python" ] || python=python3
    for part in order metrics; do
        if PYTHONDONTWRITEBYTECODE=1 $python "$top/tests/examples/ckpt.py" $part "$out/ckpt" >said 2>&1; then pass; else
            fail "ckpt.py $part: $(tail -n 5 said)"
        fi
    done
fi
real=$top/build/models/all-MiniLM-L6-v2
if [ -e "$real/model.safetensors" ]; then
    where=real
    is 0 "{\"path\": \"$real\", \"ok\": true, \"tensors\": 104, \"shards\": 1, \"bytes\": 90856960, \"read\": true}" verify "$real" --read
else
    skip "no build/models/all-MiniLM-L6-v2"
fi
windows
cd "$top" || exit 1
finish
