#!/bin/sh
# system.sh: another program saves, streams and edits while strace makes each of its system calls fail, alone and with all
# later ones, or kills the program there. Afterwards the target is the old or the new file, bit for bit, as the program
# reported; if it survived the failure, it left nothing else.
check=faults
. tests/tools/lib.sh
have strace || finish
${CC:-cc} -O1 -g -static tests/faults/programs/saver.c -o "$out/saver" 2>"$out/said" ||
    try "saver.c does not build" ${CC:-cc} -O1 -g tests/faults/programs/saver.c -o "$out/saver" || finish
if ! strace -o /dev/null true 2>"$out/said"; then
    skip "no program may be traced here: $(head -n 1 "$out/said")"
    finish
fi
if ! strace -o /dev/null -e inject=fsync:error=EIO:when=1 true 2>"$out/said"; then
    skip "this strace cannot refuse calls"
    finish
fi

scratch=${ST_SCRATCH:-$out}
mkdir -p "$scratch" && dir=$(mktemp -d "$scratch/tmp.faults.XXXXXX") || exit 2
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
target=$dir/target.safetensors
"$out/saver" old "$out/old" || fail "no older file"
chmod 640 "$out/old"

# error codes of each call; an unlisted call fails the check, so that new calls are not missed
answers() {
    case $1 in
    open | openat) echo ENOSPC EACCES EMFILE EINTR ;;
    fallocate) echo ENOSPC EIO EOPNOTSUPP EINTR ;;
    write | pwrite64) echo ENOSPC EIO EINTR nothing ;;
    read | pread64) echo EIO EINTR nothing ;;
    fsync | fdatasync) echo EIO ENOSPC EINTR ;;
    fchmod | fchown | ftruncate) echo EPERM EIO EINTR ;;
    fstat | lstat | stat | newfstatat | statx) echo EIO EACCES ;;
    getdents | getdents64) echo EIO EACCES ;;
    lseek | fcntl) echo EINVAL ;;
    rename | renameat | renameat2) echo EACCES EIO ENOSPC EINTR ;;
    unlink | unlinkat) echo EIO ;;
    close) echo EIO EINTR ENOSPC ;;
    brk | mmap | munmap | mremap) echo ENOMEM ;;
    getpid | geteuid) ;; # they cannot fail
    *) return 1 ;;
    esac
}

# the calls between the marks: name and number, counted by name from the start of the program, as strace does
calls() {
    awk '{
        name = $0
        if (!sub(/\(.*/, "", name) || name !~ /^[a-z0-9_]+$/) next
        number[name]++
        if (/\/mark\/end/) inside = 0
        if (inside) print name, number[name]
        if (/\/mark\/begin/) inside = 1
    }' "$1"
}

# attempt SCENARIO [INJECTION]: runs the scenario on the old file; sets $status
attempt() {
    rm -f "$dir"/.st-* "$target"
    cp -p "$out/old" "$target"
    if [ $# = 1 ]; then
        timeout 20 strace -o "$out/trace" "$out/saver" "$1" "$target" >"$out/said" 2>&1
    else
        timeout 20 strace -o /dev/null -e "trace=${2%%:*}" -e "inject=$2" "$out/saver" "$1" "$target" >"$out/said" 2>&1
    fi
    status=$?
}

# judge LABEL SCENARIO RENAMED: checks the result; RENAMED is 1 if the call comes after the rename
judge() {
    verdict=torn
    cmp -s "$target" "$out/old" && verdict=old
    cmp -s "$target" "$out/new" && verdict=new
    mode=640
    case $1 in *fchmod*) [ "$(stat -c %a "$target")" != 600 ] || mode=600 ;; esac # permissions that were refused
    set -- "$@" "$dir"/.st-*
    left=none
    [ -e "$4" ] && left=$4
    case $status:$verdict:$3:$2 in
    0:new:*) ;;
    3:old:0:*) ;;
    3:new:1:* | 3:new:0:in-place* | 3:new:0:overwrite | 3:new:0:direct) ;; # what is there is not flushed, and that is said
    3:torn:0:direct | 137:torn:0:direct) "$out/saver" opens "$target" && fail "$1: an incomplete file opens" ;;
    3:old:1:in-place*) ;;
    137:old:* | 137:new:*) left=none ;; # a crash may leave its temporary
    *)
        fail "$1: exit status $status, the target is $verdict: $(head -n 1 "$out/said")"
        return
        ;;
    esac
    if [ "$left" != none ]; then
        fail "$1: $left is left"
    elif [ "$(stat -c %a "$target")" != $mode ]; then
        fail "$1: permissions are $(stat -c %a "$target")"
    else
        pass
    fi
}

for scenario in save save-no-sync stream stream-to edit-fits edit-grows in-place overwrite direct; do
    "$out/saver" new $scenario "$out/new"
    attempt $scenario
    judge "$scenario, undisturbed" $scenario 0
    [ $status = 0 ] || fail "$scenario: exit status $status"
    calls "$out/trace" >"$out/calls"
    [ "$(wc -l <"$out/calls")" -ge 8 ] || fail "$scenario: too few calls are seen"
    renamed=0
    while read -r name number <&3; do
        if ! known=$(answers $name); then
            fail "$scenario: $name is called, and nothing is known of it here"
            continue
        fi
        for answer in $known; do
            error=error=$answer
            [ $answer = nothing ] && error=retval=0
            for times in '' +; do
                [ "$answer$times" != EINTR+ ] || continue # an interrupted call is repeated, however often
                [ "$name$answer$times" != writenothing+ ] || continue # stdio would repeat the program's own output
                label="$scenario, $name $number: $answer${times:+ for ever}"
                attempt $scenario "$name:$error:when=$number$times"
                judge "$label" $scenario $renamed
                case $name:$answer:$status in
                *write*:EINTR:0 | *write*:E*:3 | rename*:*:3) ;; # bytes that did not come are never passed over
                *write*:nothing:3 | *read*:E*:3 | *read*:nothing:3 | *read*:EINTR:0) ;;
                *write*:* | rename*:* | *read*:*) fail "$label: exit status $status" ;;
                esac
            done
        done
        attempt $scenario "$name:signal=SIGKILL:when=$number"
        [ $status = 137 ] || fail "$scenario, $name $number: not killed"
        judge "$scenario, killed at $name $number" $scenario $renamed
        case $name in rename*) renamed=1 ;; esac
    done 3<"$out/calls"
done

# mounts that lack calls: object stores, FUSE, SMB
"$out/saver" new save "$out/new"
lacking() { # STATUS SAYS SCENARIO CALLS WHEN
    for answer in EPERM ENOSYS EOPNOTSUPP EINVAL; do
        attempt $3 "$4:error=$answer:when=$5"
        label="$3 without $4, $answer"
        judge "$label (fchmod)" $3 0
        [ $status = $1 ] || fail "$label: exit status $status"
        grep -q "$2" "$out/said" && pass || fail "$label: the message lacks \"$2\": $(head -n 1 "$out/said")"
    done
}
lacking 0 saved save fchmod,fchown,fallocate,ftruncate 1+
lacking 0 saved save fsync 2+ # of the directory
lacking 3 fsync save fsync 1+
lacking 3 rename save rename,renameat,renameat2 1+
lacking 0 saved direct fchmod,fchown,fallocate,ftruncate,rename,renameat,renameat2,fsync,fdatasync 1+

# the rename fails, and so does the cleanup
"$out/saver" new save "$out/new"
for name in close unlink; do
    rm -f "$dir"/.st-* "$target"
    cp -p "$out/old" "$target"
    strace -o /dev/null -e inject=rename,renameat,renameat2:error=EACCES -e inject=$name:error=EIO \
        "$out/saver" save "$target" >"$out/said" 2>&1
    status=$?
    if [ $name = unlink ]; then
        rm -f "$dir"/.st-* # it could not be taken away
    fi
    judge "rename and $name fail" save 0
    [ $status = 3 ] || fail "rename and $name fail: exit status $status"
done
. tests/faults/shards.sh
finish
