#!/bin/sh
# readme.sh: the commands that README.md shows in "Programs that stand on it" print what README.md says. remote.sh runs those
# that need a server.
check=example-readme
unset MAKEFLAGS MFLAGS MAKELEVEL # so that make prints what it prints to a user
. tests/tools/lib.sh
section() { awk '/^## Programs that stand on it$/ { on = 1; next } /^## / { on = 0 } on && /^    / { print substr($0, 5) }' README.md; }
section | sed -n 's/^\$ //p' >"$out/commands"
[ "$(wc -l <"$out/commands")" -ge 8 ] && pass || fail "README.md shows fewer than 8 commands"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
[ -x build/st ] || ${MAKE:-make} build/st >/dev/null
rm -rf build/pieces
while read -r command <&3; do
    case $command in remote*) continue ;; esac
    program=$(printf '%s\n' "$command" | grep -o 'build/examples/[a-z0-9_]*' | head -n 1)
    missing=
    for path in $(printf '%s\n' "$command" | grep -oE '(\.\./shared|build/models)/[A-Za-z0-9_./-]*'); do [ -e "$path" ] || missing=$path; done
    [ -z "$missing" ] || { skip "no $missing here: $command" && continue; }
    case $command in mpirun*) have mpirun || continue ;; esac
    if [ -n "$program" ] && ! ${MAKE:-make} "$program" >"$out/made" 2>&1; then
        if [ "${CI:-}" = true ]; then fail "$program does not build" "$(tail -n 3 "$out/made")"; else skip "$program does not build here"; fi
        continue
    fi
    section | COMMAND=$command awk '$0 == "$ " ENVIRON["COMMAND"] { on = 1; next } /^\$ / { on = 0 } on' >"$out/wanted"
    sh -c "$command" >"$out/got" 2>&1 </dev/null
    try "README.md: $command" diff "$out/wanted" "$out/got"
done 3<"$out/commands"
finish
