"""bench.py: sentences a second of examples/embed and of candle on one core, and how long one short sentence takes from
start to end. Both programs tokenize, run the model, pool and normalise. They run in turn, each several times; the best
run counts, as other work on the machine only slows runs down. The binary of candle comes from tests/bench/embed
(cargo; its directory is CARGO_TARGET_DIR, else build/bench-embed)."""

import os
import random
import subprocess
import sys
import time

EMBED, MODEL = "build/examples/embed", "build/models/all-MiniLM-L6-v2"
FOLDER = "tests/bench/embed"
TARGET = os.environ.get("CARGO_TARGET_DIR", "build/bench-embed")
CANDLE = os.path.join(TARGET, "release/candle-embed")
WORDS = ("the quick brown fox jumps over a lazy dog while many people watch from their old house near some big river "
         "and then go back home").split()
ONE_CORE = dict(os.environ, RAYON_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
RUNS = int(os.environ.get("RUNS", "5"))


def pin():
    """the last core: the first one often serves interrupts"""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def sentences(length, count):
    """each word is one token; two more are special tokens"""
    choose = random.Random(length)
    return "".join(" ".join(choose.choice(WORDS) for _ in range(length - 2)) + "\n" for _ in range(count)).encode()


def run(command, text):
    return subprocess.run(command, input=text, capture_output=True, env=ONE_CORE, preexec_fn=pin, check=True)


def candle_rate(text, batch, _):
    count, seconds, _ = run([CANDLE, MODEL, str(batch)], text).stdout.split()
    return int(count) / float(seconds)


def embed_rate(text, batch, backend):
    words = run([EMBED, "--time", "--batch", str(batch), "--backend", backend, MODEL], text).stderr.split()
    return int(words[0]) / float(words[3])


def start_up(command):
    begin = time.perf_counter()
    run(command, b"Hello world\n")
    return time.perf_counter() - begin


def main():
    if not os.path.exists(MODEL + "/model.safetensors"):
        return print("bench-embed: run tests/tools/install examples first, which brings the model")
    subprocess.run(["cargo", "build", "--release", "--quiet", "--locked", "--manifest-path", FOLDER + "/Cargo.toml"],
                   check=True, env=dict(os.environ, CARGO_TARGET_DIR=os.path.abspath(TARGET)))
    backends = sys.argv[1:] or ["simd", "simd-avx2", "blas"]
    columns = [("candle", candle_rate, "")] + [(backend, embed_rate, backend) for backend in backends]
    print("sentences a second, one core   " + "".join(f"{name:>14}" for name, _, _ in columns))
    for length in (8, 32, 128):
        for batch in (1, 32):
            text = sentences(length, 4096 // length if batch == 1 else 8192 // length)
            best = [0.0] * len(columns)
            for _ in range(RUNS):
                for i, (_, rate, backend) in enumerate(columns):
                    best[i] = max(best[i], rate(text, batch, backend))
            cells = [f"{best[0]:14.1f}"] + [f"{rate:8.1f} {rate / best[0]:4.2f}x" for rate in best[1:]]
            print(f"length {length:3}, batches of {batch:2}       " + "".join(f"{cell:>14}" for cell in cells))
    for name, command in (("embed", [EMBED, MODEL]), ("candle", [CANDLE, MODEL, "0"]),
                          ("python", [sys.executable, "-c", "import numpy, safetensors"])):
        if name == "python" and subprocess.run(command, capture_output=True).returncode:
            command = ["build/venv/bin/python", "-c", "import numpy, safetensors"]
        best = min(start_up(command) for _ in range(4 * RUNS))
        note = " (only its imports)" if name == "python" else ""
        print(f"start to end, one short sentence: {best * 1e3:6.1f} ms  {name}{note}")


main()
