"""Merges random LoRAs into random models with st merge-lora, and compares with numpy in F64, rounded once. Where all sums are
exact, the bytes must be the same; elsewhere, numbers can differ by one step where F64 rounds near the middle of two."""
import json
import os

import ml_dtypes
import numpy
import safetensors
import safetensors.numpy

BASES = {"F64": numpy.float64, "F32": numpy.float32, "F16": numpy.float16, "BF16": ml_dtypes.bfloat16}
ADAPTERS = [numpy.float32, numpy.float16, ml_dtypes.bfloat16]


def codes(values):
    """Returns whole numbers in the order of the values, one apart for neighbours."""
    bits = values.view("i%d" % values.dtype.itemsize).astype(numpy.int64)
    return numpy.where(bits < 0, numpy.iinfo("i%d" % values.dtype.itemsize).min - bits, bits)


def rounded(exact, kind):
    """Rounds F64 once, to the nearest, ties to even. numpy does so, but ml_dtypes goes through F32: so look at the neighbours."""
    if kind != ml_dtypes.bfloat16:
        return exact.astype(kind)
    best = exact.astype(kind)
    for step in (-1, 1):
        other = (best.view(numpy.uint16) + numpy.uint16(step % 65536)).view(kind)
        far, near = numpy.abs(best.astype(numpy.float64) - exact), numpy.abs(other.astype(numpy.float64) - exact)
        better = (near < far) | ((near == far) & (other.view(numpy.uint16) % 2 == 0))
        best = numpy.where(better & numpy.isfinite(near), other, best)
    return best


def matrix(random, shape, kind, exact):
    """Returns numbers of up to six bits, of which sums of products are exact in F64; or any."""
    if exact:
        return (random.integers(-32, 33, shape) * 2.0 ** random.integers(-9, 0, shape)).astype(kind)
    return random.standard_normal(shape).astype(kind)


class Module:
    def __init__(self, random, exact, transposed):
        self.name = "blocks.%d.attn_1.to_q" % random.integers(10**6)
        rows, columns, rank = (int(random.integers(1, n)) for n in (70, 300, 20))
        kernel = [(), (), (1, 1), (3, 3)][random.integers(4)]
        kind, adapter = list(BASES)[random.integers(4)], ADAPTERS[random.integers(3)]
        self.kind, self.rank, self.transposed = kind, rank, transposed and kernel == ()
        self.up = matrix(random, (rows, rank) + (1, 1)[: len(kernel)], adapter, exact)
        self.down = matrix(random, (rank, columns) + kernel, adapter, exact)
        shape = (columns, rows) if self.transposed else (rows, columns) + kernel
        self.weight = matrix(random, shape, BASES[kind], exact)

    def merged(self, factor):
        up = self.up.astype(numpy.float64).reshape(self.up.shape[0], self.rank)
        product = up @ self.down.astype(numpy.float64).reshape(self.rank, -1) * factor
        product = product.T if self.transposed else product.reshape(self.weight.shape)
        return rounded(self.weight.astype(numpy.float64) + product, BASES[self.kind])


def random_adapter(random, modules, scheme, exact, directory):
    """Writes adapter tensors for the modules; returns the path to give and each module's factor."""
    tensors, factors, path = {}, {}, directory
    alphas = [float(2.0 ** random.integers(-2, 3)) * m.rank if exact else float(random.uniform(0.5, 40)) for m in modules]
    if scheme == "kohya":
        path = os.path.join(directory, "kohya.safetensors")
        for m, alpha in zip(modules, alphas):
            name = "lora_unet_" + m.name.replace(".", "_")
            tensors.update({name + ".lora_down.weight": m.down, name + ".lora_up.weight": m.up, name + ".alpha": numpy.array(alpha, numpy.float32)})
            factors[m.name] = float(numpy.float32(alpha)) / m.rank
    elif scheme == "diffusers":
        path = os.path.join(directory, "pytorch_lora_weights.safetensors")
        for m in modules:
            tensors.update({"unet.%s.lora.down.weight" % m.name: m.down, "unet.%s.lora.up.weight" % m.name: m.up})
            factors[m.name] = 1.0
    else:
        root = bool(random.integers(2)) and not exact
        config = {"peft_type": "LORA", "r": modules[0].rank, "lora_alpha": alphas[0], "use_rslora": root, "fan_in_fan_out": modules[0].transposed,
                  "rank_pattern": {m.name: m.rank for m in modules}, "alpha_pattern": {m.name: a for m, a in zip(modules, alphas)}}
        with open(os.path.join(directory, "adapter_config.json"), "w") as f:
            json.dump(config, f, indent=int(random.integers(3)))
        path = os.path.join(directory, "adapter_model.safetensors")
        for m, alpha in zip(modules, alphas):
            name = "base_model.model." + m.name
            tensors.update({name + ".lora_A.weight": m.down, name + ".lora_B.weight": m.up})
            factors[m.name] = alpha / (numpy.sqrt(m.rank) if root else m.rank)
    safetensors.numpy.save_file(tensors, path)
    return (directory if scheme == "peft" else path), factors


def check(tool, tally, count, seed):
    random, numbers, differing = numpy.random.default_rng(seed), 0, 0
    for i in range(count):
        exact, scheme = bool(random.integers(2)), ["kohya", "peft", "diffusers"][random.integers(3)]
        transposed = scheme == "peft" and bool(random.integers(2))
        modules = [Module(random, exact, transposed) for _ in range(random.integers(1, 5))]
        if transposed:  # PEFT transposes matrices only, but the model says so for all
            modules = [m for m in modules if m.transposed] or [Module(random, exact, False)]
        directory = os.path.join(tool.directory, "lora-%d" % i)
        os.mkdir(directory)
        path, factors = random_adapter(random, modules, scheme, exact, directory)
        base, out = os.path.join(directory, "base.st"), os.path.join(directory, "out.st")
        other = random.standard_normal(7).astype(numpy.float32)
        safetensors.numpy.save_file({**{m.name + ".weight": m.weight for m in modules}, "other": other}, base, metadata={"format": "pt"})
        scale = float(2.0 ** random.integers(-1, 2)) if exact else float(random.uniform(-2, 2))
        done = tool.run("merge-lora", base, path, out, "--scale", repr(scale))
        tally.check(done.returncode == 0 and not done.stdout + done.stderr, "lora %d (%s): failed:" % (i, scheme), done.stderr[:300])
        if done.returncode:
            continue
        with open(out, "rb") as f:
            got = {n: bytes(t["data"]) for n, t in safetensors.deserialize(f.read())}
        tally.check(set(got) == {m.name + ".weight" for m in modules} | {"other"} and got["other"] == other.tobytes(), "lora %d: tensors" % i)
        for m in modules:
            want = m.merged(factors[m.name] * scale)
            result = numpy.frombuffer(got[m.name + ".weight"], want.dtype).reshape(want.shape)
            if exact:
                tally.check(result.tobytes() == want.tobytes(), "lora %d (%s): %s is not exact" % (i, scheme, m.name), m.kind)
            elif m.kind == "F64":  # the order of sums shows
                tally.check(numpy.allclose(result, want, rtol=1e-13, atol=1e-12), "lora %d (%s): %s" % (i, scheme, m.name))
            else:
                steps = numpy.abs(codes(result) - codes(want))
                tally.check(steps.max() <= 1, "lora %d (%s): %s is %d steps off" % (i, scheme, m.name, steps.max()), m.kind)
                numbers, differing = numbers + steps.size, differing + int((steps != 0).sum())
    tally.check(differing * 100000 <= numbers, "LoRAs: %d of %d numbers differ" % (differing, numbers))
    print("interop: %d LoRAs; of %d numbers without exact sums, %d differ, by one step" % (count, numbers, differing))
