"""inspector_files.py DIRECTORY FILE...: makes the files that the inspector's tests open, and what NumPy reads."""

import base64
import json
import os
import random
import struct
import sys

import ml_dtypes
import numpy as np

BINS, SIDE = 64, 256
BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
TYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "U16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "C64": "<c8",
    "BF16": ml_dtypes.bfloat16,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "F4": ml_dtypes.float4_e2m1fn,
    "F6_E2M3": ml_dtypes.float6_e2m3fn,
    "F6_E3M2": ml_dtypes.float6_e3m2fn,
}


def save(path, tensors, metadata=None, raw_header=None, tail=b""):
    """Writes a file; tensors: name -> (dtype, shape, bytes)."""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, shape, blob) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(blob)]}
        data += blob
    text = raw_header if raw_header is not None else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data + tail)


def f32(*values):
    return np.array(values, "<f4").tobytes()


def make(directory):
    """Writes the files; returns the paths of those whose values are compared."""
    rng = np.random.default_rng(7)
    at = lambda name: os.path.join(directory, name)
    values = rng.standard_normal((3, 4, 50, 7)).astype("<f4")
    special = rng.standard_normal(3000).astype("<f4")
    special[[5, 700, 701]] = np.nan
    special[[9, 10]] = np.inf
    special[2999] = -np.inf
    special[100:140] = 0
    wide = rng.standard_normal((2, 700, 300)).astype(ml_dtypes.bfloat16)
    long = np.arange(1_100_000, dtype="<i4")
    save(
        at("shapes.safetensors"),
        {
            "rank4": ("F32", values.shape, values.tobytes()),
            "special": ("F32", [3000], special.tobytes()),
            "special.bf16": ("BF16", [60, 50], special.astype(ml_dtypes.bfloat16).tobytes()),
            "wide": ("BF16", wide.shape, wide.tobytes()),
            "long": ("I32", long.shape, long.tobytes()),
            "empty": ("F32", [0, 3], b""),
            "constant": ("F64", [4], np.full(4, 2.5).tobytes()),
            "huge": ("F64", [3], np.array([-1.7e308, 1.7e308, 0]).tobytes()),
            "all nan": ("F32", [2], f32(np.nan, np.nan)),
        },
        {
            "note": "line 1\r\nline 2",
            "json": '{"a":[1,2,{"b":null}]}',
            "script": "<script>document.title='hacked'</script>",
        },
    )

    # two models to compare
    other = values.copy()
    other[1, 2, 3, 4] += 0.5
    save(
        at("other.safetensors"),
        {
            "rank4": ("F32", other.shape, other.tobytes()),
            "special": ("F32", [30, 100], special.tobytes()),
            "constant": ("F64", [4], np.full(4, 2.5).tobytes()),
            "added": ("U8", [1], b"x"),
        },
        {"note": "line 1\nline 2", "json": '{"a":[1,2,{"b":null}]}'},
    )

    # a sharded model, without and with a missing shard
    for folder in ("sharded", "unindexed", "partial"):
        os.makedirs(at(folder + "/inside"), exist_ok=True)
        folder_at = lambda name: os.path.join(directory, folder, "inside", name)
        save(
            folder_at("model-00001-of-00002.safetensors"),
            {"layers.0.w": ("F32", [2, 2], f32(1, 2, 3, 4)), "layers.10.w": ("F32", [1], f32(5))},
            {"format": "pt"},
        )
        if folder != "partial":
            save(folder_at("model-00002-of-00002.safetensors"), {"layers.2.w": ("F32", [3], f32(6, 7, 8))})
        if folder != "unindexed":
            with open(folder_at("model.safetensors.index.json"), "w") as file:
                json.dump(
                    {
                        "metadata": {"total_size": 32},
                        "weight_map": {
                            "layers.0.w": "model-00001-of-00002.safetensors",
                            "layers.10.w": "model-00001-of-00002.safetensors",
                            "layers.2.w": "model-00002-of-00002.safetensors",
                        },
                    },
                    file,
                )
    with open(at("sharded/inside/config.json"), "w") as file:
        file.write("{}")

    # hostile files, and files that are nearly right
    evil = "<img src=x onerror=\"document.title='hacked'\">\u202egpj.\u0000\u001b]0;evil\u0007"
    save(
        at("names.safetensors"),
        {
            evil: ("F32", [1], f32(1)),
            "__proto__": ("F32", [1], f32(2)),
            "constructor": ("F32", [1], f32(3)),
            "." * 100000: ("F32", [1], f32(4)),
            "": ("F32", [1], f32(5)),
            "a\nb": ("F32", [1] * 70, f32(6)),
        },
        {evil: evil, "__proto__": "x"},
    )
    save(at("unknown.safetensors"), {"a": ("F32", [1], f32(1)), "b": ("F99", [3], b"abc")})
    save(at("trailing.safetensors"), {"a": ("F32", [1], f32(1))}, tail=b"more")
    save(
        at("gap.safetensors"),
        {},
        raw_header=b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}',
        tail=f32(1, 0, 2),
    )
    save(
        at("twice.safetensors"),
        {},
        raw_header=b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        tail=f32(1, 2),
    )
    save(at("deep.safetensors"), {}, raw_header=b'{"a":{"x":' + b"[" * 100000)
    save(
        at("overflow.safetensors"),
        {},
        raw_header=b'{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}',
    )
    with open(at("many.safetensors"), "wb") as file:
        text = (
            "{"
            + ",".join(
                '"t.%d.w":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}' % (i, i, i + 1) for i in range(50000)
            )
            + "}"
        ).encode()
        file.write(struct.pack("<Q", len(text)) + text + bytes(50000))
    for name, blob in {
        "empty.safetensors": b"",
        "page.safetensors": b"<!DOCTYPE html><html>",
        "length.safetensors": b"\xff" * 16,
        "short.safetensors": struct.pack("<Q", 1 << 20) + b"{",
    }.items():
        with open(at(name), "wb") as file:
            file.write(blob)

    # 5 GB, most of which is not there; the last values are
    text = json.dumps(
        {
            "first": {"dtype": "BF16", "shape": [50000, 50000], "data_offsets": [0, 5_000_000_000]},
            "last": {"dtype": "F32", "shape": [4], "data_offsets": [5_000_000_000, 5_000_000_016]},
        }
    ).encode()
    text += b" " * (-len(text) % 8)
    with open(at("large.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.seek(8 + len(text) + 5_000_000_000)
        file.write(f32(0.25, 0.5, -1, 42))
    return [at("shapes.safetensors")]


# ---- what NumPy reads ----


def read_tensors(path):
    with open(path, "rb") as file:
        blob = file.read()
    n = struct.unpack("<Q", blob[:8])[0]
    for name, entry in json.loads(blob[8 : 8 + n]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        data, bits = blob[8 + n + begin : 8 + n + end], BITS.get(entry["dtype"])
        if bits:
            stream = np.unpackbits(np.frombuffer(data, "u1"), bitorder="little").reshape(-1, bits)
            codes = np.packbits(np.pad(stream, ((0, 0), (0, 8 - bits))), axis=1, bitorder="little")[:, 0]
            array = codes.view(TYPES[entry["dtype"]])
        else:
            array = np.frombuffer(data, TYPES[entry["dtype"]])
        yield name, entry["dtype"], array.reshape(entry["shape"])


def random_slice(shape, rng):
    parts, index = [], []
    for size in shape:
        kind = rng.randrange(4)
        if kind == 0 or size == 0:
            parts.append(":")
            index.append(slice(None))
        elif kind == 1:
            i = rng.randrange(-size, size)
            parts.append(str(i))
            index.append(i)
        else:
            a, b, step = rng.randrange(-size, size + 1), rng.randrange(-size, size + 3), rng.randrange(1, 4)
            parts.append(f"{a}:{b}:{step}" if step > 1 else f" {a} : {b}")
            index.append(slice(a, b, step))
    if parts and rng.random() < 0.3:
        cut = rng.randrange(len(parts))
        parts, index = parts[:cut] + ["..."], index[:cut] + [Ellipsis]
    return ", ".join(parts), tuple(index)


def statistics(view):
    if view.dtype == np.complex64:
        wide = view.astype(np.complex128)
        v = np.sqrt(wide.real**2 + wide.imag**2)
    else:
        v = view.astype(np.float64)
    finite = v[np.isfinite(v)]
    result = {
        "elements": v.size,
        "nan": int(np.isnan(v).sum()),
        "positiveInfinity": int((v == np.inf).sum()),
        "negativeInfinity": int((v == -np.inf).sum()),
        "zero": int((finite == 0).sum()),
        "finite": finite.size,
    }
    if finite.size:
        low, high = finite.min(), finite.max()
        bins = np.zeros(BINS, int)
        if high > low:
            half = (
                (finite / 2 - low / 2) / (high / 2 - low / 2) * BINS
                if not np.isfinite(high - low)
                else (finite - low) * (BINS / (high - low))
            )
            np.add.at(bins, np.minimum(half.astype(int), BINS - 1), 1)
        else:
            bins[0] = finite.size
        result |= {"min": low, "max": high, "mean": finite.mean(), "deviation": finite.std(), "bins": bins.tolist()}
        matrix = v.reshape(-1, v.shape[-1]) if v.ndim else v.reshape(1, 1)
        rows, columns = matrix.shape
        height, width = min(rows, SIDE), min(columns, SIDE)
        cells = (np.arange(rows) * height // rows)[:, None] * width + (np.arange(columns) * width // columns)[None, :]
        ok = np.isfinite(matrix)
        sums = np.bincount(cells[ok], matrix[ok], height * width)
        counts = np.bincount(cells[ok], minlength=height * width)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        result |= {
            "width": width,
            "height": height,
            "means": base64.b64encode(means.astype("<f8").tobytes()).decode(),
            "others": int((~ok).sum()),
        }
    return {k: (repr(float(x)) if isinstance(x, (float, np.floating)) else x) for k, x in result.items()}


def cases_of(path):
    rng = random.Random(5)
    for name, dtype, array in read_tensors(path):
        for k in range(4):
            text, index = ("...", (Ellipsis,)) if k == 0 else random_slice(array.shape, rng)
            view, is_transposed = np.asarray(array[index]), k == 2
            if is_transposed and view.ndim > 1:
                view = np.swapaxes(view, -1, -2)
            if view.size <= 200000:
                exact = view if dtype in ("I64", "U64", "C64") else view.astype(np.float64)
                values = base64.b64encode(np.ascontiguousarray(exact).tobytes()).decode()
            else:
                values = None
            with np.errstate(all="ignore"):
                yield {
                    "path": path,
                    "name": name,
                    "text": text,
                    "isTransposed": is_transposed,
                    "shape": list(array[index].shape),
                    "values": values,
                    "statistics": statistics(view),
                }


if __name__ == "__main__":
    paths = make(sys.argv[1]) + sys.argv[2:]
    with open(os.path.join(sys.argv[1], "expected.json"), "w") as out:
        json.dump([case for path in paths for case in cases_of(path)], out)
