"""Compares st show with str() of NumPy arrays, and --stats and st convert with NumPy, on random arrays and slices."""
import os

import numpy
from safetensors.numpy import load_file, save_file

FLOATS = ("float64", "float32", "float16")
DTYPES = FLOATS + ("complex64", "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def values(random, dtype, n):
    if dtype == "bool":
        return random.integers(0, 2, n).astype(dtype)
    if not dtype.startswith(("float", "complex")):
        bounds = numpy.iinfo(dtype)
        low, high = [(bounds.min, bounds.max), (0, min(100, bounds.max))][random.integers(2)]
        return random.integers(low, high, n, dtype=dtype, endpoint=True)
    array = random.standard_normal(n)
    kind = random.integers(7)
    if kind == 0:
        array = array.round()
    elif kind == 1:
        array = array.round(2)
    elif kind == 2:
        array *= 10.0 ** random.integers(-12, 12, n)
    elif kind == 3:
        array *= 10.0 ** random.integers(-300, 300)
    elif kind == 4:
        array[random.random(n) < 0.3] = random.choice([numpy.nan, numpy.inf, -numpy.inf])
    elif kind == 5:
        array = random.choice([numpy.nan, numpy.inf, -numpy.inf, 1.5], n)
    with numpy.errstate(all="ignore"):
        return (array + 1j * random.permutation(array) if dtype == "complex64" else array).astype(dtype)


def random_array(random):
    shape = [int(random.integers(0 if random.random() < 0.05 else 1, 40 if random.random() < 0.3 else 7)) for _ in range(random.integers(0, 5))]
    while numpy.prod(shape) > 100000:
        shape.pop()
    dtype = DTYPES[random.integers(len(DTYPES))]
    return values(random, dtype, int(numpy.prod(shape))).reshape(shape)


def random_ranges(random, shape):
    """Returns the slices in the syntax of st, and as NumPy indices."""
    texts, indices = [], []
    for extent in shape[:random.integers(0, len(shape) + 1)]:
        kind = random.integers(4)
        begin, end = sorted(int(n) for n in random.integers(0, extent + 1, 2))
        if kind == 0 and extent:
            indices.append(int(random.integers(-extent, extent)))
            texts.append(str(indices[-1]))
        elif kind == 1:
            indices.append(slice(begin, end, int(random.integers(1, 4))))
            texts.append("%d:%d:%d" % (begin, end, indices[-1].step))
        else:
            indices.append(slice(begin, end) if kind == 2 else slice(None))
            texts.append("%d:%d" % (begin, end) if kind == 2 else ":")
    return ",".join(texts), tuple(indices)


def check_stats(tool, tally, part, arguments):
    said = tool.run("show", "--stats", *arguments).stdout.decode().split("\n")
    got = {line.split()[0]: float(line.split()[1]) for line in said[:7] if line}
    numbers = part.astype("float64").ravel()
    finite = numbers[numpy.isfinite(numbers)]
    with numpy.errstate(all="ignore"):
        wanted = {"elements": numbers.size, "NaN": numpy.isnan(numbers).sum(), "infinite": numpy.isinf(numbers).sum()}
        if finite.size:
            wanted.update({"min": finite.min(), "max": finite.max(), "mean": finite.mean(), "std": finite.std()})
            scale = max(abs(finite.min()), abs(finite.max()))
            if scale > 1e150 or 0 < scale < 1e-150: # squares of these are beyond F64 in both
                del wanted["std"], wanted["mean"]
    good = all(abs(got[name] - value) <= 1e-7 * max(abs(value), scale if name in ("mean", "std") else 0) for name, value in wanted.items())
    bins = [int(line.split()[-1]) for line in said[7:] if line]
    if bins:
        good = good and len(bins) == 16 and sum(bins) == finite.size
    tally.check(good, "show --stats", part.dtype, arguments, said[:7], wanted)


def check(tool, tally, count, seed):
    random = numpy.random.default_rng(seed)
    path = os.path.join(tool.directory, "shown.safetensors")
    for _ in range(count):
        array = random_array(random)
        save_file({"t": array}, path)
        text, indices = random_ranges(random, array.shape)
        part, arguments = array[indices], ["--", path, "t"] + ([text] if text else [])
        if part.ndim or part.dtype.kind != "c": # NumPy puts a complex number that is in no array in parentheses
            shown = tool.run("show", *arguments).stdout.decode()
            tally.check(shown == (str(part) if part.size else "[]") + "\n", "show", array.dtype, array.shape, text, shown[:500], str(part)[:500])
        if part.dtype.kind != "c":
            check_stats(tool, tally, part, arguments)
        if str(array.dtype) in FLOATS:
            to = FLOATS[random.integers(3)]
            done = tool.run("convert", path, "converted.safetensors", "--dtype", {"float64": "F64", "float32": "f32", "float16": "f16"}[to])
            got = load_file(os.path.join(tool.directory, "converted.safetensors"))["t"]
            with numpy.errstate(all="ignore"):
                tally.check(done.returncode == 0 and numpy.array_equal(got, array.astype(to), equal_nan=True), "convert", array.dtype, to)
    print("interop: st show, st convert: %d arrays" % count)
