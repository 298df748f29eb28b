#!/bin/sh
# kernels.sh: runs programs as on a kernel that lacks a system call, or in a container that forbids it: strace answers each of
# its calls with ENOSYS, EPERM, EOPNOTSUPP or EINVAL. Without an optional call the program succeeds and writes the same bytes.
# Without an essential call its message names the file, and all files are as before. A call that is in neither list fails the
# check, so that new calls are not missed.
check=kernels
. tests/tools/lib.sh
have strace || finish
optional="fallocate fchmod fchown mincore madvise fadvise64 mmap clone3"
essential="openat newfstatat pread64 pwrite64 fsync rename getdents64 unlink"
# of the C library and of the tool, or covered by tests/faults: without them no program starts, prints, or stops
others="access arch_prctl brk clone close execve exit exit_group futex getpid getrandom ioctl mprotect munmap prlimit64 read
    readlink rseq rt_sigaction rt_sigprocmask sched_getaffinity set_robust_list set_tid_address write"

build() { # PROGRAM SOURCE...
    program=$1
    shift
    try "$program does not build" ${CC:-cc} -O0 -static -I. -pthread "$@" -o "$out/$program"
}
build saver tests/faults/programs/saver.c || finish
build sharder tests/faults/programs/sharder.c || finish
build reader tests/platforms/reader.c || finish
build st examples/st/*.c examples/common/text.c examples/common/json.c examples/common/lib.c || finish
if ! strace -o /dev/null -e inject=fsync:error=EIO:when=1 true 2>"$out/said"; then
    skip "no program may be traced here: $(head -n 1 "$out/said")"
    finish
fi
dir=$out/dir # what a program reads and writes
bin=$out

# big FILE: a model with a tensor of 8 MB, which is mapped, read ahead, and converted by several threads
big() {
    h='{"a":{"dtype":"U8","shape":[1000],"data_offsets":[0,1000]},'
    h=$h'"b":{"dtype":"F32","shape":[2000000],"data_offsets":[1000,8001000]}}'
    { printf "\\$(printf %o ${#h})\\0\\0\\0\\0\\0\\0\\0%s" "$h" && head -c 8001000 /dev/urandom; } >"$1"
}
big "$out/big.safetensors"

# prepare PROGRAM ARGUMENT: fills $dir and sets $command
prepare() {
    rm -rf "$dir" && mkdir "$dir"
    target=$dir/target.safetensors
    case $1 in
    saver)
        "$bin/saver" old "$target"
        chown 1:1 "$target" 2>"$out/said" # the new file gets the older one's owner, if root saves it
        command="$bin/saver $2 $target" ;;
    sharder)
        "$bin/sharder" old $2 "$dir"
        command="$bin/sharder run $2 $dir" ;;
    reader)
        cp "$out/big.safetensors" "$target"
        command="$bin/reader $target $out/big.safetensors" ;;
    st)
        cp "$out/big.safetensors" "$target"
        case $2 in
        index)
            "$bin/sharder" old three-over-three "$dir"
            rm "$target" "$dir"/*.json
            command="$bin/st index $dir" ;;
        convert) command="$bin/st convert $target $dir/new.safetensors --dtype bf16" ;;
        check) command="$bin/st check --deep $target" ;;
        esac ;;
    esac
}
# state: the bytes of all files; temporary ones, too, which must not be there unless they could not be removed
state() { (cd "$dir" && find . -type f ${1:+! -name '.st-*'} -exec cksum {} + | sort -k 3); }

# lacking CALL ANSWER: runs the program without the call
lacking() {
    prepare $program $argument
    timeout 20 strace -f -o /dev/null -e "trace=$1" -e "inject=$1:error=$2" $command >"$out/said" 2>&1
    status=$?
    state $(case $1 in unlink) echo no temporaries ;; esac) >"$out/state"
    label="$program $argument without $1, $2"
    same=neither
    cmp -s "$out/state" "$out/after" && same=after
    cmp -s "$out/state" "$out/before" && same=before
}
includes() { case " $1 " in *" $2 "*) ;; *) false ;; esac; }

while read -r program argument; do
    prepare $program $argument
    state >"$out/before"
    strace -f -o "$out/trace" $command >"$out/said" 2>&1 || fail "$program $argument: $(cat "$out/said")"
    state >"$out/after"
    done=after
    cmp -s "$out/before" "$out/after" && done=before
    calls=$(sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$out/trace" | sort -u)
    for call in $calls; do
        for answer in ENOSYS EPERM EOPNOTSUPP EINVAL; do
            if includes "$optional" $call; then
                lacking $call $answer
                case $status:$same in 0:$done) pass && continue ;; esac
            elif includes "$essential" $call; then
                lacking $call $answer
                case $call:$argument:$status:$same in
                fsync:direct:0:after | newfstatat:*:0:$done) pass && continue ;; # of a terminal, or a look that may fail
                fsync:in-place:3:after | fsync:overwrite:3:after) same=before ;;
                unlink:*:3:neither) grep -q 'new model is in place\|cannot remove this file' "$out/said" && same=before ;;
                esac
                case $status:$same in 1:before | 3:before) grep -q "$dir" "$out/said" && pass && continue ;; esac
            else
                includes "$(echo $others)" $call || fail "$program $argument: $call is called, and nothing is known of it"
                break
            fi
            fail "$label: exit status $status, the files are $same: $(head -n 1 "$out/said")"
        done
    done
    echo "$calls"
done >"$out/calls" <<PROGRAMS
reader
saver save
saver stream-to
saver edit-grows
saver in-place
saver overwrite
saver direct
sharder three-over-three
sharder three-over-single
sharder single-over-three
st index
st convert
st check
PROGRAMS
grep '^FAILED' "$out/calls"
[ "$(id -u)" = 0 ] || optional="${optional%fchown*}${optional#*fchown}" # the files have one owner
for call in $optional; do grep -qx $call "$out/calls" && pass || fail "no program calls $call"; done
finish
