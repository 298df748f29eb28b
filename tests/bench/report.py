"""report.py: what bench.py has to say about its samples: tables, the README's table, goals."""

import os

import workloads

# ---- the table -------------------------------------------------------------------------------------------------------


def figure(case, way):
    """A time as what the case is counted in."""
    if case["unit"] == "GB/s":
        return "%.3g GB/s" % (case["count"] / way["median_ns"])
    value = way["median_ns"] / case["count"]
    return "%s %s" % (format(value, ",.0f") if value >= 100 else "%.3g" % value, case["unit"])


def times(x):
    return "-" if x is None else "%.0fx" % x if x >= 100 else "%.1fx" % x if x >= 10 else "%.2fx" % x


def print_cases(name, cases):
    print("\n%s: %s" % (name, workloads.TITLES[name]))
    {"memory": print_memory, "compile": print_compile}.get(name, print_table)(cases)


def print_table(cases):
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
    for case in cases:
        unit, count = case["unit"], case["count"]
        ways = (
            "%s %.4g" % (way, m["kept"] / count) + (", at most %.4g" % (m["peak"] / count) if m["peak"] else "")
            for way, m in case["ways"].items()
        )
        print("  %-36s %s %s" % (case["label"], "; ".join(ways), unit))


def print_compile(rows):
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
    ("one layer of 64 MiB, warm", "layer", "warm", "", ("crate", "package"), "pread"),
    ("every 7th row of a matrix", "view", "every 7th row", "", ("crate", ""), "by hand"),
    ("the same, cold", "view", "every 7th row, cold", "", ("crate", ""), "read all"),
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
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "counts.txt")) as counts:
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
            text = "memory %s: bytes kept a tensor, at most" % case["label"]
            goals.append(goal("memory", text, kept, most, most=True))
    for label, count in counted().items():
        workload = label.split("-")[0]
        most = {"parse": 800, "find": 150}.get(workload)
        if most:
            text = "instructions of %s, at most (make bench-count)" % label
            goals.append(goal(workload, text, count, most, most=True))
    for row in results.get("compile", {}).get("cases", []):
        if row["label"] == "whole":
            goals.append(goal("compile", "compile: seconds, at most", row["seconds"], 1.0, most=True))
            goals.append(goal("compile", "compile: bytes of text, at most", row["text"], 40960, most=True))
        else:
            text = "compile: bytes of text of the reading half, at most"
            goals.append(goal("compile", text, row["text"], 12288, most=True))
    return goals
