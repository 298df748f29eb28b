"""quant.py PROGRAM ST FOLDER: compares what quant writes with NumPy, and its numbers with those of st convert."""

import subprocess
import sys

import ml_dtypes
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

program, st, folder = sys.argv[1:4]
failures = 0


def check(label, holds, detail=""):
    global failures
    failures += not holds
    print(f"ok {label}" if holds else f"FAILED quant.py: {label} {detail}")


def path(name):
    return f"{folder}/{name}"


def run(*arguments, code=0):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    check(
        " ".join(arguments[1:]), done.returncode == code, f"exit status {done.returncode}: {done.stdout} {done.stderr}"
    )
    if code:
        check("its message", done.stderr.startswith("quant: "), done.stderr)
    return done.stdout


def same(label, got, want):
    want = np.asarray(want)
    holds = got is not None and got.dtype == want.dtype and got.shape == want.shape and got.tobytes() == want.tobytes()
    check(label, holds, f"got {got}, wanted {want}")


def round_away(x):
    return np.sign(x) * np.floor(np.abs(x) + np.float32(0.5))


def quantized(x):
    """One scale for all numbers of x, in F32 arithmetic."""
    x = x.astype(np.float32)
    scale = np.float32(np.abs(x).max() / np.float32(127)) if np.abs(x).max() else np.float32(1)
    return np.clip(round_away(x / scale), -127, 127).astype(np.int8), scale


def reference(x, layout, block):
    if layout == "tensor":
        q, scale = quantized(x)
        return q, np.float32([scale])
    width = x.shape[1] if layout == "rows" else block
    parts = [[quantized(row[i : i + width]) for i in range(0, x.shape[1], width)] for row in x]
    return np.array([np.concatenate([q for q, _ in row]) for row in parts]), np.float32(
        [[s for _, s in row] for row in parts]
    )


def spread(scales, x, layout, block):
    if layout == "tensor":
        return np.full(x.shape, scales[0])
    return np.repeat(scales, x.shape[1] if layout == "rows" else block, axis=1)[:, : x.shape[1]]


# V-E7
vector = {
    "v.weight": np.float32([[1, -2, 3, 0.5]]),
    "t.weight": np.float32([[0.1, -0.2, 0.3, -0.4], [2, -1, 0.5, -0.25]]),
}
save_file(vector, path("v.safetensors"))
run(program, "quantize", path("v.safetensors"), path("q.safetensors"))
got = load_file(path("q.safetensors"))
same("V-E7: one scale", got["v.weight"], np.int8([[42, -85, 127, 21]]))
check("V-E7: its scale", abs(got["v.weight_scale"][0] - 0.023622047) < 1e-9 and got["v.weight_scale"].shape == (1,))
run(program, "quantize", path("v.safetensors"), path("q.safetensors"), "--layout", "blocks", "--block", "2")
got = load_file(path("q.safetensors"))
same("V-E7: blocks of 2", got["v.weight"], np.int8([[64, -127, 127, 21]]))
check(
    "V-E7: their scales",
    np.abs(got["v.weight_scale"] - [[0.015748031, 0.023622047]]).max() < 1e-9,
    got["v.weight_scale"],
)
run(program, "quantize", path("v.safetensors"), path("q.safetensors"), "--layout", "rows")
got = load_file(path("q.safetensors"))
same("V-E7: rows", got["t.weight"], np.int8([[32, -64, 95, -127], [127, -64, 32, -16]]))
run(program, "dequantize", path("q.safetensors"), path("d.safetensors"))
check("V-E7: within 1e-2", np.abs(load_file(path("d.safetensors"))["t.weight"] - vector["t.weight"]).max() < 1e-2)
save_file({"w": np.float32([[1, -2, 3, -4]])}, path("e.safetensors"))
run(program, "quantize", path("e.safetensors"), path("q.safetensors"), "--dtype", "uint8")
got = load_file(path("q.safetensors"))
same("V-E7, E21: the bytes of the emulation", got["w"], np.uint8([[160, 64, 223, 1]]))
same("V-E7, E21: its scale", got["w_scale"], np.float32([np.float32(4) / np.float32(127)]))
run(program, "dequantize", path("q.safetensors"), path("d.safetensors"))
same(
    "E21: back",
    load_file(path("d.safetensors"))["w"],
    np.float32([[32, -64, 95, -127]]) * (np.float32(4) / np.float32(127)),
)

# E22: every layout on many shapes, dtypes and values, against NumPy and against st convert
rng = np.random.default_rng(7)


def numbers(*shape):
    return (rng.standard_normal(shape) * np.exp(rng.standard_normal(shape) * 3)).astype(np.float32)


tensors = {
    "a.weight": numbers(7, 100),
    "b.weight": numbers(64, 32),
    "c.weight": numbers(3, 33).astype(np.float16),
    "d.weight": numbers(5, 128).astype(ml_dtypes.bfloat16),
    "e.weight": numbers(1, 1),
    "zero.weight": np.zeros((4, 40), np.float32),
    "tiny.weight": np.full((2, 64), 1e-45, np.float32),
    "f.weight": numbers(9, 70).astype(np.float64),
    "large.weight": np.float32([[3.4e38, -1e38] * 16]),
    "bias": numbers(100),
    "conv.weight": numbers(4, 3, 2, 2),
    "ids": np.int64([[1, 2], [3, 4]]),
    "none.weight": np.zeros((0, 5), np.float32),
}
tensors["zero.weight"][2] = numbers(40)
save_file(tensors, path("m.safetensors"), {"format": "pt", "quant.note": "of an older run"})
for layout, block in (("tensor", 0), ("rows", 0), ("blocks", 32), ("blocks", 16), ("blocks", 128)):
    label = f"{layout} {block}"
    said = run(
        program,
        "quantize",
        path("m.safetensors"),
        path("q.safetensors"),
        "--layout",
        layout,
        *(["--block", str(block)] if block else []),
    )
    run(program, "check", path("q.safetensors"))
    run(program, "dequantize", path("q.safetensors"), path("d.safetensors"))
    run(st, "convert", path("q.safetensors"), path("c.safetensors"), "--dtype", "f32")
    got, back, converted = (load_file(path(f"{x}.safetensors")) for x in "qdc")
    check(f"{label}: names", set(back) == set(tensors) == set(converted), f"{set(back)} {set(converted)}")
    with safe_open(path("q.safetensors"), "np") as f:
        notes = f.metadata()
    check(
        f"{label}: metadata",
        notes
        == {"format": "pt", "quant.dtype": "I8", "quant.layout": layout}
        | ({"quant.block": str(block)} if block else {}),
        notes,
    )
    for name, x in tensors.items():
        if x.ndim != 2 or not x.size or x.dtype.kind == "i":
            same(f"{label}: {name} stays", back[name], x)
            continue
        q, scales = reference(x, layout, block)
        if name == "tiny.weight":
            check(f"{label}: a scale above 0", (got[name + "_scale"] > 0).all() and (got[name] == 1).all(), got[name])
        else:
            same(f"{label}: {name}", got[name], q)
            same(f"{label}: scales of {name}", got[name + "_scale"], scales)
            same(f"{label}: {name} back", back[name], q.astype(np.float32) * spread(scales, x, layout, block))
            error = np.abs(back[name].astype(np.float64) - x.astype(np.float32).astype(np.float64)).max()
            check(
                f"{label}: error of {name}",
                f"{name}: I8, {scales.size} scale{'s' * (scales.size != 1)}, " f"largest error {error:.3g}\n" in said,
                said,
            )
            check(f"{label}: at most half a step", error <= np.max(scales) * 0.50001)
        same(f"{label}: st convert agrees on {name}", converted[name], back[name])
for name in ("f16", "float16", "HALF", "Fp16", "bf16", "BFloat16", "f64", "Double", "float64", "F32", "float"):
    run(program, "dequantize", path("q.safetensors"), path("d.safetensors"), "--dtype", name)
    dtype = {
        "f16": np.float16,
        "hal": np.float16,
        "flo": np.float32,
        "fp1": np.float16,
        "bf1": ml_dtypes.bfloat16,
        "bfl": ml_dtypes.bfloat16,
        "f64": np.float64,
        "dou": np.float64,
        "f32": np.float32,
    }[name.lower()[:3]]
    dtype = {"float16": np.float16, "float64": np.float64}.get(name, dtype)
    want = (
        got["b.weight"].astype(np.float32) * spread(got["b.weight_scale"], tensors["b.weight"], "blocks", 128)
    ).astype(dtype)
    same(f"E23: {name}", load_file(path("d.safetensors"))["b.weight"], want)
for name in ("int8", "I8", "INT8", "i8"):
    run(program, "quantize", path("m.safetensors"), path("q.safetensors"), "--dtype", name)
for name in ("uint8", "U8"):
    run(program, "quantize", path("m.safetensors"), path("q.safetensors"), "--dtype", name)
check("E23: U8", load_file(path("q.safetensors"))["a.weight"].dtype == np.uint8)
run(program, "quantize", path("m.safetensors"), path("q.safetensors"), "--all")
got = load_file(path("q.safetensors"))
check("--all", got["conv.weight"].dtype == np.int8 and got["bias"].dtype == np.int8 and got["bias_scale"].shape == (1,))
same("--all: the numbers", got["conv.weight"], reference(tensors["conv.weight"], "tensor", 0)[0])

# the largest error is that of the first number, then of the last; other metadata stays
for numbers_of_one in ([0.4, 127, 1], [127, 1, 0.4]):
    save_file({"w": np.float32([numbers_of_one])}, path("x.safetensors"), {"quantity": "1", "quant.block": "old"})
    said = run(program, "quantize", path("x.safetensors"), path("q.safetensors"))
    check(f"the error of {numbers_of_one}", "largest error 0.4\n" in said, said)
    run(program, "dequantize", path("q.safetensors"), path("d.safetensors"))
    for file, wanted in ("q", ["quant.dtype", "quant.layout", "quantity"]), ("d", ["quantity"]):
        with safe_open(path(file + ".safetensors"), "np") as opened:
            check(f"metadata of {file}", sorted(opened.metadata()) == wanted, opened.metadata())

# what is refused
for value in (np.inf, -np.inf, np.nan):
    save_file({"w": np.float32([[1, value]])}, path("x.safetensors"))
    run(program, "quantize", path("x.safetensors"), path("none.safetensors"), code=1)
save_file({"w": np.float64([[1, 1e39]])}, path("x.safetensors"))
run(program, "quantize", path("x.safetensors"), path("none.safetensors"), code=1)
save_file({"w": numbers(2, 8), "w_scale": numbers(1)}, path("x.safetensors"))
run(program, "quantize", path("x.safetensors"), path("none.safetensors"), code=1)
save_file({"w": numbers(2, 40)}, path("x.safetensors"))
for block in (20, 24, 3, 7, 39):  # st convert would take them for blocks of another length
    run(
        program,
        "quantize",
        path("x.safetensors"),
        path("none.safetensors"),
        "--layout",
        "blocks",
        "--block",
        str(block),
        code=1,
    )
for block in (1, 2, 4, 5, 8, 10, 16, 32, 40, 41, 64):
    run(program, "quantize", path("x.safetensors"), path("q.safetensors"), "--layout", "blocks", "--block", str(block))
    run(program, "dequantize", path("q.safetensors"), path("d.safetensors"))
    run(st, "convert", path("q.safetensors"), path("c.safetensors"), "--dtype", "f32")
    same(f"blocks of {block} of 40", load_file(path("c.safetensors"))["w"], load_file(path("d.safetensors"))["w"])
q = np.ones((4, 64), np.int8)
for label, scale, metadata, code in (
    ("one scale", np.ones(1, np.float32), None, 0),
    ("a scalar", np.array(2, np.float32), None, 0),
    ("rows", np.ones(4, np.float32), None, 0),
    ("rows and 1", np.ones((4, 1), np.float32), None, 0),
    ("blocks", np.ones((4, 2), np.float32), None, 0),
    ("blocks of metadata", np.ones((4, 3), np.float32), {"quant.block": "30"}, 0),
    ("wrong metadata", np.ones((4, 2), np.float32), {"quant.block": "10"}, 1),
    ("no number", np.ones((4, 3), np.float32), {"quant.block": "x"}, 1),
    ("zero", np.float32([[1], [0], [1], [1]]), None, 1),
    ("negative", np.float32([-1]), None, 1),
    ("NaN", np.float32([1, 1, 1, np.nan]), None, 1),
    ("infinity", np.float32([np.inf]), None, 1),
    ("too few", np.ones(3, np.float32), None, 1),
    ("too many", np.ones((4, 65), np.float32), None, 1),
    ("three axes", np.ones((4, 2, 1), np.float32), None, 1),
    ("none", np.ones((4, 0), np.float32), None, 1),
):
    for end in ("_scale", ".scale"):
        save_file({"w": q, "w" + end: scale}, path("x.safetensors"), metadata)
        run(program, "check", path("x.safetensors"), code=code)
        run(program, "dequantize", path("x.safetensors"), path("d.safetensors"), code=code)
        if code == 0:
            check(f"{label}: w{end} is left out", set(load_file(path("d.safetensors"))) == {"w"})
save_file({"w": np.zeros((0, 4), np.int8), "w_scale": np.ones(1, np.float32)}, path("x.safetensors"))
run(program, "check", path("x.safetensors"), code=1)
save_file({"w": np.ones((2, 2), np.uint8), "w_scale": np.ones(1, np.float32)}, path("x.safetensors"))
check("U8 without a note may be packed", "0 of 2 tensors" in run(program, "check", path("x.safetensors")))
save_file({"w": q, "w_scale": np.ones(1, np.float16)}, path("x.safetensors"))
check("scales are F32", "0 of 2 tensors" in run(program, "check", path("x.safetensors")))
print("done")
sys.exit(failures != 0)
