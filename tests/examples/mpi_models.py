"""Writes the models of mpi.sh: OLD and NEW have the same tensors with other values, LARGE has one tensor of 128 MiB, ODD has
dtypes and names that are rare, BARE and EMPTY have no tensors, DEEP has one of 17 dimensions."""
import json
import os
import sys

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

folder = sys.argv[1]


def model(seed):
    random = np.random.default_rng(seed)

    def tensor(dtype, *shape):
        return random.integers(0, 100, shape).astype(dtype)

    tensors = {"embed.weight": tensor("float32", 301, 64), "lm_head.weight": tensor(ml_dtypes.bfloat16, 301, 64),
               "norm.weight": tensor("float32", 64), "scale": tensor("float64"), "ids": tensor("int64", 1, 17),
               "empty": tensor("uint8", 0, 5), "conv.weight": tensor("float16", 6, 5, 3, 3), "one.weight": tensor("int8", 2, 1),
               "naïve \"q\"\n": tensor("uint16", 9, 2)}
    for i in range(3):
        tensors["layers.%d.q_proj.weight" % i] = tensor("float32", 65, 64)
        tensors["layers.%d.o_proj.weight" % i] = tensor("float32", 64, 65)
        tensors["layers.%d.mlp.down_proj.weight" % i] = tensor("float16", 64, 3)
        tensors["layers.%d.moe.o_proj.weight" % i] = tensor("uint8", 4, 5, 6)
    return tensors


def write(name, tensors, metadata=None):
    """Writes a file by hand: tensors maps names to dtype, bits of an element, and shape."""
    header, data, random = {} if metadata is None else {"__metadata__": metadata}, b"", np.random.default_rng(3)
    for key, (dtype, bits, shape) in tensors.items():
        size = bits * int(np.prod(shape, dtype=np.int64)) // 8
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + size]}
        data += random.bytes(size)
    text = json.dumps(header).encode()
    with open(os.path.join(folder, name), "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


while True:  # the keys of metadata come in any order
    save_file(model(1), os.path.join(folder, "old.safetensors"), {"format": "pt", "run": "1"})
    with open(os.path.join(folder, "old.safetensors"), "rb") as file:
        if file.read(60).find(b'{"format":"pt","run":"1"}') > 0:
            break
save_file(model(2), os.path.join(folder, "new.safetensors"))
save_file({"a.o_proj.weight": np.arange(32 << 20, dtype=np.float32).reshape(32768, 1024)},
          os.path.join(folder, "large.safetensors"))
write("odd.safetensors", {
    "f4.rows": ("F4", 4, [5, 8]), "f4.o_proj.weight": ("F4", 4, [4, 6]), "f4.third": ("F4", 4, [4, 2, 3]),
    "f4.third.o_proj.weight": ("F4", 4, [3, 4, 2]), "f4.odd rows": ("F4", 4, [2, 3]), "f6": ("F6_E2M3", 6, [7, 4]),
    "f6.o_proj.weight": ("F6_E3M2", 6, [2, 6, 4]), "f6.scalar rows": ("F6_E3M2", 6, [4]), "c": ("C64", 64, [3, 2]),
    "bool": ("BOOL", 8, [2, 2]), "e8m0": ("F8_E8M0", 8, [3, 3]), "none": ("F4", 4, [0, 3, 1 << 60]), "": ("U8", 8, [2, 3]),
    "a\0b": ("U8", 8, [3, 1]), "a\0c.o_proj.weight": ("U8", 8, [3, 4]), "*[?]\\": ("I8", 8, [4, 2]), "\x1b[31m\n": ("I8", 8, [2, 2]),
    "x" * 5000: ("U16", 16, [2, 3]), "r16": ("U8", 8, [1] * 14 + [3, 2])}, {"DCP_NOTE": "kept", "z": "\0"})
write("bare.safetensors", {})
write("empty.safetensors", {}, {})
write("deep.safetensors", {"deep\x1b[31m": ("U8", 8, [1] * 15 + [2, 2])})
