"""The same for the reference's Python package, which does not flush: save.py FILE MEBIBYTES, of four tensors in memory."""
import os
import resource
import sys
import time

import numpy
import safetensors

path, size = sys.argv[1], int(sys.argv[2]) * 2**20
data = numpy.arange(size // 8, dtype=numpy.uint64).view(numpy.uint8)
specs = {}
for i, name in enumerate("abcd"):
    specs[name] = safetensors.TensorSpec(dtype="uint8", shape=[size // 4], data_ptr=data.ctypes.data + size // 4 * i, data_len=size // 4)
safetensors.serialize_file(specs, path)  # unmeasured, as in save.c
os.remove(path)
os.sync()
cpu, start = time.process_time(), time.monotonic()
safetensors.serialize_file(specs, path)
end = time.monotonic()
print("reference %.4f %.4f %d" % (end - start, time.process_time() - cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
