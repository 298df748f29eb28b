"""Tests safetensors_c.py: values and bytes as the reference package has them, no copies, and lifetimes."""
import copy
import gc
import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

import safetensors_c as st

folder = sys.argv[1]
path = os.path.join(folder, "model.safetensors")
random = np.random.default_rng(7)


def check(holds, *what):
    print("ok" if holds else "FAILED", *what)


def fails(what, kinds, call, text=""):
    try:
        call()
    except kinds as error:
        check(text in str(error), what, error)
    else:
        print("FAILED", what, "raised nothing")


def is_mapped():
    """Whether the process has the model's file mapped."""
    with open("/proc/self/maps") as maps:
        return any(os.path.abspath(path) in line for line in maps)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def stored(array):
    """The array as a file has it: little-endian. dtypes of ml_dtypes have no byte order."""
    array = np.asarray(array)
    return array if array.dtype.isbuiltin == 2 else array.astype(array.dtype.newbyteorder("<"))


arrays = {"scalar": np.float32(3.5), "empty": np.zeros((0, 7), np.int16), "flags": np.array([[True], [False]]),
          "strided": np.arange(24, dtype=np.int32).reshape(4, 6)[::2, ::3], "naïve/名前": np.arange(3, dtype=np.uint64),
          "big endian": np.arange(5, dtype=">f8"), "complex": np.array([1 + 2j, 3 - 4j], np.complex64)}
for name in ("uint8", "int8", "uint16", "int16", "float16", "uint32", "int32", "float32", "uint64", "int64", "float64"):
    arrays[name + ".weight"] = random.integers(0, 127, (3, 5)).astype(name)
for name in ("bfloat16", "float8_e5m2", "float8_e4m3fn"):
    arrays[name] = random.standard_normal((2, 4)).astype(getattr(ml_dtypes, name))

# ---- saving: the reference's bytes ----
reference = {name: stored(a).copy() for name, a in arrays.items() if not name.startswith("float8")}
check(st.save({name: arrays[name] for name in reference}, {"k": "ü"})
      == safetensors.numpy.save(reference, {"k": "ü"}), "bytes of the reference package")
st.save_file(arrays, path, {"format": "np", "é": "\0"})
with safetensors.safe_open(path, "np") as file:
    check(file.metadata() == {"format": "np", "é": "\0"}, "metadata", file.metadata())
check(st.save({}) == safetensors.numpy.save({}), "no tensors")
check(st.load(st.save({}, {})).metadata == {} and st.load(st.save({})).metadata is None, "empty metadata, and none")

# ---- reading: values, and no copies ----
model = st.load_file(path)
check(sorted(model) == sorted(arrays) and len(model) == len(arrays) and "empty" in model, "names")
check(model.metadata == {"format": "np", "é": "\0"}, "metadata")
for name, array in arrays.items():
    found = model[name].numpy()
    check(same(stored(array), found), "values of", name)
    check(not found.flags.writeable and not found.flags.owndata, "no copy of", name)
    check(found.ctypes.data == model[name]._data or found.size == 0, "address of", name)
check(bytes(model["int8.weight"].buffer()) == arrays["int8.weight"].tobytes(), "buffer")
fails("write to a mapping", ValueError, lambda: model["int8.weight"].numpy().__setitem__(0, 1), "read-only")
fails("no such tensor", KeyError, lambda: model["none"])
fails("no such file", st.SafetensorsError, lambda: st.load_file(path + "x"), "no such file")
for status, data in (("ST_ERR_TRUNCATED", b"abc"), ("ST_ERR_JSON", b"\x02\0\0\0\0\0\0\0xx"),
                     ("ST_ERR_FORMAT", b"PK\3\4" + b"\0" * 60)):
    try:
        st.load(data)
        print("FAILED", status, "raised nothing")
    except st.SafetensorsError as error:
        check(error.status == status, status, error)
check(same(model["uint8.weight"].read("F32").numpy(), arrays["uint8.weight"].astype("<f4")), "converted")
check(same(model["float32.weight"].read("BF16").numpy(), arrays["float32.weight"].astype(ml_dtypes.bfloat16)),
      "converted to BF16")
fails("no such dtype", ValueError, lambda: model["scalar"].read("F99"))
fails("no such conversion", st.SafetensorsError, lambda: model["scalar"].read("F4"))
with open(path, "rb") as file:
    turned = st.load(file.read(), transpose=True)
check(same(turned["int32.weight"].numpy(), np.ascontiguousarray(arrays["int32.weight"].T)), "transposed")
check(turned["flags"].shape == (2, 1) and turned["bfloat16"].shape == (2, 4), "only .weight of two axes is transposed")
with open(path, "rb") as file:
    check(same(st.load(memoryview(bytearray(file.read())))["scalar"].numpy(), np.array(3.5, "<f4")), "any buffer")
copies = st.load_file(path, copy=True)
copies["int8.weight"].numpy()[0, 0] = 99
check(copies["int8.weight"].read("F32").numpy()[0, 0] == 99, "a copy of a copy has its values")
check(copies["int8.weight"].numpy()[0, 0] == 99 and model["int8.weight"].numpy()[0, 0] == arrays["int8.weight"][0, 0],
      "copies may be written to")

# ---- DLPack ----
for name, tensor in model.items():
    if tensor.dtype in ("BF16", "F8_E5M2", "F8_E4M3"):
        fails("numpy and " + tensor.dtype, (RuntimeError, BufferError), lambda: np.from_dlpack(tensor))
        continue
    found = np.from_dlpack(tensor)
    check(same(found, tensor.numpy()), "DLPack", name)
    check(not found.flags.writeable and (found.ctypes.data == tensor._data or not found.size), "no copy of", name)
text = b'{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}'
text += b" " * (-len(text) % 4)  # bytes objects are aligned, so b starts one byte past a multiple of four
odd = st.load(len(text).to_bytes(8, "little") + text + b"\0\0\0\x80\x3f")
check(odd["b"].numpy()[0] == 1, "numpy reads what is not aligned")
fails("not aligned", BufferError, lambda: np.from_dlpack(odd["b"]), "not aligned")
check(np.from_dlpack(odd["b"].read())[0] == 1, "a copy is aligned")
fails("a consumer that cannot know", BufferError, lambda: model["int8.weight"].__dlpack__(), "read-only")
fails("another device", BufferError, lambda: model["int8.weight"].__dlpack__(max_version=(1, 0), dl_device=(2, 0)))
check(same(np.from_dlpack(model["int8.weight"], copy=True), arrays["int8.weight"]), "a copy")
check(np.from_dlpack(copies["int8.weight"])[0, 0] == 99, "memory of its own")
check(same(st.load(st.save({"a": copies["float64.weight"]}))["a"].numpy(), stored(arrays["float64.weight"])),
      "save a Tensor")


class OnlyDLPack:
    def __dlpack__(self, **options):
        return model["int16.weight"].__dlpack__(**options)

    def __dlpack_device__(self):
        return 1, 0


class OldDLPack:
    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, stream=None):  # without max_version
        return self.tensor.__dlpack__()

    def __dlpack_device__(self):
        return 1, 0


old = np.from_dlpack(OldDLPack(copies["int8.weight"]))
check(old[0, 0] == 99 and old.shape == (3, 5) and old.ctypes.data == copies["int8.weight"]._data, "DLPack before 1.0")
del old
turned = {"%d\0" % i: np.full(5000, i, ">f8") for i in range(6)}  # each needs a converted copy
found = st.load(st.save(turned))
check(sorted(found) == sorted(turned) and all((found[name].numpy() == turned[name]).all() for name in turned),
      "copies that saving needs, and names with NUL")
check(same(st.load(st.save({"a": OnlyDLPack()}))["a"].numpy(), arrays["int16.weight"]), "save through DLPack")
fails("no dtype for it", TypeError, lambda: st.save({"a": np.array(["text"])}), "no dtype")
fails("metadata of numbers", TypeError, lambda: st.save({}, {"a": 1}))
fails("a reserved name", st.SafetensorsError, lambda: st.save({"__metadata__": arrays["scalar"]}), "__metadata__")
fails("a surrogate in a name", (st.SafetensorsError, UnicodeError), lambda: st.save({"\ud800": arrays["scalar"]}))

fails("a name that is no string", TypeError, lambda: st.save({1: arrays["scalar"]}), "names of tensors")
for wrong in 5, [1, 2], "text", None:
    fails("load of " + repr(wrong), TypeError, lambda: st.load(wrong))
for call in (lambda: st.save_file({}, path + "\0x"), lambda: st.load_file(path + "\0x")):
    fails("NUL in a path", ValueError, call, "NUL")
fails("a copy of a model", TypeError, lambda: copy.copy(model), "copied")
check(np.from_dlpack(copies["int8.weight"], copy=True).ctypes.data != copies["int8.weight"]._data, "a copy of a copy")


def interrupted(address, count, string_at=st.ctypes.string_at):
    if sys._getframe(1).f_code.co_name == "write":
        raise KeyboardInterrupt("now")
    return string_at(address, count)


st.ctypes.string_at = interrupted
fails("Ctrl-C while a block is written", KeyboardInterrupt, lambda: st.save({"a": arrays["scalar"]}), "now")
st.ctypes.string_at = interrupted.__defaults__[0]

# ---- a module ----
module = {"a": np.zeros((3, 5), np.int32), "b": np.zeros(2, np.float32)}
data = st.save({"mha.a": arrays["int32.weight"], "c": np.zeros(1)})
check(st.load_into(data, module, root="mha") == (["b"], ["c"]), "load_into")
check(same(module["a"], arrays["int32.weight"]), "values of load_into")
module["a"][...] = 0
fails("another shape", ValueError, lambda: st.load_into(data, {"mha.a": module["a"], "c": np.zeros(2)}), "the file has [1]")
check(not module["a"].any(), "nothing is copied if a shape is wrong")

# ---- lifetimes ----
check(is_mapped(), "mapped while it is open")
small = model["int32.weight"].numpy()[1:, 2:]
capsule = np.from_dlpack(model["int64.weight"])
buffer = model["uint32.weight"].buffer()
del model, found, tensor, turned
gc.collect()
check(is_mapped(), "mapped while an array lives")
check(np.array_equal(small, arrays["int32.weight"][1:, 2:]) and np.array_equal(capsule, arrays["int64.weight"])
      and bytes(buffer) == stored(arrays["uint32.weight"]).tobytes(), "views outlive their model")
del small, buffer
gc.collect()
check(is_mapped() and np.array_equal(capsule, arrays["int64.weight"]), "DLPack alone keeps the mapping")
del capsule
gc.collect()
check(not is_mapped(), "unmapped after the last view")
model = st.load_file(path)
unused = model["int64.weight"].__dlpack__(max_version=(1, 0))
del model
gc.collect()
check(is_mapped() and len(st._exported) == 1, "a capsule that nobody consumed keeps the mapping")
del unused
gc.collect()
check(not is_mapped() and not st._exported and not st._waiting, "and lets it go")
array = st.load_file(path)["int64.weight"].numpy()
gc.collect()
check(is_mapped() and np.array_equal(array, arrays["int64.weight"]), "an array alone keeps the mapping")
del array
gc.collect()
check(not is_mapped(), "unmapped after the array")
model = st.load_file(path)
model.cycle = [model, model["int64.weight"]]  # numpy's arrays cannot be collected in cycles
del model
gc.collect()
check(not is_mapped(), "a cycle is collected")
for _ in range(2000):
    np.from_dlpack(st.load_file(path)["int64.weight"])
gc.collect()
check(len(st._exported) == 0 and not is_mapped(), "2000 models opened and dropped")

# an array that the last garbage collection of an interpreter finds
ending = """
import sys, numpy, safetensors_c
def function(): pass
function.array = numpy.from_dlpack(safetensors_c.load_file(sys.argv[1])["int64.weight"])
numpy.function = function"""
ended = subprocess.run([sys.executable, "-c", ending, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
check(ended.returncode == 0 and not ended.stdout, "the end of an interpreter", ended)

# ---- torch, where it is installed ----
try:
    import torch
except ImportError:
    print("skipped no torch here")
else:
    model = st.load_file(path, copy=True)
    tensor = torch.from_dlpack(model["bfloat16"])
    check(tensor.dtype == torch.bfloat16 and tensor.data_ptr() == model["bfloat16"]._data, "torch, without a copy")
    layer = torch.nn.Linear(5, 3)
    data = st.save({"weight": arrays["float32.weight"], "bias": np.ones(3, np.float32)})
    check(st.load_into(data, layer) == ([], []), "torch module")
    check(np.array_equal(layer.weight.detach().numpy(), arrays["float32.weight"]), "values of the torch module")
