#!/bin/sh
# mpi.sh: examples/mpi with 1 to 7 ranks on this machine: the bytes saved, the bytes read, the memory taken, damaged pieces,
# and ranks that are killed or fail in the middle.
check=example-mpi
. tests/tools/lib.sh
have mpicc mpirun strace || finish
python=build/venv/bin/python
$python -c 'import numpy, safetensors, ml_dtypes' 2>/dev/null || {
    if [ "${CI:-}" = true ]; then fail "no numpy and safetensors in build/venv"; else skip "no numpy and safetensors"; fi
    finish
}
[ -x build/st ] || ${MAKE:-make} build/st >/dev/null
st=build/st
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
    OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_mpi_yield_when_idle=1 PYTHONDONTWRITEBYTECODE=1
# ranks are on this machine alone, and after a failure mpirun kills them without waiting for a second
export OMPI_MCA_plm=isolated OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader OMPI_MCA_odls_base_sigkill_timeout=0
sources="examples/mpi/main.c examples/mpi/slices.c examples/mpi/save.c examples/common/lib.c examples/common/text.c
    examples/common/json.c examples/common/progress.c"
OMPI_CC=${CC:-cc}
export OMPI_CC
try "build" mpicc -std=gnu99 -O1 $WARN -I. $sources -o "$out/mpi" || finish
mpi=$out/mpi

scratch=${ST_SCRATCH:-$out}
dir=$(mktemp -d "$scratch/tmp.mpi.XXXXXX") || exit 2
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
try "models" $python tests/examples/mpi_models.py "$dir" || finish
# the reference writes two keys of metadata in random order
try "keys in order" $st copy "$dir/old.safetensors" "$dir/sorted.safetensors" && mv "$dir/sorted.safetensors" "$dir/old.safetensors"
ranks() { # N COMMAND...
    n=$1
    shift
    timeout -k 5 "${LIMIT:-60}" mpirun -n "$n" "$@" </dev/null
}

# ---- any number of ranks saves and loads the same bytes -----------------------------------------------------
for n in 1 2 3 4 7; do
    try "$n ranks save" ranks $n "$mpi" save "$dir/old.safetensors" "$dir/shards-$n" --max-shard 40000 --stats
    cp "$out/said" "$dir/stats"
    try "$n ranks save pieces" ranks $n "$mpi" save "$dir/old.safetensors" "$dir/pieces-$n" --pieces
    try "$n ranks: st diff" $st diff "$dir/old.safetensors" "$dir/shards-$n"
    try "$n ranks: st diff of pieces" $st diff "$dir/old.safetensors" "$dir/pieces-$n"
    try "$n ranks: as one" diff -r "$dir/shards-1" "$dir/shards-$n"
    # a rank reads at most 1.05 of what it holds
    try "$n ranks: bytes read" awk -v n=$n '/^rank/ { k++; if ($7 > 1.05 * $4) exit bad = 1 } END { exit bad || k != n }' "$dir/stats"
done
set -- shards-1 pieces-4 shards-7 pieces-1 pieces-3
for n in 1 2 3 4 7; do
    try "$n ranks load $1" ranks $n "$mpi" load "$dir/$1" "$dir/loaded.safetensors"
    try "$n ranks load $1: bytes" cmp "$dir/old.safetensors" "$dir/loaded.safetensors"
    shift
done
try "other rules" ranks 3 "$mpi" load "$dir/pieces-4" "$dir/ruled" --rule '*q_proj*=columns' --rule 'conv*=whole' \
    --rule '*o_proj*=rows' --align 4096
try "other rules: st diff" $st diff "$dir/old.safetensors" "$dir/ruled"
try "aligned" sh -c "$st ls --json '$dir/ruled' | grep -q '\"data_offset\":4096'"
[ "$($st ls --json "$dir/shards-3" | tr ',' '\n' | grep -c '"run":"1"')" -ge 1 ] && pass || fail "metadata is lost"

# the counts of --stats are those of the system: what rank 1 of 2 reads after the header
strace -ff -y -e trace=pread64 -o "$dir/trace" mpirun -n 2 "$mpi" load "$dir/old.safetensors" "$dir/x.safetensors" --stats \
    </dev/null >"$dir/stats" 2>&1
read=$(cat "$dir"/trace.* | awk '/old.safetensors/ && !/, 8, 0\) = 8$/ { sum += $NF } END { print sum + 0 }')
told=$(awk '/^rank/ { sum += $7 } END { print sum + 0 }' "$dir/stats")
header=$(($($st ls --json "$dir/old.safetensors" | tr ',' '\n' | sed -n 's/.*"data_offset":\([0-9]*\).*/\1/p' | head -n 1) - 8))
[ "$told" -gt 0 ] && [ "$read" -ge "$told" ] && [ "$read" -le $((told + 2 * header + 2 * 65536)) ] && pass ||
    fail "--stats: $told bytes, the system: $read, with two headers of $header"

# rare dtypes and names, no tensors, no metadata
ranks 1 "$mpi" load "$dir/odd.safetensors" "$dir/odd-1.safetensors"
try "odd" $st diff "$dir/odd.safetensors" "$dir/odd-1.safetensors"
grep -q '"DCP_NOTE":"kept"' "$dir/odd-1.safetensors" && pass || fail "metadata that only looks like that of pieces is lost"
try "odd: pieces" ranks 3 "$mpi" save "$dir/odd.safetensors" "$dir/odd-pieces" --pieces
try "odd: shards" ranks 7 "$mpi" save "$dir/odd-pieces" "$dir/odd-shards" --max-shard 20
try "odd: from shards" ranks 2 "$mpi" load "$dir/odd-shards" "$dir/odd-2.safetensors"
try "odd: values" $st diff "$dir/odd.safetensors" "$dir/odd-2.safetensors"
for model in bare empty; do
    try "$model: pieces" ranks 2 "$mpi" save "$dir/$model.safetensors" "$dir/$model-pieces" --pieces
    try "$model: from pieces" ranks 1 "$mpi" load "$dir/$model-pieces" "$dir/$model-2.safetensors"
    try "$model" $st diff "$dir/$model.safetensors" "$dir/$model-2.safetensors"
done

# a model saved over itself, beside files of others; --max-shard with one shard removes what is older
for way in shards pieces; do
    [ $way = pieces ] && option=--pieces || option="--max-shard 90000"
    cp -r "$dir/$way-3" "$dir/self"
    : >"$dir/self/shard-of-mine.safetensors"
    try "$way over themselves" ranks 2 "$mpi" save "$dir/self" "$dir/self" $option
    try "$way over themselves: st diff" $st diff "$dir/old.safetensors" "$dir/self"
    [ -e "$dir/self/shard-of-mine.safetensors" ] && pass || fail "$way: a stranger's file is deleted"
    [ $way = pieces ] || try "one shard" ranks 2 "$mpi" save "$dir/self" "$dir/self/"
    [ $way = pieces ] || [ "$(ls "$dir/self" | tr '\n' ' ')" = "model.safetensors shard-of-mine.safetensors " ] && pass ||
        fail "$way: left:" "$(ls "$dir/self")"
    rm -r "$dir/self"
done

# no rank holds a whole tensor: 128 MiB on 4 ranks
try "large" ranks 4 $python tests/examples/mpi_memory.py "$dir/memory" "$mpi" load "$dir/large.safetensors" "$dir/l.safetensors"
try "large: bytes" cmp "$dir/large.safetensors" "$dir/l.safetensors"
try "large: memory" awk '{ n++; if ($1 > most) most = $1 } END { print most; exit n != 4 || most > 100000 }' "$dir/memory"
try "large: whole" ranks 2 "$mpi" load "$dir/large.safetensors" "$dir/l.safetensors" --rule '*=whole' --stats
[ "$(awk '{ sum += $7 } END { print sum }' "$out/said")" = 134217728 ] && pass || fail "large: not read once: $(cat "$out/said")"
try "large: whole: bytes" cmp "$dir/large.safetensors" "$dir/l.safetensors"
rm -f "$dir"/l*.safetensors

# ---- what is refused ----------------------------------------------------------------------------------------
refuses() { # STATUS WANTED N ARGUMENTS...
    wanted_status=$1 wanted=$2 n=$3
    shift 3
    ranks "$n" "$mpi" "$@" >"$out/refused" 2>&1
    status=$?
    [ $status = "$wanted_status" ] && [ "$(grep -cF -- "$wanted" "$out/refused")" = 1 ] && pass ||
        fail "$n ranks: $*: exit status $status:" "$(head -n 5 "$out/refused")"
}
refuses 2 "expected save IN DIR" 2
refuses 2 "expected save IN DIR" 1 save a
refuses 2 "expected save IN DIR" 1 steal a b
refuses 2 "cannot have: --rule" 1 save a b --rule x=diagonal
refuses 2 "cannot have: --max-shard" 1 save a b --max-shard -1
refuses 2 "--pieces goes with save" 1 load a b --pieces
for align in 3 4 12 134217728; do refuses 2 "--align takes a power of two" 1 save a b --align $align; done
refuses 1 'deep\u001b[31m: over 16 dimensions' 1 save "$dir/deep.safetensors" "$dir/none"
refuses 1 "no such file" 3 save "$dir/none.safetensors" "$dir/none"
refuses 1 "directory" 2 save "$dir/old.safetensors" "$dir/none/none"
refuses 1 "another model is here" 2 save "$dir/new.safetensors" "$dir/shards-2" --pieces
refuses 1 "another model is here" 2 save "$dir/new.safetensors" "$dir/pieces-2"
mkdir "$dir/dcp" && : >"$dir/dcp/shard-00001-model-00002-of-00002.safetensors"
refuses 1 "another model is here" 1 save "$dir/new.safetensors" "$dir/dcp"
refuses 1 "another model is here" 1 save "$dir/new.safetensors" "$dir/dcp" --pieces
mv "$dir/dcp"/* "$dir/dcp/shard-00002-model-00001-of-00001.safetensors" # pieces whose first is missing
refuses 1 "another model is here" 1 save "$dir/new.safetensors" "$dir/dcp"
# each rank is in another directory, and what it finds there
mkdir "$dir/here" "$dir/there" && cp "$dir/old.safetensors" "$dir/here/m.safetensors"
cp "$dir/odd.safetensors" "$dir/there/m.safetensors"
timeout -k 5 20 mpirun -n 1 -wdir "$dir/here" "$PWD/$mpi" load m.safetensors x.safetensors : \
    -n 1 -wdir "$dir/there" "$PWD/$mpi" load m.safetensors x.safetensors </dev/null >"$out/refused" 2>&1
status=$?
[ $status = 1 ] && grep -q "the ranks see different files" "$out/refused" && pass ||
    fail "two models: exit status $status:" "$(head -n 3 "$out/refused")"
try "what was there" $st diff "$dir/old.safetensors" "$dir/shards-2"
try "what was there" $st diff "$dir/old.safetensors" "$dir/pieces-2"
try "help" ranks 1 "$mpi" --help

# hostile pieces, read by a program with sanitizers; OpenMPI itself leaks
if command -v clang-14 >/dev/null; then
    OMPI_CC=clang-14
    try "build with sanitizers" mpicc -g -O0 -fsanitize=address,undefined -fno-sanitize-recover=all -I. $sources -o "$out/mpi-asan" &&
        mpi=$out/mpi-asan
fi
export ASAN_OPTIONS=detect_leaks=0
damaged() { # HOW WANTED
    rm -rf "$dir/damaged"
    cp -r "$dir/pieces-2" "$dir/damaged"
    try "damage $1" $python tests/examples/mpi_pieces.py "$1" "$dir/damaged"
    refuses 1 "$2" 1 load "$dir/damaged" "$dir/x.safetensors"
}
damaged overlap "pieces overlap"
damaged gap "a piece is missing"
damaged far "a piece is missing"
for how in half twice cut text negative huge array rank deep nothing; do damaged $how "does not place each tensor"; done
damaged none "no DCP_SHARDING_INFO"
damaged dtype "different ranks or dtypes"
damaged dimensions "different ranks"
damaged bits "a piece begins within a byte"
rm "$dir/damaged/shard-00001-model-00001-of-00001.safetensors"
refuses 1 "was saving interrupted" 1 load "$dir/damaged" "$dir/x.safetensors"
rm -r "$dir/damaged" && cp -r "$dir/pieces-2" "$dir/damaged"
$python tests/examples/mpi_pieces.py empty "$dir/damaged"
try "pieces without rows" ranks 1 "$mpi" load "$dir/damaged" "$dir/x.safetensors"
try "pieces without rows: bytes" cmp "$dir/old.safetensors" "$dir/x.safetensors"
try "odd with sanitizers" ranks 2 "$mpi" load "$dir/odd-pieces" "$dir/x.safetensors"
try "with sanitizers" ranks 2 "$mpi" save "$dir/pieces-3" "$dir/again" --max-shard 40000
try "with sanitizers: bytes" diff -r "$dir/shards-1" "$dir/again"
mpi=$out/mpi

# ---- ranks that die ------------------------------------------------------------------------------------------
# A rank is killed at its k-th call of a kind, while it replaces the old model. Afterwards the directory holds the old model,
# the new one, or is refused.
strace -o /dev/null true 2>/dev/null || { skip "no program may be traced here" && finish; }
cat >"$dir/rank" <<'END'
#!/bin/sh
# rank WHICH INJECTION COMMAND...: rank WHICH runs the command under strace
which=$1 injection=$2
shift 2
[ "$OMPI_COMM_WORLD_RANK" = "$which" ] || exec "$@"
exec strace -f -o /dev/null -e inject="$injection" "$@"
END
chmod +x "$dir/rank"
# pieces that another save replaces while they are opened
cp -r "$dir/pieces-2" "$dir/work" && cp -r "$dir/pieces-2" "$dir/newer"
second=$dir/work/shard-00002-model-00001-of-00001.safetensors
strace -f -o "$dir/slow" -P "$second" -e inject=openat:delay_enter=1000000 "$mpi" load "$dir/work" "$dir/x.safetensors" \
    </dev/null >"$out/replaced" 2>&1 &
tries=0
until grep -q openat "$dir/slow" 2>/dev/null || [ $((tries += 1)) -gt 200 ]; do sleep 0.05; done
mv "$dir/newer"/* "$dir/work"
wait $!
status=$?
[ $status = 1 ] && grep -q "were replaced while they were opened" "$out/replaced" && pass ||
    fail "pieces replaced while they are opened: exit status $status:" "$(head -n 3 "$out/replaced")"

seen=
after() { # LABEL: what is in the directory now
    if $st check "$dir/work" >"$out/checked" 2>&1; then
        if $st diff "$dir/old.safetensors" "$dir/work" >"$out/diff" 2>&1; then
            seen="$seen old"
        elif $st diff "$dir/new.safetensors" "$dir/work" >>"$out/diff" 2>&1; then
            seen="$seen new"
        else
            fail "$1: neither the old model nor the new one:" "$(head -n 5 "$out/diff")"
            return
        fi
    else
        seen="$seen refused"
    fi
    pass
}
for way in shards pieces; do
    [ $way = pieces ] && option=--pieces || option="--max-shard 40000"
    [ $way = pieces ] && last=0:fsync:5 || last=0:fsync:11 # the last flush, of the directory
    for injection in 0:unlink:1 0:unlink:2 0:rename:1 1:rename:1 0:fsync:1 0:fsync:2 1:fallocate:1 $last; do
        IFS=: read -r which call k <<END
$injection
END
        rm -rf "$dir/work"
        cp -r "$dir/$way-3" "$dir/work"
        begun=$(date +%s)
        LIMIT=20 ranks 2 "$dir/rank" "$which" "$call:signal=KILL:when=$k" "$mpi" save "$dir/new.safetensors" "$dir/work" $option \
            >"$out/killed" 2>&1
        status=$?
        # mpirun itself may wait for a process that was killed before it said hello; the time limit then kills the others
        [ $(($(date +%s) - begun)) -lt 20 ] || skip "$way, $injection: mpirun did not notice the end of a rank"
        [ $status = 0 ] && fail "$way, $injection: nobody was killed"
        after "$way, $injection"
    done
    # the next save mends what is left
    [ $way = shards ] || : >"$dir/work/.mpi-00009.safetensors" # of more ranks
    try "$way: again" ranks 2 "$mpi" save "$dir/new.safetensors" "$dir/work" $option
    try "$way: again: st diff" $st diff "$dir/new.safetensors" "$dir/work"
    [ -z "$(find "$dir/work" -name '.mpi-*')" ] && pass || fail "$way: temporary files stay"
done
for what in old new refused; do
    case $seen in *$what*) pass ;; *) fail "no killed rank left the directory $what:$seen" ;; esac
done
# a rank whose disk is full ends all of them, with its message
for way in shards pieces; do
    [ $way = pieces ] && option=--pieces || option="--max-shard 40000"
    rm -rf "$dir/work"
    cp -r "$dir/$way-3" "$dir/work"
    ranks 2 "$dir/rank" 1 "fsync:error=ENOSPC:when=1" "$mpi" save "$dir/new.safetensors" "$dir/work" $option >"$out/full" 2>&1
    status=$?
    [ $status = 1 ] && grep -q '^mpi: rank 1: .*28' "$out/full" && pass || fail "$way, disk full: $status" "$(head -n 3 "$out/full")"
    after "$way, disk full"
    [ -z "$(find "$dir/work" -name '.*' -type f)" ] && pass || fail "$way, disk full: temporary files stay"
done
finish
