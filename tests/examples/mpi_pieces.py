"""Damages a directory of pieces: mpi_pieces.py HOW DIR. The pieces lie in DIR, as two ranks saved them."""
import json
import os
import sys

how, folder = sys.argv[1:]
path = os.path.join(folder, "shard-%05d-model-00001-of-00001.safetensors" % (1 if how == "empty" else 2))
with open(path, "rb") as file:
    length = int.from_bytes(file.read(8), "little")
    header, data = json.loads(file.read(length)), file.read()
metadata = header["__metadata__"]
info = metadata["DCP_SHARDING_INFO"]
changed = {"overlap": info.replace("[150,0]", "[149,0]"), "gap": info.replace("[150,0]", "[151,0]"),
           "cut": info[:-1], "text": info.replace("150", '"150"'), "negative": info.replace("150", "-150"),
           "huge": info.replace("150", "1e300"), "array": "[]", "rank": info.replace("[150,0]", "[150]"),
           "half": info.replace("150", "150.5"), "twice": info.replace('"lm_head.weight"', '"embed.weight"'),
           "deep": "[" * 100000, "nothing": "{}", "far": info.replace("[150,0]", "[9000000000000000,0]")}
if how == "none":
    del metadata["DCP_SHARDING_INFO"]
elif how == "bits":  # a piece of 4-bit elements that begins within a byte
    for number in 1, 2:
        text = '{"f":{"saved_offsets":[0,%d]}}' % (number * 3 - 3)
        text = json.dumps({"__metadata__": {"DCP_SHARDING_INFO": text}, "f": {"dtype": "F4", "shape": [2, 3], "data_offsets": [0, 3]}})
        with open(path.replace("-00002-", "-%05d-" % number), "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text.encode() + b"abc")
    sys.exit()
elif how == "empty":  # what PyTorch writes for a rank without rows
    header["ids"] = {"dtype": "I64", "shape": [0, 17], "data_offsets": [0, 0]}
    metadata["DCP_SHARDING_INFO"] = info[:-1] + ',"ids":{"saved_offsets":[0,0]}}'
elif how == "dtype":
    header["embed.weight"]["dtype"] = "I32"
elif how == "dimensions":
    for name in "embed.weight", "lm_head.weight":
        header[name]["shape"] = [header[name]["shape"][0], 8, 8]
    metadata["DCP_SHARDING_INFO"] = info.replace("[150,0]", "[150,0,0]")
else:
    assert changed[how] != info, how
    metadata["DCP_SHARDING_INFO"] = changed[how]
text = json.dumps(header).encode()
with open(path, "wb") as file:
    file.write(len(text).to_bytes(8, "little") + text + data)
