"""bench.py [--table] [WORKLOAD...]: measures safetensors.h beside other libraries and beside plain system calls.

Measures all workloads, which takes up to 10 minutes, or those that are named. Prints medians and the goals that are
missed, and writes build/bench/bench.json, in which other workloads keep their results. --table only prints the table of
the README from that file.

Each round runs a case with all programs, in another order each time, for a disk is not the same after each of them. A
ratio is the median of the rounds' ratios. Compare ratios: absolute numbers depend on the machine and its load.

Environment: CC, CXX, CFLAGS, PYTHON; BENCH_DIRECTORY: where the files go, 6 GiB (build/bench); BENCH_QUICK=1: small
files and 3 rounds, to see that everything works. Needs 10 GiB of memory.
"""

import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import time

import workloads

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(ROOT)  # from here on no path has a blank, which separates the words of a request
HERE = os.path.join("tests", "bench")
OUT = os.path.join("build", "bench")
ROUNDS, LEAST_ROUNDS, SECONDS = 11, 5, 6  # a case ends after 11 rounds, or after 6 s if it had 5 rounds

# glibc's malloc gives no memory back, so that each repetition finds what the one before freed
KEEP_MEMORY = "glibc.malloc.trim_threshold=1099511627776:glibc.malloc.mmap_max=0"

COMMANDS = {}  # program -> its command line; those that are here
skipped = {}  # reason -> what; printed at the end
broken = []  # what of ours does not build or fails: the run has failed


def skip(what, reason):
    skipped.setdefault(reason, []).append(str(what))


# ---- programs ------------------------------------------------------------------------------------------------------


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split("\n")[0]
    except (OSError, subprocess.CalledProcessError):
        return ""


def build(name, command):
    """Returns whether the program was built; the compiler's output is in build/bench/NAME.log."""
    with open(os.path.join(OUT, name + ".log"), "w") as log:
        try:
            return subprocess.run(command, stdout=log, stderr=log).returncode == 0
        except OSError as error:
            log.write("%s\n" % error)
            return False


def make_programs():
    """Builds what it can, fills COMMANDS, and returns the versions of what is compared."""
    cc, cxx = os.environ.get("CC", "cc").split(), os.environ.get("CXX", "c++").split()
    flags = os.environ.get("CFLAGS", "-O2").split()
    versions = ["%s %s" % (first_line(cc + ["--version"]), " ".join(flags))]
    for name in ("generate", "ours", "limits"):
        COMMANDS[name] = [os.path.join(OUT, name)]
        if not build(name, cc + flags + ["-pthread", "-o", *COMMANDS[name], os.path.join(HERE, name + ".c")]):
            sys.exit("bench: %s.c does not build: build/bench/%s.log" % (name, name))
    manifest, target = os.path.join(HERE, "reference", "Cargo.toml"), os.path.join(OUT, "cargo")
    if build("crate", ["cargo", "build", "--release", "--manifest-path", manifest, "--target-dir", target]):
        COMMANDS["crate"] = [os.path.join(target, "release", "reference")]
        with open(manifest) as lines:
            version = next(line.split('"')[1].lstrip("=") for line in lines if line.startswith("safetensors"))
        versions.append("crate safetensors %s with LTO, %s" % (version, first_line(["rustc", "--version"])))
    else:
        skip("crate", "no cargo, or it does not build: build/bench/crate.log")
    program = os.path.join(OUT, "simdjson")
    if build("simdjson", cxx + flags + ["-o", program, os.path.join(HERE, "simdjson.cc"), "-lsimdjson"]):
        COMMANDS["simdjson"] = [program]
        versions.append("simdjson " + first_line(["pkg-config", "--modversion", "simdjson"]))
    else:
        skip("simdjson", "no libsimdjson-dev: build/bench/simdjson.log")
    for python in (os.environ.get("PYTHON"), "build/venv/bin/python", sys.executable):
        command = [python, os.path.join(HERE, "reference.py")]
        if python and first_line(command + ["--version"]):
            COMMANDS["package"] = command
            versions.append("package " + first_line(command + ["--version"]))
            break
    else:
        skip("package", "no Python with safetensors and numpy: tests/tools/install bench")
    return versions


class Worker:
    """A running program that does what it is asked (worker.h)."""

    running = {}

    def __init__(self, command, keep_memory=False):
        environment = dict(os.environ, **({"GLIBC_TUNABLES": KEEP_MEMORY} if keep_memory else {}))
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, request):
        """Returns [wall, CPU, work, kept, peak], or None and the reason."""
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            words = self.process.stdout.readline().split()
        except BrokenPipeError:
            words = []
        if not words:
            return None, "the program ended with status %s" % self.process.wait()
        if words[0] != "ok":
            return None, " ".join(words)
        return [float(word) for word in words[1:]], None

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    @classmethod
    def of(cls, command, keep_memory=False):
        key = (*command, keep_memory)
        worker = cls.running.get(key)
        if not worker or worker.process.poll() is not None:
            worker = cls.running[key] = cls(command, keep_memory)
        return worker

    @classmethod
    def close_all(cls):
        for worker in cls.running.values():
            worker.close()
        cls.running.clear()


# ---- samples -------------------------------------------------------------------------------------------------------


def evict(path):
    """Returns whether the file has left the page cache."""
    most = os.path.getsize(path) / 4096 / 100
    limits = Worker.of(COMMANDS["limits"])
    answer, _ = limits.ask("once evict " + path)
    if answer and answer[2] > most:
        try:
            with open("/proc/sys/vm/drop_caches", "w") as drop:
                drop.write("1\n")
        except OSError:
            return False
        answer, _ = limits.ask("once evict " + path)
    return bool(answer) and answer[2] <= most


def remove(paths):
    for path in paths:
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.remove(path)


def sample(case, command, request):
    if case.state == "cold" and not evict(case.file):
        return None, "the page cache cannot be emptied here"
    for path in case.remove:
        if not os.path.splitext(path)[1]:
            os.makedirs(path, exist_ok=True)
    if case.state == "fresh":
        worker = Worker(command)
        if case.before:
            worker.ask("once " + case.before)
        answer = worker.ask("once " + request)
        worker.close()
    else:
        once = case.once or case.state == "cold"
        answer = Worker.of(command, keep_memory=case.cpu).ask(("once " if once else "") + request)
    remove(case.remove)
    return answer


def measure(case, rounds):
    """Returns name -> samples in the order of the rounds, for those ways that work here."""
    ways = [(name, COMMANDS[way[0]], way[1]) for name, way in case.ways.items() if way[0] in COMMANDS]
    samples = {name: [] for name, _, _ in ways}
    start, order = time.monotonic(), random.Random(1)
    for turn in range(rounds + 1):  # the first round is not counted
        if turn > LEAST_ROUNDS and time.monotonic() - start > SECONDS:
            break
        for name, command, request in order.sample(ways, len(ways)):
            if name not in samples:
                continue
            answer, reason = sample(case, command, request)
            if answer:
                samples[name].append(answer)
                continue
            del samples[name]
            skip("%s of %s" % (name, case), reason)
            if name.startswith("ours") and "page cache" not in reason:
                broken.append("%s: %s" % (case, reason))
    for taken in samples.values():
        del taken[0]
    compared = [name for name, (program, _) in case.ways.items() if program in ("ours", "crate", "package", "simdjson")]
    work = {samples[name][0][2] for name in compared if name in samples}
    if len(work) > 1:
        broken.append("%s: the programs did not do the same work: %s" % (case, sorted(work)))
    return samples


def summary(case, samples):
    """Returns what the JSON holds of a case: medians, and ratio[ours][other]: how many times as fast ours is."""
    result = {"label": case.label, "state": case.state, "unit": case.unit, "count": case.count, "medians": {}}
    if case.workload == "memory":
        for name, taken in samples.items():
            result["medians"][name] = [statistics.median(s[column] / case.count for s in taken) for column in (3, 4)]
        return result
    times = {name: [s[1 if case.cpu else 0] for s in taken] for name, taken in samples.items()}
    result["rounds"] = min(len(taken) for taken in times.values())
    result["medians"] = {name: statistics.median(taken) for name, taken in times.items()}
    result["ratio"] = {
        ours: {
            other: statistics.median(theirs / mine for theirs, mine in zip(times[other], times[ours]))
            for other in times
            if other != ours
        }
        for ours in times
        if ours.startswith("ours")
    }
    return result


# ---- what is printed -----------------------------------------------------------------------------------------------


def figure(case, way):
    if case["unit"] == "GB/s":
        return "%.3g GB/s" % (case["count"] / case["medians"][way])
    value = case["medians"][way] / case["count"]
    return "%s %s" % (format(value, ",.0f") if value >= 100 else "%.3g" % value, case["unit"])


def times(x):
    return "-" if x is None else "%.0fx" % x if x >= 100 else "%.1fx" % x if x >= 10 else "%.2fx" % x


def print_cases(name, cases):
    print("\n%s: %s" % (name, workloads.TITLES[name]))
    if name == "memory":
        for case in cases:
            pairs = ("%s %.0f, peak %.0f" % (way, kept, peak) for way, (kept, peak) in case["medians"].items())
            print("  %-36s %s; %s" % (case["label"], "; ".join(pairs), case["unit"]))
        return
    columns = []
    for case in cases:
        columns += [way for way in case["medians"] if not way.startswith("ours") and way not in columns]
    print("  %-45s %-6s%s  ours" % ("", "", "".join("%10s" % c for c in columns)))
    for case in cases:
        for ours, ratio in case["ratio"].items():
            label, cells = (case["label"] + ", " + ours[5:]).strip(", "), (times(ratio.get(c)) for c in columns)
            row = "".join("%10s" % cell for cell in cells)
            print("  %-45s %-6s%s  %s" % (label, case["state"], row, figure(case, ours)))
    sys.stdout.flush()


def results_of(results, workload):
    return results["workloads"].get(workload, {}).get("cases", [])


def print_goals(results, names):
    held, missed = 0, []
    for workload, labels, state, variant, other, least in workloads.GOALS:
        ours = ("ours " + variant).strip()
        for case in results_of(results, workload) if workload in names else ():
            ratio = case.get("ratio", {}).get(ours, {}).get(other)
            if ratio is None or case["state"] != state or labels and case["label"] not in labels:
                continue
            if ratio >= least:
                held += 1
            else:
                what = ", ".join(filter(None, (workload, case["label"], state, variant)))
                missed.append("%s: %s of %s, the goal is %s" % (what, times(ratio), other, times(least)))
    print("\ngoals: %d met, %d missed" % (held, len(missed)))
    for line in missed:
        print("  " + line)


def print_table(results):
    """Prints the README's rows, and where and when they were measured."""
    runs = {run["measured"]: None for run in results["workloads"].values()}
    print("\n".join(runs) + "\n")
    print("| | state | safetensors.h | Rust crate | Python, numpy | without a library |\n|---|---|---|---|---|---|")
    for title, workload, label, states, variant, *others in workloads.TABLE:
        ours = ("ours " + variant).strip()
        for state in states.split():
            for case in results_of(results, workload):
                if case["label"] != label or case["state"] != state or ours not in case["medians"]:
                    continue
                ratio = case["ratio"][ours]
                cells = [times(ratio[other]) if other in ratio else "" for other in others]
                if cells[2]:
                    cells[2] += " " + others[2]
                print("| %s |" % " | ".join([title, state, figure(case, ours)] + cells))


# ---- a run ---------------------------------------------------------------------------------------------------------


def generate(files, cases):
    requests = " ".join(request for case in cases for _, request in case.ways.values())
    for path, arguments in files.made.items():
        if path not in requests or os.path.exists(path):
            continue
        new = path + ".new"
        remove([new])
        if arguments[0] in ("shards", "quarters"):
            os.makedirs(new)
        subprocess.run(COMMANDS["generate"] + arguments + [new], check=True)
        if os.path.exists(new + ".names"):
            os.rename(new + ".names", path + ".names")
        os.rename(new, path)  # so that no file is there in part


def machine():
    model = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as info:
            model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "")
    system = "%s %s" % (platform.system(), platform.release())
    return "%d cores of %s, %s" % (os.cpu_count(), model or platform.processor(), system)


def main():
    quick = bool(os.environ.get("BENCH_QUICK"))
    file, results = os.path.join(OUT, "quick.json" if quick else "bench.json"), {"workloads": {}}
    if os.path.exists(file):
        with open(file) as old:
            results = json.load(old)
    if "--table" in sys.argv:
        print_table(results)
        return
    names = sys.argv[1:] or list(workloads.TITLES)
    for name in names:
        if name not in workloads.TITLES:
            sys.exit("bench: no workload %s; there are: %s" % (name, " ".join(workloads.TITLES)))
    os.makedirs(OUT, exist_ok=True)
    versions = make_programs()
    files = workloads.Files(os.environ.get("BENCH_DIRECTORY", OUT), quick)
    wanted = [case for case in workloads.cases(files) if case.workload in names]
    generate(files, wanted)
    start = time.monotonic()
    measured = "; ".join([time.strftime("%Y-%m-%d %H:%M"), machine(), *versions])
    print(measured + "\nA column says how many times as fast ours is as that program.")
    for name in names:
        cases = []
        for case in [case for case in wanted if case.workload == name]:
            samples = measure(case, 3 if quick or name == "memory" else ROUNDS)
            if any(way.startswith("ours") for way in samples):
                cases.append(summary(case, samples))
        Worker.close_all()
        print_cases(name, cases)
        results["workloads"][name] = {"measured": measured, "cases": cases}
        with open(file, "w") as out:
            json.dump(results, out, indent=1)
    print_goals(results, names)
    for reason, what in skipped.items():
        rest = " and %d more" % (len(what) - 4) if len(what) > 4 else ""
        print("skipped: %s%s: %s" % (", ".join(what[:4]), rest, reason))
    for what in broken:
        print("FAILED: " + what)
    print("took %.0f s; results are in %s" % (time.monotonic() - start, file))
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
