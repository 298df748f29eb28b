#!/bin/sh
# interop.sh: runs tests/interop with the reference package, using the Python of build/venv if it has the package.
check=interop
. tests/tools/lib.sh
python=build/venv/bin/python
[ -x $python ] || python=python3
if ! $python -c 'import safetensors, numpy, ml_dtypes' 2>/dev/null; then
    have "Python with safetensors, numpy and ml_dtypes"
    finish
fi
PYTHON=$PWD/$python
[ -x "$PYTHON" ] || PYTHON=$python
export PYTHON
tests/interop/run >"$out/said" 2>&1 || failed=1 # a program that dies has failed once, whatever it counted
cat "$out/said"
set -- $(sh tests/tools/sum.sh <"$out/said")
passed=$1 skipped=$5
[ "$3" = 0 ] || failed=$3
[ "$passed" != 0 ] || fail "nothing passed"
finish
