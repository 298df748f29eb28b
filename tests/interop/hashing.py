"""Compares st hash with hashlib: files, their data, and tensors as `st hash --help` defines their digests."""
import hashlib
import json
import os
import struct

import numpy
from safetensors.numpy import save_file


def digest(data):
    return hashlib.sha256(data).hexdigest()


def parts(content):
    """Returns the header and the data of a file."""
    n = 8 + struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8:n]), content[n:]


def expected(name, content):
    header, data = parts(content)
    entries = sorted(((k, v) for k, v in header.items() if k != "__metadata__"), key=lambda e: e[1]["data_offsets"])
    tensors = []
    for key, entry in entries:
        begin, end = entry["data_offsets"]
        head = entry["dtype"] + "\0" + ",".join(map(str, entry["shape"])) + "\0"
        tensors.append({"name": key, "sha256": digest(head.encode() + data[begin:end])})
    files = [{"path": name, "sha256": digest(content), "data_sha256": digest(data)}]
    return {"path": name, "files": files, "tensors": tensors}


def check(tool, tally, count, seed):
    random = numpy.random.default_rng(seed)
    for i in range(count):
        name = "hash.safetensors"
        tensors = {}
        for k in range(int(random.integers(0, 6))):
            # most sizes are near the ends of blocks of 64 bytes, one in a hundred files is near those of 4 MiB
            n = int(random.integers(0, 200)) if i % 100 or k else (1 << 22) * int(random.integers(1, 4)) + int(random.integers(-200, 200))
            tensors["t%d" % k] = random.integers(0, 256, (n,) if k % 2 else (1, n, 1), dtype="uint8")
        save_file(tensors, os.path.join(tool.directory, name), {"n": "x" * int(random.integers(0, 70))} if i % 3 else None)
        with open(os.path.join(tool.directory, name), "rb") as file:
            content = file.read()
        done = tool.run("hash", "--json", "--tensors", name)
        got = json.loads(done.stdout) if done.returncode == 0 else done.stderr
        if not isinstance(got, bytes):  # tensors of no bytes have the same place: any order is right
            got["tensors"].sort(key=lambda t: t["name"])
        want = expected(name, content)
        want["tensors"].sort(key=lambda t: t["name"])
        tally.check(got == want, "st hash of file", i, got, want)
