"""state_dict.py PROGRAM FOLDER: tests what state_dict writes against NumPy."""

import subprocess
import sys

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file, save_file

program, folder = sys.argv[1:3]
failures = 0


def check(label, holds, detail=""):
    global failures
    if not holds:
        failures += 1
        print(f"FAILED state_dict.py: {label} {detail}")
    else:
        print(f"ok {label}")


def path(name):
    return f"{folder}/{name}"


def save(name, tensors, metadata=None):
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, path(name), metadata)


def run(*arguments, stdin=None):
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, timeout=60)


def apply(label, module, checkpoints, *options, code=0):
    """Applies checkpoints to a module, given as lines, and returns the report, the errors and the parameters."""
    out = path("out.safetensors")
    subprocess.run(["rm", "-f", out])
    done = run("apply", "-", *[path(c) for c in checkpoints], "--out", out, *options, stdin=module)
    check(f"{label}: exit status", done.returncode == code, f"{done.returncode} {done.stdout} {done.stderr}")
    if code:
        check(f"{label}: its message", done.stderr.startswith("state_dict: "), done.stderr)
    return done.stdout, done.stderr, load_file(out) if code == 0 and done.returncode == 0 else {}


def same(label, got, want):
    want = np.asarray(want)
    holds = got is not None and got.dtype == want.dtype and got.shape == want.shape and got.tobytes() == want.tobytes()
    check(label, holds, f"got {got}, wanted {want}")


def raw(name):
    """Reads metadata without the package's opinion."""
    import json

    with open(path(name), "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        return json.loads(f.read(n)).get("__metadata__", {})


rng = np.random.default_rng(11)


def f32(*shape):
    return rng.standard_normal(shape).astype(np.float32)


# V-E2, E03: transposed on load, found under the root
q = (np.arange(16).reshape(4, 4) / 10).astype(np.float32)
save("e2.safetensors", {"mha.linear_q.weight": q, "mha.linear_q.bias": q[0], "mha.linear_q.weight_scale": q})
report, _, got = apply(
    "V-E2",
    "linear_q.weight 4 4\nlinear_q.bias 4\nlinear_q.weight_scale 4 4\n",
    ["e2.safetensors"],
    "--root",
    "mha",
    "--transpose",
)
same("V-E2: the matrix is transposed", got.get("linear_q.weight"), q.T)
same("V-E2: a bias is not", got.get("linear_q.bias"), q[0])
same("V-C6: another name is not", got.get("linear_q.weight_scale"), q)
check(
    "V-E2: report", report.startswith("transposed   linear_q.weight F32 [4,4] from mha.linear_q.weight [4,4]\n"), report
)
check("V-E2: count", "2 assigned, 1 transposed, 0 missing, 0 mismatched, 0 unexpected\n" in report, report)
check(
    "section 8, 12: noted in the metadata",
    raw("out.safetensors") == {"transposed.linear_q.weight": "1"},
    raw("out.safetensors"),
)
_, _, got = apply("no transpose without the option", "linear_q.weight 4 4\n", ["e2.safetensors"], "--root", "mha")
same("as it is without --transpose", got.get("linear_q.weight"), q)

# V-E3, E07: names, and gate and up as one matrix; biases too (section 8, 13)
layer = "model.layers.0."
names = {
    layer + "self_attn.q_proj.weight": np.full((4, 4), 1, np.float32),
    layer + "self_attn.k_proj.weight": np.full((4, 4), 2, np.float32),
    layer + "self_attn.v_proj.weight": f32(4, 4),
    layer + "self_attn.o_proj.weight": f32(4, 4),
    layer + "self_attn.q_proj.bias": f32(4),
    layer + "self_attn.k_proj.bias": f32(4),
    layer + "self_attn.v_proj.bias": f32(4),
    layer + "self_attn.o_proj.bias": f32(4),
    layer + "mlp.gate_proj.weight": np.full((2, 4), 3, np.float32),
    layer + "mlp.up_proj.weight": np.full((2, 4), 4, np.float32),
    layer + "mlp.gate_proj.bias": f32(2),
    layer + "mlp.up_proj.bias": f32(2),
    layer + "mlp.down_proj.weight": f32(4, 2),
    layer + "mlp.down_proj.bias": f32(4),
    layer + "input_layernorm.weight": f32(4),
    layer + "post_attention_layernorm.weight": f32(4),
    "lm_head.weight": f32(5, 4),
    "lm_head.bias": f32(5),
}
save("e3.safetensors", names)
module = "".join(f"mha.linear_{x}.weight 4 4\nmha.linear_{x}.bias 4\n" for x in "qkvo")
module += "linear1.weight 4 4\nlinear1.bias 4\nlinear2.weight 4 2\nlinear2.bias 4\nrms_attn_gamma 4\nrms_ffn_gamma 4\n"
report, errors, got = apply("V-E3", module, ["e3.safetensors"], "--root", "layers.0", "--augment")
for x in "qkvo":
    same(f"V-E3: {x}", got.get(f"mha.linear_{x}.weight"), names[layer + f"self_attn.{x}_proj.weight"])
    same(f"E07: {x} bias", got.get(f"mha.linear_{x}.bias"), names[layer + f"self_attn.{x}_proj.bias"])
same(
    "V-E3: linear1", got.get("linear1.weight"), np.repeat(np.float32([3, 4]), 2)[:, None] * np.ones((1, 4), np.float32)
)
same(
    "E07: linear1.bias",
    got.get("linear1.bias"),
    np.concatenate([names[layer + "mlp.gate_proj.bias"], names[layer + "mlp.up_proj.bias"]]),
)
same("E07: linear2", got.get("linear2.weight"), names[layer + "mlp.down_proj.weight"])
same("E07: linear2.bias", got.get("linear2.bias"), names[layer + "mlp.down_proj.bias"])
same("E07: rms_attn_gamma", got.get("rms_attn_gamma"), names[layer + "input_layernorm.weight"])
same("E07: rms_ffn_gamma", got.get("rms_ffn_gamma"), names[layer + "post_attention_layernorm.weight"])
check(
    "E07: what was used under another name is not unexpected",
    report.count("unexpected   ") == 2 and "unexpected   lm_head.weight F32 [5,4]" in report,
    report,
)
_, _, got = apply("E07: head", "head.weight 5 4\nhead.bias 5\n", ["e3.safetensors"], "--augment", "--strict", "missing")
same("E07: lm_head is head", got.get("head.weight"), names["lm_head.weight"])
same("E07: lm_head.bias is head.bias", got.get("head.bias"), names["lm_head.bias"])
out = f32(5, 4)
save("output.safetensors", {"output.weight": out, "my_output.weight": f32(5, 4)})
_, _, got = apply("E07: output", "head.weight 5 4\n", ["output.safetensors"], "--augment")
same("E07: output is head", got.get("head.weight"), out)
apply("E07: only whole names", "my_head.weight 5 4\n", ["output.safetensors"], "--augment", code=1)
report, _, _ = apply("E07: not without the option", "head.weight 5 4\n", ["e3.safetensors"], code=1)
check("E07: missing without the option", "missing      head.weight [5,4]\n" in report, report)
gate, up = f32(2, 4), f32(3, 4)
save(
    "gate.safetensors",
    {"mlp.gate_proj.weight": gate, "mlp.up_proj.weight": up, "linear2.weight": out, "mlp.down_proj.weight": gate},
)
_, _, got = apply(
    "E07 and E03", "linear1.weight 4 5\nlinear2.weight 5 4\n", ["gate.safetensors"], "--augment", "--transpose"
)
same("E07 and E03: the out-features are stacked", got.get("linear1.weight"), np.concatenate([gate, up]).T)
same("E07: a name that is there stays; one that fits only flipped twice is as stored", got.get("linear2.weight"), out)
save("gate1.safetensors", {"mlp.gate_proj.weight": gate})
apply("E07: gate without up", "linear1.weight 2 4\n", ["gate1.safetensors"], "--augment", code=1)
save("gate2.safetensors", {"mlp.gate_proj.weight": gate, "mlp.up_proj.weight": up.astype(np.float16)})
apply("E07: two dtypes are not stacked", "linear1.weight 5 4\n", ["gate2.safetensors"], "--augment", code=1)

# E08: candidate names in order, reversed shapes
a, b, c, e = f32(2, 3), f32(2, 3), f32(2, 3), f32(2, 3)
save("e8.safetensors", {"w": a, "r.w": b, "model.w": c, "model.r.w": e})
for gone, want in (((), a), (("w",), b), (("w", "r.w"), c), (("w", "r.w", "model.w"), e)):
    tensors = {"w": a, "r.w": b, "model.w": c, "model.r.w": e}
    save("e8.safetensors", {k: v for k, v in tensors.items() if k not in gone})
    _, _, got = apply(f"E08 without {gone}", "w 2 3\n", ["e8.safetensors"], "--root", "r")
    same(f"E08 without {gone}", got.get("w"), want)
save("e8.safetensors", {"w": f32(5), "model.w": c})
_, _, got = apply("E08: a name of the wrong shape does not count", "w 2 3\n", ["e8.safetensors"])
same("E08: the next name does", got.get("w"), c)
save("e8.safetensors", {"w": a.astype(np.float16), "x": f32(4, 4), "y": f32(6)})
report, _, got = apply("E08: reversed", "w 3 2\nx 3 3\nz 1\n", ["e8.safetensors"], "--strict", "none")
same("E08: reversed", got.get("w"), a.astype(np.float16).T)
check(
    "E08: report",
    report == "transposed   w F16 [3,2] [2,3]\nmismatched   x F32 [3,3] from x [4,4]\nmissing      z [1]\n"
    "unexpected   x F32 [4,4]\nunexpected   y F32 [6]\n"
    "0 assigned, 1 transposed, 1 missing, 1 mismatched, 2 unexpected\n",
    report,
)
check("E08: only what fits is written", set(got) == {"w"}, got)

# V-E4: the first two axes of three become one
x = np.arange(1, 13, dtype=np.float32).reshape(2, 2, 3)
save("e4.safetensors", {"w": x})
_, _, got = apply("V-E4", "w 3 4\n", ["e4.safetensors"])
same("V-E4", got.get("w"), np.float32([[1 + 3 * col + r for col in range(4)] for r in range(3)]))
_, _, got = apply("E08: collapsed", "w 4 3\n", ["e4.safetensors"])
same("E08: collapsed", got.get("w"), x.reshape(4, 3))

# V-E5, E09: 2 heads of keys for 4 heads of queries
k, v, bias = f32(4, 8), f32(4, 8).astype(ml_dtypes.bfloat16), f32(4)
wide = np.repeat(k.reshape(2, 2, 8), 2, axis=0).reshape(8, 8)
save("e5.safetensors", {"mha.linear_k.weight": k, "mha.linear_v.weight": v, "mha.linear_k.bias": bias})
module = "mha.linear_k.weight 8 8\nmha.linear_v.weight 8 8\nmha.linear_k.bias 8\n"
report, _, got = apply("V-E5", module, ["e5.safetensors"], "--expand-kv", "4,2")
same("V-E5: keys", got.get("mha.linear_k.weight"), wide)
same("V-E5: rows 0-1 are rows 2-3", got["mha.linear_k.weight"][2:4], k[0:2])
same("E09: values", got.get("mha.linear_v.weight"), np.repeat(v.reshape(2, 2, 8), 2, axis=0).reshape(8, 8))
same("E09: biases", got.get("mha.linear_k.bias"), np.repeat(bias.reshape(2, 2), 2, axis=0).reshape(8))
check("E09: report", "assigned     mha.linear_k.weight F32 [8,8] [4,8], each head 2 times\n" in report, report)
_, _, got = apply("E09 and E03", "mha.linear_k.weight 8 8\n", ["e5.safetensors"], "--expand-kv", "4,2", "--transpose")
same("E09 and E03", got.get("mha.linear_k.weight"), wide.T)
odd = f32(6, 5)
save("e5o.safetensors", {"k_proj.weight": odd})
_, _, got = apply("E09: heads of 3 rows", "k_proj.weight 18 5\n", ["e5o.safetensors"], "--expand-kv", "6,2")
same("E09: heads of 3 rows", got.get("k_proj.weight"), np.repeat(odd.reshape(2, 3, 5), 3, axis=0).reshape(18, 5))
apply("E09: not without the option", module, ["e5.safetensors"], code=1)
apply("E09: other heads do not fit", module, ["e5.safetensors"], "--expand-kv", "8,2", code=1)
save("e5q.safetensors", {"linear_q.weight": k})
apply("E09: only keys and values", "linear_q.weight 8 8\n", ["e5q.safetensors"], "--expand-kv", "4,2", code=1)
save("e5k.safetensors", {"mha.k_proj.weight": k, "mha.linear_k.weight": f32(8, 8), "mha.o_proj.weight": f32(8, 4)})
_, _, got = apply(
    "V-E5: k_proj",
    "mha.k_proj.weight 8 4\nmha.linear_k.weight 8 8\nmha.linear_o.weight 4 8\n",
    ["e5k.safetensors"],
    "--expand-kv",
    "4,2",
)
same("V-E5: k_proj is transposed", got.get("mha.k_proj.weight"), k.T)
same("E09: k_proj counts before linear_k", got.get("mha.linear_k.weight"), wide)
same(
    "E09: o_proj counts for linear_o",
    got.get("mha.linear_o.weight"),
    load_file(path("e5k.safetensors"))["mha.o_proj.weight"].T,
)

# F23, F24: how strict
save("f.safetensors", {"a": a, "b": b}, {"format": "pt"})
for strict, module, code in (
    ("missing", "a 2 3\n", 0),
    ("both", "a 2 3\n", 1),
    ("both", "a 2 3\nb 2 3\n", 0),
    ("missing", "a 2 3\nc 1\n", 1),
    ("none", "a 2 3\nc 1\n", 0),
    ("missing", "a 2 2\nb 2 3\n", 1),
):
    _, errors, got = apply(f"--strict {strict} {module!r}", module, ["f.safetensors"], "--strict", strict, code=code)
    check(f"--strict {strict} {module!r}: a message", bool(errors) == bool(code), errors)
    if code == 0:
        same("F23: what was loaded", got.get("a"), a)
        check("the format stays", raw("out.safetensors") == {"format": "pt"}, raw("out.safetensors"))

# F25: tied tensors of one file, and of an index
save("tied.safetensors", {"embed.weight": a}, {"lm_head.weight": "embed.weight"})
_, _, got = apply("F25", "lm_head.weight 2 3\nembed.weight 2 3\n", ["tied.safetensors"], "--strict", "both")
same("F25: the alias", got.get("lm_head.weight"), a)
_, _, got = apply("F25: the alias alone", "lm_head.weight 2 3\n", ["tied.safetensors"], "--strict", "both")
apply("F25: the group is absent", "other.weight 2 3\n", ["tied.safetensors"], code=1)
save("newer.safetensors", {"embed.weight": b})
report, _, got = apply("R08", "lm_head.weight 2 3\nembed.weight 2 3\n", ["tied.safetensors", "newer.safetensors"])
same("R08: the later file counts", got.get("embed.weight"), b)
same("R08: for the alias too", got.get("lm_head.weight"), b)
check("R08: report", report.startswith(f"embed.weight: replaced by the one in {path('newer.safetensors')}\n"), report)

# E01, E02: values as F32; U16 as BF16 only where asked
half, brain, words = a.astype(np.float16), a.astype(ml_dtypes.bfloat16), np.uint16([0x3F80, 0x4000, 0x3F00])
save("e1.safetensors", {"h": half, "b": brain, "w": words, "i": np.int64([1, -2]), "t": np.array([True, False])})
module = "h 2 3\nb 3 2\nw 3\ni 2\nt 2\n"
report, _, got = apply("E01", module, ["e1.safetensors"], "--f32")
same("E01: F16", got.get("h"), half.astype(np.float32))
same("E01: BF16", got.get("b"), brain.astype(np.float32).T)
same("E02: U16 is a number", got.get("w"), words.astype(np.float32))
same("E02: I64", got.get("i"), np.float32([1, -2]))
same("E02: BOOL", got.get("t"), np.float32([1, 0]))
check("E01: the report names the stored dtype", "assigned     h F16 [2,3]\n" in report, report)
_, _, got = apply("E02", module, ["e1.safetensors"], "--f32", "--u16-is-bf16")
same("E02: U16 is BF16", got.get("w"), np.float32([1, 2, 0.5]))
_, _, got = apply("E02 as stored", module, ["e1.safetensors"], "--u16-is-bf16")
check("E02: saved as BF16", got["w"].dtype == ml_dtypes.bfloat16 and got["w"].tobytes() == words.tobytes(), got["w"])
same("dtypes stay", got.get("h"), half)

# V-E9, E10: Kronos
square, conv, wide = f32(8, 8), f32(8, 3, 2, 2), f32(8, 16)
tensors = {
    "text_embedding.weight": square,
    "projector.weight": f32(8, 8),
    "head.weight": f32(8, 8),
    "conv.weight": conv,
    "wide.weight": wide,
}
save("e9.safetensors", tensors)
module = "text_embedding.weight 8 8\nhead.weight 8 8\nconv.weight 8 3 2 2\nwide.weight 16 8\n"
_, _, got = apply("V-E9", module, ["e9.safetensors"], "--kronos", "--transpose", "--strict", "both")
for name in ("text_embedding.weight", "head.weight", "wide.weight"):
    same(f"V-E9: {name}", got.get(name), tensors[name].T)
same("V-E9: the projector is added", got.get("projector.weight"), tensors["projector.weight"].T)
same("V-E9: conv", got.get("conv.weight"), conv)
for metadata in ({"__kronos_marker__": "1"}, {"format": "kronos"}):
    save("e9m.safetensors", {"projector.weight": f32(3, 2)}, metadata)
    _, _, got = apply(f"V-E9: {metadata}", "# no parameter\n", ["e9m.safetensors"], "--kronos")
    check("E10: the shape of the projector", got["projector.weight"].shape == (3, 2))
save("e9v.safetensors", {"vision_encoder.x": f32(1)})
apply("E10: a prefix", "vision_encoder.x 1\n", ["e9v.safetensors"], "--kronos")
save("e9n.safetensors", {"my_text_embedding.weight": f32(1), "x": f32(17)}, {"note": "__kronos_marker__"})
_, errors, _ = apply("E10: not Kronos", "x 17\n", ["e9n.safetensors"], "--kronos", code=1)
check("E10: a message", "not one of Kronos" in errors, errors)

# E04, E05, E12: slopes
save(
    "slopes.safetensors",
    {
        "mha.nl_oob.slopes": np.float32([2, 1]).reshape(1, 2, 1, 1),
        "mha.nl_oob.config": np.float32([1]),
        "nl_oob.slopes": np.float16([0.5]),
        "b.nl_oob.config": np.float32(0),
        "c.nl_oob.config": f32(2),
        "d.nl_oob.config": np.float32([2]),
        "x_nl_oob.slopes": f32(1),
    },
)
done = run("slopes", path("slopes.safetensors"))
check(
    "E12, V-E6",
    sorted(done.stdout.splitlines())
    == sorted(
        [
            "mha.nl_oob.slopes [1,2,1,1] trainable: 2 1",
            "mha.nl_oob.config: Gaussian",
            "nl_oob.slopes [1] fixed: 0.5",
            "b.nl_oob.config: logarithmic",
            "c.nl_oob.config: not a scalar, ignored",
            "d.nl_oob.config: logarithmic",
        ]
    ),
    done.stdout,
)
done = run("slopes", path("slopes.safetensors"), "--root", "mha")
check(
    "E12: root",
    sorted(done.stdout.splitlines()) == ["mha.nl_oob.config: Gaussian", "mha.nl_oob.slopes [1,2,1,1] trainable: 2 1"],
    done.stdout,
)

# a module described by a model; larger random shapes
big = {f"layers.{i}.w": f32(17 + i, 5) for i in range(40)}
save("big.safetensors", big)
save(
    "shapes.safetensors",
    {k: np.zeros(v.shape[::-1] if i % 2 else v.shape, np.int8) for i, (k, v) in enumerate(big.items())},
)
done = run(
    "apply", path("shapes.safetensors"), path("big.safetensors"), "--out", path("out.safetensors"), "--strict", "both"
)
got = load_file(path("out.safetensors"))
check(
    "a model as module", done.returncode == 0 and "20 assigned, 20 transposed" in done.stdout, done.stdout + done.stderr
)
for i, (name, value) in enumerate(big.items()):
    same(name, got.get(name), value.T if i % 2 else value)

print("done")
sys.exit(failures != 0)
