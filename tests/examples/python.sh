#!/bin/sh
# python.sh: examples/python/safetensors_c.py beside numpy and the reference package. Its structs are compared with
# those of the compiler.
check=example-python
. tests/tools/lib.sh
cc=${CC:-cc}
rm -rf build/examples/python
try "build" ${MAKE:-make} build/examples/python || finish
python=build/venv/bin/python
[ -x $python ] || python=python3
have $python || finish
try "layout.c" $cc $WARN -std=gnu99 -I. tests/examples/python_layout.c -o "$out/layout"
"$out/layout" >"$out/layout.txt"
export PYTHONPATH=build/examples/python PYTHONDONTWRITEBYTECODE=1
for test in python_layout.py python_test.py; do
    if $python -c 'import numpy, safetensors, ml_dtypes' 2>/dev/null; then
        $python "tests/examples/$test" "$out" >"$out/$test.txt" 2>&1
        status=$?
        while read -r verdict text; do
            case $verdict in
            ok) pass ;;
            skipped) skip "$text" ;;
            *) fail "$test: $verdict $text" ;;
            esac
        done <"$out/$test.txt"
        [ $status = 0 ] && pass || fail "$test: exit status $status"
    elif [ "${CI:-}" = true ]; then
        fail "no numpy, ml_dtypes and safetensors in build/venv, though tests/tools/install should bring them"
    else
        skip "$test: no Python with numpy, ml_dtypes and safetensors"
    fi
done
# a library of another version is refused, as its structs may differ
for call in st_status_name st_dtype_bits st_dtype_from_name st_open st_open_memory st_read_as st_save st_close; do
    echo "void $call(void) {}"
done >"$out/other.c"
echo "unsigned st_version(void) { return 9900; }" >>"$out/other.c"
$cc -w -shared -fPIC "$out/other.c" -o "$out/other.so"
SAFETENSORS_C_LIBRARY=$out/other.so $python -c 'import safetensors_c' >"$out/other.txt" 2>&1
grep -q "is version 0.99 of safetensors.h" "$out/other.txt" && pass || fail "another version: $(cat "$out/other.txt")"
# reading, converting and saving need the standard library alone
[ -e build/demo.safetensors ] || ${MAKE:-make} build/demo.safetensors
try "without numpy" $python -S -I -c '
import sys
sys.path.insert(0, "build/examples/python")
import safetensors_c as st
tensors = st.load_file("build/demo.safetensors")
assert list(tensors) == ["embed.weight", "norm.bias", "ids"], list(tensors)
assert bytes(tensors["ids"].buffer()) == bytes([1, 2, 3, 4, 5, 6])
assert tensors["embed.weight"].read("F32", transpose=True).shape == (2, 4)
saved = st.save(tensors, tensors.metadata)
assert sorted(st.load(saved)) == sorted(tensors) and st.load(saved).metadata == {"made by": "make run"}
assert "numpy" not in sys.modules'
finish
