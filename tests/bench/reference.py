"""The reference's Python package and numpy: a worker of the benchmark (worker.h)."""

import ctypes
import functools
import os
import sys
import time

import numpy
import safetensors

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None


class NotHere(Exception):
    pass


# what outlives one request
kept = functools.lru_cache(maxsize=2)


def open_all(path):
    paths = [path]
    if os.path.isdir(path):
        paths = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".safetensors"))
    opened = [safetensors.safe_open(each, framework="numpy") for each in paths]
    return opened, sum(len(each.keys()) for each in opened)


def open_path(path):
    return open_all(path)[1]


def status_line(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))


def trim():
    """Gives free memory back to the system, so that what remains in use is what a model keeps."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):
        pass


def memory(path):
    anonymous, everything = status_line("RssAnon:"), status_line("VmRSS:")
    opened, count = open_all(path)
    peak = status_line("VmHWM:")
    trim()
    return count, status_line("RssAnon:") - anonymous, peak - everything


def load(path, prefix=""):
    with safetensors.safe_open(path, framework="numpy") as opened:
        try:
            return sum(opened.get_tensor(name).nbytes for name in opened.keys() if name.startswith(prefix))
        except (TypeError, AttributeError, safetensors.SafetensorError) as error:
            raise NotHere("BF16 in numpy: %s" % error)


def load_all(path, threads):
    if threads != "1":
        raise NotHere("threads")
    return load(path)


def view(path, step, first, last):
    with safetensors.safe_open(path, framework="numpy") as opened:
        matrix = opened.get_slice("m")
        try:
            return matrix[:: int(step), int(first) : int(last)].nbytes
        except Exception as error:
            raise NotHere("a slice: %s" % error)


@kept
def numbers(n, dtype):
    """Like weights, of either sign, from 2^-16 to 2^-1; any bits for integers."""
    random = numpy.random.default_rng(1)
    if numpy.dtype(dtype).kind in "iu":
        return random.integers(0, 256, n, numpy.uint8).view(dtype)
    bits = random.integers(0, 2**32, n, numpy.uint32)
    exponents = numpy.uint32(111) + (random.integers(0, 16, n, numpy.uint8)).astype(numpy.uint32)
    return (bits & numpy.uint32(0x807FFFFF) | exponents << numpy.uint32(23)).view(numpy.float32).astype(dtype)


@kept
def matrix_of(path):
    with open(path, "rb") as opened:
        header = int.from_bytes(opened.read(8), "little")
    data = numpy.fromfile(path, dtype=numpy.uint16, offset=8 + header)
    return data.reshape(-1, 8192)


def transpose(path):
    return numpy.ascontiguousarray(matrix_of(path).T).nbytes


@kept
def out_of(n, to):
    return numpy.ones(n, to)


def convert(to, source, elements):
    names = {"F32": numpy.float32, "F16": numpy.float16, "F64": numpy.float64, "I8": numpy.int8, "U8": numpy.uint8}
    if ml_dtypes:
        names.update(BF16=ml_dtypes.bfloat16, F8_E4M3=ml_dtypes.float8_e4m3fn, F8_E5M2=ml_dtypes.float8_e5m2)
    n = int(elements)
    if source == "BF16" and to == "F32":  # faster than ml_dtypes
        numpy.left_shift(out_of(n, numpy.uint16), 16, out=out_of(n, numpy.uint32), dtype=numpy.uint32, casting="unsafe")
        return n
    if to not in names or source not in names:
        raise NotHere("no such dtype in numpy" + ("" if ml_dtypes else " without ml_dtypes"))
    with numpy.errstate(all="ignore"):
        numpy.copyto(out_of(n, names[to]), numbers(n, names[source]), casting="unsafe")
    return n


def save(path, size, flush):
    size = int(size)
    data = out_of(size, numpy.uint8)
    part = size // 4
    specs = {
        name: safetensors.TensorSpec(dtype="uint8", shape=[part], data_ptr=data.ctypes.data + part * i, data_len=part)
        for i, name in enumerate("abcd")
    }
    safetensors.serialize_file(specs, path)
    if flush == "1":
        with open(path, "rb") as saved:
            os.fsync(saved.fileno())
    return size


ACTIONS = {
    "open": open_path,
    "memory": memory,
    "load": load_all,
    "layer": load,
    "view": view,
    "transpose": transpose,
    "convert": convert,
    "save": save,
}


def answer(words):
    once = words[0] == "once"
    name, arguments = words[once], words[once + 1 :]
    if name not in ACTIONS:
        return "no such workload"
    wall, cpu, times = time.monotonic_ns(), time.thread_time_ns(), 0
    try:
        while not times or not once and time.monotonic_ns() - wall < 10e6:
            work = ACTIONS[name](*arguments)
            times += 1
    except NotHere as reason:
        return "no %s" % reason
    wall, cpu = time.monotonic_ns() - wall, time.thread_time_ns() - cpu
    work = work if isinstance(work, tuple) else (work, 0, 0)
    return " ".join(str(n) for n in ("ok", wall // times, cpu // times, *work))


if "--version" in sys.argv:
    print(
        "safetensors %s, numpy %s%s, Python %s"
        % (
            safetensors.__version__,
            numpy.__version__,
            ", ml_dtypes %s" % ml_dtypes.__version__ if ml_dtypes else "",
            sys.version.split()[0],
        )
    )
    sys.exit()
for line in sys.stdin:
    print(answer(line.split()), flush=True)
