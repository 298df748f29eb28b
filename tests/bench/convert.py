"""convert.py ELEMENTS: the same conversions as convert.c by numpy and ml_dtypes; prints "FROM->TO seconds" of thread time."""
import sys
import time

import ml_dtypes
import numpy

NAMES = {"BF16": ml_dtypes.bfloat16, "F16": numpy.float16, "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2, "I8": numpy.int8,
         "U8": numpy.uint8, "F32": numpy.float32, "F64": numpy.float64}
PAIRS = ["BF16->F32", "F16->F32", "F8_E4M3->F32", "F8_E5M2->F32", "I8->F32", "U8->F32", "F32->BF16", "F32->F16", "BF16->F16", "F16->BF16", "F64->F32",
         "F32->F64", "F8_E4M3->BF16", "F32->F8_E4M3"]
n = int(sys.argv[1])
times = max(1, 2**24 // n)
source = numpy.random.default_rng(1).integers(0, 2**64, size=n, dtype=numpy.uint64).view(numpy.uint8)
out = numpy.zeros(n * 8, dtype=numpy.uint8)
with numpy.errstate(all="ignore"):
    for pair in PAIRS:
        first, second = (numpy.dtype(NAMES[name]) for name in pair.split("->"))
        src, dst = source[: n * first.itemsize].view(first), out[: n * second.itemsize].view(second)
        start = time.thread_time()
        for _ in range(times):
            numpy.copyto(dst, src, casting="unsafe")
        print("%s %.9f" % (pair, (time.thread_time() - start) / times))
