"""Compares st_convert with numpy and ml_dtypes: decoding everywhere, encoding within each range, for random codes and all small codes.

ml_dtypes converts to BF16, and from integers to its own types, through F32, so the test uses values that F32 can hold. Where
the results differ by design (out of range, NaN, infinity), tests/numbers.c has the expected ones."""
import ctypes

import ml_dtypes
import numpy

OF_NUMPY = {1: "bool", 5: "uint8", 6: "int8", 12: "int16", 13: "uint16", 14: "float16", 16: "int32", 17: "uint32", 18: "float32", 20: "float64",
            21: "int64", 22: "uint64"}
OF_ML_DTYPES = {2: "float4_e2m1fn", 3: "float6_e2m3fn", 4: "float6_e3m2fn", 7: "float8_e5m2", 8: "float8_e4m3fn", 9: "float8_e8m0fnu",
                10: "float8_e4m3fnuz", 11: "float8_e5m2fnuz", 15: "bfloat16"}
TYPES = {n: numpy.dtype(name) for n, name in OF_NUMPY.items()}
TYPES.update({n: numpy.dtype(getattr(ml_dtypes, name)) for n, name in OF_ML_DTYPES.items()})
BITS = {2: 4, 3: 6, 4: 6}
TARGETS = [n for n in sorted(TYPES) if n not in (2, 3, 4, 9)]


def is_float(n):
    return n in OF_ML_DTYPES or TYPES[n].kind == "f"


def pack(n, codes):
    """Unpacks codes from file bytes, one byte for each code."""
    if n not in BITS:
        return codes
    bits = (codes[:, None] >> numpy.arange(BITS[n], dtype=numpy.uint8) & 1).astype(numpy.uint8)
    return numpy.packbits(bits.reshape(-1), bitorder="little")


def sources(random, n, count):
    """Returns elements of the dtype: every code of small dtypes, otherwise random bits and numbers of all magnitudes."""
    kind = TYPES[n]
    if n == 1:
        return numpy.array([False, True] * 8)
    if kind.itemsize <= 2 and (is_float(n) or kind.itemsize == 1):
        codes = numpy.arange(1 << BITS.get(n, kind.itemsize * 8), dtype="u%d" % kind.itemsize)
        return (codes if kind.itemsize == 1 else random.permutation(codes)[:count]).view(kind)
    codes = random.integers(0, 256, size=(count, kind.itemsize), dtype=numpy.uint8).reshape(-1).view(kind)
    if is_float(n):
        sized = (random.standard_normal(count) * 10.0 ** random.integers(-9, 20, count)).astype(kind)
        return numpy.where(random.random(count) < 0.3, codes, sized)
    return codes >> random.integers(0, kind.itemsize * 8 - 1, count).astype(kind)


class Converter:
    def __init__(self, library):
        self.call = ctypes.CDLL(library).st_convert
        self.call.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]

    def convert(self, to, n, values):
        packed = numpy.ascontiguousarray(pack(n, values.view(numpy.uint8)) if n in BITS else values)
        out = numpy.zeros(len(values), dtype=TYPES[to])
        status = self.call(to, out.ctypes.data, n, packed.ctypes.data, len(values))
        if status:
            raise SystemExit("interop: st_convert gave %d from %s to %s" % (status, TYPES[n], TYPES[to]))
        return out


def expected(to, n, values):
    """Returns numpy's results, and a mask of the values for which ours must be the same."""
    kind = TYPES[to]
    with numpy.errstate(all="ignore"):
        if to == 1:
            return values.astype(numpy.float64) != 0, numpy.ones(len(values), dtype=bool)
        if not is_float(to):
            limits = numpy.iinfo(kind)
            if is_float(n):
                wide = numpy.rint(values.astype(numpy.float64))
                within = (wide >= float(limits.min)) & (wide < float(limits.max))
                return numpy.where(within, wide, 0).astype(kind), within
            whole = [int(v) for v in values]
            within = numpy.array([limits.min <= v <= limits.max for v in whole])
            return numpy.array([v if w else 0 for v, w in zip(whole, within)], dtype=kind), within
        wide = values.astype(numpy.float64)
        narrow = to in OF_ML_DTYPES
        if narrow:
            single = values.astype(numpy.float32)
            same = single.astype(numpy.float64) == wide
            if not is_float(n) and n != 1:
                same &= numpy.abs(wide) <= 2.0**24
            given = single
        else:
            same = numpy.ones(len(values), dtype=bool)
            given = values if n in OF_NUMPY else wide
        most = float((ml_dtypes.finfo if narrow else numpy.finfo)(kind).max)
        return given.astype(kind), same & (numpy.abs(wide) <= most)


def check(tally, library, count, seed):
    converter, random = Converter(library), numpy.random.default_rng(seed)
    compared = 0
    for n in sorted(TYPES):
        values = sources(random, n, count)
        for to in TARGETS:
            if to == n:
                continue
            got = converter.convert(to, n, values)
            want, within = expected(to, n, values)
            size = "u%d" % TYPES[to].itemsize
            differ = (got.view(size) != want.view(size)) & within
            tally.check(not differ.any(), "%s to %s:" % (TYPES[n], TYPES[to]), values[differ][:3], "became", got[differ][:3], "and not", want[differ][:3])
            compared += int(within.sum())
            if is_float(n) and is_float(to): # NaN there is NaN here
                nan = numpy.isnan(values)
                tally.check(bool(numpy.isnan(got[nan]).all()), "NaN of %s to %s" % (TYPES[n], TYPES[to]))
    print("interop: numbers beside numpy %s and ml_dtypes %s: %d" % (numpy.__version__, ml_dtypes.__version__, compared))
