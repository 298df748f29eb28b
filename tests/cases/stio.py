"""Writes tensor files and indexes for the cases: exactly what is given, right or wrong."""
import json
import os
import struct


def make_folder(path):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)


def raw(path, header, data=b"", pad=b" ", trail=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    text += pad * (-len(text) % 8)
    make_folder(path)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text) if length is None else length) + text + data + trail)


def save(path, tensors, metadata=None, **options):
    """tensors: {name: (dtype, shape, bytes)}"""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    raw(path, header, data, **options)


def f32(*numbers):
    return ("F32", [len(numbers)], struct.pack("<%df" % len(numbers), *numbers))


def index(path, weight_map, metadata=None, mark=b""):
    document = {} if metadata is None else {"metadata": metadata}
    document["weight_map"] = weight_map
    make_folder(path)
    with open(path, "wb") as f:
        f.write(mark + json.dumps(document, indent=2).encode())
