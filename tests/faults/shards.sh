# shards.sh: part of system.sh. Another program saves a model in several files over an older one; it is killed at each of its
# system calls, and each call is made to fail once. Afterwards the directory opens as the older or the new model, or is
# rejected; nothing else is possible. If the program survived the failure, it left no temporary.
${CC:-cc} -O1 -g -static tests/faults/programs/sharder.c -o "$out/sharder" 2>"$out/said" ||
    try "sharder.c does not build" ${CC:-cc} -O1 -g tests/faults/programs/sharder.c -o "$out/sharder" || finish

# shards_attempt SCENARIO [INJECTION]: runs the scenario in a copy of the older model; sets $status
shards_attempt() {
    rm -rf "$dir" && cp -a "$out/older" "$dir"
    if [ $# = 1 ]; then
        timeout 20 strace -o "$out/trace" "$out/sharder" run "$1" "$dir" >"$out/said" 2>&1
    else
        timeout 20 strace -o /dev/null -e "trace=${2%%:*}" -e "inject=$2" "$out/sharder" run "$1" "$dir" >"$out/said" 2>&1
    fi
    status=$?
}

# shards_judge LABEL: checks the directory against $status and the printed message
shards_judge() {
    opens_as=$("$out/sharder" judge "$dir")
    left=$(find "$dir" -name '.st-*' | head -n 1)
    case $status:$opens_as:$(cat "$out/said") in
    0:new:*) ;;
    137:old:* | 137:new:* | 137:refused:*) left= ;; # a crash may leave its temporaries
    3:refused:*'older model is gone'*) ;;
    3:new:*'is in place'*) ;;
    3:*:*'older model is gone'* | 3:*:*'is in place'*) opens_as="$opens_as, against its word" ;;
    3:old:*) ;;
    3:refused:*) [ "$before" = refused ] || [ "${1#parts}" != "$1" ] || opens_as="$opens_as, against its word" ;;
    *) opens_as="$opens_as, against all rules" ;;
    esac
    case $opens_as in
    *against*) fail "$1: exit status $status, the directory is $opens_as: $(head -n 1 "$out/said")" ;;
    *) if [ "$left" ]; then fail "$1: $left is left"; else pass; fi ;;
    esac
}

for scenario in $("$out/sharder" list); do
    rm -rf "$out/older" && mkdir "$out/older"
    "$out/sharder" old $scenario "$out/older" || fail "$scenario: no older model"
    before=$("$out/sharder" judge "$out/older")
    shards_attempt $scenario
    shards_judge "$scenario, undisturbed"
    [ $status = 0 ] || fail "$scenario: exit status $status: $(cat "$out/said")"
    calls "$out/trace" >"$out/calls"
    [ "$(wc -l <"$out/calls")" -ge 20 ] || fail "$scenario: too few calls are seen"
    while read -r name number <&3; do
        if ! known=$(answers $name); then
            fail "$scenario: $name is called, and nothing is known of it here"
            continue
        fi
        shards_attempt $scenario "$name:signal=SIGKILL:when=$number"
        [ $status = 137 ] || fail "$scenario, $name $number: not killed"
        shards_judge "$scenario, killed at $name $number"
        for answer in $known; do # the first of them; sharding.c has the others
            shards_attempt $scenario "$name:error=$answer:when=$number"
            shards_judge "$scenario, $name $number: $answer"
            break
        done
    done 3<"$out/calls"
done
rm -rf "$out/older"
