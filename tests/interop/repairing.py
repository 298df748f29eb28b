"""Damages files that the reference package wrote and repairs them: the package reads the result, and every array in it is
what it was."""
import json
import os
import struct

import numpy
import safetensors
import safetensors.numpy

DTYPES = [numpy.float32, numpy.float16, numpy.int64, numpy.int8, numpy.uint8, numpy.bool_]


def arrays(random):
    found = {}
    for i in range(int(random.integers(1, 6))):
        shape = tuple(int(n) for n in random.integers(0, 6, size=int(random.integers(0, 4))))
        values = numpy.asarray(random.standard_normal(shape) * 50 if random.random() < 0.8 else numpy.zeros(shape))
        found["t%d" % i] = values.astype(DTYPES[int(random.integers(len(DTYPES)))])
    return found


def split(image):
    n = struct.unpack("<Q", image[:8])[0]
    return json.loads(image[8:8 + n]), image[8 + n:]


def joined(header, data, pad=b" ", before=b"", off=0):
    text = before + (header if isinstance(header, bytes) else json.dumps(header).encode())
    text += pad * (-len(text) % 8)
    return struct.pack("<Q", max(0, len(text) + off)) + text + data


def moved(header, data, gap):
    """Puts bytes before the first tensor."""
    shifted = {}
    for name, entry in header.items():
        shifted[name] = dict(entry)
        if name != "__metadata__":
            shifted[name]["data_offsets"] = [n + len(gap) for n in entry["data_offsets"]]
    return joined(shifted, gap + data)


def damages(random, header, data):
    """Yields what, file and metadata (None: as it was)."""
    n = int(random.integers(1, 40))
    values = {"epoch": 3, "lr": 1e-5, "tags": ["a", 1, None], "name": "x", "on": True}
    yield "NUL padding", joined(header, data, pad=b"\0"), None
    yield "a byte order mark", joined(header, data, before=b"\xef\xbb\xbf"), None
    yield "blanks", joined(header, data, before=b" \n" * n), None
    yield "NUL after the data", joined(header, data) + b"\0" * n, None
    yield "bytes after the data", joined(header, data) + b"\xfe" * n, None
    yield "a gap", moved(header, data, b"\x55" * n), None
    yield "metadata", joined(dict(header, __metadata__=values), data), {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
    if data:
        yield "a length of 0", joined(header, data, off=-1 << 40), None
        yield "a length past the end", joined(header, data, off=1 << 40), None


def loaded(path):
    """Returns arrays and metadata, read by the reference package; or None."""
    if not os.path.exists(path):
        return None
    try:
        with safetensors.safe_open(path, "numpy") as f:
            return {name: f.get_tensor(name) for name in f.keys()}, f.metadata()
    except safetensors.SafetensorError:
        return None


def equal(a, b):
    return a.keys() == b.keys() and all(a[n].dtype == b[n].dtype and a[n].shape == b[n].shape and a[n].tobytes() == b[n].tobytes() for n in a)


def check_mended(tool, tally, random, want, header, data):
    bad, good = os.path.join(tool.directory, "bad"), os.path.join(tool.directory, "good")
    for what, image, metadata in damages(random, header, data):
        with open(bad, "wb") as f:
            f.write(image)
        done = tool.run("repair", bad, good)
        found = loaded(good)
        tally.check(done.returncode == 0 and b"byte" in done.stdout, "repair:", what, "exit", done.returncode, done.stdout, done.stderr)
        tally.check(found is not None and equal(found[0], want), "repair:", what, "arrays differ")
        if found is not None and metadata is not None:
            tally.check(found[1] == metadata, "repair:", what, "metadata", found[1])
        tally.check(open(bad, "rb").read() == image, "repair:", what, "changed IN")
        os.remove(bad)
        if found is not None:
            os.remove(good)


def check_cut(tool, tally, random, want, header, data):
    """A cut file yields exactly the tensors that are whole."""
    if not data:
        return
    bad, good = os.path.join(tool.directory, "bad"), os.path.join(tool.directory, "good")
    left = int(random.integers(0, len(data)))
    whole = {n for n, entry in header.items() if n != "__metadata__" and entry["data_offsets"][1] <= left}
    with open(bad, "wb") as f:
        f.write(joined(header, data[:left]))
    done = tool.run("repair", bad, good)
    found = loaded(good)
    tally.check(done.returncode == 1, "repair: a cut file: exit", done.returncode)
    if whole:
        tally.check(found is not None and equal(found[0], {n: want[n] for n in whole}), "repair: a cut file")
    else:
        tally.check(found is None, "repair: a cut file without a whole tensor")
    os.remove(bad)
    if found is not None:
        os.remove(good)


def check(tool, tally, count, seed):
    before = tally.passed + tally.failed
    random = numpy.random.default_rng(seed)
    for _ in range(count):
        want = arrays(random)
        header, data = split(safetensors.numpy.save(want, {"format": "np"} if random.random() < 0.5 else None))
        check_mended(tool, tally, random, want, header, data)
        check_cut(tool, tally, random, want, header, data)
    print("interop: repaired files: %d checks" % (tally.passed + tally.failed - before))
