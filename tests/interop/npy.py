"""npy.py NPY DIRECTORY: compares examples/npy.c with NumPy on valid and damaged files."""

import os
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib

import numpy
import safetensors.numpy

npy, tmp = sys.argv[1], tempfile.mkdtemp(dir=sys.argv[2])
random = numpy.random.default_rng(1)
TYPES = "? u1 i1 <i2 <u2 <f2 <i4 <u4 <f4 <c8 <f8 <i8 <u8 >i2 >u2 >f2 >i4 >u4 >f4 >c8 >f8 >i8 >u8".split()
SHAPES = [(), (0,), (1,), (7,), (3, 0), (5, 4), (2, 3, 4), (1, 2, 1, 3, 2)]


def at(name):
    return os.path.join(tmp, name)


def run(*arguments):
    return subprocess.run([npy, *arguments], capture_output=True, text=True)


def works(*arguments):
    said = run(*arguments)
    assert said.returncode == 0, said.stderr


def refused(*arguments):
    said = run(*arguments)
    assert said.returncode == 1 and said.stderr.startswith("npy: "), (arguments, said)
    return said.stderr


def same(a, b):
    assert set(a) == set(b), (set(a), set(b))
    for name in a:
        left, right = numpy.asarray(a[name]), numpy.asarray(b[name])
        assert left.shape == right.shape and left.dtype == right.dtype.newbyteorder("<"), (
            name,
            left.dtype,
            right.dtype,
        )
        assert left.tobytes() == right.astype(right.dtype.newbyteorder("<")).tobytes(), name


def any_array(kind, shape):
    count = int(numpy.prod(shape)) * numpy.dtype(kind).itemsize
    data = random.integers(0, 2 if kind == "?" else 256, count, dtype=numpy.uint8)
    return numpy.frombuffer(data.tobytes(), dtype=kind).reshape(shape)


arrays = {}
for kind in TYPES:
    for shape in SHAPES:
        for order in "CF":
            name = "layer.%d/%s.%s %s" % (
                len(shape),
                kind.replace("<", "le").replace(">", "be").replace("?", "b"),
                order,
                "x".join(map(str, shape)),
            )
            arrays[name] = numpy.asarray(any_array(kind, shape), order=order)
model, back = at("model.safetensors"), at("back.npz")
for save in (numpy.savez, numpy.savez_compressed):
    save(at("arrays.npz"), **arrays)
    works(at("arrays.npz"), model)
    same(safetensors.numpy.load_file(model), arrays)
    works(model, back)
    with numpy.load(back) as loaded:
        same(dict(loaded), safetensors.numpy.load_file(model))

big = {
    "big": random.standard_normal((1500, 1001)).astype(numpy.float32),
    "zeros": numpy.zeros(3 << 20, numpy.uint8),
    "é 数": numpy.arange(3),
}
numpy.savez_compressed(at("big.npz"), **big)
works(at("big.npz"), model)
same(safetensors.numpy.load_file(model), big)
works(model, at("one.npy"), "big")
same({"one": numpy.load(at("one.npy"))}, {"one": big["big"]})
works(at("one.npy"), model)
same(safetensors.numpy.load_file(model), {"one": big["big"]})
numpy.save(at("opaque.npy"), numpy.arange(6, dtype=numpy.uint16).view("V2").reshape(2, 3))
works(at("opaque.npy"), model)
works(model, at("opaque2.npy"), "opaque")
with open(at("opaque2.npy"), "rb") as saved:
    assert b"'descr': '<V2'" in saved.read(), "not as NumPy writes an array of ml_dtypes"
same({"opaque": numpy.load(at("opaque2.npy"))}, {"opaque": numpy.load(at("opaque.npy"))})
numpy.savez(at("none.npz"))
works(at("none.npz"), model)
assert safetensors.numpy.load_file(model) == {}
works(model, back)
assert dict(numpy.load(back)) == {}

for bad in (
    numpy.array([{}, None]),
    numpy.array(["text"]),
    numpy.zeros(2, "u1,f4"),
    numpy.zeros(2, "V1"),
    numpy.zeros(2, "M8[s]"),
):
    numpy.save(at("bad.npy"), bad, allow_pickle=True)
    assert "an array of" in refused(at("bad.npy"), model)
refused(at("none.npy"), model)
safetensors.numpy.save_file({"a": numpy.zeros(2)}, model)
refused(model, at("a.npy"), "b")
for path in ("one.npy", "arrays.npz", "big.npz"):
    with open(at(path), "rb") as whole:
        data = whole.read()
    suffix = path[-4:]
    for cut in [0, 1, 5, 9, 40, 100] + [len(data) * i // 23 for i in range(1, 23)] + [len(data) - 1]:
        with open(at("cut" + suffix), "wb") as out:
            out.write(data[:cut])
        refused(at("cut" + suffix), model)
    for _ in range(30):  # any damage: taken or refused, no crash; in packed data it is seen
        place = int(random.integers(0, min(len(data), 4096)))
        with open(at("flipped" + suffix), "wb") as out:
            out.write(data[:place] + bytes([data[place] ^ 1 << int(random.integers(0, 8))]) + data[place + 1 :])
        assert run(at("flipped" + suffix), at("flipped.safetensors")).returncode in (0, 1)
with open(at("big.npz"), "rb") as whole:
    data = bytearray(whole.read())
data[len(data) // 2] ^= 1
with open(at("flipped.npz"), "wb") as out:
    out.write(data)
refused(at("flipped.npz"), model)
# small files that would inflate to any size: a member with a false size, and members that share their data
def zip_of(members):  # (name, compressed data, claimed size, crc)
    body, directory, shared = b"", b"", {}
    for name, data, size, crc in members:
        encoded = name.encode()
        common = struct.pack("<HHHIIIIHH", 20, 0, 8, 33 << 16, crc, len(data), size, len(encoded), 0)
        if data not in shared:
            shared[data] = len(body)
            body += b"PK\3\4" + common + encoded + data
        directory += b"PK\1\2" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, shared[data]) + encoded
    return body + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)


def deflated(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


numpy.save(at("zeros.npy"), numpy.zeros(10 << 20, numpy.uint8))
with open(at("zeros.npy"), "rb") as whole:
    zeros = whole.read()
packed = deflated(zeros)
with open(at("bomb.npz"), "wb") as out:
    out.write(zip_of([("a%03d" % i, packed, len(zeros), zlib.crc32(zeros)) for i in range(300)]))
assert os.path.getsize(at("bomb.npz")) < 50000
assert "overlap" in refused(at("bomb.npz"), model)
with open(at("claim.npz"), "wb") as out:
    out.write(zip_of([("a", packed, 0xFFFFFFF0, 0)]))
assert "false size" in refused(at("claim.npz"), model)

# a failure keeps the old file, and names cannot send control characters to the terminal
for names in (["a", "b" * 65532], ["a", "b" * 65000]):
    safetensors.numpy.save_file({name: numpy.zeros(2) for name in names}, model)
    with open(at("old.npz"), "wb") as out:
        out.write(b"old")
    with open(at("old.npz"), "rb") as old:
        if len(names[1]) + 4 > 65535:
            assert "too long" in refused(model, at("old.npz"))
            assert old.read() == b"old" and open(at("old.npz"), "rb").read() == b"old"
        else:
            works(model, at("old.npz"))
            assert set(numpy.load(at("old.npz"))) == set(names)
assert not os.path.exists(at("old.npz.part"))
with zipfile.ZipFile(at("escape.npz"), "w") as out:
    out.writestr("\x1b]0;evil\x07.npy", b"no array")
said = refused(at("escape.npz"), model)
assert "\x1b" not in said and "\\x1b]0;evil\\x07" in said, said

for name in os.listdir(tmp):
    os.remove(at(name))
os.rmdir(tmp)
