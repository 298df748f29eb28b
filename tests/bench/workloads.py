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

    def __init__(
        self, workload, label, ours, peers=None, limits=None, per=None, cpu=False, evict=None, remove=None, fresh=False
    ):
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
    "transpose": "a matrix [8192, 8192] of BF16, transposed into memory of the caller's",
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
        self.square = 2048 if quick else 8192
        self.shards = (9200, 16) if quick else (92000, 160)
        self.elements = 1 << 21 if quick else 1 << 25


COLUMNS = 8192
PAIRS = [
    ("BF16", "F32"),
    ("F16", "F32"),
    ("F8_E4M3", "F32"),
    ("F8_E5M2", "F32"),
    ("F4", "F32"),
    ("I8", "F32"),
    ("U8", "F32"),
    ("F32", "BF16"),
    ("F32", "F16"),
    ("BF16", "F16"),
    ("F16", "BF16"),
    ("F64", "F32"),
    ("F32", "F64"),
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
    made[os.path.join(directory, "shards-%d" % sizes.shards[0])] = [
        "shards",
        str(sizes.shards[0]),
        str(sizes.shards[1]),
    ]
    made[os.path.join(directory, "quarters-%d" % sizes.mebibytes)] = ["quarters", str(sizes.mebibytes)]
    return made


def ask(line, *workers):
    """The same line to each."""
    return {worker: (worker, line) for worker in workers}


def ours(worker, line):
    return {"": (worker, line)}


def header_cases(sizes, directory):
    for style, n in sizes.headers:
        path = os.path.join(directory, "%s-%d.safetensors" % (style, n))
        label, per = "%s %s" % (style, format(n, ",")), ("ns a tensor", n)
        parse, open_, find, memory = (word + " " + path for word in ("parse", "open", "find", "memory-once"))
        peers = ask(parse, "crate", "package", "simdjson")
        if n > 100000:
            del peers["package"]  # eight seconds a time
        limits = dict(ask(parse, "prototype"), copy=("limits", parse))
        yield Case("parse", label, ours("header", parse), peers, limits, per, cpu=True)
        peers, limits = ask(open_, "crate", "package", "simdjson"), {"map, copy": ("limits", open_)}
        yield Case("open", label, ours("header", open_), peers, limits, per, cpu=True)
        yield Case(
            "find", label, ours("header", find), ask(find, "crate"), ask(find, "prototype"), ("ns a name", n), cpu=True
        )
        if n >= 10000:  # less than a few pages cannot be told
            peers = ask(memory, "crate", "package")
            yield Case("memory", label, ours("header", memory), peers, per=("bytes a tensor", n), fresh=True)
    n, shards = sizes.shards
    path = os.path.join(directory, "shards-%d" % n)
    label = "%s in %d" % (format(n, ","), shards)
    open_, memory = "open " + path, "memory-once " + path
    yield Case("sharded", label, ours("header", open_), ask(open_, "crate", "package"), per=("ns a tensor", n))
    peers = ask(memory, "crate", "package")
    yield Case("memory", label, ours("header", memory), peers, per=("bytes a tensor", n), fresh=True)


def load_cases(sizes, directory):
    model = os.path.join(directory, "model-%d.safetensors" % sizes.mebibytes)
    size = sizes.mebibytes << 20
    per = ("GB/s", size)
    for threads in (1, 2):
        peers = ask("load %s 1" % model, "crate", "package")
        limits = {
            "pread": ("limits", "read %s %d" % (model, threads)),
            "memcpy": ("limits", "copy %d %d" % (size, threads)),
        }
        label = "%d thread%s" % (threads, "s"[: threads - 1])
        yield Case("load", label, ours("move", "load %s %d" % (model, threads)), peers, limits, per)
    limits = {"memcpy": ("limits", "copy %d 1" % (2 * size))}
    yield Case("load", "as F32", ours("move", "load-as %s 1" % model), {}, limits, ("GB/s", 2 * size))
    yield Case("load", "in place", ours("move", "touch " + model), {}, {"mmap": ("limits", "touch " + model)}, per)

    variants = {"1 thread": "1", "2 threads": "2", "4 threads": "4"}
    cold = {name: ("move", "load-once %s %s" % (model, how)) for name, how in variants.items()}
    peers = ask("load-once %s 1" % model, "crate")
    limits = {"read": ("limits", "read-once %s 1" % model), "O_DIRECT": ("limits", "direct-once %s 4" % model)}
    yield Case("load-cold", "", cold, peers, limits, per, evict=model)

    per, somewhere = ("GB/s", 64 << 20), 1 << 16
    for once, label, evict in (("", "warm", None), ("-once", "cold", model)):
        line = "layer%s %s %s" % (once, model, LAYER)
        limits = {"pread": ("limits", "part%s %s %d %d" % (once, model, somewhere, 64 << 20))}
        yield Case("layer", label, ours("move", line), ask(line, "crate", "package"), limits, per, evict=evict)


def number_cases(sizes, directory):
    for elements, where in ((sizes.elements, "in memory"), (1 << 15, "in cache")):
        for source, to in PAIRS:
            label, line = "%s to %s %s" % (source, to, where), "convert %s %s %d" % (to, source, elements)
            larger = int(max(BYTES[to], BYTES[source]) * elements)  # a limit that moves less could not be reached
            peers, limits = {"numpy": ("package", line)}, {"memcpy": ("limits", "copy %d 1" % larger)}
            yield Case("convert", label, ours("move", line), peers, limits, ("GB/s", larger), cpu=True)

    matrix = os.path.join(directory, "matrix-%d.safetensors" % sizes.rows)
    row = 2 * COLUMNS
    for once, cold, evict in (("", "", None), ("-once", ", cold", matrix)):
        for label, step, first, last in (("every 7th row", 7, 0, COLUMNS), ("a quarter of the columns", 1, 2048, 4096)):
            line = "view%s %s %d %d %d" % (once, matrix, step, first, last)
            run = 2 * (last - first)
            peers = ask(line, "crate", "package") if step == 1 and not cold else ask(line, "crate")
            limits = {"by hand": ("limits", "runs %s %d %d %d" % (matrix, 2 * first, run, step * row))}
            if cold:
                limits = {"read all": ("limits", "read-once %s 4" % matrix)}
            per = ("GB/s", (sizes.rows + step - 1) // step * run)
            yield Case("view", label + cold, ours("move", line), peers, limits, per, evict=evict)

    square = os.path.join(directory, "matrix-%d.safetensors" % sizes.square)
    line, size = "transpose " + square, sizes.square * row
    peers, limits = {"numpy": ("package", line)}, {"memcpy": ("limits", "copy %d 1" % size)}
    yield Case("transpose", "", ours("move", line), peers, limits, ("GB/s", size))


def write_cases(sizes, directory):
    size = sizes.mebibytes << 20
    saved, parts = os.path.join(directory, "saved.safetensors"), os.path.join(directory, "saved")
    per, stream = ("GB/s", size), "stream-once %s %d" % (saved, size)
    for flush, label in ((0, "not flushed"), (1, "flushed")):
        line = "save-once %s %d %d" % (saved, size, flush)
        ways = {"": ("write", line), "streamed": ("write", "%s %d" % (stream, flush))}
        yield Case("save", label, ways, ask(line, "crate", "package"), {"write": ("limits", line)}, per, remove=saved)
    memory = ours("write", stream + " 0")
    yield Case("memory", "saving, streamed", memory, per=("MiB", 1 << 20), remove=saved, fresh=True)

    model = os.path.join(directory, "model-%d.safetensors" % sizes.mebibytes)
    line, copy = "shard-once %s %s %d" % (parts, model, size // 4 + (1 << 20)), "concatenate-once " + saved
    limits = {"copy": ("limits", copy + " " + model)}
    yield Case("shard", "", ours("write", line), {}, limits, per, remove=(parts, saved))
    shards = os.path.join(directory, "quarters-%d" % sizes.mebibytes)
    limits = {"copy": ("limits", " ".join([copy] + quarters(shards)))}
    yield Case("merge", "", ours("write", "merge-once %s %s" % (saved, shards)), {}, limits, per, remove=saved)


def quarters(directory):
    return [os.path.join(directory, "model-%05d-of-00004.safetensors" % (i + 1)) for i in range(4)]


def cases(sizes, directory):
    for some in (header_cases, load_cases, number_cases, write_cases):
        yield from some(sizes, directory)


# ---- goals -----------------------------------------------------------------------------------------------------------

THOUSANDS = ("dense 1,000", "dense 10,000", "moe 10,000", "dense 100,000", "moe 100,000")
MILLION = ("moe 1,000,000",)
TO_F32 = ("BF16 to F32 in memory", "F16 to F32 in memory")
NARROW = tuple(pair + " in memory" for pair in ("F8_E4M3 to F32", "F8_E5M2 to F32", "F32 to BF16", "F32 to F16"))
WARM_VIEWS = ("every 7th row", "a quarter of the columns")

# workload; labels, None: all; which of ours; how many times as fast as that peer or limit; at least
GOALS = [
    ("parse", THOUSANDS, "", "crate", 10),
    ("parse", MILLION, "", "crate", 20),
    ("parse", None, "", "simdjson", 1),
    ("parse", None, "", "prototype", 1 / 1.6),
    ("open", ("dense 100",), "", "crate", 5),
    ("open", THOUSANDS + MILLION, "", "crate", 10),
    ("open", None, "", "map, copy", 1 / 4),
    ("find", None, "", "crate", 2.5),
    ("load", ("1 thread",), "", "crate", 1.2),
    ("load", ("2 threads",), "", "crate", 1.5),
    ("load", ("1 thread", "2 threads"), "", "pread", 0.95),
    ("load", ("1 thread", "2 threads"), "", "memcpy", 0.65),
    ("load", ("as F32",), "", "memcpy", 0.9),
    ("load", ("in place",), "", "mmap", 1 / 1.2),
    ("load-cold", None, "4 threads", "crate", 1.2),
    ("load-cold", None, "4 threads", "O_DIRECT", 0.85),
    ("convert", ("F16 to F32 in memory",), "", "numpy", 5),
    ("convert", ("F32 to F16 in memory",), "", "numpy", 8),
    ("convert", TO_F32, "", "memcpy", 1.3),
    ("convert", NARROW, "", "memcpy", 0.9),
    ("save", ("not flushed",), "", "crate", 1.2),
    ("save", ("flushed",), "", "crate", 1),
    ("save", None, "", "write", 0.95),
    ("view", WARM_VIEWS, "", "crate", 1),
    ("view", WARM_VIEWS, "", "by hand", 0.95),
    ("view", ("every 7th row, cold",), "", "crate", 2),
    ("view", ("every 7th row, cold",), "", "read all", 0.85),
]
