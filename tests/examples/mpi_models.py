"""Writes the models of mpi.sh: OLD and NEW have the same tensors with other values, LARGE has one tensor of 128 MiB."""
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


save_file(model(1), os.path.join(folder, "old.safetensors"), {"format": "pt", "run": "1"})
save_file(model(2), os.path.join(folder, "new.safetensors"))
save_file({"a.o_proj.weight": np.arange(32 << 20, dtype=np.float32).reshape(32768, 1024)},
          os.path.join(folder, "large.safetensors"))
