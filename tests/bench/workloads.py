"""What the benchmark times, and the goals. A case is one thing done in several ways, side by side in each round."""
import os


class Case:
    """
    workload, label  what ONLY= selects; which of its cases
    ours             name of a variant ("" where there is one) -> (worker, line)
    peers, limits    name -> (worker, line); a limit is what the machine does without a library in between
    per              what a time is divided by: ("ns a tensor", tensors), or what it divides: ("GB/s", bytes)
    cpu              count CPU time of the thread, for what runs on one and does not wait
    evict            a file that must not be in the page cache before each sample
    remove           what a sample leaves behind: a file or a directory
    """

    def __init__(self, workload, label, ours, peers=None, limits=None, per=None, cpu=False, evict=None, remove=None, fresh=False):
        self.workload, self.label, self.ours, self.peers, self.limits = workload, label, ours, peers or {}, limits or {}
        self.per, self.cpu, self.evict, self.remove, self.fresh = per, cpu, evict, remove, fresh

    def __str__(self):
        return (self.workload + " " + self.label).strip()

    def name_bytes(self):
        """Of a name in its file, on average; 0 where it has none to tell by."""
        names = next(iter(self.ours.values()))[1].split()[1] + ".names"
        return os.path.getsize(names) / self.per[1] - 1 if self.fresh and os.path.exists(names) else 0

    def ways(self):
        """(name, worker, line) of each; those of ours begin with "ours"."""
        for name, (worker, line) in self.ours.items():
            yield ("ours " + name).strip(), worker, line
        for name, (worker, line) in list(self.peers.items()) + list(self.limits.items()):
            yield name, worker, line


TITLES = {
    "parse": "from bytes in memory to a checked and indexed model, and away with it again; CPU time",
    "open": "from a path to a checked and indexed model, and away with it again; page cache warm; CPU time",
    "find": "all names looked up in shuffled order; CPU time",
    "memory": "what an open model keeps, and the most memory in use while it is opened",
    "sharded": "92,000 tensors in 160 shards with an index, opened and closed; page cache warm",
    "load": "a whole file into memory of the caller's, opened and closed; page cache warm",
    "load-cold": "the same, nothing of it in the page cache",
    "layer": "the nine tensors of one layer out of the same file, opened and closed",
    "convert": "numbers in memory, beside memcpy of the larger side; bytes of that side; CPU time",
    "view": "part of a matrix [65536, 8192] of BF16 into memory of the caller's, opened and closed; useful bytes",
    "transpose": "a matrix [16384, 8192] of BF16, transposed into memory of the caller's",
    "save": "from memory to a file in its place, whole or not at all",
    "shard": "one file to four shards and an index; not flushed",
    "merge": "four shards to one file; not flushed",
    "compile": "one file that includes the header with ST_IMPLEMENTATION",
}


class Sizes:
    """Of the full run, or one to see that all works."""

    def __init__(self, quick):
        self.rounds = 3 if quick else 11
        self.headers = [("dense", 100), ("dense", 1000), ("dense", 10000), ("moe", 10000)]
        if not quick:
            self.headers += [("dense", 100000), ("moe", 100000), ("moe", 1000000)]
        self.mebibytes = 128 if quick else 1024
        self.rows = 8192 if quick else 65536
        self.square = 2048 if quick else 16384
        self.shards = (9200, 16) if quick else (92000, 160)
        self.elements = 1 << 21 if quick else 1 << 26


COLUMNS = 8192
PAIRS = [
    ("BF16", "F32"), ("F16", "F32"), ("F8_E4M3", "F32"), ("F8_E5M2", "F32"), ("F4", "F32"), ("I8", "F32"), ("U8", "F32"),
    ("F32", "BF16"), ("F32", "F16"), ("BF16", "F16"), ("F16", "BF16"), ("F64", "F32"), ("F32", "F64"),
]
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "F4": 0.5}
LAYER = "model.layers.1."


def files(sizes, directory):
    """path -> arguments of the generator."""
    made = {}
    for style, n in sizes.headers:
        made[os.path.join(directory, "%s-%d.safetensors" % (style, n))] = [style, str(n)]
    made[os.path.join(directory, "model-%d.safetensors" % sizes.mebibytes)] = ["model", str(sizes.mebibytes)]
    for rows in (sizes.rows, sizes.square):
        made[os.path.join(directory, "matrix-%d.safetensors" % rows)] = ["matrix", str(rows), str(COLUMNS)]
    made[os.path.join(directory, "shards-%d" % sizes.shards[0])] = ["shards", str(sizes.shards[0]), str(sizes.shards[1])]
    made[os.path.join(directory, "quarters-%d" % sizes.mebibytes)] = ["quarters", str(sizes.mebibytes)]
    return made


def header_cases(sizes, directory):
    for style, n in sizes.headers:
        path = os.path.join(directory, "%s-%d.safetensors" % (style, n))
        label, per = "%s %s" % (style, format(n, ",")), ("ns a tensor", n)
        peers = {"crate": ("crate", "parse " + path), "package": ("package", "parse " + path), "simdjson": ("simdjson", "parse " + path)}
        if n > 100000:
            del peers["package"]  # eight seconds a time
        yield Case("parse", label, {"": ("header", "parse " + path)}, peers, {"prototype": ("prototype", "parse " + path), "copy": ("limits", "parse " + path)}, per, cpu=True)
        peers = {name: (name, "open " + path) for name in ("crate", "package", "simdjson")}
        yield Case("open", label, {"": ("header", "open " + path)}, peers, {"map, copy": ("limits", "open " + path)}, per, cpu=True)
        yield Case("find", label, {"": ("header", "find " + path)}, {"crate": ("crate", "find " + path)}, {"prototype": ("prototype", "find " + path)},
                   ("ns a name", n), cpu=True)
    for style, n in sizes.headers:
        if n < 10000:
            continue  # less than a few pages cannot be told
        path = os.path.join(directory, "%s-%d.safetensors" % (style, n))
        yield Case("memory", "%s %s" % (style, format(n, ",")), {"": ("header", "memory-once " + path)},
                   {name: (name, "memory-once " + path) for name in ("crate", "package")}, per=("bytes a tensor", n), fresh=True)
    n, shards = sizes.shards
    path = os.path.join(directory, "shards-%d" % n)
    label = "%s in %d" % (format(n, ","), shards)
    yield Case("sharded", label, {"": ("header", "open " + path)}, {name: (name, "open " + path) for name in ("crate", "package")},
               per=("ns a tensor", n))
    yield Case("memory", label, {"": ("header", "memory-once " + path)},
               {name: (name, "memory-once " + path) for name in ("crate", "package")}, per=("bytes a tensor", n), fresh=True)


def load_cases(sizes, directory):
    model = os.path.join(directory, "model-%d.safetensors" % sizes.mebibytes)
    size = sizes.mebibytes << 20
    per = ("GB/s", size)
    for threads in (1, 2):
        yield Case("load", "%d thread%s" % (threads, "" if threads == 1 else "s"), {"": ("move", "load %s %d" % (model, threads))},
                   {name: (name, "load %s 1" % model) for name in ("crate", "package")},
                   {"pread": ("limits", "read %s %d" % (model, threads)), "memcpy": ("limits", "copy %d %d" % (size, threads))}, per)
    yield Case("load", "as F32", {"": ("move", "load-as %s 1" % model)}, {},
               {"pread": ("limits", "read %s 1" % model), "memcpy": ("limits", "copy %d 1" % size)}, per)
    yield Case("load", "in place", {"": ("move", "touch " + model)}, {}, {"mmap": ("limits", "touch " + model)}, per)
    ours = {name: ("move", "load-once %s %s" % (model, how))
            for name, how in (("1 thread", "1"), ("2 threads", "2"), ("4 threads", "4"), ("direct", "4 direct"))}
    yield Case("load-cold", "", ours, {name: (name, "load-once %s 1" % model) for name in ("crate", "package")},
               {"read": ("limits", "read-once %s 1" % model), "O_DIRECT": ("limits", "direct-once %s 4" % model)}, per, evict=model)
    start = 8 + 8 * 4096  # where does not matter to a read; a few pages in
    layer = "%s %s" % (model, LAYER)
    for cold in ("", "-once"):
        yield Case("layer", "cold" if cold else "warm", {"": ("move", "layer%s %s" % (cold, layer))},
                   {name: (name, "layer%s %s" % (cold, layer)) for name in ("crate", "package")},
                   {"pread": ("limits", "part%s %s %d %d" % (cold, model, start, 64 << 20))}, ("GB/s", 64 << 20), evict=model if cold else None)


def number_cases(sizes, directory):
    for elements, where in ((sizes.elements, "in memory"), (1 << 15, "in cache")):
        for source, to in PAIRS:
            line = "convert %s %s %d" % (to, source, elements)
            larger = max(BYTES[to], BYTES[source])  # a limit that moves fewer bytes could not be reached
            yield Case("convert", "%s to %s %s" % (source, to, where), {"": ("move", line)}, {"numpy": ("package", line)},
                       {"memcpy": ("limits", "copy %d 1" % (larger * elements))}, ("GB/s", larger * elements), cpu=True)
    matrix = os.path.join(directory, "matrix-%d.safetensors" % sizes.rows)
    row = 2 * COLUMNS
    for cold in ("", "-once"):
        for label, step, first, last in (("every 7th row", 7, 0, COLUMNS), ("a quarter of the columns", 1, 2048, 4096)):
            part = "%s %d %d %d" % (matrix, step, first, last)
            run = 2 * (last - first)
            limits = {"by hand": ("limits", "runs%s %s %d %d %d" % (cold, matrix, 2 * first, run, step * row))}
            if cold:
                limits = {"read all": ("limits", "read-once %s 4" % matrix)}
            peers = {"crate": ("crate", "view%s %s" % (cold, part))}
            if step == 1:
                peers["package"] = ("package", "view%s %s" % (cold, part))
            yield Case("view", label + (", cold" if cold else ""), {"": ("move", "view%s %s" % (cold, part))}, peers, limits,
                       ("GB/s", (sizes.rows + step - 1) // step * run), evict=matrix if cold else None)
    square = os.path.join(directory, "matrix-%d.safetensors" % sizes.square)
    yield Case("transpose", "", {"": ("move", "transpose " + square)}, {"numpy": ("package", "transpose " + square)},
               {"memcpy": ("limits", "copy %d 1" % (sizes.square * row))}, ("GB/s", sizes.square * row))


def write_cases(sizes, directory):
    size = sizes.mebibytes << 20
    saved, parts = os.path.join(directory, "saved.safetensors"), os.path.join(directory, "saved")
    for flush, label in ((0, "not flushed"), (1, "flushed")):
        line = "save-once %s %d %d" % (saved, size, flush)
        stream = "stream-once %s %d %d" % (saved, size, flush)
        yield Case("save", label, {"": ("write", line), "streamed": ("write", stream)},
                   {name: (name, line) for name in ("crate", "package")}, {"write": ("limits", line)}, ("GB/s", size), remove=saved)
    model = os.path.join(directory, "model-%d.safetensors" % sizes.mebibytes)
    yield Case("memory", "saving, streamed", {"": ("write", "stream-once %s %d 0" % (saved, size))}, per=("MiB", 1 << 20),
               remove=saved, fresh=True)
    yield Case("shard", "", {"": ("write", "shard-once %s %s %d" % (parts, model, size // 4 + (1 << 20)))}, {},
               {"copy": ("limits", "concatenate-once %s %s" % (saved, model))}, ("GB/s", size), remove=(parts, saved))
    shards = os.path.join(directory, "quarters-%d" % sizes.mebibytes)
    yield Case("merge", "", {"": ("write", "merge-once %s %s" % (saved, shards))}, {},
               {"copy": ("limits", "concatenate-once %s %s" % (saved, " ".join(quarters(shards))))}, ("GB/s", size), remove=saved)


def quarters(directory):
    return [os.path.join(directory, "model-%05d-of-00004.safetensors" % (i + 1)) for i in range(4)]


def cases(sizes, directory):
    for some in (header_cases, load_cases, number_cases, write_cases):
        yield from some(sizes, directory)


# ---- goals: workload, cases whose label holds a text, a ratio (how many times as fast as that peer or limit), its least ----

GOALS = [
    ("parse", ("dense 1,000", "dense 10,000", "moe 10,000", "dense 100,000", "moe 100,000"), "", "crate", 10),
    ("parse", ("moe 1,000,000",), "", "crate", 20),
    ("parse", None, "", "simdjson", 1),
    ("parse", None, "", "prototype", 1 / 1.6),
    ("open", ("dense 100",), "", "crate", 5),
    ("open", ("dense 1,000", "dense 10,000", "moe 10,000", "dense 100,000", "moe 100,000", "moe 1,000,000"), "", "crate", 10),
    ("open", None, "", "map, copy", 1 / 4),
    ("find", None, "", "crate", 2.5),
    ("load", ("1 thread",), "", "crate", 1.2),
    ("load", ("2 threads",), "", "crate", 1.5),
    ("load", ("1 thread", "2 threads"), "", "pread", 0.95),
    ("load", ("1 thread", "2 threads"), "", "memcpy", 0.65),
    ("load", ("as F32",), "", "pread", 0.9),
    ("load", ("in place",), "", "mmap", 1 / 1.2),
    ("load-cold", None, "4 threads", "crate", 1.2),
    ("load-cold", None, "4 threads", "O_DIRECT", 0.85),
    ("load-cold", None, "direct", "crate", 1.4),
    ("load-cold", None, "direct", "O_DIRECT", 0.95),
    ("convert", ("F16 to F32 in memory",), "", "numpy", 5),
    ("convert", ("F32 to F16 in memory",), "", "numpy", 8),
    ("convert", ("BF16 to F32 in memory", "F16 to F32 in memory"), "", "memcpy", 1.3),
    ("convert", ("F8_E4M3 to F32 in memory", "F8_E5M2 to F32 in memory", "F32 to BF16 in memory", "F32 to F16 in memory"), "", "memcpy", 0.9),
    ("save", ("not flushed",), "", "crate", 1.2),
    ("save", ("flushed",), "", "crate", 1),
    ("save", None, "", "write", 0.95),
    ("view", ("every 7th row", "a quarter of the columns"), "", "crate", 1),
    ("view", ("every 7th row", "a quarter of the columns"), "", "by hand", 0.95),
    ("view", ("every 7th row, cold",), "", "crate", 2),
    ("view", ("every 7th row, cold",), "", "read all", 0.85),
]
