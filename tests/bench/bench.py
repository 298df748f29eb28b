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
import report
import workloads

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(ROOT)  # from here on paths are without blanks, by which workers part words
HERE = os.path.join("tests", "bench")
OUT = os.path.join("build", "bench")
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
    for python in (os.environ.get("PYTHON"), "build/venv/bin/python", sys.executable):
        if python and said([python, os.path.join(HERE, "reference.py"), "--version"]):
            return python
    return None


def make_workers():
    """name -> command of each that is here; and the versions of all that takes part."""
    commands, versions = {}, ["%s, %s" % (said(CC + ["--version"]), " ".join(CFLAGS))]
    for name in ("generate", "header", "move", "write", "limits"):
        program = os.path.join(OUT, name)
        if build(name, CC + CFLAGS + ["-pthread", "-o", program, os.path.join(HERE, name + ".c")]):
            commands[name] = [program]
        else:
            broken.append("%s.c does not build: build/bench/%s.log" % (name, name))
    manifest, target = os.path.join(HERE, "reference", "Cargo.toml"), os.path.join(OUT, "cargo")
    if build("crate", ["cargo", "build", "--release", "--manifest-path", manifest, "--target-dir", target]):
        commands["crate"] = [os.path.join(target, "release", "reference")]
        with open(manifest) as lines:
            version = next(line.split('"')[1].lstrip("=") for line in lines if line.startswith("safetensors"))
        versions.append("crate safetensors %s, LTO, %s" % (version, said(["rustc", "--version"])))
    else:
        skip("the reference's crate", "no cargo, or it does not build: build/bench/crate.log")
    cxx, program = os.environ.get("CXX", "c++").split(), os.path.join(OUT, "simdjson")
    if build("simdjson", cxx + CFLAGS + ["-o", program, os.path.join(HERE, "simdjson.cc"), "-lsimdjson"]):
        commands["simdjson"] = [program]
        versions.append("simdjson " + (said(["pkg-config", "--modversion", "simdjson"]) or "of this system"))
    else:
        skip("simdjson", "no libsimdjson-dev here: build/bench/simdjson.log")
    where, program = os.environ.get("BENCH_PROTOTYPE", "../shared/perf"), os.path.join(OUT, "prototype")
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
    reading = ["-DST_NO_WRITER", "-DST_NO_FILES", "-DST_NO_CONVERT"]
    for label, flags in (("whole", []), ("reading only, no files", reading)):
        command = CC + CFLAGS + flags + ["-I", ".", "-c", source, "-o", source + ".o"]
        times = []
        for _ in range(rounds):
            before = os.times()
            if not build("whole", command):
                broken.append("the header does not build: build/bench/whole.log")
                return []
            after = os.times()
            times.append(after.children_user + after.children_system - before.children_user - before.children_system)
        sizes = said(["sh", "-c", "size '%s.o' | tail -n 1" % source]).split()
        rows.append({"label": label, "seconds": statistics.median(times), "text": int(sizes[0]) if sizes else 0})
    return rows


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
    system = "%s %s" % (platform.system(), platform.release())
    return "%s, %d processors, %s" % (model or platform.processor(), os.cpu_count(), system)


def run(name, commands, wanted, rounds):
    if name == "compile":
        return compile_header(rounds)
    cases = []
    for case in wanted:
        samples = measure(case, commands, 3 if case.fresh else rounds)
        if any(way.startswith("ours") for way in samples):
            cases.append(summary(case, samples))
    return cases


def write_results(results, file):
    results["goals"] = report.judge(results["workloads"])
    with open(file + ".json", "w") as out:
        json.dump(results, out, indent=1)
    with open(file + ".md", "w") as out:
        out.write(report.markdown(results))
    picture.draw(results, file + ".svg")


def main():
    quick = bool(os.environ.get("BENCH_QUICK"))
    names = sys.argv[1:] or list(workloads.TITLES)
    for name in names:
        if name not in workloads.TITLES:
            sys.exit("bench: no workload %s; there are: %s" % (name, " ".join(workloads.TITLES)))
    os.makedirs(OUT, exist_ok=True)
    sizes, start = workloads.Sizes(quick), time.time()
    commands, versions = make_workers()
    if "limits" not in commands or "generate" not in commands:
        sys.exit("bench: " + "; ".join(broken))
    wanted = [case for case in workloads.cases(sizes, DIRECTORY) if case.workload in names]
    generate(commands, sizes, wanted)
    file, results = os.path.join(OUT, "quick" if quick else "bench"), {"workloads": {}}
    if os.path.exists(file + ".json"):
        with open(file + ".json") as old:
            results = json.load(old)
    head = {"date": time.strftime("%Y-%m-%d %H:%M"), "machine": machine(), "versions": versions, "rounds": sizes.rounds}
    print("%s; %s; %s; medians of %d rounds" % (head["date"], head["machine"], "; ".join(versions), sizes.rounds))
    print("a column says how many times as fast ours is: as that peer, or as what the machine does without a library")
    for name in names:
        cases = run(name, commands, [case for case in wanted if case.workload == name], sizes.rounds)
        report.print_cases(name, cases)
        sys.stdout.flush()
        results["workloads"][name] = dict(head, title=workloads.TITLES[name], cases=cases)
        write_results(results, file)
    report.print_goals([goal for goal in results["goals"] if goal["workload"] in names])
    for worker in Worker.running.values():
        worker.close()
    for reason, what in skipped.items():
        more = " and %d more" % (len(what) - 4) if len(what) > 4 else ""
        print("skipped: %s%s: %s" % (", ".join(what[:4]), more, reason))
    for what in broken:
        print("FAILED: " + what)
    print("all in %.0f s; %s.json, .md, .svg" % (time.time() - start, file))
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
