"""Checks sharded models: which tensor goes into which shard, the text of the index, and that the package loads the shards. The
index is what json.dumps writes, except that metadata values, which may be any JSON, keep their layout."""
import json
import os
import struct

import numpy
import safetensors

from writing import BITS, described, random_model, random_text, shuffled, text, written


def random_value(random, depth=0):
    kind = random.integers(0, 7 if depth < 4 else 5)
    if kind == 0:
        return [None, True, False][random.integers(3)]
    if kind == 1:
        return int(random.integers(-(2**62), 2**62)) * int(random.integers(0, 1000))
    if kind == 2:
        return float(random.standard_normal()) * 10.0 ** int(random.integers(-20, 20))
    if kind in (3, 4):
        return random_text(random)
    if kind == 5:
        return [random_value(random, depth + 1) for _ in range(random.integers(0, 4))]
    return {random_text(random): random_value(random, depth + 1) for _ in range(random.integers(0, 4))}


def spelled(random, value):
    """Returns the value as JSON text in a random layout, with blanks around it."""
    separators = [(",", ":"), (", ", ": "), ("\n,\t", "  :\r\n")][random.integers(3)]
    spelling = json.dumps(value, ensure_ascii=bool(random.integers(2)), separators=separators, indent=[None, 1, "\t"][random.integers(3)])
    return " " * int(random.integers(3)) + spelling + "\n" * int(random.integers(2))


def index_text(index, total, weights):
    """index: key -> value as JSON text"""
    metadata = dict({k: "@%d@" % i for i, k in enumerate(index)}, total_size=total)
    whole = json.dumps({"metadata": metadata, "weight_map": weights}, indent=2, sort_keys=True) + "\n"
    for i, value in enumerate(index.values()):
        whole = whole.replace('"@%d@"' % i, value, 1)
    return whole.encode("utf-8")


def plan(sizes, limit):
    shards, used = [], None
    for n in sizes:
        if used is None or used + n > limit or used > limit:
            shards.append([])
            used = 0
        shards[-1].append(n)
        used += n
    return [len(s) for s in shards] or [0]


def files_of(order, counts):
    names = ["model-%05d-of-%05d.safetensors" % (i + 1, len(counts)) for i in range(len(counts))]
    if len(counts) == 1:
        names = ["model.safetensors"]
    at, files = 0, {}
    for name, n in zip(names, counts):
        files[name] = order[at : at + n]
        at += n
    return files


def check(tool, tally, program, count, seed):
    random = numpy.random.default_rng(seed)
    cases, requests = [], []
    for i in range(count):
        tensors, metadata = random_model(random, sorted(BITS), 5)
        order = shuffled(random, tensors)
        limit = int(random.integers(1, 300))
        index = {random_text(random): random_value(random) for _ in range(random.integers(0, 6))}
        directory = os.path.join(tool.directory, "sharded-%d" % i)
        os.mkdir(directory)
        spellings = {k: spelled(random, v) for k, v in index.items()}
        pairs = [text(k) + text(v) for k, v in spellings.items()]
        requests.append(b"".join([struct.pack("<BQI", 2, limit, len(pairs))] + pairs + [text(directory), described(tensors, metadata, order)[1:]]))
        cases.append((tensors, metadata, order, limit, index, spellings, directory))
    sharded = 0
    for i, (result, (tensors, metadata, order, limit, index, spellings, directory)) in enumerate(zip(written(program, requests), cases)):
        if isinstance(result, str):
            tally.check(False, "sharded model %d was refused:" % i, result)
            continue
        files = files_of(order, plan([len(tensors[n][2]) for n in order], limit))
        sharded += len(files) > 1
        weights = {n: file for file, ns in files.items() for n in ns}
        total = sum(len(t[2]) for t in tensors.values())
        want = index_text(spellings, total, weights) if len(files) > 1 else b""
        tally.check(result == want, "sharded model %d: index" % i, result, "not", want)
        if len(files) > 1:
            tally.check(json.loads(result) == {"metadata": dict(index, total_size=total), "weight_map": weights}, "sharded model %d: values" % i)
        present = sorted(files) + ["model.safetensors.index.json"] * (len(files) > 1)
        tally.check(sorted(os.listdir(directory)) == present, "sharded model %d: files" % i, os.listdir(directory), present)
        for file, names in files.items():
            with open(os.path.join(directory, file), "rb") as shard:
                data = shard.read()
            loaded = {n: (t["dtype"], list(t["shape"]), bytes(t["data"])) for n, t in safetensors.deserialize(data)}
            tally.check(loaded == {n: tensors[n] for n in names}, "sharded model %d:" % i, file)
            with safetensors.safe_open(os.path.join(directory, file), framework="numpy") as opened:
                tally.check((opened.metadata() or {}) == (metadata or {}), "sharded model %d: metadata of" % i, file)
    tally.check(sharded * 4 > count, "too few models in several files:", sharded)
    print("interop: %d models, of which %d in several files" % (count, sharded))
