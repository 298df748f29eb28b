"""Compares the writer with the package's: the bytes are the same where the package is deterministic, and files written here load there.

write.c receives many models at a time through a pipe."""
import os
import struct
import subprocess
import threading

import numpy
import safetensors

from files import NUMPY_NAMES, ODD_NAMES, OTHER_DTYPES, array

try:
    import torch
    from safetensors.torch import load as torch_load
except ImportError:
    torch = None

BITS = {d: numpy.dtype(n).itemsize * 8 for d, n in NUMPY_NAMES.items()}
BITS.update({d: bits for d, (_, bits) in OTHER_DTYPES.items()})
F6 = {"F6_E2M3": 6, "F6_E3M2": 6}  # the package reads these and cannot write them
PACKAGE_NAMES = dict(NUMPY_NAMES, **{d: name for d, (name, _) in OTHER_DTYPES.items()})
TORCH_NAMES = {"F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn", "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz",
               "F8_E5M2FNUZ": "float8_e5m2fnuz", "BF16": "bfloat16"}
BATCH = 500


# ---- models: {name: (dtype, shape, bytes)}, metadata ------------------------------------------------------------

CHARACTERS = ([chr(i) for i in range(128)] + list("abcdefgh.._--/\"\\") * 4 + ["\u0080", "\u00e9", "\u07ff", "\u0800", "\u20ac", "\u2028",
              "\ud7ff", "\ue000", "\ufeff", "\uffff", "\U00010000", "\U0001f600", "\U0010ffff"])


def random_text(random):
    if random.integers(4) == 0:
        return ODD_NAMES[random.integers(len(ODD_NAMES))]
    return "".join(CHARACTERS[i] for i in random.integers(0, len(CHARACTERS), size=random.integers(0, 12)))


def random_tensor(random, dtypes):
    dtype = dtypes[random.integers(len(dtypes))]
    shape = [int(n) for n in random.integers(0, 6, size=random.integers(0, 5))]
    bits = dict(BITS, **F6)[dtype]
    if bits < 8:  # whole bytes, and for F4 pairs along the last axis
        shape = (shape or [1])[:-1] + [(shape or [1])[-1] * (2 if bits == 4 else 4)]
    data = random.bytes(int(numpy.prod(shape, dtype=numpy.int64)) * bits // 8)
    return dtype, shape, bytes(b & 1 for b in data) if dtype == "BOOL" else data


def random_model(random, dtypes, most_metadata):
    count = int(random.integers(0, 51)) if random.integers(8) == 0 else int(random.integers(0, 9))
    tensors = {}
    for _ in range(count):
        name = random_text(random)
        if name != "__metadata__":
            tensors[name] = random_tensor(random, dtypes)
    metadata = None
    if random.integers(2):
        metadata = {random_text(random): random_text(random) for _ in range(random.integers(0, most_metadata + 1))}
        if not metadata and not tensors:
            metadata = None  # of this the package makes a file that nobody can read
    return tensors, metadata


# ---- the two writers ----------------------------------------------------------------------------------------------


def text(s):
    s = s if isinstance(s, bytes) else s.encode("utf-8")
    return struct.pack("<I", len(s)) + s


def shuffled(random, names):
    names = sorted(names)
    random.shuffle(names)
    return names


def described(tensors, metadata, order):
    parts = [struct.pack("<BBI", 0, metadata is not None, len(metadata or {}))]
    parts += [text(k) + text(v) for k, v in (metadata or {}).items()]
    parts.append(struct.pack("<I", len(order)))
    for name in order:
        dtype, shape, data = tensors[name]
        parts += [text(name), text(dtype), struct.pack("<I%dQQ" % len(shape), len(shape), *shape, len(data)), data]
    return b"".join(parts)


def package_bytes(tensors, metadata):
    keep, specs = [], {}
    for name, (dtype, shape, data) in tensors.items():
        held = numpy.frombuffer(data or b"\0", dtype=numpy.uint8)
        keep.append(held)
        if dtype == "F4":
            shape = shape[:-1] + [shape[-1] // 2]  # it takes pairs
        if hasattr(safetensors, "TensorSpec"):
            specs[name] = safetensors.TensorSpec(dtype=PACKAGE_NAMES[dtype], shape=shape, data_ptr=held.ctypes.data, data_len=len(data))
        else:  # before 0.8
            specs[name] = {"dtype": PACKAGE_NAMES[dtype], "shape": shape, "data": data}
    return safetensors.serialize(specs, metadata=metadata)


def written(program, requests):
    """Returns the result of write.c for each request: bytes, or a str with the error."""
    run = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def feed():
        try:
            run.stdin.write(b"".join(requests))
        except BrokenPipeError:
            pass  # it died: its exit status says so
        run.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    out = run.stdout.read()
    feeder.join()
    if run.wait() != 0:
        raise SystemExit("interop: write ended with %d" % run.returncode)
    at, results = 0, []
    while at < len(out):
        (n,) = struct.unpack_from("<Q", out, at)
        at += 8
        refused = n == 2**64 - 1
        if refused:
            (n,) = struct.unpack_from("<I", out, at)
            at += 4
        results.append(out[at : at + n].decode("utf-8") if refused else out[at : at + n])
        at += n
    if len(results) != len(requests):
        raise SystemExit("interop: write gave %d results for %d models" % (len(results), len(requests)))
    return results


# ---- checks ---------------------------------------------------------------------------------------------------------


def check_same_bytes(program, tally, count, random):
    """The package is deterministic with at most one metadata entry."""
    done = 0
    while done < count:
        models = [random_model(random, sorted(BITS), 1) for _ in range(min(BATCH, count - done))]
        ours = written(program, [described(t, m, shuffled(random, t)) for t, m in models])
        theirs = [package_bytes(t, m) for t, m in models]
        again = written(program, [b"\1" + struct.pack("<Q", len(b)) + b for b in theirs])
        for i, (tensors, metadata) in enumerate(models):
            tally.check(ours[i] == theirs[i], "model %d: written otherwise:" % (done + i), ours[i], "by the package:", theirs[i])
            tally.check(again[i] == theirs[i], "model %d: the package's file, saved anew:" % (done + i), again[i], theirs[i])
        done += len(models)


def as_numpy(dtype, shape, data):
    return numpy.frombuffer(data, dtype=NUMPY_NAMES[dtype]).reshape(shape)


def same_values(value, dtype, shape, data):
    return value.dtype == numpy.dtype(NUMPY_NAMES[dtype]) and value.shape == tuple(shape) and value.tobytes() == data


def check_loads(program, tool, tally, count, random):
    """Files with any metadata and all dtypes that the package reads, loaded from files and from memory."""
    models = [random_model(random, sorted(BITS) + sorted(F6), 40) for _ in range(count)]
    ours = written(program, [described(t, m, shuffled(random, t)) for t, m in models])
    path = os.path.join(tool.directory, "written")
    for i, (tensors, metadata) in enumerate(models):
        if isinstance(ours[i], str):
            tally.check(False, "model %d was refused:" % i, ours[i])
            continue
        listed = safetensors.deserialize(ours[i])
        loaded = {name: (t["dtype"], list(t["shape"]), bytes(t["data"])) for name, t in listed}
        tally.check(len(listed) == len(tensors) and loaded == tensors, "model %d: deserialized:" % i, loaded, "expected", tensors)
        with open(path, "wb") as out:
            out.write(ours[i])
        with safetensors.safe_open(path, framework="numpy") as opened:
            tally.check(set(opened.keys()) == set(tensors), "model %d: keys" % i, opened.keys())
            tally.check((opened.metadata() or {}) == (metadata or {}), "model %d: metadata" % i, opened.metadata(), metadata)
            for name, (dtype, shape, data) in tensors.items():
                if dtype in NUMPY_NAMES:
                    tally.check(same_values(opened.get_tensor(name), dtype, shape, data), "model %d: values of" % i, repr(name))


def check_numpy_save(program, tally, random):
    """Loads through the package's numpy functions."""
    from safetensors.numpy import load, save

    tensors = {name: array(random, dtype, (2, 3)) for name, dtype in zip(ODD_NAMES, sorted(NUMPY_NAMES.values()) * 2)}
    dtypes = {numpy.dtype(n): d for d, n in NUMPY_NAMES.items()}
    for metadata in None, {}, {"format": "np"}:
        plain = {n: (dtypes[a.dtype], list(a.shape), a.tobytes()) for n, a in tensors.items()}
        (ours,) = written(program, [described(plain, metadata, list(plain))])
        tally.check(ours == save(tensors, metadata), "safetensors.numpy.save", metadata)
        loaded = load(ours)
        tally.check(all(same_values(loaded[n], *plain[n]) for n in plain) and loaded.keys() == plain.keys(), "safetensors.numpy.load")


def check_torch(program, tally, random):
    if torch is None:
        tally.skipped += 1
        print("interop: skipped: torch is not here: its loader, of dtypes that numpy lacks, is not tried")
        return
    names = {d: n for d, n in dict(NUMPY_NAMES, **TORCH_NAMES).items() if hasattr(torch, n)}
    tensors = {d: random_tensor(random, [d]) for d in names}
    (ours,) = written(program, [described(tensors, {"format": "pt"}, list(tensors))])
    loaded = torch_load(ours)
    for d, (_, shape, data) in tensors.items():
        value = loaded[d]
        same = value.dtype == getattr(torch, names[d]) and list(value.shape) == shape
        whole = value.contiguous().reshape(-1).view(torch.uint8) if value.numel() else torch.empty(0, dtype=torch.uint8)
        tally.check(same and bytes(whole.tolist()) == data, "torch:", d)


def check_refused(program, tally):
    """Contents of which the package writes unreadable files, or panics."""
    t = ("U8", [1], b"a")
    for label, request, status in (
        ("a tensor called __metadata__", described({"__metadata__": t}, None, ["__metadata__"]), "ST_ERR_ARGUMENT"),
        ("a name twice", described({"a": t}, None, ["a", "a"]), "ST_ERR_DUPLICATE"),
        ("more elements than 64 bits count", described({"a": ("Q9", [2**63, 2], b"a")}, None, ["a"]), "ST_ERR_OVERFLOW"),
    ):
        (said,) = written(program, [request])
        tally.check(isinstance(said, str) and said.startswith(status + ": "), label, said)
    (ours,) = written(program, [described({}, {}, [])])
    tally.check(ours == struct.pack("<Q", 24) + b'{"__metadata__":{}}     ' and safetensors.deserialize(ours) == [], "no tensors, empty metadata", ours)


def check(tool, tally, program, count, seed):
    random = numpy.random.default_rng(seed)
    check_same_bytes(program, tally, count, random)
    print("interop: %d models written as the package writes them" % count)
    check_loads(program, tool, tally, count // 10, random)
    check_numpy_save(program, tally, random)
    check_torch(program, tally, random)
    check_refused(program, tally)
