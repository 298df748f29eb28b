"""bench.py [WORKLOAD...]: the benchmark. All of it in some ten minutes, or what is named.

Prints a table of medians, ratios first, the goals beside what was measured, and what it skipped and why; writes
build/bench/bench.json, where workloads that were not named stay as they were, and bench.svg and bench.md beside it,
copies of which the README shows. BENCH_QUICK=1: small files and three rounds, to see that it works. CC, CFLAGS and
PYTHON as usual; BENCH_DIRECTORY says on which file system the files lie (build/bench). Takes 10 GiB of memory and 6 GiB
of disk.

Compare ratios within one run, not figures of different runs: each round does a case in all ways, one after the other,
beginning with another way each time, and a ratio is the median of the rounds' ratios.
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

import picture
import workloads

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(ROOT, "build", "bench")
DIRECTORY = os.environ.get("BENCH_DIRECTORY", OUT)
CC = os.environ.get("CC", "cc").split()
CFLAGS = os.environ.get("CFLAGS", "-O2").split()

skipped = {}  # reason -> what; printed once, at the end
broken = []  # what of ours does not build or dies: the run has failed


def skip(what, reason):
    skipped.setdefault(reason, []).append(what)


# ---- workers ---------------------------------------------------------------------------------------------------------


def said(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split("\n")[0]
    except (OSError, subprocess.CalledProcessError):
        return ""


def build(name, command):
    """Whether the worker is there now; what the compiler said is in build/bench/NAME.log."""
    with open(os.path.join(OUT, name + ".log"), "w") as log:
        try:
            return subprocess.run(command, stdout=log, stderr=log).returncode == 0
        except OSError as error:
            log.write("%s\n" % error)
            return False


def interpreter():
    for python in (os.environ.get("PYTHON"), os.path.join(ROOT, "build/venv/bin/python"), sys.executable):
        if python and said([python, os.path.join(HERE, "reference.py"), "--version"]):
            return python
    return None


def make_workers():
    """name -> command of each that is here; and the versions of all that takes part."""
    commands, versions = {}, ["%s, %s" % (said(CC + ["--version"]), " ".join(CFLAGS))]
    for name, extra in (
        ("generate", []),
        ("header", []),
        ("move", ["-pthread"]),
        ("write", []),
        ("limits", ["-pthread"]),
    ):
        program = os.path.join(OUT, name)
        if build(name, CC + CFLAGS + extra + ["-o", program, os.path.join(HERE, name + ".c")]):
            commands[name] = [program]
        else:
            broken.append("%s.c does not build: build/bench/%s.log" % (name, name))
    target = os.path.join(OUT, "cargo")
    if build(
        "crate",
        [
            "cargo",
            "build",
            "--release",
            "--manifest-path",
            os.path.join(HERE, "reference", "Cargo.toml"),
            "--target-dir",
            target,
        ],
    ):
        commands["crate"] = [os.path.join(target, "release", "reference")]
        with open(os.path.join(HERE, "reference", "Cargo.toml")) as manifest:
            version = next(line.split('"')[1].lstrip("=") for line in manifest if line.startswith("safetensors"))
        versions.append("crate safetensors %s, LTO, %s" % (version, said(["rustc", "--version"])))
    else:
        skip("the reference's crate", "no cargo, or it does not build: build/bench/crate.log")
    program = os.path.join(OUT, "simdjson")
    cxx = os.environ.get("CXX", "c++").split()
    if build("simdjson", cxx + CFLAGS + ["-o", program, os.path.join(HERE, "simdjson.cc"), "-lsimdjson"]):
        commands["simdjson"] = [program]
        versions.append("simdjson " + (said(["pkg-config", "--modversion", "simdjson"]) or "of this system"))
    else:
        skip("simdjson", "no libsimdjson-dev here: build/bench/simdjson.log")
    where, program = os.environ.get("BENCH_PROTOTYPE", os.path.join(ROOT, "..", "shared", "perf")), os.path.join(
        OUT, "prototype"
    )
    if build("prototype", CC + CFLAGS + ["-I", where, "-o", program, os.path.join(HERE, "prototype.c")]):
        commands["prototype"] = [program]
    else:
        skip("the prototype", "not where BENCH_PROTOTYPE says: build/bench/prototype.log")
    python = interpreter()
    if python:
        commands["package"] = [python, os.path.join(HERE, "reference.py")]
        versions.append("package " + said(commands["package"] + ["--version"]))
    else:
        skip("the reference's Python package and numpy", "no Python that has both")
    return commands, versions


class Worker:
    running = {}

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        """[wall, CPU, work, ...], or None and why not."""
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            words = self.process.stdout.readline().split()
        except BrokenPipeError:
            words = []
        if not words:
            return None, "it died: status %s" % self.process.wait()
        if words[0] != "ok":
            return None, " ".join(words[1:])
        return [float(word) for word in words[1:]], None

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    @classmethod
    def of(cls, name, command):
        worker = cls.running.get(name)
        if not worker or worker.process.poll() is not None:
            worker = cls.running[name] = cls(command)
        return worker


# ---- samples ---------------------------------------------------------------------------------------------------------


def evict(commands, path):
    """Whether the file is out of the page cache."""
    pages = os.path.getsize(path) / 4096
    limits = Worker.of("limits", commands["limits"])
    answer, _ = limits.ask("evict-once " + path)
    if answer and answer[2] > pages / 100:
        try:
            with open("/proc/sys/vm/drop_caches", "w") as drop:
                drop.write("1\n")
        except OSError:
            return False
        answer, _ = limits.ask("evict-once " + path)
    return bool(answer) and answer[2] <= pages / 100


def remove(paths):
    for path in (paths,) if isinstance(paths, str) else paths or ():
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.remove(path)


def sample(case, commands, worker, line):
    if case.evict and not evict(commands, case.evict):
        return None, "the page cache cannot be dropped here"
    for path in case.remove if isinstance(case.remove, tuple) else ():
        if not os.path.splitext(path)[1]:
            os.makedirs(path, exist_ok=True)
    w = Worker(commands[worker]) if case.fresh else Worker.of(worker, commands[worker])
    answer, reason = w.ask(line)
    if case.fresh:
        w.close()
    remove(case.remove)
    return answer, reason


def measure(case, commands, rounds):
    """name -> samples, in the order of the rounds; only of those ways that are possible here."""
    ways = [way for way in case.ways() if way[1] in commands]
    samples = {name: [] for name, _, _ in ways}
    for turn in range(rounds + 1):  # the first does not count
        for i in range(len(ways)):
            name, worker, line = ways[(i + turn) % len(ways)]
            if name not in samples:
                continue
            answer, reason = sample(case, commands, worker, line)
            if answer:
                samples[name].append(answer)
            else:
                del samples[name]
                skip("%s of %s" % (name, case), reason)
                if name.startswith("ours") and "page cache" not in reason:
                    broken.append("%s: %s" % (case, reason))
    for taken in samples.values():
        del taken[0]
    work = {taken[0][2] for name, taken in samples.items() if name in case.peers or name.startswith("ours")}
    if len(work) > 1:
        broken.append("%s: not all did the same work: %s" % (case, sorted(work)))
    return samples


def summary(case, samples):
    """What the JSON holds of a case."""
    column = 1 if case.cpu else 0
    unit, count = case.per
    ways = {}
    for name, taken in samples.items():
        if case.fresh:
            ways[name] = {
                "kept": statistics.median(s[3] for s in taken),
                "peak": statistics.median(s[4] for s in taken),
            }
        else:
            times = [s[column] for s in taken]
            ways[name] = {
                "median_ns": statistics.median(times),
                "least_ns": min(times),
                "most_ns": max(times),
                "ns": times,
            }
    ratios = {}
    if not case.fresh:
        for ours in [name for name in ways if name.startswith("ours")]:
            for other in [name for name in ways if not name.startswith("ours")]:
                pairs = zip(ways[other]["ns"], ways[ours]["ns"])
                ratios.setdefault(ours, {})[other] = statistics.median(theirs / mine for theirs, mine in pairs)
    return {
        "label": case.label,
        "unit": unit,
        "name_bytes": case.name_bytes(),
        "count": count,
        "clock": "cpu" if case.cpu else "wall",
        "ways": ways,
        "peers": [n for n in case.peers if n in ways],
        "limits": [n for n in case.limits if n in ways],
        "ratios": ratios,
    }


# ---- the compiler ----------------------------------------------------------------------------------------------------


def compile_header(rounds):
    source = os.path.join(OUT, "whole.c")
    with open(source, "w") as out:
        out.write('#define ST_IMPLEMENTATION\n#include "safetensors.h"\n')
    rows = []
    for label, flags in (
        ("whole", []),
        ("reading only, no files", ["-DST_NO_WRITER", "-DST_NO_FILES", "-DST_NO_CONVERT"]),
    ):
        command = CC + CFLAGS + flags + ["-I", ROOT, "-c", source, "-o", source + ".o"]
        times = []
        for _ in range(rounds):
            before = os.times()
            if subprocess.run(command).returncode:
                broken.append("the header does not build")
                return []
            after = os.times()
            times.append(after.children_user + after.children_system - before.children_user - before.children_system)
        sizes = said(["sh", "-c", "size '%s.o' | tail -n 1" % source]).split()
        rows.append({"label": label, "seconds": statistics.median(times), "text": int(sizes[0]) if sizes else 0})
    return rows


# ---- the table -------------------------------------------------------------------------------------------------------


def figure(case, way):
    """A time as what the case is counted in."""
    if case["unit"] == "GB/s":
        return "%.3g GB/s" % (case["count"] / way["median_ns"])
    return "%.3g %s" % (way["median_ns"] / case["count"], case["unit"])


def times(x):
    return "-" if x is None else "%.0fx" % x if x >= 100 else "%.1fx" % x if x >= 10 else "%.2fx" % x


def print_table(name, cases):
    print("\n%s: %s" % (name, workloads.TITLES[name]))
    columns = []
    for case in cases:
        columns += [other for other in case["peers"] + case["limits"] if other not in columns]
    print("  %-36s %s  ours" % ("", "".join("%11s" % c for c in columns)))
    for case in cases:
        for ours in [way for way in case["ways"] if way.startswith("ours")]:
            label = (case["label"] + ", " + ours[5:]).strip(", ")
            ratios = case["ratios"].get(ours, {})
            print(
                "  %-36s %s  %s"
                % (label, "".join("%11s" % times(ratios.get(c)) for c in columns), figure(case, case["ways"][ours]))
            )


def print_memory(cases):
    print("\nmemory: %s" % workloads.TITLES["memory"])
    for case in cases:
        unit, count = case["unit"], case["count"]
        ways = (
            "%s %.4g" % (way, m["kept"] / count) + (", at most %.4g" % (m["peak"] / count) if m["peak"] else "")
            for way, m in case["ways"].items()
        )
        print("  %-36s %s %s" % (case["label"], "; ".join(ways), unit))


def print_compile(rows):
    print("\ncompile: %s" % workloads.TITLES["compile"])
    for row in rows:
        print("  %-36s %.2f s, %d bytes of text" % (row["label"], row["seconds"], row["text"]))


def print_goals(goals):
    print("\ngoals: how many times as fast as, or what share of, at least; and what was measured")
    for goal in goals:
        measured, verdict = "", "not measured"
        if goal["measured"] is not None:
            measured = "%.4g" % goal["measured"]
            verdict = "holds" if goal["holds"] else "falls short by %.1f %%" % goal["short"]
        print("  %-62s %8.4g %8s  %s" % (goal["goal"], goal["bound"], measured, verdict))


MARKDOWN = [  # what the README shows: workload, label, which of ours, peers in the order of its columns, limit
    ("open a file of 1,000 tensors", "open", "dense 1,000", "", ("crate", "package"), "map, copy"),
    ("of 100,000", "open", "moe 100,000", "", ("crate", "package"), "map, copy"),
    ("of 1,000,000", "open", "moe 1,000,000", "", ("crate", "package"), "map, copy"),
    ("a model of 92,000 in 160 shards", "sharded", "92,000 in 160", "", ("crate", "package"), ""),
    ("find a name of 100,000", "find", "moe 100,000", "", ("crate", ""), ""),
    ("load 1 GiB, warm, 1 thread", "load", "1 thread", "", ("crate", "package"), "memcpy"),
    ("load 1 GiB, warm, 2 threads", "load", "2 threads", "", ("crate", "package"), "memcpy"),
    ("load 1 GiB, cold", "load-cold", "", "4 threads", ("crate", ""), "O_DIRECT"),
    ("load 1 GiB, cold, direct", "load-cold", "", "direct", ("crate", ""), "O_DIRECT"),
    ("one layer of 64 MiB, warm", "layer", "warm", "", ("crate", "package"), "pread"),
    ("every 7th row of a matrix", "view", "every 7th row", "", ("crate", ""), "by hand"),
    ("a quarter of its columns", "view", "a quarter of the columns", "", ("crate", "package"), "by hand"),
    ("transpose a matrix", "transpose", "", "", ("", "numpy"), "memcpy"),
    ("BF16 to F32", "convert", "BF16 to F32 in memory", "", ("", "numpy"), "memcpy"),
    ("F16 to F32", "convert", "F16 to F32 in memory", "", ("", "numpy"), "memcpy"),
    ("F8_E4M3 to F32", "convert", "F8_E4M3 to F32 in memory", "", ("", "numpy"), "memcpy"),
    ("F32 to BF16", "convert", "F32 to BF16 in memory", "", ("", "numpy"), "memcpy"),
    ("save 1 GiB, not flushed", "save", "not flushed", "", ("crate", "package"), "write"),
    ("save 1 GiB, flushed", "save", "flushed", "", ("crate", "package"), "write"),
    ("one file to four shards", "shard", "", "", ("", ""), "copy"),
    ("four shards to one file", "merge", "", "", ("", ""), "copy"),
]


def markdown(report):
    lines = ["| | safetensors.h | Rust crate | Python, numpy | the machine |", "|---|---|---|---|---|"]
    for title, workload, label, variant, peers, limit in MARKDOWN:
        for case in report["workloads"].get(workload, {}).get("cases", []):
            ours = ("ours " + variant).strip()
            if case["label"] == label and ours in case["ways"]:
                ratios = case["ratios"].get(ours, {})
                others = [times(ratios[other]) if other in ratios else "" for other in (*peers, limit)]
                lines.append("| %s | %s |" % (title, " | ".join([figure(case, case["ways"][ours])] + others)))
    return "\n".join(lines) + "\n"


# ---- goals -----------------------------------------------------------------------------------------------------------


def goal(workload, text, measured, bound, most=False):
    if measured is None:
        return {"workload": workload, "goal": text, "bound": bound, "measured": None, "holds": None, "short": None}
    holds = measured <= bound if most else measured >= bound
    short = 0 if holds else (measured / bound - 1) * 100 if most else (1 - measured / bound) * 100
    return {"workload": workload, "goal": text, "bound": bound, "measured": measured, "holds": holds, "short": short}


def counted():
    """What make bench-count holds the code to."""
    with open(os.path.join(HERE, "counts.txt")) as counts:
        return {line.split()[0]: float(line.split()[1]) for line in counts if not line.startswith("#")}


def ratio_goals(results):
    for workload, labels, variant, other, least in workloads.GOALS:
        ours = ("ours " + variant).strip()
        measured = {
            case["label"]: case["ratios"].get(ours, {}).get(other)
            for case in results.get(workload, {}).get("cases", [])
        }
        for label in measured if labels is None else labels:
            text = " ".join(filter(None, (workload, label, variant and "(%s)" % variant, "/", other)))
            yield goal(workload, text, measured.get(label), least)


def judge(results):
    goals = list(ratio_goals(results))
    for case in results.get("memory", {}).get("cases", []):
        if case["name_bytes"]:
            most = 96 + case["name_bytes"] + 8 * 2  # matrices
            kept = case["ways"]["ours"]["kept"] / case["count"]
            goals.append(
                goal("memory", "memory %s: bytes kept a tensor, at most" % case["label"], kept, most, most=True)
            )
    for label, count in counted().items():
        workload = label.split("-")[0]
        most = {"parse": 800, "find": 150}.get(workload)
        if most:
            goals.append(
                goal(workload, "instructions of %s, at most (make bench-count)" % label, count, most, most=True)
            )
    for row in results.get("compile", {}).get("cases", []):
        if row["label"] == "whole":
            goals.append(goal("compile", "compile: seconds, at most", row["seconds"], 1.0, most=True))
            goals.append(goal("compile", "compile: bytes of text, at most", row["text"], 40960, most=True))
        else:
            goals.append(
                goal("compile", "compile: bytes of text of the reading half, at most", row["text"], 12288, most=True)
            )
    return goals


# ---- all of it -------------------------------------------------------------------------------------------------------


def generate(commands, sizes, wanted):
    lines = " ".join(line + " " + (case.evict or "") for case in wanted for _, _, line in case.ways())
    for path, arguments in workloads.files(sizes, DIRECTORY).items():
        if path not in lines or os.path.exists(path):
            continue
        new = path + ".new"
        remove(new)
        if arguments[0] in ("shards", "quarters"):
            os.makedirs(new)
        subprocess.run(commands["generate"] + arguments + [new], check=True)
        if os.path.exists(new + ".names"):
            os.rename(new + ".names", path + ".names")
        os.rename(new, path)  # what is there is whole


def machine():
    model = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as info:
            model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "")
    return "%s, %d processors, %s %s" % (
        model or platform.processor(),
        os.cpu_count(),
        platform.system(),
        platform.release(),
    )


def run(name, commands, wanted, rounds):
    if name == "compile":
        cases = compile_header(rounds)
        print_compile(cases)
        return cases
    cases = []
    for case in wanted:
        samples = measure(case, commands, 3 if case.fresh else rounds)
        if any(way.startswith("ours") for way in samples):
            cases.append(summary(case, samples))
    if cases:
        (print_memory if name == "memory" else lambda c: print_table(name, c))(cases)
    return cases


def main():
    quick = bool(os.environ.get("BENCH_QUICK"))
    names = sys.argv[1:] or list(workloads.TITLES)
    for name in names:
        if name not in workloads.TITLES:
            sys.exit("bench: no workload %s; there are: %s" % (name, " ".join(workloads.TITLES)))
    os.makedirs(OUT, exist_ok=True)
    sizes = workloads.Sizes(quick)
    start = time.time()
    commands, versions = make_workers()
    if "limits" not in commands or "generate" not in commands:
        sys.exit("bench: " + "; ".join(broken))
    wanted = [case for case in workloads.cases(sizes, DIRECTORY) if case.workload in names]
    generate(commands, sizes, wanted)
    file = os.path.join(OUT, "quick.json" if quick else "bench.json")
    report = {"workloads": {}}
    if os.path.exists(file):
        with open(file) as old:
            report = json.load(old)
    print(
        "%s; %s; %s; medians of %d rounds"
        % (time.strftime("%Y-%m-%d %H:%M"), machine(), "; ".join(versions), sizes.rounds)
    )
    print("a column says how many times as fast ours is: as that peer, or as what the machine does without a library")
    for name in names:
        cases = run(name, commands, [case for case in wanted if case.workload == name], sizes.rounds)
        report["workloads"][name] = {
            "date": time.strftime("%Y-%m-%dT%H:%M"),
            "machine": machine(),
            "versions": versions,
            "rounds": sizes.rounds,
            "title": workloads.TITLES[name],
            "cases": cases,
        }
        sys.stdout.flush()
    report["goals"] = judge(report["workloads"])
    with open(file, "w") as out:
        json.dump(report, out, indent=1)
    print_goals([goal for goal in report["goals"] if goal["workload"] in names])
    picture.draw(report, os.path.splitext(file)[0] + ".svg")
    with open(os.path.splitext(file)[0] + ".md", "w") as out:
        out.write(markdown(report))
    for worker in Worker.running.values():
        worker.close()
    for reason, what in skipped.items():
        print(
            "skipped: %s: %s"
            % (", ".join(what[:4]) + (" and %d more" % (len(what) - 4) if len(what) > 4 else ""), reason)
        )
    for what in broken:
        print("FAILED: " + what)
    print("all in %.0f s; %s" % (time.time() - start, os.path.relpath(file, ROOT)))
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
