"""Compares st_view_shape, st_read_as and st_load with numpy's slicing and transposing: random views of random tensors of every
dtype, unconverted and as F32, from mapped files and files that are read, one by one and in batches."""
import ctypes
import json
import os

import numpy

from converting import BITS, TYPES, pack, sources

NAMES = {1: "BOOL", 2: "F4", 3: "F6_E2M3", 4: "F6_E3M2", 5: "U8", 6: "I8", 7: "F8_E5M2", 8: "F8_E4M3", 9: "F8_E8M0", 10: "F8_E4M3FNUZ",
         11: "F8_E5M2FNUZ", 12: "I16", 13: "U16", 14: "F16", 15: "BF16", 16: "I32", 17: "U32", 18: "F32", 20: "F64", 21: "I64", 22: "U64"}
F32, NO_MAP, TO_THE_END = 18, 1, 2**64 - 1
GUARD = 64 # bytes on either side of what is read, which stay as they were


class Range(ctypes.Structure):
    _fields_ = [("start", ctypes.c_uint64), ("stop", ctypes.c_uint64), ("step", ctypes.c_uint64)]


class View(ctypes.Structure):
    _fields_ = [("ranges", ctypes.POINTER(Range)), ("range_count", ctypes.c_uint32), ("axes", ctypes.POINTER(ctypes.c_uint32))]


class Options(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint), ("max_header", ctypes.c_uint64), ("allocator", ctypes.c_void_p), ("work", ctypes.c_void_p),
                ("work_bytes", ctypes.c_size_t), ("files", ctypes.c_void_p), ("variant", ctypes.c_char_p)]


class Item(ctypes.Structure):
    _fields_ = [("tensor", ctypes.c_void_p), ("as_", ctypes.c_int), ("dst", ctypes.c_void_p), ("dst_bytes", ctypes.c_size_t),
                ("view", ctypes.POINTER(View))]


class LoadOptions(ctypes.Structure):
    _fields_ = [("part", ctypes.c_uint), ("part_count", ctypes.c_uint), ("progress", ctypes.c_void_p), ("user", ctypes.c_void_p),
                ("work", ctypes.c_void_p), ("work_bytes", ctypes.c_size_t)]


def write_model(path, random):
    """Writes tensors of every dtype with ranks 0 to 6, a few of them large; returns their arrays by name."""
    arrays, header, data = {}, {}, bytearray()
    for n in sorted(TYPES):
        for shape in [()] + [tuple(random.integers(1, 9, rank)) for rank in range(1, 7)] + [(0, 3), (300, 700), (40, 30, 50), (7, 90, 5, 60)]:
            shape = tuple(int(d) for d in shape)
            count = int(numpy.prod(shape, dtype=numpy.int64))
            if n in BITS and count * BITS[n] % 8:
                shape, count = (4,) + shape, 4 * count
            name = "%s %s" % (NAMES[n], shape)
            if name in arrays:
                continue
            array = numpy.resize(sources(random, n, 4096), count)
            random.shuffle(array)
            stored = (pack(n, array.view(numpy.uint8)) if n in BITS else array).tobytes()
            header[name] = {"dtype": NAMES[n], "shape": shape, "data_offsets": [len(data), len(data) + len(stored)]}
            data += stored
            arrays[name] = n, array.reshape(shape)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)
    return arrays


class Case:
    """Returns a random view, for numpy and for the library."""
    def __init__(self, random, shape):
        rank = len(shape)
        count = int(random.integers(0, rank + 1))
        self.slices, ranges = [slice(None)] * rank, (Range * max(count, 1))()
        for i in range(count):
            stop = int(random.integers(0, shape[i] + 1))
            start = int(random.integers(0, stop + 1))
            step = 1 if random.random() < 0.5 else int(random.integers(1, max(2, shape[i])))
            if random.random() < 0.2:
                stop = shape[i]
            self.slices[i] = slice(start, stop, step)
            ranges[i] = Range(start, TO_THE_END if stop == shape[i] and step % 2 else stop, 0 if step == 1 and start % 2 else step)
        self.axes = [int(a) for a in random.permutation(rank)] if rank and random.random() < 0.5 else None
        self.kept = ranges, (ctypes.c_uint32 * rank)(*self.axes) if self.axes else None # as long as the pointers
        self.view = View(ranges, count, self.kept[1])

    def of(self, array):
        part = array[tuple(self.slices)]
        return numpy.array(part.transpose(self.axes) if self.axes else part, order="C")


class Library:
    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        self.c.st_find.restype = ctypes.c_void_p
        self.c.st_find.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self.c.st_read_as.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(View), ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t,
                                      ctypes.c_void_p]
        self.c.st_view_shape.argtypes = [ctypes.c_void_p, ctypes.POINTER(View), ctypes.POINTER(ctypes.c_uint64),
                                         ctypes.POINTER(ctypes.c_uint64), ctypes.c_void_p]
        self.c.st_load.argtypes = [ctypes.c_void_p, ctypes.POINTER(Item), ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]

    def open(self, path, flags):
        model = ctypes.c_void_p()
        status = self.c.st_open(ctypes.byref(model), path.encode(), ctypes.byref(Options(flags)), None)
        if status:
            raise SystemExit("interop: st_open gave %d" % status)
        return model

    def shape(self, tensor, view, rank):
        shape, elements = (ctypes.c_uint64 * max(rank, 1))(), ctypes.c_uint64()
        status = self.c.st_view_shape(tensor, ctypes.byref(view), shape, ctypes.byref(elements), None)
        return status, tuple(shape[:rank]), elements.value


def room_for(size):
    return numpy.full(size + 2 * GUARD, 0xA5, dtype=numpy.uint8)


def same(got, want):
    """Returns the destination bytes with guards around them."""
    return got[GUARD:-GUARD].tobytes() == want.tobytes() and bool((got[:GUARD] == 0xA5).all()) and bool((got[-GUARD:] == 0xA5).all())


def check(tally, library, directory, count, seed):
    random, library = numpy.random.default_rng(seed), Library(library)
    path = os.path.join(directory, "slicing.safetensors")
    arrays = write_model(path, random)
    models = [library.open(path, 0), library.open(path, NO_MAP)]
    with numpy.errstate(all="ignore"):
        as_f32 = {name: a.astype(numpy.float32) for name, (n, a) in arrays.items()}
    small = [name for name, (n, a) in arrays.items() if a.size <= 10000]
    large = [name for name in arrays if name not in small]
    items, views = [], []
    for k in range(count):
        name = str(random.choice(large if k % 500 == 0 else small))
        n, array = arrays[name]
        case = Case(random, array.shape)
        convert = n in BITS or random.random() < 0.3
        want = case.of(as_f32[name] if convert else array)
        model = models[k % 2]
        tensor = library.c.st_find(model, name.encode())
        tally.check(library.shape(tensor, case.view, array.ndim) == (0, want.shape, want.size), "the shape of", name, case.slices, case.axes)
        got = room_for(want.nbytes)
        status = library.c.st_read_as(model, tensor, ctypes.byref(case.view), F32 if convert else 0, got.ctypes.data + GUARD, want.nbytes, None)
        if convert and want.dtype.kind == "f": # NaN there is NaN here, of any bits
            read = got[GUARD:-GUARD].copy().view(numpy.float32)
            nan = numpy.isnan(want.reshape(-1))
            tally.check(bool((numpy.isnan(read) == nan).all()), "NaN in", name, case.slices, case.axes)
            got[GUARD:-GUARD].view(numpy.float32)[nan] = want.reshape(-1)[nan]
        tally.check(status == 0 and same(got, want), name, "as F32" if convert else "", case.slices, case.axes, "status %d" % status)
        if not convert:
            into = room_for(want.nbytes)
            items.append(Item(tensor, 0, into.ctypes.data + GUARD, want.nbytes, ctypes.pointer(case.view)))
            views.append((model, case, into, want, name))
        if len(items) == 200:
            for which in models:
                mine = [i for i, v in enumerate(views) if v[0] is which]
                batch = (Item * len(mine))(*[items[i] for i in mine])
                parts = 1 + k % 3
                status = [library.c.st_load(which, batch, len(mine), ctypes.byref(LoadOptions(part, parts)), None) for part in range(parts)]
                for i in mine:
                    tally.check(not any(status) and same(views[i][2], views[i][3]), "st_load of", views[i][4], views[i][1].slices)
            items, views = [], []
    for model in models:
        library.c.st_close(model)
    print("interop: views beside numpy %s: %d" % (numpy.__version__, count))
