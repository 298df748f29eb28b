#!/bin/sh
# mounts.sh: reads, saves, edits and shards on file systems that are full, read-only, layered, or lack what others have. After a
# success the bytes are those of an ordinary file system; after a failure the message says what the table below expects and all
# files are as before; no temporary file is left in any case. Needs root; all mounts are in a namespace of their own.
check=mounts
. tests/tools/lib.sh
if [ "${1:-}" != inside ]; then
    have unshare setpriv || finish
    if ! unshare -mpf --mount-proc mount -t tmpfs none "$out" 2>"$out.said"; then
        skip "nothing may be mounted here: $(head -n 1 "$out.said")"
        finish
    fi
    for program in faults/programs/saver faults/programs/sharder platforms/reader; do
        try "$program does not build" ${CC:-cc} -O1 -g -I. tests/$program.c -o "$out/${program##*/}" || finish
    done
    try "st does not build" ${MAKE:-make} build/st || finish
    if have pkg-config && pkg-config --exists fuse3; then
        try "odd_fuse does not build" ${CC:-cc} -O1 -g $(pkg-config --cflags fuse3) tests/platforms/odd_fuse.c \
            -o "$out/odd_fuse" $(pkg-config --libs fuse3)
    fi
    exec unshare -mpf --mount-proc --kill-child sh tests/platforms/mounts.sh inside
fi

bin=$PWD/$out st=$PWD/build/st
mnt=$out/mnt # an own tmpfs, with everything else below it
mkdir -p "$mnt" && mount -t tmpfs -o mode=755 none "$mnt" && cd "$mnt" || exit 2
mkdir m back expected
as=      # runs a program as another user
changed= # set where a failure comes after the bytes were written in place

# run LABEL EXPECTED COMMAND...: EXPECTED is "ok" or a pattern for the message, which names a file in $d. Sets $state.
state() { case $d in /*) ;; *) (cd "$d" && find . -type f -exec cksum {} + | sort -k 3) ;; esac; }
run() {
    label=$1 expected=$2
    shift 2
    state >before
    timeout 20 $as "$@" >said 2>&1
    status=$?
    state >after
    left=$(find "$d" -maxdepth 1 -name '.st-*')
    case $expected:$status in
    ok:0) [ -z "$left" ] && pass && return ;;
    ok:* | *:0) ;;
    *)
        if grep -q "$d" said && grep -q -e "$expected" said && [ -z "$left" ]; then
            [ "$changed" ] && pass && return
            cmp -s before after && pass && return
        fi ;;
    esac
    fail "$label: exit status $status, expected \"$expected\", left \"$left\": $(head -n 2 said)"
    cmp before after >/dev/null || echo "    the files have changed"
    return 1
}
same() { cmp -s "$2" "$3" && pass || fail "$1: other bytes than on an ordinary file system"; }

# reading LABEL: all ways of reading the models in $d, and what the tool prints
reading() {
    "$bin/saver" old "$d/t.safetensors"
    cp "$d/t.safetensors" expected/
    reading_only "$1"
}
reading_only() {
    run "$1: reading" ok "$bin/reader" "$d/t.safetensors" expected/t.safetensors
    for c in "check --deep" "hash --tensors" "ls"; do
        "$st" $c expected/t.safetensors | sed "s|expected/t|$d/t|g" >wanted
        run "$1: st $c" ok "$st" $c "$d/t.safetensors" && same "$label" wanted said
    done
}

# saving LABEL SAVE DIRECT IN-PLACE: what is expected of each way; in place, an error may come after the bytes
saving() {
    for scenario in save stream stream-to edit-fits edit-grows direct in-place overwrite; do
        case $scenario in direct) want=$3 ;; in-place | overwrite) want=$4 ;; *) want=$2 ;; esac
        "$bin/saver" old "$d/t.safetensors" || fail "$1: no older file"
        "$bin/saver" new $scenario expected/new
        case $scenario in in-place | overwrite) changed=yes ;; *) changed= ;; esac
        run "$1: $scenario" "$want" "$bin/saver" $scenario "$d/t.safetensors" || continue
        [ "$want" != ok ] || same "$1: $scenario" expected/new "$d/t.safetensors"
    done
    changed=
    rm -f "$d/t.safetensors"
}

# sharding LABEL EXPECTED
sharding() {
    for scenario in three-over-three three-over-two three-over-single single-over-three; do
        rm -rf older && mkdir older
        "$bin/sharder" old $scenario older
        rm -f "$d"/* && cp older/* "$d/" || fail "$1: no older model"
        run "$1: $scenario" "$2" "$bin/sharder" run $scenario "$d" || continue
        verdict=$("$bin/sharder" judge "$d")
        case $2:$verdict in ok:new | *:old) [ "$2:$verdict" != ok:old ] && pass && continue ;; esac
        fail "$1: $scenario: the directory opens as $verdict"
    done
    rm -f "$d"/*
    [ "$2" = ok ] || return 0
    "$bin/sharder" old three-over-three "$d"
    cp "$d"/*.json wanted
    rm -f "$d"/*.json
    run "$1: st index" ok "$st" index "$d"
    same "$1: st index" wanted "$d"/*.json
    run "$1: st merge" ok "$st" merge "$d" "$d/whole.safetensors"
    run "$1: st diff" ok "$st" diff "$d/whole.safetensors" "$d/model.safetensors.index.json"
    rm -f "$d"/*
}
all() { # LABEL: nothing fails
    reading "$1"
    saving "$1" ok ok ok
    sharding "$1" ok
}

# ---- file systems of the kernel

# a directory of the tmpfs itself
mkdir plain && d=plain
all tmpfs

# full: each file takes whole pages, and the last one is taken
d=m
mount -t tmpfs -o size=16k none m
"$bin/saver" old m/t.safetensors
dd if=/dev/zero of=m/filler bs=4k 2>said
run "tmpfs full: save" 'system error 28' "$bin/saver" save m/t.safetensors
run "tmpfs full: edit" 'system error 28' "$bin/saver" edit-grows m/t.safetensors
run "tmpfs full: in place" ok "$bin/saver" in-place m/t.safetensors
run "tmpfs full: st copy" 'No space left on device' "$st" copy m/t.safetensors m/new.safetensors
rm m/filler m/t.safetensors
"$bin/sharder" old three-over-two m
run "tmpfs full: three-over-two" 'system error 28' "$bin/sharder" run three-over-two m
umount m
mount -t tmpfs -o nr_inodes=2 none m
"$bin/saver" old m/t.safetensors
run "no inode left: save" 'cannot create the file.*system error 28' "$bin/saver" save m/t.safetensors
run "no inode left: direct" ok "$bin/saver" direct m/t.safetensors
umount m

mount -t tmpfs none m
"$bin/saver" old m/t.safetensors && cp m/t.safetensors expected/
"$bin/sharder" old three-over-two m
mount -o remount,ro m
reading_only read-only
for scenario in save stream edit-fits direct; do
    run "read-only: $scenario" 'cannot create the file (system error 30)' "$bin/saver" $scenario m/t.safetensors
done
for scenario in in-place overwrite; do
    run "read-only: $scenario" 'cannot open the file for writing (system error 30)' "$bin/saver" $scenario m/t.safetensors
done
run "read-only: three-over-two" 'cannot create the file (system error 30)' "$bin/sharder" run three-over-two m
umount m

# overlay: the older files are in the lower layer, on another file system, and are copied up when they are written
mkdir layers && mount -t tmpfs none layers && mkdir layers/upper layers/work lower
if mount -t overlay -o lowerdir=lower,upperdir=layers/upper,workdir=layers/work none m 2>said; then
    all overlay
    umount m
    for scenario in save edit-fits in-place overwrite direct; do
        "$bin/saver" old lower/$scenario
    done
    "$bin/sharder" old three-over-three lower
    mount -t overlay -o lowerdir=lower,upperdir=layers/upper,workdir=layers/work none m
    for scenario in save edit-fits in-place overwrite direct; do
        "$bin/saver" new $scenario expected/new
        run "overlay, copied up: $scenario" ok "$bin/saver" $scenario m/$scenario && same "$label" expected/new m/$scenario
    done
    run "overlay, copied up: three-over-three" ok "$bin/sharder" run three-over-three m
    [ "$("$bin/sharder" judge m)" = new ] && pass || fail "$label: $("$bin/sharder" judge m)"
    umount m
else
    skip "no overlay: $(head -n 1 said)"
fi

# a directory that may be written and not be read
d=unlisted
mkdir -m 777 unlisted
as="setpriv --reuid 65534 --regid 65534 --clear-groups"
$as "$bin/saver" old unlisted/t.safetensors
chmod 333 unlisted
if $as ls unlisted >said 2>&1; then skip "another user can read what it may not"; else
    for scenario in save stream edit-grows in-place direct; do
        $as "$bin/saver" old unlisted/t.safetensors
        "$bin/saver" new $scenario expected/new
        run "mode 0333: $scenario" ok "$bin/saver" $scenario unlisted/t.safetensors &&
            same "$label" expected/new unlisted/t.safetensors
    done
    run "mode 0333: sharded" 'cannot list the directory (system error 13)' "$bin/sharder" run three-anew unlisted
fi
as=

# ---- files of the system

d=/proc/self/
run "/proc: st ls" 'file is empty' "$st" ls /proc/self/maps
run "/proc: save" 'ST_ERR_\|directory does not exist' "$bin/saver" save /proc/self/comm
d=/sys/
run "/sys: st ls" 'ST_ERR_' "$st" ls /sys/kernel/mm/transparent_hugepage/enabled
run "/sys: save" 'cannot create the file' "$bin/saver" save /sys/kernel/mm/new.safetensors
d=/dev/
run "/dev/null: st ls" 'not a regular file' "$st" ls /dev/null
run "/dev/null: save" ok "$bin/saver" save /dev/null
run "/dev/full: save" 'cannot write the file (system error 28)' "$bin/saver" save /dev/full
run "/dev/full: direct" 'cannot write the file (system error 28)' "$bin/saver" direct /dev/full
run "/dev/null: sharded" 'ST_ERR_\|system error\|director' "$bin/sharder" run three-anew /dev/null

# ---- FUSE

d=m
# odd WORDS: mounts the directory back without what the words say; see odd_fuse.c
odd() { rm -f back/* && "$bin/odd_fuse" back "$1" m; }
if [ ! -x "$bin/odd_fuse" ]; then skip "no FUSE: no libfuse3"
elif ! odd nothing 2>said; then skip "no FUSE: $(head -n 1 said)"
else
    all FUSE
    umount m
    odd transfers # where the kernel itself fills what is mapped with zeros: only the tool reads, which maps nothing
    saving "FUSE, 7 bytes at a time" ok ok ok
    "$bin/sharder" old three-over-three m
    run "FUSE, 7 bytes at a time: st merge" ok "$st" merge m m/whole.safetensors
    mkdir ordinary && "$bin/sharder" old three-over-three ordinary && "$st" merge ordinary expected/whole.safetensors
    same "$label" expected/whole.safetensors back/whole.safetensors
    umount m
    odd rename
    reading "FUSE without rename"
    saving "FUSE without rename" 'ST_SAVE_[A-Z_]* works without (system error 1)' ok ok
    sharding "FUSE without rename" 'the older model is unchanged (system error 1)\|the older single file is unchanged'
    run "FUSE without rename: st copy" 'add --direct' "$st" copy expected/t.safetensors m/new.safetensors
    run "FUSE without rename: st copy --direct" ok "$st" copy --direct expected/t.safetensors m/new.safetensors
    umount m
    odd modes
    saving "FUSE without fsync" 'the file system lacks fsync; ST_SAVE_NO_SYNC works without (system error 22)' ok \
        'the file system lacks fsync; ST_SAVE_NO_SYNC works without (system error 22)'
    run "FUSE without fsync: st copy" 'NO_SYNC\|--no-sync works without' "$st" copy expected/t.safetensors m/new.safetensors
    run "FUSE without fsync: st copy --no-sync" ok "$st" copy --no-sync expected/t.safetensors m/new.safetensors
    sharding "FUSE without fsync" 'ST_SAVE_NO_SYNC works without (system error 22)'
    umount m
    odd page
    h='{"a":{"dtype":"U8","shape":[1000],"data_offsets":[0,1000]},'
    h=$h'"b":{"dtype":"U8","shape":[20000],"data_offsets":[1000,21000]}}'
    { printf "\\$(printf %o ${#h})\\0\\0\\0\\0\\0\\0\\0%s" "$h" && head -c 21000 /dev/zero; } >back/t.safetensors
    for c in "cat" "show"; do run "FUSE, a page is lost: st $c a" ok "$st" $c m/t.safetensors a; done
    for c in "cat" "show --stats"; do run "FUSE, a page is lost: st $c b" 'Input/output error' "$st" $c m/t.safetensors b; done
    run "FUSE, a page is lost: st check" 'Input/output error' "$st" check --deep m/t.safetensors
    run "FUSE, a page is lost: st copy" '"b": cannot read' "$st" copy m/t.safetensors m/model.safetensors
    umount m
    odd close
    for scenario in save stream stream-to edit-fits edit-grows; do
        "$bin/saver" old back/t.safetensors
        run "FUSE, full at close: $scenario" 'cannot write the file (system error 28)' "$bin/saver" $scenario m/t.safetensors
    done
    "$bin/sharder" old three-over-two back
    run "FUSE, full at close: three-over-two" 'cannot write the file (system error 28)' "$bin/sharder" run three-over-two m
    umount m
fi

# what Windows has: names without case, no hard links, no permissions
truncate -s 8M exfat.img ntfs.img
if have mkfs.exfat mount.exfat-fuse losetup; then
    loop=$(losetup -f --show exfat.img 2>said)
    if mkfs.exfat exfat.img >said 2>&1 && [ "$loop" ] && mount.exfat-fuse "$loop" m >said 2>&1; then
        all exFAT
        "$bin/sharder" old three-over-three m
        (cd m && for f in *; do mv "$f" x && mv x "M${f#m}" || exit; done)
        run "exFAT: the index names files in another case" ok "$st" check m
        run "exFAT: another case" 'holds another model' "$bin/sharder" run three-over-three m
        umount m
    else
        skip "no exFAT: $(head -n 1 said)"
    fi
    [ -z "$loop" ] || losetup -d "$loop"
fi
if have mkntfs lowntfs-3g; then
    if mkntfs -F -Q -q ntfs.img >said 2>&1 && lowntfs-3g -o ignore_case ntfs.img m >said 2>&1; then
        all NTFS
        umount m
    else
        skip "no NTFS: $(head -n 1 said)"
    fi
fi
cd "$OLDPWD" && finish
