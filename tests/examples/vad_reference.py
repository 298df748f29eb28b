"""The detector of examples/vad in NumPy and double precision, and the files that tests/examples/vad.sh needs. Nothing here
comes from the program under test.

    vad_reference.py model FILE              writes a small model: random weights of the network's shapes
    vad_reference.py speech FILE             writes three seconds that are loud and quiet by turns
    vad_reference.py probabilities MODEL WAV prints what vad --probabilities should print
    vad_reference.py compare GOT WANTED BOUND COUNT
                                             fails unless the first COUNT numbers differ by BOUND at most
    vad_reference.py segments PROGRAM MODEL WAV PROBABILITIES
                                             compares segments for several options with those from the probabilities
    vad_reference.py cases PROGRAM           compares segments.c with this file on random probabilities
    vad_reference.py damage MODEL FOLDER     writes models that must be refused, and some that must not
    vad_reference.py hostile PROGRAM MODEL FOLDER
                                             runs a program, built with sanitizers, on the models of FOLDER and on WAV files
"""
import json
import os
import random
import struct
import subprocess
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


def write_model(path, tensors, dtypes=None, pad=0, escape=False):
    """tensors: (name, shape, bytes) in the order of the file; pad: blanks after the header."""
    entries, at = [], 0
    for name, shape, raw in tensors:
        key = "".join("\\u%04x" % ord(c) for c in name) if escape else name
        dtype = (dtypes or {}).get(name, "F32")
        entries.append('"%s":{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}' % (
            key, dtype, json.dumps(shape), at, at + len(raw)))
        at += len(raw)
    head = ("{" + ",".join(entries) + "}").encode()
    head += b" " * (-(8 + len(head)) % 8 + pad)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head + b"".join(raw for _, _, raw in tensors))


def random_tensors():
    """Weights that keep every layer busy: the probabilities of speech() are spread over 0.1 to 0.9."""
    rng = np.random.default_rng(1)
    for name, shape in SHAPES:
        n = int(np.prod(shape[1:])) if len(shape) > 1 else 16
        scale = {"final_conv.weight": 20, "final_conv.bias": 1}.get(name, 3 if name.startswith("lstm") else 1.4)
        yield name, shape, (rng.standard_normal(shape) * scale / np.sqrt(n)).astype("<f4").tobytes()


def wav(samples, fmt=None, before=b"", after=b"", size=None, riff=b"RIFF", order=("fmt", "data")):
    raw = samples.astype("<i2").tobytes() if isinstance(samples, np.ndarray) else samples
    fmt = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16) if fmt is None else fmt
    parts = {"fmt": chunk(b"fmt ", fmt),
             "data": b"data" + struct.pack("<I", len(raw) if size is None else size) + raw + b"\0" * (len(raw) % 2)}
    body = before + b"".join(parts[p] for p in order) + after
    return riff + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def chunk(name, raw):
    return name + struct.pack("<I", len(raw)) + raw + b"\0" * (len(raw) % 2)


def speech():
    rng = np.random.default_rng(12)
    t = np.arange(48000) / 16000
    loud = np.where((t % 1) < 0.6, 1, 0.01)
    x = loud * (np.sin(2 * np.pi * 180 * t) + 0.5 * np.sin(2 * np.pi * 700 * t) + 0.2 * rng.standard_normal(len(t)))
    return np.clip(x * 9000, -32768, 32767).astype("<i2")[:-100]  # not a multiple of 512


def samples_of(path):
    raw = open(path, "rb").read()
    assert raw[36:40] == b"data"
    return np.frombuffer(raw[44:], "<i2") / 32768


def find_segments(p, total, threshold=0.5, low=None, speech=250, silence=100, pad=30):
    """First the raw segments, then the padding. Times in ms but for the results, which are in samples."""
    low = max(threshold - 0.15, 0.01) if low is None else low
    raw, start, quiet = [], None, None
    for k, value in enumerate(p):
        if value >= threshold:
            quiet = None
            if start is None:
                start = k
                continue
        if start is not None and value < low:
            quiet = k if quiet is None else quiet
            if (k - quiet) * 512 >= silence * 16:
                raw.append((start * 512, quiet * 512))
                start = quiet = None
    if start is not None:
        raw.append((start * 512, total))
    raw = [s for s in raw if s[1] - s[0] > speech * 16]
    margin = pad * 16
    found = [list(s) for s in raw]
    for k, (begin, end) in enumerate(raw):
        room = begin - raw[k - 1][1] if k else None
        found[k][0] -= min(begin, margin) if k == 0 else margin if room >= 2 * margin else room // 2
        room = raw[k + 1][0] - end if k + 1 < len(raw) else None
        found[k][1] = min(total, end + margin) if room is None else end + (margin if room >= 2 * margin else room // 2)
    return found


def check(condition, *what):
    if not condition:
        print(*what)
        sys.exit(1)


def compare(got, wanted, bound, count):
    got = [float(x) for x in open(got)]
    wanted = [float(x) for x in open(wanted)]
    check(len(got) >= int(count) and len(wanted) >= int(count), "numbers:", len(got), len(wanted), "wanted", count)
    worst = max(abs(a - b) for a, b in zip(got[:int(count)], wanted[:int(count)]))
    spread = max(wanted) - min(wanted)
    print("largest difference %.1e of %s" % (worst, count))
    check(worst <= float(bound) and spread > 0.3, "bound", bound, "range", spread)


def segments(program, model, recording, numbers):
    x = samples_of(recording)
    p = [float(line) for line in open(numbers)]
    number = 0
    for options in ({}, {"threshold": 0.8}, {"threshold": 0.1}, {"pad": 0}, {"pad": 400}, {"speech": 0, "silence": 0, "pad": 0},
                    {"silence": 700}, {"speech": 1500}, {"threshold": 0.6, "low": 0.55}, {"threshold": 0.0}, {"threshold": 1}):
        names = {"threshold": "--threshold", "low": "--low-threshold", "speech": "--min-speech", "silence": "--min-silence",
                 "pad": "--pad"}
        arguments = [a for key, value in options.items() for a in (names[key], str(value))]
        wanted = find_segments(p, len(x), **options)
        text = subprocess.run([program, *arguments, model, recording], capture_output=True, text=True, check=True).stdout
        lines = ["%.3f %.3f" % (a / 16000, b / 16000) for a, b in wanted]
        number += len(lines)
        check(text.splitlines() == lines, "segments", options, text, lines)
        if number > 60:  # enough JSON
            continue
        text = subprocess.run([program, "--json", *arguments, model, recording], capture_output=True, text=True, check=True)
        check(json.loads(text.stdout) == [dict(zip(("start", "end"), map(float, s.split()))) for s in lines], "JSON", options)
    check(number > 10, "too few segments to compare:", number)
    print(number, "segments")


def cases(program):
    rng, text, wanted = random.Random(13), [], []
    for k in range(400):
        threshold = rng.choice([0.5, 0.3, 0.9, 0.005, 0])
        low = rng.choice([max(threshold - 0.15, 0.01), threshold])
        speech, silence, pad = rng.choice([0, 32, 250]), rng.choice([0, 32, 100, 101, 300]), rng.choice([0, 1, 15, 30, 33, 500])
        total = rng.randrange(1, 200 * 512)
        level, p = 0.5, []
        for _ in range(-(-total // 512)):
            level = min(1, max(0, level + rng.uniform(-0.4, 0.4)))
            p.append(level)
        text.append(" ".join(map(str, [threshold, low, speech * 16, silence * 16, pad * 16, total] + p)))
        wanted.append(find_segments(p, total, threshold, low, speech, silence, pad))
    got = subprocess.run([program, "segments"], input="\n".join(text), capture_output=True, text=True, check=True).stdout
    got = [[[int(n) for n in s.split("-")] for s in line.split()] for line in got.splitlines()]
    check(len(got) == len(wanted), "cases:", len(got))
    for line, a, b in zip(text, got, wanted):
        check(a == b, "case:", line, "\n", a, "\n", b)
    check(sum(len(w) > 1 for w in wanted) > 100, "too few segments in the cases")


def damage(model, folder):
    raw = open(model, "rb").read()
    head = struct.unpack("<Q", raw[:8])[0]
    table = json.loads(raw[8:8 + head])
    table.pop("__metadata__", None)
    tensors = [(k, v["shape"], raw[8 + head + v["data_offsets"][0]:8 + head + v["data_offsets"][1]]) for k, v in table.items()]

    def put(name, content=None, **options):
        path = os.path.join(folder, name + ".safetensors")
        if isinstance(content, bytes):
            open(path, "wb").write(content)
        else:
            write_model(path, content or tensors, **options)

    def change(name, **new):
        return [(k, new.get("shape", s), new.get("raw", r)) if k == name else (k, s, r) for k, s, r in tensors]

    put("good-odd", pad=1)
    put("good-odd-2", pad=2)
    put("good-escaped", escape=True)
    put("good-reversed", tensors[::-1])
    put("good-extra", tensors + [("other", [3], b"abc")], dtypes={"other": "U8"})
    put("missing", [t for t in tensors if t[0] != "conv3.bias"])
    put("shape", change("conv2.weight", shape=[128, 64, 3]))
    put("rank", change("conv1.bias", shape=[128, 1]))
    put("short", change("lstm_cell.weight_hh", shape=[512, 64], raw=bytes(512 * 64 * 4)))
    put("empty", change("final_conv.bias", shape=[0], raw=b""))
    put("dtype", dtypes={"stft_conv.weight": "I32"})
    put("half", change("final_conv.weight", raw=bytes(256)), dtypes={"final_conv.weight": "F16"})
    put("nan", change("final_conv.bias", raw=struct.pack("<f", float("nan"))))
    put("nan-deep", change("conv1.bias", raw=struct.pack("<f", float("nan")) * 128))
    put("infinite", change("stft_conv.weight", raw=struct.pack("<f", float("inf")) * (258 * 256)))
    put("none", [("a", [1], bytes(4))])
    put("cut", raw[:len(raw) // 2])
    put("cut-header", raw[:300])
    put("text", b"version https://git-lfs.github.com/spec/v1\n")
    put("zero", b"x"[:0])
    put("huge-header", b"\xff" * 16)


def hostile(program, model, folder):
    def run(arguments, stdin=None):
        r = subprocess.run([program, *arguments], input=stdin, capture_output=True, timeout=60)
        check(r.returncode in (0, 1), "status", r.returncode, arguments, r.stderr.decode(errors="replace")[:2000])
        check(r.returncode == 0 or r.stderr, "no message:", arguments)
        check(all(line.startswith(b"vad: ") for line in r.stderr.splitlines()), "a sanitizer's report:", arguments, r.stderr)
        return r

    path = os.path.join(folder, "hostile.wav")
    x = speech()[:3 * 512]
    quick = os.path.join(folder, "quick.wav")
    open(quick, "wb").write(wav(x))
    wanted = run(["--probabilities", model, quick]).stdout
    check(wanted.count(b"\n") == 3, "probabilities of three chunks:", wanted)

    messages = {"missing": "conv3.bias: missing", "shape": "conv2.weight: wrong shape", "rank": "conv1.bias: wrong shape",
                "short": "lstm_cell.weight_hh: wrong shape", "empty": "final_conv.bias: wrong shape",
                "dtype": "stft_conv.weight: expected dtype F32", "half": "final_conv.weight: expected dtype F32",
                "nan": "NaN", "nan-deep": "NaN", "infinite": "NaN", "none": "conv1.bias: missing", "cut": "truncated",
                "cut-header": "truncated", "text": "Git LFS pointer", "zero": "file is empty", "huge-header": "header"}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".safetensors"):
            continue
        r = run(["--probabilities", os.path.join(folder, name), quick])
        name = name[:-12]
        if name.startswith("good"):
            check(r.returncode == 0 and r.stdout == wanted, name, r.stdout, r.stderr)
        else:
            error = r.stderr.decode()
            check(r.returncode == 1 and messages.pop(name).lower() in error.lower(), name, r.returncode, error)
    check(not messages, "not tried:", messages)
    for bad in ("/nonexistent", folder):
        check(run([bad, quick]).returncode == 1 and run([model, bad]).returncode == 1, bad)

    def takes(content, lines=wanted, warning=b""):
        for source in (path, "-"):
            open(path, "wb").write(content)
            r = run(["--probabilities", model, source], content if source == "-" else None)
            check(r.returncode == 0 and r.stdout == lines, "WAV", content[:60], r)
            check(warning in r.stderr if warning else not r.stderr, "warning:", r.stderr, "wanted", warning)

    def refuses(content, message):
        open(path, "wb").write(content)
        r = run(["--probabilities", model, path])
        check(r.returncode == 1 and message in r.stderr and not r.stdout, "WAV", content[:60], r, "wanted", message)

    def fmt(tag=1, channels=1, rate=16000, block=2, bits=16, more=b""):
        return struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits) + more

    def extensible(tag=1, rest=bytes.fromhex("000010008000" "00aa00389b71"), valid=16):
        return fmt(0xfffe, more=struct.pack("<HHII", 22, valid, 4, tag) + rest)

    takes(wav(x, extensible()))
    takes(wav(x, fmt(more=b"\0\0")))
    takes(wav(x, fmt(more=b"odd")))
    takes(wav(x, before=chunk(b"LIST", b"odd") + chunk(b"data"[::-1], bytes(2000)) + chunk(b"x   ", b"")))
    takes(wav(x, after=chunk(b"LIST", b"INFOISFT" * 900)))
    for unknown in (0, 0xffffffff, 0x7fffffff, 0x7ffff000, 0xfffffffe, 0xffffffff - 36):
        takes(wav(x, size=unknown))
    takes(wav(x)[:4] + b"\0\0\0\0" + wav(x)[8:])
    takes(wav(x)[:4] + b"\xff\xff\xff\xff" + wav(x)[8:])
    takes(wav(x.tobytes() + b"z"))  # half a sample is none
    takes(wav(x.tobytes() + b"z", size=0)[:-1])
    takes(wav(x, size=10 * len(x)), warning=b"%d of %d samples are missing" % (4 * len(x), 5 * len(x)))
    takes(wav(x, size=2 * len(x) + 2)[:-1], wav_lines(run, model, quick, x[:-1]), b"2 of 1537 samples are missing")
    takes(wav(x, size=0x7ffefffe), warning=b"samples are missing")
    takes(wav(x[:0]), b"")
    takes(wav(x[:1]), wav_lines(run, model, quick, np.pad(x[:1], (0, 511))))
    takes(wav(x[:513]), wav_lines(run, model, quick, np.pad(x[:513], (0, 511))))
    open(path, "wb").write(wav(x[:0]))
    check(run([model, path]).stdout == b"" and run(["--json", model, path]).stdout == b"[]\n", "an empty recording")

    refuses(wav(x, fmt(rate=8000)), b"16,000 samples a second")
    refuses(wav(x, fmt(channels=2, block=4)), b"one channel")
    refuses(wav(x, fmt(channels=0)), b"one channel")
    refuses(wav(x, fmt(bits=8, block=1)), b"16 bits")
    refuses(wav(x, fmt(bits=24, block=3)), b"16 bits")
    refuses(wav(x, fmt(bits=16, block=4)), b"16 bits")
    refuses(wav(x, fmt(tag=3, bits=32, block=4)), b"expected PCM")
    refuses(wav(x, fmt(tag=2)), b"expected PCM")
    refuses(wav(x, extensible(3)), b"expected PCM")
    refuses(wav(x, extensible(0x10001)), b"expected PCM")
    refuses(wav(x, extensible(rest=bytes(12))), b"expected PCM")
    refuses(wav(x, extensible()[:18]), b"too short")
    refuses(wav(x, extensible()[:39]), b"too short")
    refuses(wav(x, b""), b"too short")
    refuses(wav(x, fmt()[:15]), b"too short")
    refuses(wav(x, order=("data", "fmt")), b"fmt chunk is missing")
    refuses(wav(x, order=("data",)), b"fmt chunk is missing")
    refuses(wav(x, order=("fmt",)), b"no data chunk")
    refuses(wav(x, riff=b"RIFX"), b"not a WAV file")
    refuses(wav(x, riff=b"RF64"), b"not a WAV file")
    refuses(wav(x, before=b"LIST\xff\xff\xff\xff"), b"no data chunk")
    refuses(wav(x, before=b"LIST\xff\xff\xff\x7f"), b"no data chunk")
    refuses(wav(x, before=b"fmt \xff\xff\xff\xff"), b"fmt")
    refuses(b"RIFF\0\0\0\0WAVE", b"no data chunk")
    refuses(open(model, "rb").read(1000), b"not a WAV file")
    whole = wav(x)
    for n in list(range(0, 44, 3)) + [12, 43]:
        refuses(whole[:n], b"hostile.wav: ")
    rng = random.Random(14)
    for _ in range(60):  # nothing to expect but an exit status
        mutated = bytearray(whole[:rng.choice([60, 400, len(whole)])])
        for _ in range(rng.randrange(1, 5)):
            mutated[rng.randrange(4, 48)] = rng.choice([0, 1, 2, 0x7f, 0x80, 0xff, rng.randrange(256)])
        open(path, "wb").write(bytes(mutated))
        run([model, path])

    # the same from a pipe that brings a few bytes at a time
    process = subprocess.Popen([program, "--probabilities", model, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for at in range(0, len(whole), 77):
        process.stdin.write(whole[at:at + 77])
        process.stdin.flush()
    check(process.communicate()[0] == wanted, "a slow pipe")
    check(b"".join(run(["--probabilities", model, "-"], wav(x[:n])).stdout for n in (512, 1024)) ==
          wanted[:10] + wanted[:20], "a shorter recording")
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            r = subprocess.run([program, "--probabilities", model, quick], stdout=full, stderr=subprocess.PIPE)
            check(r.returncode == 1 and b"cannot be written" in r.stderr, "a full device:", r)


def wav_lines(run, model, path, x):
    open(path, "wb").write(wav(x))
    return run(["--probabilities", model, path]).stdout


def main(command, *arguments):
    if command == "model":
        write_model(arguments[0], list(random_tensors()))
    elif command == "speech":
        open(arguments[0], "wb").write(wav(speech()))
    elif command == "probabilities":
        for p in probabilities(read_model(arguments[0]), samples_of(arguments[1])):
            print("%.7f" % p)
    else:
        {"compare": compare, "segments": segments, "cases": cases, "damage": damage, "hostile": hostile}[command](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
