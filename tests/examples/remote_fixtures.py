"""Makes the models of tests/examples/remote.sh and says what reading them must print.

usage: remote_fixtures.py FOLDER"""
import json
import os
import random
import struct
import sys
import zlib

folder = sys.argv[1]


def path(*names):
    p = os.path.join(folder, *names)
    os.makedirs(os.path.dirname(p), exist_ok=True)
    return p


def save(name, tensors):
    """tensors: [(name, dtype, shape, bytes)]. Returns the bytes of all tensors."""
    header, data = {}, b""
    for key, dtype, shape, value in tensors:
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(value)]}
        data += value
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path(name), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    return data


def expect(name, text):
    with open(path("expected", name), "w") as f:
        f.write(text)


def said(count, data):
    return "%d tensor%s, %d bytes, CRC-32 %08x\n" % (count, "s" * (count != 1), len(data), zlib.crc32(data))


random.seed(11)
big = random.randbytes(300000)
floats = [i / 4 - 3 for i in range(24)]
small = [("w", "F32", [2, 3, 4], struct.pack("<24f", *floats)), ("big", "U8", [3, 100000], big),
         ("i", "I64", [2], struct.pack("<2q", -5, 2**62)), ("u", "U64", [], struct.pack("<Q", 2**64 - 1)),
         ("evil\x1b[31m", "BF16", [3], struct.pack("<3H", 0x3f80, 0xc000, 0x7f80)), ("none", "F16", [0, 7], b"")]
data = save("files/m.safetensors", small)
expect("load-m", said(6, data))
expect("ls-m", "w F32 [2,3,4]\nbig U8 [3,100000]\ni I64 [2]\nu U64 []\nevil\\u001b[31m BF16 [3]\nnone F16 [0,7]\n")
expect("show-w", "w F32 [2,3,4]\n" + "".join(" ".join("%.9g" % x for x in floats[i:i + 4]) + "\n" for i in range(0, 24, 4)))
expect("show-slice", "w F32 [2,3,4]\n" + "".join(
    " ".join("%.9g" % floats[12 + 4 * row + k] for k in (1, 3)) + "\n" for row in (0, 1)))
expect("show-byte", "big U8 [3,100000]\n%d\n" % big[299999])
expect("show-i", "i I64 [2]\n-5 %d\n" % 2**62)
expect("show-u", "u U64 []\n%d\n" % (2**64 - 1))
expect("show-evil", "evil\\u001b[31m BF16 [3]\n1 -2 inf\n")
with open(path("expected", "cat-big"), "wb") as f:
    f.write(big)
expect("load-five", said(1, save("files/five.safetensors", [("x", "U8", [5 << 20], random.randbytes(5 << 20))])))
# 70 shards, of which only 64 stay open; a name that must be percent-encoded
names, everything = {}, b""
for k in range(70):
    shard = "part %02d#.safetensors" % k
    value = random.randbytes(4000 + k)
    everything += save("files/sharded/" + shard, [("t%d" % k, "U8", [4000 + k], value)])
    names["t%d" % k] = shard
with open(path("files", "sharded", "model.safetensors.index.json"), "w") as f:
    json.dump({"metadata": {}, "weight_map": names}, f)
expect("load-sharded", said(70, everything))
with open(path("files", "sharded", "lost.safetensors.index.json"), "w") as f:
    json.dump({"metadata": {}, "weight_map": {"t0": "lost.safetensors"}}, f)
with open(path("files", "sharded", "escape.safetensors.index.json"), "w") as f:
    json.dump({"metadata": {}, "weight_map": {"t0": "../m.safetensors"}}, f)
open(path("files", "empty.safetensors"), "w").close()
with open(path("files", "cut.safetensors"), "wb") as f, open(path("files", "m.safetensors"), "rb") as m:
    f.write(m.read()[:-7])
# 4 GiB, most of which is a hole
text = json.dumps({"hole": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 1 << 32]},
                   "end": {"dtype": "F32", "shape": [4], "data_offsets": [1 << 32, (1 << 32) + 16]}}).encode()
text += b" " * (-len(text) % 8)
with open(path("files", "huge.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text)
    f.seek(8 + len(text) + (1 << 32))
    f.write(struct.pack("<4f", 1, 2, 3, 4))
expect("show-end", "end F32 [4]\n1 2 3 4\n")
# repositories of the hub
for repo in ("owner/name", "owner/cut", "owner/no-range", "owner/killed", "owner/new", "evil/hash", "evil/size", "evil/redirect"):
    save("hub/%s/model.safetensors" % repo, small)
save("hub/owner/pieces/model.safetensors", [("x", "U8", [5 << 20], random.randbytes(5 << 20))])
for repo in ("owner/name", "evil/path", "evil/root", "evil/sha", "evil/json", "evil/commit", "evil/etag", "evil/git",
             "evil/control", "evil/dot", "evil/long", "evil/backslash", "evil/empty", "evil/array", "evil/null", "owner/data"):
    for name, text in (("config.json", '{"a": 1}\n'), ("1_Pooling/config.json", '{"b": 2}\n'), ("empty.txt", "")):
        with open(path("hub", repo, name), "w") as f:
            f.write(text)
