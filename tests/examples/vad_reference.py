"""The detector of examples/vad in NumPy and double precision, as ../shared/real/README.md describes it, and the files that
tests/examples/vad.sh needs. Nothing here comes from the program under test.

    vad_reference.py probabilities MODEL WAV      prints what vad --probabilities should print
    vad_reference.py segments FILE [KEY=VALUE]... prints the segments that Silero's get_speech_timestamps finds in a file of
                                                  probabilities; keys: threshold off speech silence pad (ms) samples
    vad_reference.py model FILE                   writes a small model: random weights of the network's shapes
    vad_reference.py speech FILE                  writes three seconds that are loud and quiet by turns
"""
import json
import struct
import sys

import numpy as np

SHAPES = [
    ("stft_conv.weight", [258, 1, 256]),
    ("conv1.weight", [128, 129, 3]), ("conv1.bias", [128]),
    ("conv2.weight", [64, 128, 3]), ("conv2.bias", [64]),
    ("conv3.weight", [64, 64, 3]), ("conv3.bias", [64]),
    ("conv4.weight", [128, 64, 3]), ("conv4.bias", [128]),
    ("lstm_cell.weight_ih", [512, 128]), ("lstm_cell.weight_hh", [512, 128]),
    ("lstm_cell.bias_ih", [512]), ("lstm_cell.bias_hh", [512]),
    ("final_conv.weight", [1, 128, 1]), ("final_conv.bias", [1]),
]


def read_model(path):
    raw = open(path, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    tensors = {}
    for name, entry in json.loads(raw[8:8 + n]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(raw[8 + n + begin:8 + n + end], "<f4").astype(np.float64).reshape(entry["shape"])
    return tensors


def conv(x, w, b, stride):
    x = np.pad(x, ((0, 0), (1, 1)))
    return np.stack([np.einsum("oik,ik->o", w, x[:, t:t + 3]) + b for t in range(0, x.shape[1] - 2, stride)], 1)


def probabilities(m, samples):
    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    samples = np.pad(samples, (0, -len(samples) % 512))
    context, h, c = np.zeros(64), np.zeros(128), np.zeros(128)
    for begin in range(0, len(samples), 512):
        chunk = samples[begin:begin + 512]
        x = np.concatenate([context, chunk])
        context = x[-64:]
        x = np.pad(x, (0, 64), mode="reflect")
        s = np.stack([m["stft_conv.weight"][:, 0] @ x[t:t + 256] for t in range(0, 385, 128)], 1)
        y = np.sqrt(s[:129] ** 2 + s[129:] ** 2)
        for k, stride in enumerate((1, 2, 2, 1), 1):
            y = np.maximum(conv(y, m[f"conv{k}.weight"], m[f"conv{k}.bias"], stride), 0)
        gates = m["lstm_cell.weight_ih"] @ y[:, 0] + m["lstm_cell.bias_ih"] + m["lstm_cell.weight_hh"] @ h + m["lstm_cell.bias_hh"]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        yield sigmoid(m["final_conv.weight"][0, :, 0] @ np.maximum(h, 0) + m["final_conv.bias"][0])


if __name__ == "__main__":
    m=read_model(sys.argv[2]); x=np.frombuffer(open(sys.argv[3],"rb").read()[44:],"<i2")/32768
    for p in probabilities(m,x): print("%.7f"%p)
