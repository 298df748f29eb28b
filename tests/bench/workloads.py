"""What the benchmark measures: its files, its cases, the rows of the README's table, and the goals.

A case is one piece of work, done by several programs in turn. Its state is one of:
  warm   one process repeats the work. Files are in the page cache, and malloc keeps the memory that is freed.
  fresh  each sample is a new process, which does the work once, as most programs do. Files are in the page cache.
  cold   no page of the file is in the page cache. The work is done once a sample, in one process.
"""

import dataclasses
import os


@dataclasses.dataclass
class Case:
    workload: str  # what ONLY= selects
    label: str
    state: str
    unit: str  # "GB/s", or what one of `count` things takes: "ns a tensor"
    count: int  # bytes, or things
    ways: dict  # name -> (program, request); "ours" and "ours ..." are safetensors.h
    cpu: bool = False  # compare CPU time of the thread: for work on one thread that never waits
    file: str = ""  # cold: the file
    remove: tuple = ()  # files and directories that a sample leaves
    once: bool = False  # warm: once a sample
    before: str = ""  # a request that goes to each new process first and is not measured

    def __str__(self):
        return ", ".join(filter(None, (self.workload, self.label, self.state)))


TITLES = {
    "parse": "bytes in memory to an open model, and close; CPU time",
    "open": "a path to an open model, and close; CPU time",
    "find": "find every name of a file, in shuffled order; CPU time",
    "memory": "bytes that an open model keeps, and the peak while it is opened",
    "load": "open a file, load it or a layer of it into the caller's memory, close",
    "view": "open a file, read part of a BF16 matrix into the caller's memory, close; bytes that were asked for",
    "convert": "convert an array; bytes of the larger side; CPU time",
    "save": "save from memory, split, merge",
}
ROWS = 1 << 15
COLUMNS = 1 << 13
PAIRS = ("BF16 F32", "F16 F32", "F8_E4M3 F32", "F8_E5M2 F32", "U8 F32", "F32 BF16", "F32 F16", "BF16 F16", "F16 BF16")
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "U8": 1}


class Files:
    """Paths of the generated files; `made` has what generate.c is asked for."""

    def __init__(self, directory, quick):
        def file(name, *arguments):
            path = os.path.join(directory, name)
            self.made[path] = [str(argument) for argument in arguments]
            return path

        self.made, self.quick = {}, quick
        self.bytes = (128 if quick else 1024) << 20
        self.rows, self.square = (ROWS // 4, COLUMNS // 4) if quick else (ROWS, COLUMNS)
        self.shards, self.shard_count = (9200, 16) if quick else (92000, 160)
        kinds = [("dense", 100), ("dense", 1000), ("moe", 10000)]
        if not quick:
            kinds += [("moe", 100000), ("real", 100000), ("moe", 1000000)]
        self.headers = [(kind, n, file("%s-%d.safetensors" % (kind, n), kind, n)) for kind, n in kinds]
        mebibytes = self.bytes >> 20
        self.model = file("model-%d.safetensors" % mebibytes, "model", mebibytes)
        self.quarters = file("quarters-%d" % mebibytes, "quarters", mebibytes)
        self.matrix = file("matrix-%d.safetensors" % self.rows, "matrix", self.rows, COLUMNS)
        self.square_matrix = file("matrix-%d.safetensors" % self.square, "matrix", self.square, COLUMNS)
        self.many_shards = file("shards-%d" % self.shards, "shards", self.shards, self.shard_count)
        self.saved = os.path.join(directory, "saved.safetensors")
        self.saved_shards = os.path.join(directory, "saved")


def same(request, *programs):
    return {program: (program, request) for program in programs}


# ---- cases ---------------------------------------------------------------------------------------------------------


def header_cases(files):
    for kind, n, path in files.headers:
        label, unit = "%s %s" % (kind, format(n, ",")), "ns a tensor"
        package = ["package"] if n <= 100000 else []  # takes 7 s for a million
        ways = same("parse " + path, "ours", "crate", "simdjson")
        ways["memcpy"] = ("limits", "parse " + path)
        yield Case("parse", label, "warm", unit, n, ways, cpu=True)
        ways = same("open " + path, "ours", "crate", *package, "simdjson")
        ways["map, copy"] = ("limits", "open " + path)
        for state in ("warm", "fresh"):
            yield Case("open", label, state, unit, n, ways, cpu=True)
        if kind != "real" and n in (1000, 100000, 1000000):
            ways = {"ours st_find": ("ours", "find " + path), "ours st_find_n": ("ours", "find-n " + path)}
            ways["ours st_find_all"] = ("ours", "find-all " + path)
            yield Case("find", label, "warm", "ns a name", n, {**ways, **same("find " + path, "crate")}, cpu=True)
        if n >= 10000:  # of fewer tensors the model has too few pages
            ways = same("memory " + path, "ours", "crate", *package)
            yield Case("memory", label, "fresh", "bytes a tensor", n, ways)
    path, n = files.many_shards, files.shards
    label = "%s in %d shards" % (format(n, ","), files.shard_count)
    for state in ("warm", "fresh"):
        ways = same("open " + path, "ours", "crate", "package")
        yield Case("open", label, state, "ns a tensor", n, ways, cpu=True)
    yield Case("memory", label, "fresh", "bytes a tensor", n, same("memory " + path, "ours", "crate", "package"))


def load_cases(files):
    path, size = files.model, files.bytes
    for threads in (1, 2):
        label, request = "%d thread%s" % (threads, "s"[: threads - 1]), "load %s %d" % (path, threads)
        others = same(request, "crate", "package") if threads == 1 else {}
        pread = {"pread": ("limits", "read %s %d" % (path, threads))}
        ways = {"ours": ("ours", request), **others, **pread, "memcpy": ("limits", "copy %d %d" % (size, threads))}
        yield Case("load", label, "warm", "GB/s", size, ways)
        others.pop("package", None)
        yield Case("load", label, "cold", "GB/s", size, {"ours": ("ours", request), **others, **pread}, file=path)
    ways = {"ours": ("ours", "load-f32 " + path), "memcpy": ("limits", "copy %d 1" % (2 * size))}
    yield Case("load", "BF16 as F32, 1 thread", "warm", "GB/s", 2 * size, ways)
    ways = {"ours": ("ours", "touch " + path), "mmap": ("limits", "touch " + path)}
    yield Case("load", "in place", "warm", "GB/s", size, ways)
    layer = 64 << 20
    request, pread = "layer %s model.layers.1." % path, "read %s 1 %d %d" % (path, 1 << 16, layer)
    ways = {**same(request, "ours", "crate"), "pread": ("limits", pread)}
    yield Case("load", "one layer of 64 MiB", "warm", "GB/s", layer, {**ways, **same(request, "package")})
    yield Case("load", "one layer of 64 MiB", "cold", "GB/s", layer, ways, file=path)


def view_cases(files):
    for label, step, first, last in (("every 7th row", 7, 0, COLUMNS), ("a quarter of the columns", 1, 2048, 4096)):
        request, run = "view %s %d %d %d" % (files.matrix, step, first, last), 2 * (last - first)
        size = (files.rows + step - 1) // step * run
        ways = same(request, "ours", "crate")
        loop = {"loop": ("limits", "runs %s %d %d %d" % (files.matrix, 2 * first, run, step * 2 * COLUMNS))}
        package = same(request, "package") if step == 1 else {}  # takes no step
        yield Case("view", label, "warm", "GB/s", size, {**ways, **package, **loop})
        ways["read all"] = ("limits", "read %s 2" % files.matrix)
        yield Case("view", label, "cold", "GB/s", size, ways, file=files.matrix)
    request, size = "transpose " + files.square_matrix, 2 * COLUMNS * files.square
    ways = {**same(request, "ours", "package"), "memcpy": ("limits", "copy %d 1" % size)}
    yield Case("view", "transpose", "warm", "GB/s", size, ways)


def convert_cases(files):
    for elements, where in ((1 << (21 if files.quick else 25), "in memory"), (1 << 15, "in cache")):
        for pair in PAIRS:
            source, to = pair.split()
            larger = max(BYTES[to], BYTES[source]) * elements
            ways = same("convert %s %s %d" % (to, source, elements), "ours", "package")
            ways["memcpy"] = ("limits", "copy %d 1" % larger)
            yield Case("convert", "%s to %s %s" % (source, to, where), "warm", "GB/s", larger, ways, cpu=True)


def save_cases(files):
    path, size, shards = files.saved, files.bytes, files.saved_shards
    for flush, label in ((0, "not flushed"), (1, "flushed")):
        request = "save %s %d %d" % (path, size, flush)
        ways = {**same(request, "ours", "crate", "package"), "write": ("limits", request)}
        yield Case("save", label, "warm", "GB/s", size, ways, remove=(path,), once=True)
    quarters = [os.path.join(files.quarters, "model-%05d-of-00004.safetensors" % (i + 1)) for i in range(4)]
    ways = {"ours": ("ours", "shard %s %s %d" % (shards, files.model, size // 4 + (1 << 20)))}
    ways["copy"] = ("limits", "concatenate %s %s" % (path, files.model))
    yield Case("save", "split in four shards", "warm", "GB/s", size, ways, remove=(path, shards), once=True)
    ways = {"ours": ("ours", "merge %s %s" % (path, files.quarters))}
    ways["copy"] = ("limits", "concatenate %s %s" % (path, " ".join(quarters)))
    yield Case("save", "merge four shards", "warm", "GB/s", size, ways, remove=(path,), once=True)
    kind, n, names = files.headers[-1]
    ways = {**same("save-names " + names, "ours", "crate"), "qsort": ("limits", "sort-names " + names)}
    label = "%s tensors to memory" % format(n, ",")
    yield Case("save", label, "fresh", "ns a tensor", n, ways, cpu=True, before="names " + names)
    ways = {"ours": ("ours", "stream %s %d" % (path, size))}
    yield Case("memory", "writer, %d MiB file" % (size >> 20), "fresh", "bytes a MiB", size >> 20, ways, remove=(path,))


def cases(files):
    for group in (header_cases, load_cases, view_cases, convert_cases, save_cases):
        yield from group(files)


# ---- the README's table --------------------------------------------------------------------------------------------

# what the row says; workload, label, states, which of ours; the programs of its last three columns
TABLE = [
    ("open a file of 1,000 tensors", "open", "dense 1,000", "fresh warm", "", "crate", "package", "map, copy"),
    ("100,000 tensors", "open", "moe 100,000", "fresh warm", "", "crate", "package", "map, copy"),
    ("100,000 tensors of a 300 GB model", "open", "real 100,000", "fresh warm", "", "crate", "package", "map, copy"),
    ("1,000,000 tensors", "open", "moe 1,000,000", "fresh warm", "", "crate", "", "map, copy"),
    ("92,000 tensors in 160 shards", "open", "92,000 in 160 shards", "fresh warm", "", "crate", "package", ""),
    ("find a name of 1,000, `st_find`", "find", "dense 1,000", "warm", "st_find", "crate", "", ""),
    ("of 100,000, `st_find`", "find", "moe 100,000", "warm", "st_find", "crate", "", ""),
    ("of 100,000, `st_find_all`", "find", "moe 100,000", "warm", "st_find_all", "crate", "", ""),
    ("of 1,000,000, `st_find_all`", "find", "moe 1,000,000", "warm", "st_find_all", "crate", "", ""),
    ("load 1 GiB, 1 thread", "load", "1 thread", "warm cold", "", "crate", "package", "pread"),
    ("load 1 GiB, 2 threads", "load", "2 threads", "warm cold", "", "", "", "pread"),
    ("load one layer of 64 MiB", "load", "one layer of 64 MiB", "warm cold", "", "crate", "package", "pread"),
    ("read every 7th row of a 512 MiB matrix", "view", "every 7th row", "warm", "", "crate", "", "loop"),
    ("read every 7th row of a 512 MiB matrix", "view", "every 7th row", "cold", "", "crate", "", "read all"),
    ("read a quarter of its columns", "view", "a quarter of the columns", "warm", "", "crate", "package", "loop"),
    ("read a quarter of its columns", "view", "a quarter of the columns", "cold", "", "crate", "", "read all"),
    ("transpose a matrix", "view", "transpose", "warm", "", "", "package", "memcpy"),
    ("convert BF16 to F32", "convert", "BF16 to F32 in memory", "warm", "", "", "package", "memcpy"),
    ("convert F16 to F32", "convert", "F16 to F32 in memory", "warm", "", "", "package", "memcpy"),
    ("convert F8_E4M3 to F32", "convert", "F8_E4M3 to F32 in memory", "warm", "", "", "package", "memcpy"),
    ("convert F32 to BF16", "convert", "F32 to BF16 in memory", "warm", "", "", "package", "memcpy"),
    ("save 1 GiB, not flushed", "save", "not flushed", "warm", "", "crate", "package", "write"),
    ("save 1 GiB, flushed", "save", "flushed", "warm", "", "crate", "package", "write"),
    ("split 1 GiB in four shards", "save", "split in four shards", "warm", "", "", "", "copy"),
    ("merge four shards to 1 GiB", "save", "merge four shards", "warm", "", "", "", "copy"),
    ("save 1,000,000 tensors to memory", "save", "1,000,000 tensors to memory", "fresh", "", "crate", "", "qsort"),
]

# ---- goals ---------------------------------------------------------------------------------------------------------

CONVERTED = tuple(pair.replace(" ", " to ") + " in memory" for pair in PAIRS[:4] + PAIRS[5:7])

# workload; labels, or None for all; state; which of ours; how many times as fast as which program, at least
GOALS = [
    ("parse", None, "warm", "", "crate", 10),
    ("parse", None, "warm", "", "simdjson", 1),
    ("open", ("dense 1,000", "moe 10,000", "moe 100,000", "real 100,000", "moe 1,000,000"), "warm", "", "crate", 10),
    ("open", ("dense 1,000", "moe 10,000", "moe 100,000", "real 100,000", "moe 1,000,000"), "fresh", "", "crate", 4),
    ("open", ("92,000 in 160 shards",), "warm", "", "crate", 5),
    ("find", None, "warm", "st_find", "crate", 2.5),
    ("find", ("moe 100,000", "moe 1,000,000"), "warm", "st_find_all", "ours st_find", 2.5),
    ("load", ("1 thread", "2 threads"), "warm", "", "pread", 0.95),
    ("load", ("1 thread",), "warm", "", "crate", 1.05),
    ("load", ("1 thread",), "cold", "", "crate", 1.2),
    ("load", ("1 thread", "2 threads"), "cold", "", "pread", 0.9),
    ("load", ("in place",), "warm", "", "mmap", 0.85),
    ("view", ("every 7th row", "a quarter of the columns"), "warm", "", "crate", 1),
    ("view", ("every 7th row", "a quarter of the columns"), "warm", "", "loop", 0.95),
    ("view", ("every 7th row", "a quarter of the columns"), "cold", "", "crate", 1.8),
    ("convert", CONVERTED, "warm", "", "memcpy", 0.9),
    ("save", ("not flushed", "flushed"), "warm", "", "write", 0.95),
    ("save", ("not flushed", "flushed"), "warm", "", "crate", 1),
    ("save", ("split in four shards", "merge four shards"), "warm", "", "copy", 0.95),
    ("save", ("1,000,000 tensors to memory",), "fresh", "", "crate", 1),
]
