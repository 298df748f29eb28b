#!/usr/bin/env python3
"""Writes the seeds: python3 fuzz/seeds/make.py [DIRECTORY]

open/NAME and roundtrip/NAME are two option bytes and a file, scan/NAME is ten and the first bytes of one, index/NAME is three
and the text of an index beside the shards of fuzz_index.c, write/NAME is what fuzz_write.c makes a model of, convert/FROM-TO
what fuzz_convert.c converts, view/NAME what fuzz_view.c makes a tensor and a view of, shards/NAME three option bytes and the
text of an older index beside the files of fuzz_shards.c. Seeds that a fuzzer found lie beside these under found-*; they are left alone.
"""
import os
import struct
import subprocess
import sys
import tempfile


def file(header, data=b""):
    text = header if isinstance(header, bytes) else header.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + data


def entry(name, dtype, shape, begin, end, more=""):
    return '"%s":{"dtype":"%s","shape":%s,"data_offsets":[%s,%s]%s}' % (name, dtype, shape, begin, end, more)


def one(more="", shape="[2]", dtype="U8", begin=0, end=2, data=b"ab", name="t"):
    return file("{" + entry(name, dtype, shape, begin, end, more) + "}", data)


def all_dtypes():
    bits = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
            "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
            "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64}
    at, entries = 0, []
    for name, width in bits.items():
        entries.append(entry(name, name, "[4]", at, at + width // 2))
        at += width // 2
    return file("{" + ",".join(entries) + "}", bytes(at))


A = entry("a", "U8", "[1]", 0, 1)
B = entry("b", "U8", "[1]", 1, 2)
ESCAPES = "\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00e9\\u20AC\\ud83d\\ude00"

FILES = {
    # accepted
    "ok-empty": file("{}"),
    "ok-one": one(),
    "ok-two": file("{%s,%s}" % (A, B), b"ab"),
    "ok-out-of-order": file("{%s,%s}" % (B, A), b"ab"),
    "ok-all-dtypes": all_dtypes(),
    "ok-scalar-and-zero": file("{%s,%s,%s}" % (entry("z", "F32", "[0,3]", 4, 4), entry("s", "F32", "[]", 0, 4), A.replace("0,1", "4,5")), b"12345"),
    "ok-zero-size-twice": file("{%s,%s}" % (entry("y", "U8", "[0]", 0, 0), entry("z", "F4", "[0]", 0, 0))),
    "ok-rank-20": one(shape="[" + "1," * 19 + "2]"),
    "ok-overflow-behind-zero": one(shape="[0,9223372036854775808,9223372036854775808]", end=0, data=b""),
    "ok-misaligned": file("{%s,%s}" % (A, entry("f", "F64", "[1]", 1, 9)), b"123456789"),
    "ok-names": file("{%s,%s,%s,%s}" % (entry("", "U8", "[]", 0, 1), entry(ESCAPES, "U8", "[]", 1, 2), entry("a.b/c", "U8", "[]", 2, 3),
                                         entry("\u00e9\u20ac\U0001f600\x7f", "U8", "[]", 3, 4)), b"abcd"),
    "ok-escaped-fields": file('{"t":{"\\u0064type":"\\u00558","\\u0073hape":[],"data\\u005foffsets":[0,1]}}', b"a"),
    "ok-fields-in-any-order": file('{"t":{"data_offsets":[0,1],"shape":[],"dtype":"U8"}}', b"a"),
    "ok-metadata": file('{"__metadata__":{"format":"pt","":"\\u00e9","k\\u0000":"v"},%s}' % A, b"a"),
    "ok-metadata-empty": file('{"__metadata__":{}}'),
    "ok-metadata-null": file('{"__metadata__":null}'),
    "ok-metadata-escaped-key": file('{%s,"\\u005f_metadata__":{"a":"b"}}' % A, b"a"),
    "ok-metadata-30": file('{"__metadata__":{%s}}' % ",".join('"k%d":"%d"' % (i, i) for i in range(30))),
    "ok-unknown-fields": one(',"x":[{"y":[true,false,null,"s",-1.5e-3,1E+5,0]},{}],"x":[],"z":123456789012345678901234567890'),
    "ok-deep": one(',"x":' + "[" * 125 + "]" * 125),
    "ok-blanks": file(' {\n"t" \t: {\r\n "dtype" : "U8" , "shape" : [ 2 ] , "data_offsets" : [ 0 , 2 ] } }  \n\t\r', b"ab"),
    "ok-40-tensors": file("{" + ",".join(entry("layer.%d.w" % i, "U8", "[1,1]", i, i + 1) for i in range(40)) + "}", bytes(40)),
    # cut or too long
    "cut-to-nothing": b"",
    "cut-in-length": b"\x02\0\0\0\0\0\0",
    "cut-in-header": file("{" + A + "}")[:20],
    "cut-in-data": one()[:-1],
    "trailing": one(data=b"abc"),
    "header-limit": struct.pack("<Q", 100000001) + b"{}",
    "header-2-to-64": b"\xff" * 8 + b"{}",
    "header-of-nothing": file(""),
    "header-of-blanks": file("    "),
    # text
    "utf8-overlong": file(b'{"\xc0\xaf":1}'),
    "utf8-surrogate": file(b'{"\xed\xa0\xbd":1}'),
    "utf8-past-10ffff": file(b'{"\xf4\x90\x80\x80":1}'),
    "utf8-cut": file(b'{}\xe2\x82'),
    "utf8-bom": file(b'\xef\xbb\xbf{}'),
    # JSON
    "json-ends": file('{"a"'),
    "json-trailing-comma": file("{" + A + ",}", b"a"),
    "json-two-documents": file("{}{}"),
    "json-control-in-string": file('{"a\nb":{}}'),
    "json-bad-escape": file('{"a\\x":{}}'),
    "json-bad-hex": file('{"a\\u12"}'),
    "json-lone-high": file('{"\\ud83d":{}}'),
    "json-lone-low": file('{"\\ude00":{}}'),
    "json-high-and-a": file('{"\\ud83d\\u0041":{}}'),
    "json-leading-zero": one(',"x":01'),
    "json-number-ends": one(',"x":-'),
    "json-no-fraction": one(',"x":1.'),
    "json-no-exponent": one(',"x":1e+'),
    "json-too-deep": one(',"x":' + "[" * 126 + "]" * 126),
    "json-1e309": one(',"x":1e309'),
    "json-1e-400": one(',"x":1e-400'),
    "json-mixed-brackets": one(',"x":[{]}'),
    "json-bad-word": one(',"x":nulL'),
    # schema
    "schema-array": file("[]"),
    "schema-entry-array": file('{"t":["U8",[2],[0,2]]}', b"ab"),
    "schema-dtype-object": file('{"t":{"dtype":{"U8":null},"shape":[2],"data_offsets":[0,2]}}', b"ab"),
    "schema-missing-dtype": file('{"t":{"shape":[2],"data_offsets":[0,2]}}', b"ab"),
    "schema-missing-shape": file('{"t":{"dtype":"U8","data_offsets":[0,2]}}', b"ab"),
    "schema-missing-offsets": file('{"t":{"dtype":"U8","shape":[2]}}', b"ab"),
    "schema-negative": one(shape="[-2]"),
    "schema-float": one(shape="[2.0]"),
    "schema-exponent": one(end="2e0"),
    "schema-2-to-64": one(end="18446744073709551616"),
    "schema-one-offset": file('{"t":{"dtype":"U8","shape":[2],"data_offsets":[0]}}', b"ab"),
    "schema-three-offsets": one(end="2,2"),
    "schema-metadata-number": file('{"__metadata__":{"a":1}}'),
    "schema-metadata-array": file('{"__metadata__":[]}'),
    # once too often
    "twice-tensor": file("{%s,%s}" % (A, A.replace("0,1", "1,2")), b"ab"),
    "twice-tensor-escaped": file("{%s,%s}" % (A, A.replace("0,1", "1,2").replace('"a"', '"\\u0061"')), b"ab"),
    "twice-key": file('{"__metadata__":{"a":"1","a":"2"}}'),
    "twice-metadata": file('{"__metadata__":{},"__metadata__":null}'),
    "twice-field": one(',"dtype":"U8"'),
    # dtypes, sizes, offsets
    "dtype-unknown": one(dtype="Q4_K"),
    "dtype-lower-case": one(dtype="u8"),
    "overflow-elements": one(shape="[9223372036854775808,2,0]"),
    "overflow-bits": one(shape="[2305843009213693952]", end=2305843009213693952),
    "subbyte": one(shape="[3]", dtype="F4"),
    "size": one(shape="[3]"),
    "offsets-gap": file("{%s,%s}" % (A, entry("b", "U8", "[1]", 2, 3)), b"abc"),
    "offsets-overlap": file("{%s,%s}" % (entry("a", "U8", "[2]", 0, 2), entry("b", "U8", "[2]", 1, 3)), b"abc"),
    "offsets-reversed": one(begin=2, end=0),
    "offsets-at-the-end-of-64-bits": one(shape="[0]", begin=2**64 - 1, end=2**64 - 1),
    # other formats
    "other-git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "other-html": b"<!DOCTYPE html><html></html>",
    "other-zip": b"PK\x03\x04\x14\0\0\0\0\0",
    "other-pickle": b"\x80\x02}q\x00.aaaaaaa",
    "other-gguf": b"GGUF\x03\0\0\0\0\0\0\0",
    "other-numpy": b"\x93NUMPY\x01\0v\0{'descr'",
    "other-gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    "other-index": b'{"metadata":{},"weight_map":{"a":"model-00001-of-00002.safetensors"}}',
}

# (options, knob) beside (0, 0): 1 unknown dtypes, 2 trailing, 4 no map, 8 a header limit of knob + 1, 16 the pack is mapped,
# 32 must map, 64 a file of the system too, 128 flags that do not exist
OPEN_OPTIONS = {
    "dtype-unknown": (1 | 64, 0), "trailing": (2, 3), "ok-two": (4 | 64, 7), "ok-one": (8, 20), "ok-names": (16, 1), "ok-metadata": (16, 255),
    "cut-in-data": (2, 40), "ok-40-tensors": (4, 200), "ok-all-dtypes": (64, 5), "ok-misaligned": (16 | 32, 9), "ok-metadata-empty": (32, 2),
    "ok-empty": (128, 0), "ok-scalar-and-zero": (4 | 32, 0), "cut-to-nothing": (64, 0), "offsets-gap": (64, 20), "other-zip": (64, 3),
}
# (flags, knob, length of the file) beside (0, 0, 0): 1 trailing, 2 a header limit of knob + 1, 4 that length
SCAN_OPTIONS = {
    "trailing": (1, 128, 0), "ok-one": (2, 20, 0), "ok-two": (4, 255, 2**40), "ok-metadata": (4, 90, 2**64 - 1), "cut-in-data": (1, 200, 0),
    "overflow-bits": (4, 250, 2**63),
}
SCAN_ONLY = {
    "limit-rank-17": one(shape="[" + "1," * 16 + "2]"),
    "limit-metadata-1025": file('{"__metadata__":{%s}}' % ",".join('"%x":""' % i for i in range(1025))),
    "huge-tensor-cut": one(shape="[1099511627776]", end=2**40, data=b""),
}
HUGE = struct.pack("<BBQ", 4, 0, len(SCAN_ONLY["huge-tensor-cut"]) + 2**40)

# (bits, knob) beside (0, 0x55): 1 unknown dtypes, 2 trailing, 4 keep order, 8 callback, 16 aligned, 32 no data
ROUNDTRIP_OPTIONS = {
    "dtype-unknown": (1, 0x0f), "trailing": (2, 0), "ok-out-of-order": (4, 0x02), "ok-names": (8, 0), "ok-metadata": (16, 37),
    "ok-40-tensors": (8 | 32, 0), "ok-all-dtypes": (4 | 8 | 16, 0xaa), "ok-scalar-and-zero": (4 | 32, 0), "ok-metadata-empty": (16, 255),
}

# fuzz_write.c's tables
PIECES = ["a", "b", "c", ".", "\"", "\\", "\n", "\x01", "\x1f", "\x7f", "e'", "euro", "smile", "/", "controls", "metadata", "private", "replacement"]
PIECE_NUL, PIECE_BROKEN = 240, 250
DIMENSIONS = [1, 2, 3, 4, 5, 8, 0, 7, 16, 1, 2, 4, 12, 1, 2**61 - 1, 2**32, 2**63, 2**64 - 1]
KEEP_ORDER, NO_SYNC, METADATA, NO_FILL, TO_FILES = 1, 2, 4, 8, 0x70
NONE, KNOWN, NOT_UTF8, NO_SPELLING, BAD_DTYPE, GIVEN = 23, 27, 28, 29, 30, 32


def text(*pieces, terminated=True):
    numbers = [p if isinstance(p, int) else PIECES.index(p) for p in pieces]
    return bytes([len(pieces) | (64 if terminated else 0)] + numbers)


def tensor(name, dtype, *shape, given=True, spelling=0, size=0):
    opaque = bytes([spelling, size]) if dtype == 0 or 23 <= dtype < 30 else b""
    return name + bytes([dtype | (GIVEN if given else 0)]) + opaque + bytes([len(shape)] + [DIMENSIONS.index(n) for n in shape])


def model(bits, *tensors, align=0, slack=0, knob=77, metadata=()):
    pairs = bytes([len(metadata)]) + b"".join(key + value for key, value in metadata) if bits & METADATA else b""
    return bytes([bits, align | slack << 4, knob]) + pairs + b"".join(tensors)


NAME_A, NAME_B, NAME_C = text("a"), text("b", terminated=False), text("c", "a", "b")
ODD = text("\"", "\\", "\n", PIECE_NUL, "euro", "smile", "\x1f")
THREE = tensor(NAME_A, 5, 2, 3), tensor(NAME_B, 18, 2), tensor(NAME_C, 2, 4, given=False)
PAIRS = (NAME_B, ODD), (NAME_A, text()), (ODD, NAME_C)

WRITE = {
    "nothing": b"",
    "three": model(NO_FILL, *THREE[:2]),
    "three-filled": model(0, *THREE),
    "three-in-their-order": model(KEEP_ORDER, *THREE),
    "three-in-a-file": model(TO_FILES, *THREE, knob=3),
    "metadata": model(METADATA, *THREE, metadata=PAIRS),
    "metadata-empty": model(METADATA, *THREE),
    "metadata-in-a-file": model(METADATA | TO_FILES | NO_SYNC, *THREE, metadata=PAIRS, slack=5, align=3, knob=2),
    "metadata-edited-in-place": model(METADATA | TO_FILES, *THREE, metadata=PAIRS, slack=4, knob=3),
    "metadata-grows": model(TO_FILES, *THREE, align=4, knob=1),
    "metadata-twice": model(METADATA, *THREE, metadata=(PAIRS[0], PAIRS[0])),
    "metadata-null": model(METADATA | TO_FILES, *THREE, metadata=((b"\xff" + bytes([0] * 7), NAME_B), (NAME_B, NAME_A))),
    "metadata-in-work": model(METADATA | TO_FILES, *THREE, metadata=PAIRS, align=3, knob=5),
    "metadata-grows-in-work": model(TO_FILES, *THREE, align=4, knob=13),
    "metadata-grows-with-slack": model(TO_FILES, *THREE, align=4, slack=5, knob=25),
    "metadata-grows-too-much-in-place": model(METADATA | TO_FILES, *THREE, metadata=PAIRS, slack=3, knob=43),
    "metadata-in-place-in-work": model(METADATA | TO_FILES, *THREE, metadata=PAIRS, slack=4, knob=7),
    "metadata-not-utf8": model(METADATA | TO_FILES, *THREE, metadata=((NAME_A, text(PIECE_BROKEN + 2)),)),
    "names": model(0, *(tensor(text(i), 5, 1) for i in range(len(PIECES)))),
    "names-odd": model(0, tensor(ODD, 14, 2), tensor(text(), 14, 2), tensor(text(PIECE_NUL, terminated=False), 14, 2)),
    "all-dtypes": model(0, *(tensor(text("b", i % 15), i, 4) for i in range(1, 23)), *(tensor(text(i), i, 4) for i in range(1, 11))),
    "ranks": model(0, *(tensor(text("a", rank), 5, *[1, 2, 3, 1, 2, 1, 1, 4][:rank]) for rank in range(9))),
    "empty-tensors": model(0, tensor(NAME_A, 18, 0), tensor(NAME_B, 18, 3, 0), tensor(NAME_C, 18, 2), tensor(text("/"), 5, 0)),
    "opaque": model(0, *(tensor(text("a", i), NONE, 3, spelling=i, size=i * 5) for i in range(6))),
    "opaque-known": model(0, tensor(NAME_A, KNOWN, 2, spelling=4, size=2), tensor(NAME_B, KNOWN, 2, spelling=17, size=8)),
    "opaque-known-other-size": model(TO_FILES, tensor(NAME_A, KNOWN, 2, spelling=4, size=3)),
    "opaque-not-utf8": model(0, tensor(NAME_A, NOT_UTF8, 2, size=2)),
    "opaque-without-spelling": model(0, tensor(NAME_A, NO_SPELLING, 2, size=2)),
    "dtype-bad": model(0, tensor(NAME_A, BAD_DTYPE, 2), tensor(NAME_B, BAD_DTYPE + 1)),
    "twice": model(TO_FILES, *THREE, THREE[0]),
    "reserved": model(0, tensor(text("metadata"), 5, 2), THREE[0]),
    "not-utf8": model(0, *(tensor(text("a", PIECE_BROKEN + i), 5, 2) for i in range(6)), THREE[1]),
    "name-null": model(0, bytes([255]) + tensor(text("a", "a", "a", "a", "a", "a", "a"), 5, 2)[1:]),
    "overflow-elements": model(0, tensor(NAME_A, 5, 2**63, 2, 0), THREE[1]),
    "overflow-bits": model(0, tensor(NAME_A, 18, 2**61 - 1), THREE[1]),
    "overflow-sum": model(0, *(tensor(text("a", i), 5, 2**61 - 1) for i in range(5))),
    "overflow-behind-zero": model(0, tensor(NAME_A, 5, 0, 2**63, 2**63)),
    "huge": model(0, tensor(NAME_A, 18, 2**32), THREE[1]),
    "sub-byte": model(0, tensor(NAME_A, 2, 3), tensor(NAME_B, 3, 2), tensor(NAME_C, 3, 4)),
    "from-nowhere": model(NO_FILL | TO_FILES, *THREE),
    "align-16": model(0, *THREE, align=3),
    "align-4096": model(0, *THREE, align=5, slack=3),
    "align-1": model(0, *THREE, align=6),
    "align-12": model(0, *THREE, align=7),
    "align-2-to-30": model(0, *THREE, align=9),
    "slack": model(0, *THREE, slack=6),
    "slack-over-the-limit": model(TO_FILES, *THREE, slack=7),
    "slack-2-to-64": model(0, *THREE, slack=8),
    "flag-unknown": b"\xF0\0" + model(0, *THREE)[1:],
    "thirty-two": model(0, *(tensor(text("abc."[i % 4], "abc."[i // 4 % 4], "ab"[i // 16]), 5 + i % 18, i % 5 + 1) for i in range(32))),
}


# ---- conversion: to, from, first element and order, place; then the source -------------------------------------

F32_WORDS = [0, 1, 0x80000000, 0x007FFFFF, 0x00800000, 0x33000000, 0x33000001, 0x33C00000, 0x387FFFFF, 0x38800000, 0x3A800000, 0x3F000000, 0x3F7F8000,
             0x3F880000, 0x3FC00000, 0x42FF0000, 0x43E80000, 0x477FEFFF, 0x477FF000, 0x477FFFFF, 0x4B800000, 0x4F000000, 0x5F800000, 0x7F7F7FFF,
             0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000, 0xC3010000, 0xFF800000, 0xFFA00000, 0xFFFFFFFF]
F64_WORDS = [0, 1, 1 << 63, 0x36A0 << 48, 0x3690 << 48, (0x3690 << 48) + 1, 0x3800 << 48, 0x3FF0100000000001, 0x3FF0020000000001, 0x3FE0 << 48, 0x47EFFFFFEFFFFFFF,
             0x47EFFFFFF0000000, 0x43EFFFFFFFFFFFFF, 0x7FF0 << 48, (0x7FF0 << 48) + 1, 0xFFF8 << 48]
INTEGERS = [0, 1, 127, 128, 255, 256, 32767, 32768, 65519, 65520, 2**24 + 1, 2**31, 2**32 - 1, 2**53 + 1, 2**63 + 2**39, 2**63 + 2**39 + 1, 2**64 - 1]
SOURCES = {18: struct.pack("<32I", *F32_WORDS), 19: struct.pack("<4I", *F32_WORDS[8:12]), 20: struct.pack("<16Q", *F64_WORDS)}


def convert_seeds():
    for to in range(1, 23):
        for source in range(1, 23):
            width = 8 if source in (21, 22) else 4 if source in (16, 17) else 2 if 12 <= source <= 15 else 1
            integers = b"".join((n % 256**width).to_bytes(width, "little") for n in INTEGERS)
            data = SOURCES.get(source, integers if width > 1 else bytes((i * 37 + 1) % 256 for i in range(48)))
            options = bytes([to, source, (to + source) % 4 << 6 | (0 if (to + source) % 3 else source % 5), (to * 7 + source) % 64])
            if to == source or to * 5 % 7 == source % 7 or (to in (14, 15, 18, 20) and source in (2, 5, 6, 7, 8, 14, 15, 18, 20)):
                yield "%d-%d" % (source, to), options + data


def index(weights, metadata=None, more=""):
    """an index, its strings as they are to stand in the JSON text"""
    text = "" if metadata is None else '"metadata":%s,' % metadata
    return ("{%s\"weight_map\":{%s}%s}" % (text, ",".join('"%s":"%s"' % w for w in weights), more)).encode()


GOOD = [("a", "a.safetensors"), ("w", "a.safetensors"), ("b", "b.safetensors"), ("\\u00e9", "b.safetensors"), ("c", "sub/c.safetensors")]
HOSTILE = ["../a.safetensors", "/a.safetensors", "C:a.safetensors", "a\\\\b.safetensors", "sub/../a.safetensors", "sub//c.safetensors",
           "./a.safetensors", "NUL.safetensors", "sub/com1.x.safetensors", "a.safetensors ", "d./a.safetensors", "a\\u0000.safetensors",
           "\\u002e\\u002e/a.safetensors", "a.bin", "", "lpt\u00b9.safetensors", "\\u0080.safetensors", "a:b.safetensors"]
INDEXES = {
    "ok": index(GOOD),
    "ok-metadata": index(GOOD, '{"total_size":5,"dtype":"x\\u0079","n":[1,{"a":null}],"":{}}'),
    "ok-extra-tensors": index([("a", "a.safetensors"), ("", "z.safetensors")]),
    "ok-ignored": index([("c", "sub\\/c.safetensors")], "{}", ',"x":{"weight_map":1},"x":2'),
    "ok-aliases": index(GOOD, '{"param_sharing":[["q","a","p\\n"],["b","b2"],[],["no"]],"gone":"c","\\u0067":"w"}'),
    "ok-aliases-wrong": index(GOOD, '{"param_sharing":[["a",1]]}'),
    "ok-blanks": b' {\n "weight_map" : {\n "b" : "b.safetensors" }\r\n}\t',
    "ok-escaped-keys": b'{"\\u0077eight_map":{"\\u0062":"b\\u002esafetensors"},"metadat\\u0061":{}}',
    "two-shards": index([("a", "a.safetensors"), ("d", "d.safetensors")]),
    "other-shard": index([("a", "b.safetensors"), ("w", "a.safetensors")]),
    "missing-shard": index(GOOD + [("n", "none.safetensors")]),
    "missing-tensor": index(GOOD + [("n", "a.safetensors")]),
    "empty-shard": index([("n", "empty.safetensors")]),
    "bad-shard": index(GOOD + [("e", "bad.safetensors")]),
    "json-shard": index(GOOD + [("e", "json.safetensors")]),
    "copies": index([("a", "d.safetensors"), ("d", "d.safetensors"), ("w", "a.safetensors")]),  # two shards hold a
    "copies-elsewhere": index([("a", "z.safetensors"), ("d", "d.safetensors"), ("w", "a.safetensors")]),
    "copies-missing": index([("a", "d.safetensors"), ("w", "a.safetensors")]),
    "twice-name": index(GOOD + [("\\u0061", "b.safetensors")]),
    "twice-metadata": index(GOOD, '{"x":1,"\\u0078":2}'),
    "twice-map": index(GOOD, None, ',"weight_map":{}'),
    "no-map": b'{"metadata":{"total_size":1}}',
    "empty-map": b'{"weight_map":{}}',
    "map-array": b'{"weight_map":["a"]}',
    "value-number": b'{"weight_map":{"a":1}}',
    "metadata-null": index(GOOD, "null"),
    "not-utf8": b'{"weight_map":{"\xff":"a.safetensors"}}',
    "bom": b"\xef\xbb\xbf" + index(GOOD),
    "trailing": index(GOOD) + b"x",
    "cut": index(GOOD)[:-1],
    "deep": index(GOOD, None, ',"x":' + "[" * 126 + "]" * 126),
    "too-deep": index(GOOD, None, ',"x":' + "[" * 127 + "]" * 127),
    "number-1e308": index(GOOD, '{"x":[1e308,-0.5e-7,12345678901234567890123]}'),
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "html": b"<!DOCTYPE html>",
    "nothing": b"",
}
INDEXES.update(("hostile-%02d" % i, index([("a", "a.safetensors"), ("h", path)])) for i, path in enumerate(HOSTILE))

# flags, the knob, which shards are there: 1 partial, 2 no map, 4 a small limit, 8 mapped, 16 by the directory, 32 all shards
# are there, 64 the index decides, 128 no index
INDEX_OPTIONS = {
    "ok": (1, 3, 5), "ok-metadata": (8 | 32, 40, 0), "ok-aliases": (16 | 32, 100, 0), "ok-extra-tensors": (1, 0, 0), "ok-blanks": (2 | 8 | 32, 200, 0),
    "missing-shard": (1 | 32, 5, 0), "bad-shard": (4 | 32, 130, 0), "two-shards": (1, 7, 1), "missing-tensor": (1, 9, 6), "lfs": (16, 1, 0),
    "json-shard": (32 | 16 | 8, 17, 0), "copies": (64 | 32, 3, 0), "copies-elsewhere": (64 | 32 | 1, 7, 0), "copies-missing": (64 | 1, 9, 0x11),
    "empty-shard": (128 | 16 | 1, 3, 0x17), "nothing": (128 | 16 | 32, 5, 0), "html": (128 | 16, 1, 0x17),
}


# an older index beside the files of fuzz_shards.c: 8 another index too, 16 no older one, 32 a stem, 64 many processes; then the knob, of which the upper two bits choose the other index, and which files are there
OLD = index([("a", "a.safetensors"), ("b", "b.safetensors"), ("c", "model-00002-of-00003.safetensors"), ("k", "keep.bin")])
SHARDS = {
    "old": (3, 0x1b, 255, OLD),
    "old-many": (4 | 64, 0x36, 255, OLD),
    "old-beside-another": (3 | 8, 0x1b, 255, OLD),
    "old-clash": (1, 0x1a, 0xff, index([("a", "model-00001-of-00002.safetensors"), ("b", "b\\u002esafetensors")])),
    "other-clash": (1 | 8, 0x5a, 255, OLD),
    "other-single": (2 | 8 | 64, 0x9b, 255, OLD),
    "other-cut": (2 | 8, 0xdb, 255, OLD),
    "none": (3 | 16, 0x1b, 0, b""),
    "none-but-files": (3 | 16, 0x1b, 255, b""),
    "one": (0, 7, 255, OLD),
    "hostile": (3, 0x1b, 255, index([("x", "../a.safetensors"), ("y", "sub/a.safetensors"), ("z", "/a.safetensors"), ("n", "NUL.safetensors")])),
    "long-name": (3, 0x1b, 255, index([("x", "n" * 300 + ".safetensors"), ("y", "a.safetensors")])),
    "cut": (3, 0x1b, 255, OLD[:-3]),
    "twice": (3, 0x1b, 255, OLD[:-1] + b',"weight_map":{"q":"c d.safetensors"}}'),
    "no-json": (3, 0x1b, 255, b"a.safetensors"),
    "empty": (3, 0x1b, 255, b""),
    "stem": (3 | 32 | 16, 0x1b, 7, b""),
    "stem-beside-another": (3 | 32, 0x1b, 0x40, OLD),
    "stem-one": (32 | 16, 7, 4, b""),
    "stem-in-parts": (3 | 64 | 32 | 16, 0x1b, 3, b""),
    "stem-in-parts-beside-another": (64 | 32, 0x1b, 0, b""),
}


END = 255  # of a range: up to the last


def view(dtype, target, shape, options=0, knob=0, ranges=(), axes=()):
    """what fuzz_view.c reads: dtypes by their numbers; axes are said as differences, 200 and more as they are"""
    numbers = [dtype - 1, target, len(shape), options, knob, *shape, len(ranges)]
    for one_range in ranges:
        numbers += one_range
    turned = [(axis - place) % len(shape) for place, axis in enumerate(axes)] if axes else [200] * len(shape)
    return bytes(numbers + turned) + bytes(range(1, 40))


VIEW = {
    "whole": view(18, 0, [3, 5]),
    "scalar": view(15, 18, []),
    "turned": view(15, 18, [7, 9], axes=[1, 0]),
    "turned-three": view(13, 0, [3, 4, 5], axes=[2, 0, 1]),
    "rows": view(18, 0, [8, 6], ranges=[(1, END, 2)]),
    "columns-read-at": view(18, 20, [8, 6], options=1, ranges=[(0, END, 0), (2, 5, 1)]),
    "work-buffer": view(20, 18, [15, 15], options=3, knob=9, axes=[1, 0]),
    "f4-bytes": view(2, 0, [4, 8], ranges=[(1, 3, 1), (2, 6, 1)]),
    "f4-not-bytes": view(2, 0, [4, 8], ranges=[(1, 3, 1), (1, 6, 1)]),
    "f4-turned": view(2, 18, [4, 8], axes=[1, 0]),
    "f6-bytes": view(3, 0, [4, 8], ranges=[(1, END, 2), (4, END, 1)]),
    "f6-strided": view(4, 14, [4, 8], ranges=[(0, END, 3), (1, 7, 3)]),
    "c64": view(19, 0, [3, 2], axes=[1, 0]),
    "c64-as-f32": view(19, 18, [3, 2]),
    "empty-range": view(18, 18, [3, 5], ranges=[(3, 3, 1)]),
    "empty-dimension": view(18, 18, [3, 0, 5], axes=[2, 1, 0]),
    "past-the-end": view(18, 18, [3, 5], ranges=[(0, 6, 1)]),
    "backwards": view(18, 18, [3, 5], ranges=[(2, 1, 1)]),
    "axis-twice": view(18, 18, [3, 5], axes=[1, 1]),
    "read-fails": view(15, 18, [7, 9], options=33, axes=[1, 0]),
    "foreign": view(15, 18, [7, 9], options=16, knob=9, axes=[1, 0]),
    "wide-scratch": view(15, 18, [5, 9], options=64 + 128, knob=77, axes=[1, 0]),
}


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for kind in "open", "scan", "roundtrip", "index", "write", "convert", "view", "shards":
        os.makedirs(os.path.join(root, kind), exist_ok=True)

    def write(kind, name, options, data):
        with open(os.path.join(root, kind, name), "wb") as out:
            out.write(options + data)

    for name, data in FILES.items():
        write("open", name, bytes(2), data)
        write("scan", name, bytes(10), data)
    for name, options in OPEN_OPTIONS.items():
        write("open", name + "-options", struct.pack("<BB", *options), FILES[name])
    for name, options in SCAN_OPTIONS.items():
        write("scan", name + "-options", struct.pack("<BBQ", *options), FILES[name])
    for name, data in SCAN_ONLY.items():
        write("scan", name, HUGE if name.startswith("huge") else bytes(10), data)
    for name, data in FILES.items():
        if name.startswith("ok-"):
            write("roundtrip", name, b"\x00\x55", data)
    for name, options in ROUNDTRIP_OPTIONS.items():
        write("roundtrip", name + "-options", struct.pack("<BB", *options), FILES[name])
    for name, data in INDEXES.items():
        write("index", name, b"\x20\x55\0", data)
    for name, options in INDEX_OPTIONS.items():
        write("index", name + "-options", struct.pack("<BBB", *options), INDEXES[name])
    for name, data in WRITE.items():
        write("write", name, b"", data)
    for name, data in convert_seeds():
        write("convert", name, b"", data)
    for name, (options, knob, there, data) in SHARDS.items():
        write("shards", name, bytes([options, knob, there]), data)
    for name, data in VIEW.items():
        write("view", name, b"", data)
    write_colliding(root)


def write_colliding(root):
    """by a program that knows the header's hash; needs a C compiler"""
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "collide")
        subprocess.check_call([os.environ.get("CC", "cc"), "-o", program, os.path.join(here, "collide.c")])
        with open(os.path.join(root, "open", "ok-colliding-keys"), "wb") as out:
            subprocess.check_call([program], stdout=out)


main()
