"""Cuts random tensors into random pieces, as PyTorch's distributed checkpoints hold them, gives the pieces to random ranks, and checks
that `st merge` puts the same bytes together again; then takes a piece away, or gives one twice, and checks that this is refused."""
import json
import os
import shutil
import struct

import numpy
import safetensors

DTYPES = {"BOOL": "bool", "U8": "uint8", "I16": "int16", "F16": "float16", "BF16": "uint16", "F32": "float32", "F64": "float64", "C64": "complex64"}
NAMES = ["w", "layers.0.\u00e9\u20ac\U0001f600", "q\"\\\n", "a b", "", "x" * 300]


def cut(random, low, high, depth):
    """Splits the box [low, high) at random places, in halves of halves, and returns boxes. Some are empty."""
    places = [d for d in range(len(low)) if high[d] - low[d] > (random.random() < 0.9)]
    if depth == 0 or not places or random.random() < 0.2:
        return [(low, high)]
    d = places[random.integers(len(places))]
    middle = int(random.integers(low[d] + 1, high[d])) if random.random() < 0.95 and high[d] - low[d] > 1 else high[d]
    return cut(random, low, high[:d] + (middle,) + high[d + 1 :], depth - 1) + cut(random, low[:d] + (middle,) + low[d + 1 :], high, depth - 1)


def grid(random, shape):
    """Cuts each dimension at random places, as a mesh of ranks does."""
    boxes = [((), ())]
    for n in shape:
        ends = sorted(int(e) for e in random.integers(0, n + 1, size=random.integers(0, 4)))
        edges = [0] + ends + [n]
        boxes = [(low + (a,), high + (b,)) for low, high in boxes for a, b in zip(edges, edges[1:])]
    return boxes


def pinwheel(random, shape):
    """Five boxes that no single cut separates."""
    a, b, c, d = sorted(int(n) for n in random.integers(1, shape[0], size=2)) + sorted(int(n) for n in random.integers(1, shape[1], size=2))
    rows, columns = shape[:2]
    flat = [((0, 0), (a, d)), ((0, d), (b, columns)), ((b, c), (rows, columns)), ((a, 0), (rows, c)), ((a, c), (b, d))]
    return [(low + (0,) * len(shape[2:]), high + tuple(shape[2:])) for low, high in flat]


def random_tensor(random):
    dtype = sorted(DTYPES)[random.integers(len(DTYPES))]
    kind = numpy.dtype(DTYPES[dtype])
    shape = tuple(int(n) for n in random.integers(1 if random.random() < 0.9 else 0, [9, 9, 40, 200][random.integers(4)], size=random.integers(0, 4)))
    if random.random() < 0.1:
        shape = tuple(int(n) for n in random.integers(1, 4, size=6))
    bits = random.integers(0, 256, size=int(numpy.prod(shape, dtype=numpy.int64)) * kind.itemsize, dtype=numpy.uint8)
    whole = numpy.frombuffer((bits & 1 if dtype == "BOOL" else bits).tobytes(), dtype=kind).reshape(shape)
    way = random.integers(4)
    if len(shape) > 1 and shape[1] > 64 and random.random() < 0.5: # more files than the tool keeps open
        edges = [0] + sorted(random.permutation(shape[1] - 1)[: int(random.integers(64, shape[1]))] + 1) + [shape[1]]
        boxes = [((0, int(a)) + (0,) * len(shape[2:]), (shape[0], int(b)) + shape[2:]) for a, b in zip(edges, edges[1:])]
    elif way == 0:
        boxes = [((0,) * len(shape), shape)]
    elif way == 1 and len(shape) >= 2 and min(shape[:2]) > 2:
        boxes = pinwheel(random, shape)
    elif way == 2:
        boxes = grid(random, shape)
    else:
        boxes = cut(random, (0,) * len(shape), shape, int(random.integers(1, 6)))
    return dtype, whole, boxes


def write(path, pieces):
    """pieces: {name: (dtype, offsets, array)}"""
    head, data = {}, []
    at = 0
    for name, (dtype, offsets, array) in pieces.items():
        data.append(numpy.ascontiguousarray(array).tobytes())
        head[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + len(data[-1])]}
        at += len(data[-1])
    info = {name: {"saved_offsets": list(offsets)} for name, (dtype, offsets, array) in pieces.items()}
    head["__metadata__"] = {"DCP_SHARDING_INFO": json.dumps(info), "DCP_VERSION": "1.0", "format": "pt"}
    text = json.dumps(head).encode("utf-8")
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def assign(random, tensors, ranks):
    """Gives every piece to a rank that has no other piece of its tensor; returns {(rank, number of the file): pieces}."""
    files, file_count = {}, int(random.integers(1, 4)) if len(tensors) > 2 else 1
    for i, (name, (dtype, whole, boxes)) in enumerate(tensors.items()):
        number = i % file_count + 1
        for rank, (low, high) in zip(random.permutation(max(ranks, len(boxes))), boxes):
            part = whole[tuple(slice(a, b) for a, b in zip(low, high))]
            files.setdefault((int(rank) + 1, number), {})[name] = (dtype, low, part)
    return files, file_count


def check_round(tool, tally, random, i):
    names = [NAMES[n] for n in random.permutation(len(NAMES))[: random.integers(1, len(NAMES) + 1)]]
    tensors = {name: random_tensor(random) for name in names}
    files, file_count = assign(random, tensors, int(random.integers(1, 10)))
    directory, out = os.path.join(tool.directory, "pieces"), os.path.join(tool.directory, "whole")
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    path = lambda key: os.path.join(directory, "shard-%05d-model-%05d-of-%05d.safetensors" % (key[0], key[1], file_count))
    for key, pieces in files.items():
        write(path(key), pieces)
    done = tool.run("merge", "pieces", "whole")
    tally.check(done.returncode == 0 and not done.stderr, "pieces, round %d:" % i, done.stderr)
    if done.returncode:
        return
    with open(out, "rb") as opened:
        got = {n: (t["dtype"], tuple(t["shape"]), bytes(t["data"])) for n, t in safetensors.deserialize(opened.read())}
    want = {n: (dtype, whole.shape, whole.tobytes()) for n, (dtype, whole, boxes) in tensors.items()}
    tally.check(got == want, "pieces, round %d: not the whole" % i, [n for n in want if got.get(n) != want[n]])
    listed = {t["name"]: t["pieces"] for t in tool.ls("pieces")["tensors"]}
    offsets = {n: sorted(list(low) for low, high in boxes) for n, (dtype, whole, boxes) in tensors.items()}
    tally.check({n: [p["saved_offsets"] for p in ps] for n, ps in listed.items()} == offsets, "pieces, round %d: st ls" % i)
    for name, (dtype, data_shape, data) in want.items():
        offset = int(random.integers(0, len(data) + 1))
        n = int(random.integers(0, len(data) + 1 - offset))
        done = tool.run("cat", "pieces", name, "--offset", str(offset), "--bytes", str(n))
        tally.check(done.stdout == data[offset : offset + n], "pieces, round %d: st cat from %d, %d bytes" % (i, offset, n))
    check_refused(tool, tally, random, i, files, path, tensors)


def check_refused(tool, tally, random, i, files, path, tensors):
    os.remove(os.path.join(tool.directory, "whole"))
    keys = sorted((key, name) for key, pieces in files.items() for name, p in pieces.items() if p[2].size)
    if not keys:
        return
    key, name = keys[random.integers(len(keys))]
    dtype, low, part = files[key][name]
    shape = tensors[name][1].shape
    write(path((99999, key[1])), {name: (dtype, low, part)})
    done = tool.run("merge", "pieces", "whole")
    tally.check(done.returncode == 1 and b"overlap" in done.stderr, "pieces, round %d: a piece twice:" % i, done.stderr)
    os.remove(path((99999, key[1])))
    others = [p[1:] for k, pieces in files.items() for n, p in pieces.items() if n == name and k != key]
    ends = [max([o[d] + a.shape[d] for o, a in others], default=0) for d in range(len(shape))]
    if tuple(ends) != shape or not shape: # without this piece the shape would be another one
        return
    write(path(key), {n: p for n, p in files[key].items() if n != name})
    done = tool.run("merge", "pieces", "whole")
    tally.check(done.returncode == 1 and b"is a file missing?" in done.stderr, "pieces, round %d: a piece is missing:" % i, done.stderr)
    tally.check(not os.path.exists(os.path.join(tool.directory, "whole")), "pieces, round %d: a file was written" % i)


def check(tool, tally, count, seed):
    random = numpy.random.default_rng(seed)
    for i in range(count):
        check_round(tool, tally, random, i)
    print("interop: pieces of %d random models" % count)
