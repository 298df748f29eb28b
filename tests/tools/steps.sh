#!/bin/sh
# steps.sh LOGS TARGET...: makes each target, $JOBS at once, with its output in LOGS/TARGET.log. For each it prints a line with
# its time and total, its skips, and if it failed the end of its log without passed lines; last comes the grand total.
# Targets listed in $DONE are not made again; their existing logs count. `fuzz` runs first and alone, with $FUZZ_JOBS
# processes ($JOBS), as its time limit is only useful if it has the processors for itself.
set -u
if [ "$1" = --one ]; then
    target=$2
    log=$LOGS/$target.log
    start=$(date +%s)
    case " ${DONE:-} " in
    *" $target "*) status=0 ;;
    *)
        case $target in fuzz) jobs=${FUZZ_JOBS:-$JOBS} ;; *) jobs=1 ;; esac
        ${MAKE:-make} JOBS=$jobs "$target" >"$log" 2>&1 </dev/null
        status=$?
        ;;
    esac
    sum=$(grep -E '^([a-z0-9-]+: )?[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    sum=${sum#*: }
    case $status:$sum in
    0:*' passed, 0 failed'*) word=ok ;;
    *' passed, 0 failed'* | *:) word=FAILED sum='0 passed, 1 failed, 0 skipped' ;;
    *) word=FAILED ;;
    esac
    echo "$sum" >"$LOGS/$target.sum"
    {
        printf '%-6s %-10s %4d s  %s\n' $word "$target" $(($(date +%s) - start)) "$sum"
        sed -n 's/^\([a-z0-9_-]*: \)\{0,1\}skipped[ :]/       &/p' "$log" | sort -u
        [ $word = ok ] || grep -Ev '^make| passed, 0 failed' "$log" | tail -n 40 | sed 's/^/       /'
    } >"$LOGS/$target.line"
    cat "$LOGS/$target.line"
    exit 0
fi
LOGS=$1 JOBS=${JOBS:-2}
export LOGS JOBS
shift
mkdir -p "$LOGS"
rm -f "$LOGS"/*.sum
${MAKE:-make} build/st >/dev/null 2>&1 # two targets want it at the same time
case " $* " in *" fuzz "*) sh tests/tools/steps.sh --one fuzz ;; esac
printf '%s\n' "$@" | grep -vx fuzz | xargs -n 1 -P "$JOBS" sh tests/tools/steps.sh --one
cat "$LOGS"/*.sum | sh tests/tools/sum.sh
