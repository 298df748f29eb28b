"""embed_reference.py EMBED GROUP: tests examples/embed against models that are made here and run with NumPy in double
precision. EMBED is the program, GROUP one of the functions whose names begin with check_."""

import json
import math
import os
import re
import shutil
import subprocess
import sys

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file

EMBED = sys.argv[1]
OUT = os.path.join(os.path.dirname(EMBED), "models")
REAL = "build/models/all-MiniLM-L6-v2"
EXPECTED = "../shared/real/minilm_expected.json"
BACKENDS = ["simd", "simd-avx512", "simd-avx2", "simd-128", "blas", "scalar"]
DTYPES = {"F32": np.float32, "F64": np.float64, "F16": np.float16, "BF16": ml_dtypes.bfloat16, "I32": np.int32}
failures = 0


def expect(good, label):
    global failures
    if not good:
        failures += 1
        print("wrong:", label)


def run(arguments, text="", status=0):
    result = subprocess.run([EMBED, *arguments], input=text.encode(), capture_output=True, timeout=120)
    if result.returncode != status:
        expect(False, f"{arguments}: status {result.returncode}, {result.stderr.decode()[:600]}")
    return result.stdout.decode()


def has(backend):
    result = subprocess.run([EMBED, "--backend", backend, "--ids", "."], input=b"", capture_output=True)
    return b"cannot use the backend" not in result.stderr


# ---- writing models ---------------------------------------------------------------------------------------------


def write_safetensors(path, tensors, dtype="F32", shift=0):
    """shift: makes the data begin at an odd offset, where it cannot be used in place"""
    header, offset, blobs = {}, 0, []
    for name, array in tensors.items():
        blob = np.ascontiguousarray(array).astype(DTYPES[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8 + shift)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def rounded(tensors, dtype):
    return {name: array.astype(DTYPES[dtype]).astype(np.float64) for name, array in tensors.items()}


class Model:
    """A random model of one kind. `names` maps what a weight is to its name in the file."""

    def __init__(self, kind="bert", hidden=32, layers=2, heads=2, inner=64, vocabulary=100, positions=64, prefix="",
                 act="gelu", old=False, head_dim=None, labels=0, pooler=False, seed=1):
        self.kind, self.heads, self.act, self.labels, self.layers = kind, heads, act, labels, layers
        self.size = head_dim or hidden // heads
        self.offset = 2 if kind == "roberta" else 0
        self.eps = 1e-12 if kind == "distilbert" else 1e-5
        self.hidden = hidden
        random = np.random.default_rng(seed)
        w = self.weights = {}
        gamma, beta = ("gamma", "beta") if old else ("weight", "bias")

        def linear(name, out, into, before=prefix):
            w[before + name + ".weight"] = random.normal(0, 1.5 / math.sqrt(into), (out, into))
            w[before + name + ".bias"] = random.normal(0, 0.1, out)

        def norm(name):
            w[f"{prefix}{name}.{gamma}"] = 1 + random.normal(0, 0.2, hidden)
            w[f"{prefix}{name}.{beta}"] = random.normal(0, 0.2, hidden)

        w[prefix + "embeddings.word_embeddings.weight"] = random.normal(0, 1, (vocabulary, hidden))
        w[prefix + "embeddings.position_embeddings.weight"] = random.normal(0, 0.5, (positions, hidden))
        if kind != "distilbert":
            w[prefix + "embeddings.token_type_embeddings.weight"] = random.normal(0, 0.5, (2, hidden))
        norm("embeddings.LayerNorm")
        for i in range(layers):
            names = self.names(i)
            for name in names[:3]:
                linear(name, heads * self.size, hidden)
            linear(names[3], hidden, heads * self.size)
            norm(names[4])
            linear(names[5], inner, hidden)
            linear(names[6], hidden, inner)
            norm(names[7])
        if pooler or (labels and kind == "bert"):
            linear("pooler.dense", hidden, hidden)
        if labels:
            extra = {"bert": "", "distilbert": "pre_classifier", "roberta": "classifier.dense"}[kind]
            if extra:
                linear(extra, hidden, hidden, "")
            linear("classifier.out_proj" if kind == "roberta" else "classifier", labels, hidden, "")
        w[prefix + "embeddings.position_ids"] = np.arange(positions).reshape(1, -1)  # nobody needs it
        self.prefix, self.gamma, self.beta = prefix, gamma, beta
        short = kind == "distilbert"
        self.config = {
            "model_type": kind, "vocab_size": vocabulary, "dim" if short else "hidden_size": hidden,
            "n_layers" if short else "num_hidden_layers": layers, "n_heads" if short else "num_attention_heads": heads,
            "hidden_dim" if short else "intermediate_size": inner, "max_position_embeddings": positions,
            "activation" if short else "hidden_act": act, "pad_token_id": 1 if kind == "roberta" else 0}
        if not short:
            self.config |= {"type_vocab_size": 2, "layer_norm_eps": self.eps}
        if head_dim:
            self.config["head_dim"] = head_dim

    def names(self, i):
        if self.kind == "distilbert":
            return [f"transformer.layer.{i}." + name for name in (
                "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm",
                "ffn.lin1", "ffn.lin2", "output_layer_norm")]
        return [f"encoder.layer.{i}." + name for name in (
            "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
            "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm")]

    def save(self, name, dtype="F32", shards=0, shift=0, config=(), files=()):
        """Writes the model into a new directory, and keeps the weights as the file has them."""
        directory = os.path.join(OUT, name)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        self.weights = rounded(self.weights, dtype)
        if shards:
            names = list(self.weights)
            index = {"metadata": {}, "weight_map": {}}
            for i in range(shards):
                file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
                part = {n: self.weights[n] for n in names[i::shards]}
                index["weight_map"] |= dict.fromkeys(part, file)
                write_safetensors(os.path.join(directory, file), part, dtype, shift)
            files = {**dict(files), "model.safetensors.index.json": index}
        else:
            write_safetensors(os.path.join(directory, "model.safetensors"), self.weights, dtype, shift)
        for file, content in {"config.json": self.config | dict(config), **dict(files)}.items():
            os.makedirs(os.path.dirname(os.path.join(directory, file)), exist_ok=True)
            with open(os.path.join(directory, file), "w") as to:
                to.write(content if isinstance(content, str) else json.dumps(content))
        return directory

    # ---- the forward pass -----------------------------------------------------------------------------------

    def linear(self, x, name, prefix=None):
        name = (self.prefix if prefix is None else prefix) + name
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + self.eps)
        gamma, beta = (self.weights[f"{self.prefix}{name}.{which}"] for which in (self.gamma, self.beta))
        return scaled * gamma + beta

    def states(self, ids, types=None):
        ids, e = np.array(ids), self.prefix + "embeddings."
        places = np.arange(len(ids))
        if self.kind == "roberta":
            real = ids != 1
            places = np.cumsum(real) * real + 1
        x = self.weights[e + "word_embeddings.weight"][ids] + self.weights[e + "position_embeddings.weight"][places]
        if self.kind != "distilbert":
            x = x + self.weights[e + "token_type_embeddings.weight"][types or [0] * len(ids)]
        x = self.norm(x, "embeddings.LayerNorm")
        for i in range(self.layers):
            names = self.names(i)
            q, k, v = (self.linear(x, n).reshape(len(ids), self.heads, self.size).transpose(1, 0, 2) for n in names[:3])
            scores = q @ k.transpose(0, 2, 1) / math.sqrt(self.size)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = (scores / scores.sum(-1, keepdims=True)) @ v
            mixed = mixed.transpose(1, 0, 2).reshape(len(ids), -1)
            x = self.norm(x + self.linear(mixed, names[3]), names[4])
            x = self.norm(x + self.linear(activate(self.act, self.linear(x, names[5])), names[6]), names[7])
        return x

    def logits(self, ids, types=None):
        first = self.states(ids, types)[0]
        if self.kind == "bert":
            return self.linear(np.tanh(self.linear(first, "pooler.dense")), "classifier", "")
        if self.kind == "distilbert":
            return self.linear(np.maximum(self.linear(first, "pre_classifier", ""), 0), "classifier", "")
        return self.linear(np.tanh(self.linear(first, "classifier.dense", "")), "classifier.out_proj", "")


erf = np.vectorize(math.erf)


def activate(name, x):
    return {"gelu": lambda: 0.5 * x * (1 + erf(x / math.sqrt(2))),
            "gelu_new": lambda: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))),
            "gelu_pytorch_tanh": lambda: activate("gelu_new", x),
            "relu": lambda: np.maximum(x, 0), "silu": lambda: x / (1 + np.exp(-x)), "tanh": lambda: np.tanh(x)}[name]()


def pool(kind, x):
    return {"mean": x.mean(0), "cls": x[0], "max": x.max(0), "last": x[-1], "none": x[0]}[kind]


def unit(x):
    return x / max(np.linalg.norm(x), 1e-12)


SENTENCES = [[2, 50, 3], [2, 7, 8, 9, 10, 3], [2], list(range(2, 62)), [2, 99, 3], [2] * 17, [5, 4] * 24]


def lines(sentences):
    return "".join(" ".join(map(str, ids)) + "\n" for ids in sentences)


def vectors(text):
    return [np.array([float(x) for x in line.split()]) for line in text.splitlines()]


def compare(label, directory, wanted, arguments=(), sentences=SENTENCES, most=1e-5):
    got = vectors(run([*arguments, "--ids", directory], lines(sentences)))
    if len(got) != len(wanted):
        return expect(False, f"{label}: {len(got)} results, not {len(wanted)}")
    for i, (a, b) in enumerate(zip(got, wanted)):
        error = np.abs(a - b).max() if a.shape == b.shape else a.shape
        expect(a.shape == b.shape and error <= most, f"{label}, sentence {i}: error {error}")


# ---- groups -----------------------------------------------------------------------------------------------------


def check_kinds():
    """every architecture, prefix and old name; on every backend, each sentence alone and all in a batch"""
    models = {
        "bert": Model(prefix="bert."), "plain": Model(seed=2), "model": Model(prefix="model.bert.", seed=3),
        "language": Model(prefix="language_model.model.", seed=4), "old": Model(prefix="bert.", old=True, seed=5),
        "distilbert": Model("distilbert", prefix="distilbert.", seed=6), "distil": Model("distilbert", seed=7),
        "roberta": Model("roberta", prefix="roberta.", positions=66, seed=8), "odd": Model(
            hidden=30, heads=3, inner=37, layers=3, seed=9), "wide": Model(head_dim=24, seed=10),
        "deep": Model(hidden=48, inner=800, heads=4, seed=11)}
    for name, model in models.items():
        directory = model.save(name)
        wanted = [unit(model.states(ids).mean(0)) for ids in SENTENCES]
        for backend in BACKENDS if name in ("odd", "64 levels") else ["simd"]:
            if has(backend):
                compare(f"{name} {backend}", directory, wanted, ["--backend", backend])
        compare(f"{name} alone", directory, wanted, ["--batch", "1"])
    model = models["roberta"]  # its padding token, in the middle of a text, takes no position
    compare("padding", os.path.join(OUT, "roberta"), [unit(model.states([0, 5, 1, 6, 1, 2]).mean(0))],
            sentences=[[0, 5, 1, 6, 1, 2]])


def check_weights():
    """dtypes, shards and weights at odd offsets; which ones are used in place"""
    for dtype in ("F32", "F16", "BF16", "F64"):
        for shards in (0, 3):
            for shift in (0, 1):
                model = Model(seed=20)
                directory = model.save("weights", dtype, shards, shift)
                compare(f"{dtype} {shards} shards, shift {shift}", directory,
                        [unit(model.states(ids).mean(0)) for ids in SENTENCES])
                said = subprocess.run([EMBED, "--time", "--ids", directory], input=b"2 3\n", capture_output=True).stderr
                count = len(model.weights) - 1
                place, other = (count, 0) if dtype == "F32" and not shift else (0, count)
                expect(f"{place} weights in place, {other} converted".encode() in said, f"{dtype} {shift}: {said}")


def check_choices():
    """pooling, normalising, activation functions, tokens, lengths, similarities (V-T6, V-T7)"""
    for act in ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"):
        model = Model(act=act, seed=30)
        directory = model.save("act")
        compare(act, directory, [unit(model.states(ids).mean(0)) for ids in SENTENCES])
    model = Model(pooler=True, seed=31)
    directory = model.save("choices")
    states = [model.states(ids) for ids in SENTENCES]
    for kind in ("mean", "cls", "max", "last", "none"):
        compare(kind, directory, [pool(kind, x) for x in states], ["--pooling", kind, "--no-normalize"], most=3e-5)
        compare(kind, directory, [unit(pool(kind, x)) for x in states], ["--pooling", kind])
    batch = [[i % 100 for i in range(8)], [i % 100 for i in range(8, 16)]]
    pooled = [np.tanh(model.linear(model.states(ids)[0], "pooler.dense")) for ids in batch]
    compare("V-T7 pooled", directory, pooled, ["--pooling", "pooler", "--no-normalize"], batch)
    tokens = np.concatenate([model.states(ids) for ids in batch])
    compare("V-T7 hidden", directory, list(tokens), ["--tokens", "--no-normalize"], batch, 3e-5)
    wanted = [unit(model.states(ids[:5]).mean(0)) for ids in SENTENCES]
    compare("--max-length", directory, wanted, ["--max-length", "5"])
    u = [model.states(ids).mean(0) for ids in SENTENCES]
    for kind, f in {"dot": np.dot, "euclidean": lambda a, b: -np.linalg.norm(a - b),
                    "manhattan": lambda a, b: -np.abs(a - b).sum(),
                    "cosine": lambda a, b: np.dot(unit(a), unit(b))}.items():
        compare(kind, directory, [np.array([f(u[0], x)]) for x in u[1:]], ["--sim", kind, "--no-normalize"], most=1e-4)
    same = run(["--ids", directory], lines(SENTENCES))
    for arguments in (["--batch", "2"], ["--bucket"], ["--bucket", "--batch", "3"], ["--jobs", "3", "--batch", "1"]):
        expect(run([*arguments, "--ids", directory], lines(SENTENCES)) == same, f"{arguments} changes a result")
    empty = run(["--ids", directory], "\n2 3\n\n").splitlines()
    expect(set(empty[0].split()) == {"0"} and empty[0] == empty[2] != empty[1], "a line without tokens is not zero")
    nested = model.save("nested", config={"max_position_embeddings": None,
                                             "text_config": {"max_position_embeddings": 64}})
    compare("text_config", nested, wanted, ["--max-length", "5"])
    both = model.save("both", config={"text_config": {"max_position_embeddings": 77, "hidden_size": 9}})
    compare("the root before text_config", both, wanted, ["--max-length", "5"])


def check_heads():
    """classifiers and cross-encoders of each architecture"""
    for kind, prefix in (("bert", "bert."), ("distilbert", "distilbert."), ("roberta", "roberta.")):
        model = Model(kind, prefix=prefix, labels=3, positions=66, seed=40)
        names = {"0": "sad", "1": "so\tso", "2": "glad"}
        directory = model.save("classify", config={"id2label": names})
        for i, line in enumerate(run(["--task", "classify", "--ids", directory], lines(SENTENCES)).splitlines()):
            logits = model.logits(SENTENCES[i])
            wanted = np.exp(logits) / np.exp(logits).sum()
            parts = [part.rsplit(" ", 1) for part in line.split("\t")]
            expect([part[0] for part in parts] == ["sad", "so\\tso", "glad"], f"{kind}: labels {parts}")
            expect(np.abs(np.array([float(p[1]) for p in parts]) - wanted).max() < 1e-5, f"{kind}: sentence {i}")
        many = model.save("multi", config={"problem_type": "multi_label_classification"})
        got = json.loads(run(["--json-lines", "--task", "classify", "--ids", many], "2 3 4\n"))
        wanted = 1 / (1 + np.exp(-model.logits([2, 3, 4])))
        expect(list(got["labels"]) == ["LABEL_0", "LABEL_1", "LABEL_2"], f"{kind}: {got}")
        expect(np.abs(np.array(list(got["labels"].values())) - wanted).max() < 1e-5, f"{kind}: multi-label")
        model = Model(kind, prefix=prefix, labels=1, positions=66, seed=41)
        logits = [model.save("score") and model.logits(ids) for ids in SENTENCES]
        wanted = [1 / (1 + np.exp(-x)) for x in logits]
        compare(f"{kind} score", os.path.join(OUT, "score"), wanted, ["--task", "score"])
        for config in ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
                       {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}):
            compare(f"{kind} logit", model.save("logit", config=config), logits, ["--task", "score"])
    model = Model(labels=1, seed=42)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "test", "##ing"]
    directory = model.save("pair", files={"vocab.txt": "\n".join(words) + "\n"})
    got = json.loads(run(["--json-lines", "--task", "score", directory], '"hello testing\\tworld"\n'))
    expect(got["ids"] == [2, 5, 7, 8, 3, 6, 3], f"pair: {got['ids']}")
    wanted = 1 / (1 + np.exp(-model.logits(got["ids"], [0, 0, 0, 0, 0, 1, 1])))
    expect(abs(got["score"][0] - wanted[0]) < 1e-5, f"pair: {got['score']}, not {wanted}")
    missing = run(["--task", "classify", Model().save("headless")], status=1)
    expect(missing == "", "output without a head")


def check_modules():
    """modules.json: pooling, Dense, Normalize, lengths"""
    kind = "sentence_transformers.models."
    parts = [{"path": "", "type": kind + "Transformer"}, {"path": "1_Pooling", "type": kind + "Pooling"},
             {"path": "2_Dense", "type": kind + "Dense"}, {"path": "3_Dense", "type": kind + "Dense"},
             {"path": "4_Normalize", "type": kind + "Normalize"}]
    random = np.random.default_rng(50)
    dense = [random.normal(0, 0.3, (20, 32)), random.normal(0, 0.3, 20), random.normal(0, 0.3, (7, 20))]
    model = Model(seed=51)
    pooling = {"pooling_mode_cls_token": False, "pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False}

    def save(modules, pooling=pooling, name="modules", **more):
        directory = model.save(name, files={
            "modules.json": modules, "1_Pooling/config.json": pooling,
            "sentence_bert_config.json": {"max_seq_length": 9},
            "2_Dense/config.json": {"activation_function": "torch.nn.modules.activation.Tanh"},
            "3_Dense/config.json": {"activation_function": "torch.nn.modules.linear.Identity"}, **more})
        weights = {"linear.weight": dense[0], "linear.bias": dense[1]}
        write_safetensors(directory + "/2_Dense/model.safetensors", weights)
        write_safetensors(directory + "/3_Dense/model.safetensors", {"linear.weight": dense[2]}, "F16")
        return directory

    pooled = [model.states(ids[:9]).max(0) for ids in SENTENCES]
    small = [np.tanh(x @ dense[0].T + dense[1]) @ dense[2].T for x in pooled]
    compare("all modules", save(parts), [unit(x) for x in small], most=1e-3)  # F16
    compare("without Normalize", save(parts[:2]), pooled, most=3e-5)
    compare("--normalize", save(parts[:2]), [unit(x) for x in pooled], ["--normalize"])
    compare("two are true", save(parts[:2], pooling | {"pooling_mode_mean_tokens": True}),
            [model.states(ids[:9]).mean(0) for ids in SENTENCES], most=3e-5)
    compare("one name", save(parts[:2], {"pooling_mode": "cls"}), [model.states(ids[:9])[0] for ids in SENTENCES],
            most=3e-5)
    directory = save(parts[:2])
    os.remove(directory + "/modules.json")
    compare("no modules.json", directory, [unit(x) for x in pooled])
    for label, modules, pooling, message in (
            ("module", parts + [{"path": "5", "type": kind + "LSTM"}], pooling, "LSTM"),
            ("pooling", parts, {"pooling_mode_weightedmean_tokens": True}, "pooling is none of"),
            ("pooler", parts, {"pooling_mode": "pooler"}, "pooling is none of"),
            ("escape", [{"path": "../x", "type": kind + "Pooling"}], pooling, "leaves the directory"),
            ("many", parts[:2] + parts[2:3] * 9, pooling, "more than 8"),
            ("flag", parts, {"pooling_mode_mean_tokens": 1}, "not true or false")):
        refused(label, save(modules, pooling), message)


def refused(label, directory, message, text="2 3 4\n", arguments=("--ids",), status=1):
    result = subprocess.run([EMBED, *arguments, directory], input=text.encode(), capture_output=True, timeout=60)
    said = result.stderr.decode(errors="replace")
    expect(result.returncode == status and result.stdout == b"" and re.search(message, said),
           f"{label}: status {result.returncode}, said {said[:500]!r}, expected {message!r}")


def check_hostile():
    """what no model says, and what nobody should believe"""
    model = Model(prefix="bert.", seed=60)
    for field, value, message in (
            ("hidden_size", 2 ** 31, "attention heads"), ("hidden_size", 2 ** 16, "expected 100 x 65536"),
            ("hidden_size", 0, "missing or 0"), ("num_attention_heads", 0, "or 0"),
            ("num_attention_heads", 2 ** 52, "or 0"), ("head_dim", 2 ** 40, "attention heads"),
            ("num_hidden_layers", 10 ** 9, "only 3[78] tensors"), ("num_hidden_layers", 3, "missing"),
            ("num_hidden_layers", -1, "whole number"), ("vocab_size", 1e300, "whole number"),
            ("vocab_size", 101, "expected"),
            ("intermediate_size", "64", "whole number"), ("max_position_embeddings", 0, "expected"),
            ("type_vocab_size", 5, "expected"), ("model_type", "t5", "t5.*none of bert"),
            ("model_type", 7, "not a string"),
            ("hidden_act", "mish", "mish"), ("layer_norm_eps", -1, "layer_norm_eps"),
            ("layer_norm_eps", 7, "layer_norm_eps"),
            ("position_embedding_type", "relative_key", "relative_key")):
        refused(field, model.save("hostile", config={field: value}), message)
    for label, text, message in (
            ("no JSON", "{", "config.json"), ("an array", "[1]", "model_type"), ("nothing", "", "config.json"),
                                 ("depth", "[" * 100000, "64 levels"), ("values", json.dumps([0] * 2 ** 21), "values"),
                                 ("binary", "\x00\x01", "config.json"),
                                 ("long key", json.dumps({"k" * 5000: 1}), "model_type")):
        refused(label, model.save("hostile", files={"config.json": text}), message)
    directory = model.save("hostile")
    for line, message in (
            ("2 100", "line 1: token 100 "), ("2 -1", "line 1: expected token ids"), ("2 x", "expected token ids"),
                          ("99999999999999999999", "token ids"), ("2147483647", "vocabulary")):
        refused(line, directory, message, line + "\n")
    refused("third line", directory, "lines 1 to 3|line 3", "2\n3\n100\n")
    refused("third line alone", directory, "line 3: token 100", "2\n3\n100\n", ("--ids", "--batch", "1", "--time"))
    result = subprocess.run([EMBED, "--ids", directory], input=b"2\n" * 40 + b"x\n", capture_output=True)
    expect(result.returncode == 1 and result.stdout.count(b"\n") == 32 and b"line 41: " in result.stderr, "line 41")
    refused("positions", directory, "more than the model has positions", "2 " * 65, ("--ids", "--max-length", "100"))
    refused("no such directory", directory + "/none", "No such file")
    for name in list(model.weights):
        if "position_ids" in name:
            continue
        damaged = Model(prefix="bert.", seed=60)
        del damaged.weights[name]
        message = re.escape(name) if "word_emb" not in name else "no tensor is called"
        refused("missing " + name, damaged.save("hostile"), message)
        break_shape = Model(prefix="bert.", seed=60)
        break_shape.weights[name] = break_shape.weights[name][:-1]
        refused("shape of " + name, break_shape.save("hostile"), re.escape(name))
    refused("integers", model.save("hostile", "I32"), "is I32")
    for value in (math.nan, math.inf, 3e38):
        damaged = Model(prefix="bert.", seed=60)
        damaged.weights["bert.encoder.layer.1.output.dense.weight"][3] = value
        refused(f"weights {value}", damaged.save("hostile"), "not finite")
    roberta = Model("roberta", prefix="roberta.", positions=64, seed=61)
    refused("padding", roberta.save("hostile", config={"pad_token_id": 63}), "no position is left")
    directory = model.save("hostile")
    with open(directory + "/model.safetensors", "r+b") as file:
        file.truncate(5000)
    refused("cut", directory, "model.safetensors")
    os.remove(directory + "/model.safetensors")
    refused("no weights", directory, "model|safetensors")


def check_command_line():
    """usage, JSON lines, answers as soon as there is a question"""
    expect(run(["--help"]).startswith("usage: embed"), "--help")
    model = Model(seed=70)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "test", "##ing"]
    directory = model.save("command", files={"vocab.txt": "\n".join(words) + "\n"})
    for arguments in ("", "--pooling median x", "--batch 0 x", "--batch 9x x", "x --jobs", "--what x", "a b",
                      "--sim dot --json-lines x", "--jobs 0 x", "--task sing x", "--max-length -1 x",
                      "--tokens --task score x", "--batch 5000 x"):
        result = subprocess.run([EMBED, *arguments.split()], input=b"hello", capture_output=True)
        good = re.fullmatch(rb"embed: .*; see embed --help\n", result.stderr)
        expect(result.returncode == 2 and not result.stdout and good, f"usage {arguments}: {result}")
    refused("backend", directory, "the backends are", arguments=["--ids", "--backend", "cuda"])
    out = run(["--json-lines", directory], '"hello world"\n ""\r\n"\\u0068ello"')
    got = [json.loads(line) for line in out.splitlines()]
    expect([line["ids"] for line in got] == [[2, 5, 6, 3], [2, 3], [2, 5, 3]], f"json lines: {got}")
    for line in got:
        exact = unit(model.states(line["ids"]).mean(0))
        expect(np.abs(np.array(line["embedding"]) - exact).max() < 1e-5, f"json lines: {line['ids']}")
        expect(all(float(f"{np.float32(x):.9g}") == x for x in line["embedding"]), "digits are lost")
    tokens = json.loads(run(["--json-lines", "--tokens", directory], '"hello"\n'))
    expect(np.array(tokens["embedding"]).shape == (3, 32), "tokens as JSON")
    for line in ("hello", '["hello"]', '"a" 1', '"\\ud800"', '"a', "1"):
        refused(line, directory, "line 1: ", line + "\n", ["--json-lines"])
    for option, wanted in ((["--json-lines"], [2, 5, 6, 3]), (["--json-lines", "--drop-separator"], [2, 5, 6, 5])):
        cut = json.loads(run([*option, "--max-length", "4", directory], '"hello world hello world"'))["ids"]
        expect(cut == wanted, f"{option}: {cut}")
    same = run([directory, "--drop-separator"], "hello\n")
    expect(same == run([directory, "--drop-separator", "--max-length", "3"], "hello\n"), "nothing to drop")
    expect(run(["--ids", directory], "2 5 3\r\n2, 5,3") == 2 * same, "lines that end with CR LF, or with nothing")
    special = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
    template = [special("[CLS]")] * 12 + [{"Sequence": {"id": "A", "type_id": 0}}]
    rich = model.save("rich", files={"tokenizer.json": json.dumps({
        "normalizer": None, "pre_tokenizer": {"type": "BertPreTokenizer"}, "added_tokens": [],
        "post_processor": {"type": "TemplateProcessing", "single": template, "pair": template + [
            {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {}},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {w: i for i, w in enumerate(words)}}})})
    got = json.loads(run(["--json-lines", rich], '""'))["ids"]
    expect(got == [2] * 12, f"many special tokens around an empty text: {got}")
    refused("--max-length 1", directory, "no room", "hello\n", ["--max-length", "1"])
    refused("a long line", directory, "over 16 MiB", "a" * (17 << 20), [])
    expect(len(vectors(run([directory], "hello\n" * 500))) == 500, "500 lines")
    expect(run([directory], "") == "", "no line")
    many = model.save("few", config={"vocab_size": 5}, files={"vocab.txt": "\n".join(words) + "\n"})
    write_safetensors(many + "/model.safetensors", model.weights | {
        "embeddings.word_embeddings.weight": model.weights["embeddings.word_embeddings.weight"][:5]})
    refused("vocabulary", many, "the tokenizer has ids up to 8", "hello\n", [])
    with subprocess.Popen([EMBED, "--json-lines", directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as talk:
        for _ in range(3):
            talk.stdin.write(b'"hello"\n')
            talk.stdin.flush()
            expect(json.loads(talk.stdout.readline())["ids"] == [2, 5, 3], "an answer at once")
        talk.stdin.close()
    with open("/dev/full", "wb") as full:
        result = subprocess.run([EMBED, directory], input=b"hello\n", stdout=full, stderr=subprocess.PIPE)
    expect(result.returncode == 1 and b"cannot write" in result.stderr, "a full device")


def check_real():
    """all-MiniLM-L6-v2 against values in double precision"""
    with open(EXPECTED) as file:
        sentences = json.load(file)["sentences"]
    text = "".join(json.dumps(s["text"]) + "\n" for s in sentences)
    first = None
    for arguments in ([], ["--batch", "1"], ["--bucket"], ["--jobs", "2", "--batch", "3"], *(
            ["--backend", b] for b in ("simd-avx2", "blas") if has(b))):
        out = run(["--json-lines", *arguments, REAL], text)
        got = [json.loads(line) for line in out.splitlines()]
        first = first or got
        expect([g["ids"] for g in got] == [s["ids"] for s in sentences], f"{arguments}: ids")
        for g, s, f in zip(got, sentences, first):
            error = np.abs(np.array(g["embedding"]) - np.array(s["embedding"])).max()
            expect(error <= 2e-6, f"{arguments}: error {error}")
            error = np.abs(np.array(g["embedding"]) - np.array(f["embedding"])).max()
            expect(error == 0 or "--backend" in arguments, f"{arguments}: changes a result by {error}")
    model = Model(hidden=384, layers=6, heads=12, inner=1, vocabulary=1)  # longer ones: our own values
    model.weights, model.eps = load_file(REAL + "/model.safetensors"), 1e-12
    model.weights = {name: array.astype(np.float64) for name, array in model.weights.items()}
    random = np.random.default_rng(80)
    long = [[101, *random.integers(1000, 30000, n), 102] for n in (254,)]
    compare("long", REAL, [unit(model.states(ids).mean(0)) for ids in long], sentences=long, most=2e-6)
    similar = vectors(run(["--sim", "cosine", REAL], "a cat\na kitten\na tax return\n"))
    expect(similar[0] > 0.7 > 0.3 > similar[1], f"--sim cosine: {similar}")


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    globals()["check_" + sys.argv[2]]()
    sys.exit(failures > 0)
