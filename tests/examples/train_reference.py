"""Recomputes what examples/train does, with NumPy in double precision and gradients derived by hand.

    train_reference.py losses START END     trains from the weights of START; compares the losses and weights of END
    train_reference.py operations FILE      compares the results of the operations that train_ops.c saved
    train_reference.py file FILE [DTYPE]    checks what a saved run holds
    train_reference.py falls FILE...        checks that the loss fell and the slopes moved
    train_reference.py hostile FILE DIR     writes damaged variants of FILE
"""
import json
import math
import struct
import sys
import xml.etree.ElementTree

import ml_dtypes  # so that NumPy knows bfloat16
import numpy as np
from safetensors import safe_open

erf = np.vectorize(math.erf)
assert ml_dtypes.bfloat16


def load(path):
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def close(what, got, wanted, tolerance):
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, expected {wanted.shape}"
    error = np.max(np.abs(got - wanted)) if got.size else 0
    assert error <= tolerance, f"{what}: error {error:g} is over {tolerance:g}"
    return error


# ---- the model: every layer returns its result and a function from gradient to gradient


class Random:
    def __init__(self, state):
        self.state = state

    def __call__(self, *shape):
        values = np.empty(int(np.prod(shape)))
        mask = (1 << 64) - 1
        for i in range(values.size):
            self.state = self.state + 0x9E3779B97F4A7C15 & mask
            z = self.state
            z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
            z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
            z ^= z >> 31
            values[i] = (z >> 40) / 2**23 - 1
        return values.reshape(shape)


class Model:
    def __init__(self, tensors, settings):
        suffixes, prefixes = (".weight", ".bias", ".slopes"), ("optimizer.", "master.")
        self.names = [n for n in tensors if n.endswith(suffixes) and not n.startswith(prefixes)]
        self.p = {n: tensors.get("master." + n, tensors[n]).astype(np.float64) for n in self.names}
        self.g = {n: np.zeros_like(v) for n, v in self.p.items()}
        self.settings = settings
        self.head = "embed.weight" if settings["tie"] == "yes" else "head.weight"

    def linear(self, name, x, bias=True):
        w = self.p[name + ".weight"]
        y = x @ w.T + (self.p[name + ".bias"] if bias else 0)

        def back(g):
            self.g[name + ".weight"] += np.einsum("bso,bsi->oi", g, x)
            if bias:
                self.g[name + ".bias"] += g.sum((0, 1))
            return g @ w

        return y, back

    def norm(self, name, x):
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        inverse = 1 / np.sqrt(variance + 1e-5)
        y = (x - mean) * inverse
        weight = self.p[name + ".weight"]

        def back(g):
            self.g[name + ".weight"] += (g * y).sum((0, 1))
            self.g[name + ".bias"] += g.sum((0, 1))
            g = g * weight
            return inverse * (g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True))

        return y * weight + self.p[name + ".bias"], back

    def attention(self, x):
        b, s, d = x.shape
        heads = int(self.settings["heads"])
        kv = int(self.settings["kv-heads"]) or heads
        width, group = d // heads, heads // kv
        (q, q_back), (k, k_back), (v, v_back) = (self.linear("block.mha." + n, x) for n in "qkv")
        q = q.reshape(b, s, kv, group, width)
        k, v = k.reshape(b, s, kv, width), v.reshape(b, s, kv, width)
        distance = np.abs(np.arange(s)[:, None] - np.arange(s)[None])
        phi = distance**2.0 if self.settings["nl-oob"] == "gaussian" else np.log(1 + distance)
        sign = float(self.settings["nl-oob-sign"])
        slopes = self.p["block.mha.nl_oob.slopes"].reshape(1, kv, group, 1, 1)
        scores = np.einsum("bikgw,bjkw->bkgij", q, k) / math.sqrt(width) + sign * slopes * phi
        a = np.exp(scores - scores.max(-1, keepdims=True))
        a /= a.sum(-1, keepdims=True)
        mixed = np.einsum("bkgij,bjkw->bikgw", a, v).reshape(b, s, d)
        out, out_back = self.linear("block.mha.o", mixed)

        def back(g):
            g = out_back(g).reshape(b, s, kv, group, width)
            ga = np.einsum("bikgw,bjkw->bkgij", g, v)
            gv = np.einsum("bkgij,bikgw->bjkw", a, g)
            gs = a * (ga - (ga * a).sum(-1, keepdims=True))
            self.g["block.mha.nl_oob.slopes"] += (sign * gs * phi).sum((0, 3, 4)).reshape(1, heads, 1, 1)
            gs = gs / math.sqrt(width)
            gq = np.einsum("bkgij,bjkw->bikgw", gs, k).reshape(b, s, d)
            gk = np.einsum("bkgij,bikgw->bjkw", gs, q).reshape(b, s, kv * width)
            return q_back(gq) + k_back(gk) + v_back(gv.reshape(b, s, kv * width))

        return out, back

    def step(self, x, target):
        for g in self.g.values():
            g[...] = 0
        h, embed_back = self.linear("embed", x, bias=False)
        n1, n1_back = self.norm("block.norm1", h)
        a, a_back = self.attention(n1)
        h = h + a
        n2, n2_back = self.norm("block.norm2", h)
        wide, wide_back = self.linear("block.ff1", n2)
        cdf = 0.5 + 0.5 * erf(wide / math.sqrt(2))
        narrow, narrow_back = self.linear("block.ff2", wide * cdf)
        h = h + narrow
        y, head_back = self.linear(self.head[:-7], h, bias=False)
        loss = np.mean((y - target) ** 2)
        g = head_back(2 * (y - target) / y.size)
        slope = cdf + wide * np.exp(-0.5 * wide**2) / math.sqrt(2 * math.pi)
        g = g + n2_back(wide_back(narrow_back(g) * slope))
        g = g + n1_back(a_back(g))
        embed_back(g)
        return loss


def losses(start, end):
    tensors, metadata = load(start)
    wanted, wanted_metadata = load(end)
    settings = {key[6:]: value for key, value in metadata.items() if key.startswith("train.")}
    assert settings["step"] == "0" and tensors["train.losses"].shape == (0,)
    model, random = Model(tensors, settings), Random(int(tensors["random.state"][0]))
    b, s, d = (int(settings[n]) for n in ("batch", "seq", "d-model"))
    m, v = ({n: np.zeros_like(x) for n, x in model.p.items()} for _ in range(2))
    lr, momentum, got = float(settings["lr"]), float(settings["momentum"]), []
    for t in range(1, int(wanted_metadata["train.step"]) + 1):
        x = random(b, s, d)
        padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        count = np.full((1, s, 1), 3.0)
        count[:, 0] -= 1
        count[:, -1] -= 1
        got.append(model.step(x, (padded[:, :-2] + x + padded[:, 2:]) / count))
        for n, g in model.g.items():
            if settings["optimizer"] == "sgd":
                m[n] = momentum * m[n] + g
                model.p[n] -= lr * m[n]
            else:
                m[n] = 0.9 * m[n] + 0.1 * g
                v[n] = 0.999 * v[n] + 0.001 * g * g
                model.p[n] -= lr * (m[n] / (1 - 0.9**t)) / (np.sqrt(v[n] / (1 - 0.999**t)) + 1e-8)
    worst = close("losses", wanted["train.losses"], got, 1e-4)
    assert int(wanted["random.state"][0]) == random.state
    errors = {n: close(n, wanted.get("master." + n, wanted[n]), model.p[n], 1e-4)
              for n in model.p if n != "block.mha.k.bias"}  # its gradient is rounding alone, which Adam enlarges
    print(f"{len(got)} losses, largest error {worst:.1e}; weights {max(errors.values()):.1e}")


# ---- operations


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def conv2d(x, w, bias, stride, padding):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    kernel = w.shape[2]
    rows, columns = ((n - kernel) // stride + 1 for n in x.shape[2:])
    out = np.empty((x.shape[0], w.shape[0], rows, columns))
    for i in range(rows):
        for j in range(columns):
            seen = x[:, :, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
            out[:, :, i, j] = np.einsum("ncij,ocij->no", seen, w) + bias
    return out


def max_pool2d(x, kernel, stride):
    rows, columns = ((n - kernel) // stride + 1 for n in x.shape[2:])
    out = np.empty(x.shape[:2] + (rows, columns))
    for i in range(rows):
        for j in range(columns):
            seen = x[:, :, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
            out[:, :, i, j] = seen.max((2, 3))
    return out


def rnn(x, w, u, bias):
    h, out = np.zeros((x.shape[0], u.shape[1])), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w.T + h @ u.T + bias)
        out.append(h)
    return np.stack(out, 1)


def lstm(x, w, u, bias):
    h = c = np.zeros((x.shape[0], u.shape[1]))
    out = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ w.T + h @ u.T + bias, 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out, 1)


def layer_norm(x, weight, bias):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * weight + bias


CLASSES = [1, 0, 2]


def nll(logs):
    return -np.mean(logs[np.arange(3), CLASSES])


OPERATIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "matmul": lambda a, b: a @ b,
    "matmul_shared": lambda a, b: a @ b,
    "reshape": lambda a: a.reshape(2, 3, 2),
    "flatten": lambda a: a.reshape(-1),
    "transpose": lambda a: a.swapaxes(0, 2),
    "expand": lambda a: np.broadcast_to(a, (2, 3, 4)),
    "slice": lambda a: a[:, 1:4],
    "concat": lambda a, b, c: np.concatenate([a, b, c], 1),
    "stack": lambda a, b: np.stack([a, b], 1),
    "sum": lambda a: a.sum(1, keepdims=True),
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "gelu": lambda a: a * 0.5 * (1 + erf(a / math.sqrt(2))),
    "exp": np.exp,
    "log": np.log,
    "softmax": lambda a: softmax(a, 1),
    "softmax_large": lambda a: softmax(a * 1000, 1),
    "log_softmax": lambda a: np.log(softmax(a, 2)),
    "layer_norm": layer_norm,
    "mse": lambda a, b: np.mean((a - b) ** 2),
    "nll": nll,
    "cross_entropy": lambda a: nll(np.log(softmax(a, 1))),
    "conv2d": lambda x, w, b: conv2d(x, w, b, 2, 1),
    "conv2d_plain": lambda x, w, b: conv2d(x, w, b, 1, 0),
    "max_pool2d": lambda x: max_pool2d(x, 3, 2),
    "rnn": rnn,
    "lstm": lstm,
    "nl_oob_log": lambda x, s, d: x - s * np.log(1 + d),
    "nl_oob_gaussian": lambda x, s, d: x + s * d**2,
    "nl_oob_batch": lambda x, s, d: x - s * np.log(1 + d)[:, None],
}


def operations(path):
    tensors, _ = load(path)
    for name, operation in OPERATIONS.items():
        inputs = [tensors[f"{name}.{i}"].astype(np.float64) for i in range(4) if f"{name}.{i}" in tensors]
        close(name, tensors[name], operation(*inputs), 2e-6 * max(1, np.max(np.abs(tensors[name]))))
    assert len([n for n in tensors if "." not in n]) == len(OPERATIONS)
    print(f"{len(OPERATIONS)} operations")


# ---- files


def file(path, dtype="f32"):
    tensors, metadata = load(path)
    with safe_open(path, "np") as opened:
        kinds = {n: opened.get_slice(n).get_dtype() for n in opened.keys()}
    expected = {"f32": "F32", "f16": "F16", "bf16": "BF16"}[dtype]
    weights = [n for n in tensors if n.startswith(("embed", "head", "block")) and not n.endswith(".config")]
    heads = int(metadata["train.heads"])
    assert len(weights) == (18 if metadata["train.tie"] == "yes" else 19), weights
    assert all(kinds[n] == expected for n in weights)
    assert tensors["block.mha.nl_oob.slopes"].shape == (1, heads, 1, 1)
    config = tensors["block.mha.nl_oob.config"]
    assert config.shape == (1,) and kinds["block.mha.nl_oob.config"] == "F32"
    assert config[0] == (metadata["train.nl-oob"] == "gaussian")
    assert kinds["random.state"] == "U64" and tensors["random.state"].shape == (1,)
    assert tensors["train.losses"].shape == (int(metadata["train.step"]),)
    prefixes = ["optimizer.momentum."] if metadata["train.optimizer"] == "sgd" else ["optimizer.m.", "optimizer.v."]
    for n in weights:
        for prefix in prefixes:
            assert tensors[prefix + n].shape == tensors[n].shape and kinds[prefix + n] == "F32"
        if dtype != "f32":
            rounded = tensors["master." + n].astype(tensors[n].dtype)
            assert rounded.tobytes() == tensors[n].tobytes(), n
    assert len(tensors) == len(weights) * (1 + len(prefixes) + (dtype != "f32")) + 3, sorted(tensors)
    assert metadata["train.format"] == "tape" and metadata["train.version"] == "1"
    assert (metadata.get("head.weight") == "embed.weight") == (metadata["train.tie"] == "yes")


def falls(*paths):
    for path in paths:
        tensors, metadata = load(path)
        all_losses = tensors["train.losses"]
        first, last = all_losses[:5].mean(), all_losses[-5:].mean()
        assert last < 0.95 * first, f"{path}: the loss went from {first} to {last}"
        assert all_losses[-1] < all_losses[0], f"{path}: {all_losses[0]} to {all_losses[-1]}"
        moved = np.abs(tensors["block.mha.nl_oob.slopes"] - float(metadata["train.scale"]))
        assert np.all(moved > 1e-4), f"{path}: the slopes moved by {moved.ravel()}"


def picture(path, count):
    root = xml.etree.ElementTree.parse(path).getroot()
    texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    line = [e for e in root.iter("{http://www.w3.org/2000/svg}path") if e.get("class") == "loss"][0].get("d")
    points = [tuple(map(float, p.split())) for p in line[1:].split("L")]
    assert len(points) == int(count), len(points)
    assert {"loss", "step", "1", count} <= set(texts), texts
    assert all(60 <= x <= 620 and 40 <= y <= 300 for x, y in points), points
    assert "prefers-color-scheme:dark" in open(path).read()


def hostile(path, directory):
    content = open(path, "rb").read()
    length = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]

    def write(name, change=lambda h: None, data=data):
        h = json.loads(json.dumps(header))
        blob = change(h)
        text = json.dumps(h).encode()
        with open(f"{directory}/{name}.safetensors", "wb") as to:
            to.write(struct.pack("<Q", len(text)) + text + (data if blob is None else blob))

    def note(key, value):
        def change(h):
            if value is None:
                del h["__metadata__"]["train." + key]
            else:
                h["__metadata__"]["train." + key] = value

        return change

    def number(tensor, value):
        begin = header[tensor]["data_offsets"][0]
        return data[:begin] + struct.pack("<f", value) + data[begin + 4 :]

    def drop(*starts):  # the tensors whose names start so, and their bytes
        def change(h):
            kept, at = b"", 0
            for n in sorted((n for n in h if n != "__metadata__"), key=lambda n: h[n]["data_offsets"][0]):
                begin, end = h[n]["data_offsets"]
                if n.startswith(starts):
                    del h[n]
                    continue
                kept += data[begin:end]
                h[n]["data_offsets"] = [at, at + end - begin]
                at += end - begin
            return kept

        return change

    def field(tensor, key, value):
        return lambda h: h[tensor].__setitem__(key, value)

    def rename(old, new):
        return lambda h: h.__setitem__(new, h.pop(old))

    write("good-as-is")
    write("good-scalar-config", field("block.mha.nl_oob.config", "shape", []))
    write("good-other-config", data=number("block.mha.nl_oob.config", 0.5))
    write("good-no-lr", note("lr", None))
    write("good-weights-only", drop("optimizer.", "random.", "train."))
    for key in ("format", "version", "step", "d-model", "heads", "optimizer"):
        write("no-" + key, note(key, None))
    wrong = {
        "format": ["other"],
        "version": ["2"],
        "step": ["21", "-1", "1e9", "", "999999999", "1e400", "nan", "0x14", "20.5"],
        "d-model": ["17", "32", "1000", "0"],
        "heads": ["1", "3", "64"],
        "kv-heads": ["1"],
        "ff": ["31", "4096"],
        "optimizer": ["sgd", "ada", ""],
        "nl-oob": ["gaussian"],
        "tie": ["yes"],
        "dtype": ["f16"],
        "lr": ["inf", "-1"],
        "batch": ["1000000000", "1024 "],
        "seq": ["513"],
        "seed": ["18446744073709551616"],
    }
    for key, values in wrong.items():
        for i, value in enumerate(values):
            write(f"{key}-{i}", note(key, value))
    write("big-batch", lambda h: (note("batch", "1024")(h), note("seq", "512")(h))[2:] or None)
    write("good-lying-step", lambda h: (note("step", "999999999")(h), drop("optimizer.", "random.", "train.")(h))[1])
    write("no-metadata", lambda h: h.pop("__metadata__") and None)
    for value, name in ((math.nan, "nan"), (math.inf, "infinity")):
        for tensor in ("embed.weight", "optimizer.m.block.ff1.weight", "train.losses", "block.mha.nl_oob.config"):
            write(f"{name}-{tensor}", data=number(tensor, value))
    write("negative-v", data=number("optimizer.v.head.weight", -1.0))
    write("config-1", data=number("block.mha.nl_oob.config", 1.0))
    write("dtype-i32", field("head.weight", "dtype", "I32"))
    write("dtype-state", field("random.state", "dtype", "I64"))
    write("shape-flat", field("head.weight", "shape", [256]))
    write("shape-turned", field("block.ff1.weight", "shape", [16, 32]))
    write("slopes-rank-1", field("block.mha.nl_oob.slopes", "shape", [2]))
    write("unknown", rename("head.weight", "tail.weight"))
    write("no-moment", drop("optimizer.v.block.ff2.bias"))
    write("no-weight", drop("head.weight"))
    write("no-random", drop("random."))
    write("one-more", lambda h: h.__setitem__("a\u001b[2Jb", {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}))
    for cut in (0, 7, 8, 100, length + 8, len(content) - 1):
        with open(f"{directory}/cut-{cut}.safetensors", "wb") as to:
            to.write(content[:cut])
    with open(f"{directory}/longer.safetensors", "wb") as to:
        to.write(content + b"x")
    random = np.random.default_rng(1)
    for i in range(100):  # may be accepted, but must not crash
        changed = bytearray(content)
        for _ in range(3):
            changed[random.integers(0, length + 8 if i < 90 else len(content))] = random.integers(0, 256)
        with open(f"{directory}/random-{i}.safetensors", "wb") as to:
            to.write(changed)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
