"""The same for the reference's Python package: open.py REPEATS FILE..."""
import sys
import time

import safetensors

repeats = int(sys.argv[1])
for path in sys.argv[2:]:
    with open(path, "rb") as opened:
        data = opened.read()
    count = len(safetensors.deserialize(data))
    for i in range(-1, repeats):
        start = time.thread_time_ns()
        safetensors.deserialize(data)
        middle = time.thread_time_ns()
        with safetensors.safe_open(path, framework="numpy") as opened:
            opened.keys()
        end = time.thread_time_ns()
        if i >= 0:
            print("python-memory %d %.1f" % (count, (middle - start) / count))
            print("python-file %d %.1f" % (count, (end - middle) / count))
