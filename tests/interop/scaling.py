"""st convert of quantized tensors beside numpy: every layout of scales, and the counts of numbers that a conversion loses."""
import json
import os
import struct

import ml_dtypes
import numpy

F8 = {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
      "F8_E8M0": "float8_e8m0fnu", "BF16": "bfloat16", "F4": "float4_e2m1fn", "F6_E2M3": "float6_e2m3fn", "F6_E3M2": "float6_e3m2fn"}
KINDS = {name: numpy.dtype(getattr(ml_dtypes, kind)) for name, kind in F8.items()}
KINDS.update({"F16": numpy.dtype("f2"), "F32": numpy.dtype("f4"), "F64": numpy.dtype("f8"), "I8": numpy.dtype("i1"), "I16": numpy.dtype("i2"),
              "U8": numpy.dtype("u1"), "I32": numpy.dtype("i4"), "U16": numpy.dtype("u2"), "I64": numpy.dtype("i8"), "U64": numpy.dtype("u8"),
              "U32": numpy.dtype("u4")})
BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}


def stored(dtype, array):
    """Returns the bytes of a file; elements of less than a byte are packed, low bits first."""
    raw = numpy.ascontiguousarray(array).view(numpy.uint8).reshape(-1)
    if dtype not in BITS:
        return raw.tobytes()
    bits = (raw[:, None] >> numpy.arange(BITS[dtype], dtype=numpy.uint8) & 1).astype(numpy.uint8)
    return numpy.packbits(bits.reshape(-1), bitorder="little").tobytes()


def write(path, tensors):
    """Writes {name: (dtype, array)}."""
    head, data = {}, b""
    for name, (dtype, array) in tensors.items():
        raw = stored(dtype, array)
        head[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(head).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def codes(random, dtype, shape):
    """Returns random elements of every code, NaN and infinity too."""
    n = int(numpy.prod(shape))
    kind = KINDS[dtype]
    if dtype in BITS:
        return random.integers(0, 1 << BITS[dtype], n, dtype=numpy.uint8).view(kind).reshape(shape)
    return random.integers(0, 256, n * kind.itemsize, dtype=numpy.uint8).view(kind).reshape(shape)


def spread(scale, shape, blocks):
    """Repeats each scale over its block."""
    for axis, block in enumerate(blocks):
        scale = numpy.repeat(scale, block, axis=axis)
    return scale[tuple(slice(0, n) for n in shape)]


def scale_values(random, dtype, shape):
    """Returns scales of usual sizes, and some that lose numbers."""
    if dtype in ("F8_E8M0", "U8"):
        exponents = random.integers(100, 150, shape, dtype=numpy.uint8)
        return exponents.view(KINDS[dtype]) if dtype == "F8_E8M0" else exponents
    size = numpy.exp(random.uniform(-9, 4, shape))
    wild = random.random(shape)
    size = numpy.where(wild < 0.03, size * 1e36, numpy.where(wild < 0.06, size * 1e-38, numpy.where(wild < 0.08, 0, size)))
    size = numpy.where(random.random(shape) < 0.1, -size, size)
    with numpy.errstate(all="ignore"):
        return size.astype(KINDS[dtype])


def meaning(dtype, array):
    return array.view(KINDS["F8_E8M0"]) if dtype == "U8" else array


def counts(number, scale, product, to):
    """Returns how many numbers saturate, underflow to zero and become NaN. F8_E4M3 has no infinity: 464 rounds to 448, its largest."""
    with numpy.errstate(all="ignore"):
        number, scale = number.astype("f8"), scale.astype("f8")
        result = product.astype(KINDS[to]).astype("f8")
    nan = numpy.isnan(product) & ~numpy.isnan(number)
    if to == "F8_E4M3":
        big = numpy.abs(product) > 464
    else:
        big = numpy.isinf(result) & numpy.isfinite(number) & numpy.isfinite(scale)
    small = (result == 0) & (number != 0) & (scale != 0)
    return int(big.sum()), int(small.sum()), int(nan.sum())


# weight, shape of the weight, names of weight and scale, dtype of the scale, shape of the scale, blocks of each axis
LAYOUTS = [("F8_E4M3", (256, 384), "l.weight", "l.weight_scale_inv", "F32", (2, 3), (128, 128)),
           ("F8_E4M3", (300, 200), "l.weight", "l.weight_scale_inv", "F32", (3, 2), (128, 128)),
           ("F8_E4M3", (5, 129), "w", "w_scale_inv", "BF16", (1, 2), (128, 128)),
           ("F8_E5M2", (130, 260), "w", "w.weight_scale", "F8_E8M0", (2, 3), (128, 128)),
           ("F8_E4M3", (40, 50), "l.weight", "l.scale_weight", "F32", (), (40, 50)),
           ("F8_E4M3", (40, 50), "l.weight", "l.weight_scale", "F32", (1,), (40, 50)),
           ("F8_E4M3", (40, 50), "l.weight", "l.weight_scale", "F16", (1, 1), (40, 50)),
           ("F8_E4M3", (), "w", "w_scale", "F32", (), ()),
           ("F8_E4M3", (70,), "w", "w_scale", "F64", (1,), (70,)),
           ("F8_E4M3", (40, 50), "l.weight", "l.weight_scale", "BF16", (40, 1), (1, 50)),
           ("F8_E5M2", (40, 50), "l.weight", "l.weight_scale", "F32", (40,), (1, 50)),
           ("I8", (40, 50), "l.weight", "l.weight_scale", "F32", (40, 1), (1, 50)),
           ("I8", (40, 50), "l.weight", "l.scale", "F16", (40,), (1, 50)),
           ("I8", (6, 9000), "w", "w_scale", "F32", (1, 9000), (6, 1)),
           ("F8_E4M3", (4, 160), "w", "w_scale", "F8_E8M0", (4, 5), (1, 32)),
           ("F8_E5M2", (4, 150), "w", "w_scale", "U8", (4, 5), (1, 32)),
           ("F8_E5M2", (7, 20), "w", "w_scale", "U8", (7, 1), (1, 32)),
           ("F8_E4M3", (3, 5, 96), "w", "w_scales", "F8_E8M0", (3, 5, 3), (1, 1, 32)),
           ("F8_E4M3", (3, 5, 32), "w", "w_scale", "U8", (3, 5), (1, 1, 32)),
           ("F4", (6, 64), "w", "w_scale", "F8_E8M0", (6, 2), (1, 32)),
           ("F4", (6, 64), "w", "w_scale", "F8_E4M3", (6, 4), (1, 16)),
           ("F6_E2M3", (4, 64), "w", "w_scale", "F8_E8M0", (4, 2), (1, 32)),
           ("F6_E3M2", (4, 64), "w", "w_scale", "F8_E8M0", (4, 2), (1, 32)),
           ("F8_E4M3", (3, 200, 260), "e.gate", "e.gate_scale_inv", "F32", (3, 2, 3), (1, 128, 128)),
           ("F8_E4M3", (3, 8, 10), "e.gate", "e.gate_scale", "F32", (3,), (1, 8, 10)),
           ("F8_E4M3", (3, 8, 10), "e.gate", "e.gate_scale", "F32", (3, 8), (1, 1, 10)),
           ("F8_E4M3", (3, 8, 10), "e.gate", "e.gate_scale", "F32", (3, 1, 10), (1, 8, 1)),
           ("F8_E4M3FNUZ", (3, 4, 2, 2), "c.weight", "c.weight_scale", "F32", (3, 1, 1, 1), (1, 4, 2, 2)),
           ("F8_E5M2FNUZ", (12, 10), "w", "w_scale", "F32", (2, 2), (6, 5)),
           ("F8_E4M3", (2, 700000), "w", "w_scale_inv", "F32", (1, 5469), (128, 128)),
           ("F8_E4M3", (0, 4), "w", "w_scale", "F32", (1,), (1, 4)),
           ("F8_E4M3", (0, 4), "w", "w_scale", "F32", (0, 1), (1, 4))]


def check_values(tally, to, got, product, what):
    """Compares the numbers, but for those that are too large for F8_E4M3: numpy makes NaN of them."""
    with numpy.errstate(all="ignore"):
        want = product.astype(KINDS[to])
        nan = numpy.isnan(got.astype("f4"))
    compared = ~numpy.isnan(product)
    if to == "F8_E4M3":
        compared &= numpy.abs(product) <= 464
    view = "u%d" % KINDS[to].itemsize
    differ = (got.view(view) != want.view(view)) & compared
    tally.check(not differ.any(), "scaled:", got[differ][:3], "and not", want[differ][:3], *what)
    tally.check((nan == numpy.isnan(product)).all(), "NaN is NaN:", *what)


def check_layout(tool, tally, random, layout, to, path):
    dtype, shape, name, scale_name, scale_dtype, scale_shape, blocks = layout
    weight, scale = codes(random, dtype, shape), scale_values(random, scale_dtype, scale_shape)
    # three bytes before the weight, in the order given, so that it does not start at a multiple of its element
    write(path, {"b": ("U8", numpy.arange(3, dtype="u1")), name: (dtype, weight), scale_name: (scale_dtype, scale)})
    order = ["--keep-order"] if random.random() < 0.5 else []
    done = tool.run("convert", path, "scaled", "--dtype", to, "--json", *order)
    what = (layout, to, done.stderr)
    tally.check(done.returncode == 0, "convert", *what)
    if done.returncode != 0:
        return
    wide = numpy.dtype("f8" if to == "F64" else "f4")
    with numpy.errstate(all="ignore"):
        number = weight.astype(wide)
        each = meaning(scale_dtype, scale).astype(wide).reshape(scale.shape + (1,) * (len(shape) - scale.ndim))
        each = spread(each, shape, blocks)
        product = (number * each).reshape(-1)
    said = json.loads(done.stdout)
    saw, expected = (said["saturated"], said["underflowed"], said["became_nan"]), counts(number.reshape(-1), each.reshape(-1), product, to)
    check_values(tally, to, numpy.frombuffer(tool.cat("scaled", name), dtype=KINDS[to]), product, what)
    tally.check(saw == expected, "counts:", saw, "and not", expected, *what)
    tally.check(said["scales"] == 1 and said["tensors"] == 2, "one scale, two tensors:", said, *what)
    raw = tool.run("convert", path, "raw", "--dtype", to, "--no-scales", "--json", "--only", name)
    said = json.loads(raw.stdout)
    tally.check(said["scales"] == 0 and said["tensors"] == 3, "--no-scales:", said, *what)
    with numpy.errstate(all="ignore"):
        check_values(tally, to, numpy.frombuffer(tool.cat("raw", name), dtype=KINDS[to]), weight.astype(wide).reshape(-1), what)


def check_losses(tool, tally, random, dtype, to, path):
    """Compares the counts of a conversion without scales."""
    numbers = codes(random, dtype, (3000,))
    if dtype in ("F32", "F64", "BF16", "F16"):
        with numpy.errstate(all="ignore"):
            near = (random.standard_normal(40000) * 2.0 ** random.integers(-30, 20, 40000)).astype(KINDS[dtype])
        numbers = numpy.concatenate([near, numbers, numpy.array([0.0, -0.0, numpy.inf, -numpy.inf, numpy.nan]).astype(KINDS[dtype])])
    write(path, {"w": (dtype, numbers)})
    done = tool.run("convert", path, "lossy", "--dtype", to, "--json")
    said = json.loads(done.stdout)
    saw = (said["saturated"], said["underflowed"], said["became_nan"])
    wide = numbers if dtype == "F64" else numbers.astype("f4")
    expected = counts(wide, numpy.ones(1), wide, to)
    tally.check(saw == expected, "losses:", dtype, to, saw, "and not", expected, done.stderr)


def check(tool, tally, seed):
    random = numpy.random.default_rng(seed)
    before = tally.passed + tally.failed
    path = os.path.join(tool.directory, "quantized")
    for layout in LAYOUTS:
        for to in ("BF16", "F32", "F16", "F64", "F8_E4M3"):
            if layout[0] != to:
                check_layout(tool, tally, random, layout, to, path)
    for dtype in ("F64", "F32", "BF16", "F16", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F4", "F6_E3M2"):
        for to in ("F32", "BF16", "F16", "F8_E5M2", "F8_E4M3"):
            if dtype != to:
                check_losses(tool, tally, random, dtype, to, path)
    print("interop: scales beside numpy: %d checks" % (tally.passed + tally.failed - before))
