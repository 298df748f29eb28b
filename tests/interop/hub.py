"""Checks sharded models against the tools that people create them with: models split by huggingface_hub, or saved by it or by
transformers' save_pretrained, open here with equal tensors; models saved here load there. Packages that are not installed
are reported as skipped."""
import importlib
import json
import os
import struct

import numpy
import safetensors
import safetensors.numpy

from writing import described, text, written


def missing(tally, *names):
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            print("interop: skipped: no Python package", name)
            tally.skipped += 1
            return True
    return False


def opens_equal(tool, tally, what, directory, want):
    """want: name -> (dtype, shape, bytes)"""
    listed = tool.ls(directory)
    tally.check(listed is not None, what, "does not open:", tool.run("ls", directory).stderr)
    if listed is None:
        return
    found = {t["name"]: (t["dtype"], t["shape"]) for t in tensors_of(listed)}
    tally.check(found == {n: (t[0], list(t[1])) for n, t in want.items()}, what, "names, dtypes, shapes", found)
    for name, (_, _, data) in want.items():
        tally.check(tool.cat(directory, name) == data, what, "bytes of", name)


def tensors_of(listed):
    return listed["tensors"] if isinstance(listed, dict) else listed


def arrays(random):
    """Returns tensors for several shards; one is larger than the shard limit, one is empty."""
    kinds = [numpy.float32, numpy.float16, numpy.int64, numpy.uint8, numpy.bool_]
    all_of_them = {}
    for i in range(40):
        shape = tuple(int(n) for n in random.integers(1, 9, size=int(random.integers(0, 4))))
        all_of_them["layers.%d.weight" % i] = numpy.asarray(random.standard_normal(shape) * 9).astype(kinds[i % len(kinds)])
    all_of_them["embed.t\u00f6kens \"q\""] = random.standard_normal((40, 30)).astype(numpy.float32)
    all_of_them["none"] = numpy.zeros((0, 7), numpy.float32)
    return all_of_them


# no downloads, no progress bars
os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error", TQDM_DISABLE="1")

NAMES = {"float32": "F32", "float16": "F16", "int64": "I64", "uint8": "U8", "bool": "BOOL"}


def plain(named):
    return {n: (NAMES[a.dtype.name], a.shape, a.tobytes()) for n, a in named.items()}


def split_with_numpy(tool, tally, random):
    """Splits with huggingface_hub's plan, writes files with the package, and writes the index as both libraries do."""
    if missing(tally, "huggingface_hub"):
        return
    from huggingface_hub import split_state_dict_into_shards_factory

    named = arrays(random)
    for limit in 600, 2000, 10**9:
        directory = os.path.join(tool.directory, "hub-numpy-%d" % limit)
        os.mkdir(directory)
        plan = split_state_dict_into_shards_factory(named, get_storage_size=lambda a: a.nbytes, get_storage_id=lambda a: None,
                                                    filename_pattern="model{suffix}.safetensors", max_shard_size=limit)
        for file, names in plan.filename_to_tensors.items():
            safetensors.numpy.save_file({n: named[n] for n in names}, os.path.join(directory, file), {"format": "pt"})
        if plan.is_sharded:
            with open(os.path.join(directory, "model.safetensors.index.json"), "w", encoding="utf-8") as out:
                json.dump({"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}, out, indent=2, sort_keys=True)
        tally.check(plan.is_sharded == (limit < 10**9), "huggingface_hub's plan for", limit)
        opens_equal(tool, tally, "split by huggingface_hub, %d bytes:" % limit, directory, plain(named))


def bytes_of(tensor):
    import torch

    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def of_torch(named):
    kinds = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "uint8": "U8", "bool": "BOOL"}
    return {n: (kinds[str(t.dtype).split(".")[1]], tuple(t.shape), bytes_of(t)) for n, t in named.items()}


def torch_models(random):
    import torch

    named = {n: torch.from_numpy(a.copy()) for n, a in arrays(random).items()}
    named["half"] = torch.randn(31, 3).to(torch.bfloat16)
    return named


def save_here(program, directory, tensors, limit):
    """Saves with st_save_sharded."""
    os.mkdir(directory)
    request = struct.pack("<BQI", 2, limit, 0) + text(directory) + described(tensors, {"format": "pt"}, list(tensors))[1:]
    return list(written(program, [request]))[0]


def same_state(loaded, want):
    return set(loaded) == set(want) and all(bytes_of(loaded[n]) == bytes_of(want[n]) and loaded[n].dtype == want[n].dtype for n in want)


def with_hub_and_torch(tool, tally, program, random):
    if missing(tally, "huggingface_hub", "torch"):
        return
    import torch
    from huggingface_hub import load_torch_model, save_torch_state_dict

    named = torch_models(random)
    for limit in 600, 3000, 10**9:
        directory = os.path.join(tool.directory, "hub-torch-%d" % limit)
        os.mkdir(directory)
        save_torch_state_dict(named, directory, max_shard_size=limit)
        opens_equal(tool, tally, "saved by huggingface_hub, %d bytes:" % limit, directory, of_torch(named))
        ours = directory + "-ours"
        result = save_here(program, ours, of_torch(named), limit)
        tally.check(isinstance(result, bytes), "saved here for huggingface_hub:", result)

        class Holder(torch.nn.Module):
            """A module whose state consists of those tensors, under valid parameter names."""

            def state_dict(self, *arguments, **more):
                return {n: torch.zeros_like(t) for n, t in named.items()}

            def load_state_dict(self, state, strict=True, assign=False):
                self.loaded = dict(getattr(self, "loaded", {}), **state)
                return torch.nn.modules.module._IncompatibleKeys([], [])

        holder = Holder()
        load_torch_model(holder, ours, strict=True)
        tally.check(same_state(holder.loaded, named), "huggingface_hub's loader on what was saved here, %d bytes" % limit)


def with_transformers(tool, tally, program, seed):
    if missing(tally, "torch", "transformers"):
        return
    import torch
    import transformers

    torch.manual_seed(seed)
    config = transformers.LlamaConfig(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2,
                                      num_key_value_heads=1, max_position_embeddings=32)
    for dtype in torch.float32, torch.bfloat16:
        for limit in 4000, 10**9:
            model = transformers.LlamaForCausalLM(config).to(dtype)
            what = "transformers, %s, %d bytes:" % (dtype, limit)
            directory = os.path.join(tool.directory, "transformers-%s-%d" % (str(dtype).split(".")[1], limit))
            model.save_pretrained(directory, max_shard_size=limit)
            tally.check(os.path.exists(os.path.join(directory, "model.safetensors.index.json")) == (limit < 10**9), what, "shards")
            state = {n: t.detach() for n, t in model.state_dict().items()}
            opens_equal(tool, tally, what, directory, of_torch(state))
            ours = directory + "-ours"
            result = save_here(program, ours, of_torch(state), limit)
            tally.check(isinstance(result, bytes), what, "saved here:", result)
            config.save_pretrained(ours)
            loaded, notes = transformers.LlamaForCausalLM.from_pretrained(ours, dtype=dtype, output_loading_info=True)
            tally.check(same_state(dict(loaded.state_dict()), state), what, "from_pretrained on what was saved here")
            tally.check(not notes["missing_keys"] and not notes["unexpected_keys"] and not notes["mismatched_keys"], what, notes)


def check(tool, tally, program, seed):
    random = numpy.random.default_rng(seed)
    before = tally.passed + tally.failed
    split_with_numpy(tool, tally, random)
    with_hub_and_torch(tool, tally, program, random)
    with_transformers(tool, tally, program, seed)
    print("interop: models of other tools: %d checks" % (tally.passed + tally.failed - before))
