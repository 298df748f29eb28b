"""Compares the tool's results with the reference package's on generated headers.

They may differ only in the five accidents of the reference:
  a duplicate tensor name, a duplicate metadata key    rejected here: ST_ERR_DUPLICATE
  an entry written as an array, a dtype as an object   rejected here: ST_ERR_SCHEMA
  an ignored number between 1e308 and 1e309            either result
Python's JSON parser finds which of them a header has. If that parser accepts a header, the expected status is computed here
as well, with expected, actual and subject of faults between tensors, and the tool must report exactly these.
"""
import json
import os
import random
import re
import time

import safetensors

from headers import BITS, OTHER_FILES, Generator

LIMIT = 100000000
DEPTH = 127
NOT_JSON = object()
BATCH = 1000
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
LARGE_NUMBER = re.compile(rb"[0-9]+(?:\.[0-9]+)?[eE]\+?[0-9]+|[0-9]{300,}(?:\.[0-9]+)?")

# start of the reference's message -> permitted statuses of the tool
CLASSES = [("header too small", {"ST_ERR_TRUNCATED"}), ("header too large", {"ST_ERR_HEADER_LIMIT"}), ("invalid header length", {"ST_ERR_TRUNCATED"}),
           ("invalid UTF-8", {"ST_ERR_UTF8"}),
           # for invalid JSON: the reference parses the whole text before it looks at entries, the tool works byte by byte
           ("invalid JSON", {"ST_ERR_JSON", "ST_ERR_SCHEMA", "ST_ERR_DTYPE", "ST_ERR_DUPLICATE"}),
           ("invalid offset", {"ST_ERR_OFFSETS"}), ("overflow computing", {"ST_ERR_OVERFLOW"}), ("The slice is slicing", {"ST_ERR_SUBBYTE"}),
           ("invalid shape, data type", {"ST_ERR_SIZE"}), ("incomplete metadata", {"ST_ERR_TRUNCATED", "ST_ERR_TRAILING"})]


class Object(list):
    """Returns an object's (key, value) pairs, with duplicates."""


class Number(str):
    pass


def refuse(_):
    raise ValueError


def power_of_ten(number):
    """Returns the decimal exponent of the first nonzero digit; -infinity for zero."""
    mantissa, _, exponent = number.lower().lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    zeros = len(digits) - len(digits.lstrip("0"))
    return len(whole) - 1 - zeros + int(exponent or 0) if zeros < len(digits) else float("-inf")


def is_strict(value, depth=1):
    """Rejects what Python's parser accepts and RFC 8259, the reference or the limits do not."""
    if isinstance(value, Number):
        return power_of_ten(value) < 309
    if isinstance(value, str):
        return not LONE_SURROGATE.search(value)
    if isinstance(value, Object):
        return depth <= DEPTH and all(is_strict(k) and is_strict(v, depth + 1) for k, v in value)
    return not isinstance(value, list) or (depth <= DEPTH and all(is_strict(v, depth + 1) for v in value))


def parse(file):
    """Returns the parsed header, or NOT_JSON."""
    n = int.from_bytes(file[:8], "little")
    if len(file) < 8 or n > LIMIT or 8 + n > len(file):
        return NOT_JSON
    try:
        header = json.loads(file[8 : 8 + n].decode("utf-8"), object_pairs_hook=Object, parse_int=Number, parse_float=Number, parse_constant=refuse)
    except (ValueError, RecursionError):
        return NOT_JSON
    return header if is_strict(header) else NOT_JSON


def has_number_between(file):
    """Searches the bytes for the fifth accident, which headers that are not JSON may have, too."""
    return any(power_of_ten(n.decode()) == 308 for n in LARGE_NUMBER.findall(file))


def is_text(value):
    return isinstance(value, str) and not isinstance(value, Number)


def is_array(value):
    return isinstance(value, list) and not isinstance(value, Object)


def are_integers(value):
    return is_array(value) and all(isinstance(v, Number) and v.isdigit() and int(v) < 2**64 for v in value)


def entry_fault(entry):
    """Returns the first fault inside an entry, or None."""
    if not isinstance(entry, Object):
        return "ST_ERR_SCHEMA"
    seen = set()
    for field, value in entry:
        if field not in ("dtype", "shape", "data_offsets"):
            continue
        if field in seen:
            return "ST_ERR_DUPLICATE"
        seen.add(field)
        if field == "dtype" and is_text(value) and value not in BITS:
            return "ST_ERR_DTYPE"
        good = is_text(value) if field == "dtype" else are_integers(value) and (field == "shape" or len(value) == 2)
        if not good:
            return "ST_ERR_SCHEMA"
    return None if len(seen) == 3 else "ST_ERR_SCHEMA"


def header_fault(header):
    """Returns the first fault of a JSON header in byte order, then duplicates; or None."""
    if not isinstance(header, Object):
        return "ST_ERR_SCHEMA"
    names, keys, metadata = [], [], 0
    for name, value in header:
        if name != "__metadata__":
            fault = entry_fault(value)
            names.append(name)
        else:
            metadata += 1
            good = value is None or isinstance(value, Object) and all(is_text(v) for _, v in value)
            fault = "ST_ERR_DUPLICATE" if metadata > 1 else None if good else "ST_ERR_SCHEMA"
            keys = [k for k, _ in value or []] if good else []
        if fault:
            return fault
    return "ST_ERR_DUPLICATE" if len(set(names)) < len(names) or len(set(keys)) < len(keys) else None


def has_accident(header):
    """Returns whether the header has one of the first four accidents."""
    entries = [(n, v) for n, v in header if n != "__metadata__"] if isinstance(header, Object) else []
    keys = [k for n, v in header if n == "__metadata__" and isinstance(v, Object) for k, _ in v] if isinstance(header, Object) else []
    objects = [v for _, v in entries if isinstance(v, Object) for n, v in v if n == "dtype" and isinstance(v, Object)]
    return len({n for n, _ in entries}) < len(entries) or len(set(keys)) < len(keys) or objects or any(is_array(v) for _, v in entries)


def entries_of(header):
    """Returns (begin, end, name, element bits, shape) of all tensors of a header without faults."""
    entries = []
    for name, value in header:
        if name != "__metadata__":
            fields = dict(value)
            begin, end = map(int, fields["data_offsets"])
            entries.append((begin, end, name, BITS[fields["dtype"]], [int(d) for d in fields["shape"]]))
    return entries


def judge(entries, file):
    """Returns (status, expected, actual, tensor) of a header with valid entries; expected None: not compared."""
    at = 0
    for begin, end, name, bits, shape in sorted(entries, key=lambda e: e[:2]):
        if begin != at:
            return "ST_ERR_OFFSETS", at, begin, name
        if end < begin:
            return "ST_ERR_OFFSETS", begin, end, name
        total = 1
        for factor in shape + [bits]:
            total *= factor
            if total >= 2**64:
                return "ST_ERR_OVERFLOW", None, None, name
        if total % 8:
            return "ST_ERR_SUBBYTE", None, None, name
        if end - begin != total // 8:
            return "ST_ERR_SIZE", total // 8, end - begin, name
        at = end
    expected = 8 + int.from_bytes(file[:8], "little") + at
    if expected == len(file):
        return "ST_OK", None, None, ""
    return "ST_ERR_TRUNCATED" if expected > len(file) else "ST_ERR_TRAILING", min(expected, 2**64 - 1), len(file), ""


def reference(file):
    try:
        safetensors.deserialize(file)
        return "accept"
    except safetensors.SafetensorError as error:
        return str(error).replace("Error while deserializing: ", "")


def looks_like_another_format(file):
    text = file.lstrip(b" \t\r\n\xef\xbb\xbf")
    begins = text[:1] == b"<" or text[:1] == b"{" and text[1:2] in (b"", b'"', b"}", b" ", b"\t", b"\r", b"\n") or file[:2] in (b"PK", b"\x1f\x8b") or file[:1] == b"\x80" or file[:6] in (b"\x93NUMPY", b"versio") or file[:4] == b"GGUF"
    return begins and not (file[3:8] == bytes(5) and file[8:].lstrip(b" \t\r\n")[:1] == b"{")


def is_of_class(said, status):
    return any(said.startswith(begins) and status in statuses for begins, statuses in CLASSES)


def fault_between(file, said, got):
    """Returns why the two results contradict each other, or None."""
    if has_number_between(file):
        return None
    status, header = got["status"], parse(file)
    if status == "ST_ERR_FORMAT":
        return None if said != "accept" and looks_like_another_format(file) else "not another format"
    if said != "accept" and any(o and file.startswith(o) for o in OTHER_FILES):
        return "another format, not recognised"
    if header is NOT_JSON:
        return None if is_of_class(said, status) else "another class of error"
    fault = header_fault(header)
    if fault:
        if status != fault:
            return "should be " + fault
        return None if said != "accept" or has_accident(header) else "only the tool refuses"
    return fault_between_tensors(file, said, got, entries_of(header))


def fault_between_tensors(file, said, got, entries):
    status, expected, actual, name = judge(entries, file)
    if got["status"] != status:
        return "should be " + status
    if expected is not None and (got["expected"], got["actual"]) != (expected, actual):
        return "expected and actual should be %d and %d" % (expected, actual)
    if name.isalnum() and name.isascii() and got["subject"] != name:
        return "the subject should be " + name
    if (said == "accept") != (status == "ST_OK"):
        return "one accepts"
    if status == "ST_OK" or len({e[:2] for e in entries}) < len(entries):
        return None  # the reference's order of tensors with the same offsets is random, and so is what it finds first
    return None if is_of_class(said, status) else "another class of error"


def same_tensors(tool, name, file):
    listed = tool.ls(name)
    if listed is None:
        return False
    start = listed["shards"][0]["data_offset"]
    ours = {t["name"]: (t["dtype"], t["shape"], t["bytes"]) for t in listed["tensors"]}
    theirs = {n: (t["dtype"], list(t["shape"]), len(t["data"])) for n, t in safetensors.deserialize(file)}
    return ours == theirs and start == 8 + int.from_bytes(file[:8], "little")


def check(tool, tally, count, seed):
    generator = Generator(random.Random(seed))
    names = ["%d.safetensors" % i for i in range(BATCH)]
    counts, started = {}, time.time()
    for first in range(0, count, BATCH):
        files = [generator.file() for _ in range(min(BATCH, count - first))]
        for name, file in zip(names, files):
            with open(os.path.join(tool.directory, name), "wb") as out:
                out.write(file)
        for i, (file, got) in enumerate(zip(files, tool.check(names[: len(files)]))):
            said = reference(file)
            fault = fault_between(file, said, got)
            tally.check(fault is None, "seed %d, file %d: %s\n  reference: %s\n  tool: %s\n  file: %s" % (seed, first + i, fault, said, got, file.hex()))
            counts[got["status"]] = counts.get(got["status"], 0) + 1
            if got["status"] == "ST_OK" and said == "accept" and first + i < 2000:
                tally.check(same_tensors(tool, names[i], file), "seed %d, file %d: other tensors\n  file: %s" % (seed, first + i, file.hex()))
    print("interop: %d generated files, seed %d, %.0f s: %s" % (count, seed, time.time() - started, ", ".join("%s %d" % c for c in sorted(counts.items()))))
