"""Checks that files written by the reference package load with the same names, dtypes, shapes, bytes and metadata."""
import os

import numpy
import safetensors
from safetensors.numpy import save_file

NUMPY_NAMES = {"BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "F16": "float16", "I32": "int32",
               "U32": "uint32", "F32": "float32", "F64": "float64", "I64": "int64", "U64": "uint64", "C64": "complex64"}
# dtypes that numpy lacks: the name in the package, bits of an element. The package cannot write F6.
OTHER_DTYPES = {"BF16": ("bfloat16", 16), "F8_E5M2": ("float8_e5m2", 8), "F8_E4M3": ("float8_e4m3fn", 8), "F8_E8M0": ("float8_e8m0fnu", 8),
                "F8_E4M3FNUZ": ("float8_e4m3fnuz", 8), "F8_E5M2FNUZ": ("float8_e5m2fnuz", 8), "F4": ("float4_e2m1fn_x2", 4)}
ODD_NAMES = ["", " ", "a b", "\"quoted\"", "back\\slash", "new\nline", "tab\t", "\x1b[31mred", "\x7f", "\u00e9\u20ac\U0001f600", "metadata",
             "\u202eright to left", "x" * 1000, "a/../b", "-n", "--json", "%s%n", "{}", "\ufeff", "\u2028"]


def array(random, dtype, shape):
    bits = random.integers(0, 256, size=int(numpy.prod(shape, dtype=numpy.int64)) * numpy.dtype(dtype).itemsize, dtype=numpy.uint8)
    if dtype == "bool":
        bits &= 1
    return numpy.frombuffer(bits.tobytes(), dtype=dtype).reshape(shape)


def models(random):
    """Returns name: (tensors by name, metadata)."""
    yield "all-dtypes", {d: array(random, n, (3, 5)) for d, n in NUMPY_NAMES.items()}, {"format": "np"}
    yield "no-tensors", {}, {"only": "metadata"}
    yield "nothing", {}, None
    yield "scalar-and-empty", {"scalar": array(random, "float32", ()), "empty": array(random, "float64", (0,)),
                               "0xn": array(random, "int16", (0, 7, 3)), "nx0": array(random, "int8", (4, 0))}, None
    yield "odd-names", {name: array(random, "uint8", (1,)) for name in ODD_NAMES}, {name: name for name in ODD_NAMES}
    yield "one-large", {"w": array(random, "float32", (1024, 512))}, None
    yield "rank-30", {"r": array(random, "int64", (1,) * 29 + (2,))}, None
    yield "thousands", {"model.layers.%d.w%d" % (i // 9, i % 9): array(random, "float16", (i % 3, 2)) for i in range(5000)}, {"k": "v" * 10000}
    for n in range(20):
        kinds = sorted(NUMPY_NAMES.values())
        yield "random-%d" % n, {"t%d" % i: array(random, kinds[random.integers(len(kinds))], tuple(random.integers(0, 5, size=random.integers(0, 5))))
                                for i in range(random.integers(1, 30))}, {str(i): "\x00\u00e9" * i for i in range(n)}


def compare(tool, tally, name, expected, metadata, cats):
    """expected: {tensor: (dtype, shape, bytes)}"""
    with open(os.path.join(tool.directory, name), "rb") as opened:
        whole = opened.read()
    listed = tool.ls(name)
    tally.check(listed is not None, name, "is not listed")
    if listed is None:
        return
    tally.check(listed["metadata"] == metadata or (not metadata and not listed["metadata"]), name, "metadata", listed["metadata"])
    tensors = {t["name"]: t for t in listed["tensors"]}
    tally.check(len(tensors) == len(listed["tensors"]) and tensors.keys() == expected.keys(), name, "names", sorted(tensors))
    at = listed["shards"][0]["data_offset"]
    for t in listed["tensors"]:
        dtype, shape, data = expected[t["name"]]
        good = t["dtype"] == dtype and t["shape"] == list(shape) and t["offset"] == at and whole[at : at + t["bytes"]] == data
        tally.check(good, name, "tensor", t, "expected", dtype, shape)
        at += t["bytes"]
    tally.check(at == len(whole) == listed["shards"][0]["file_bytes"], name, "ends at", at)
    for tensor in [t for t in expected if "\0" not in t and not t.startswith("-")][:cats]:
        tally.check(tool.cat(name, tensor) == expected[tensor][2], name, "st cat", repr(tensor))


def serialize(dtype, shape, data):
    """Writes one tensor with the package; versions before 0.8 take dictionaries."""
    if not hasattr(safetensors, "TensorSpec"):
        return safetensors.serialize({"t": {"dtype": dtype, "shape": shape, "data": data.tobytes()}})
    return safetensors.serialize({"t": safetensors.TensorSpec(dtype=dtype, shape=shape, data_ptr=data.ctypes.data, data_len=data.nbytes)})


def check_other_dtypes(tool, tally, random):
    """Writes dtypes that numpy lacks, if this version of the package can."""
    for dtype, (name, bits) in OTHER_DTYPES.items():
        data = random.integers(0, 256, size=12 * bits // 8, dtype=numpy.uint8)
        try:
            whole = serialize(name, [3, 2] if dtype == "F4" else [3, 4], data)  # of F4 it takes pairs
        except Exception as error:
            tally.skipped += 1
            print("interop: skipped: the package does not write %s: %s" % (dtype, error))
            continue
        with open(os.path.join(tool.directory, "other"), "wb") as out:
            out.write(whole)
        compare(tool, tally, "other", {"t": (dtype, [3, 4], data.tobytes())}, None, 1)


def check(tool, tally):
    random = numpy.random.default_rng(1)
    numpy_dtype = {numpy.dtype(n): d for d, n in NUMPY_NAMES.items()}
    for name, tensors, metadata in models(random):
        save_file(tensors, os.path.join(tool.directory, name), metadata=metadata)
        expected = {n: (numpy_dtype[a.dtype], a.shape, a.tobytes()) for n, a in tensors.items()}
        compare(tool, tally, name, expected, metadata, 25)
    check_other_dtypes(tool, tally, random)
