"""picture.py REPORT.json PICTURE.svg: draws a report of bench.py. Its colours are readable on white and on black."""

import json
import math
import sys

INK, LIMIT, OURS = "#76808c", "#76808c", "#2f81f7"
COLOURS = {"crate": "#d2691e", "package": "#a86ee0", "simdjson": "#2da44e", "numpy": "#a86ee0", "map, copy": LIMIT}
NAMES = {
    "ours": "safetensors.h",
    "crate": "Rust crate",
    "package": "Python package",
    "simdjson": "simdjson, JSON only",
    "numpy": "numpy",
    "map, copy": "mmap and memcpy",
}


class Svg:
    def __init__(self, width, height):
        self.width, self.height, self.parts = width, height, []

    def line(self, x1, y1, x2, y2, colour, width=1.0, more=""):
        self.parts.append(
            '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"%s/>'
            % (x1, y1, x2, y2, colour, width, more)
        )

    def path(self, points, colour, width, more=""):
        where = " ".join("%.1f,%.1f" % point for point in points)
        self.parts.append(
            '<polyline points="%s" fill="none" stroke="%s" stroke-width="%g" stroke-linejoin="round"%s/>'
            % (where, colour, width, more)
        )

    def dot(self, x, y, radius, colour, more=""):
        self.parts.append('<circle cx="%.1f" cy="%.1f" r="%g" fill="%s"%s/>' % (x, y, radius, colour, more))

    def bar(self, x, y, width, height, colour):
        self.parts.append(
            '<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" fill="%s"/>' % (x, y, width, height, colour)
        )

    def text(self, x, y, text, colour=INK, size=12, anchor="start", bold=False):
        text = text.replace("&", "&amp;").replace("<", "&lt;")
        self.parts.append(
            '<text x="%.1f" y="%.1f" fill="%s" font-size="%g" text-anchor="%s"%s>%s</text>'
            % (x, y, colour, size, anchor, ' font-weight="600"' if bold else "", text)
        )

    def save(self, path):
        with open(path, "w") as out:
            out.write(
                '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
                'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">\n'
                % (self.width, self.height, self.width, self.height)
            )
            out.write("\n".join(self.parts) + "\n</svg>\n")


def spread(places, gap):
    """Labels wanted at these heights, moved apart as little as goes: name -> height."""
    order = sorted(places, key=places.get)
    at = [places[name] for name in order]
    for _ in range(100):
        for i in range(len(at) - 1):
            overlap = gap - (at[i + 1] - at[i])
            if overlap > 0:
                at[i] -= overlap / 2
                at[i + 1] += overlap / 2
    return dict(zip(order, at))


# ---- ns a tensor against tensors -------------------------------------------------------------------------------------


def series(cases):
    """way -> [(tensors, ns a tensor)]; of two files of one size the first."""
    lines = {}
    for case in cases:
        for way, of in case["ways"].items():
            points = lines.setdefault(way, {})
            points.setdefault(case["count"], of["median_ns"] / case["count"])
    return {way: sorted(points.items()) for way, points in lines.items()}


def draw_lines(svg, lines, left, top, right, bottom):
    sizes = [n for points in lines.values() for n, _ in points]
    values = [v for points in lines.values() for _, v in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    first, last = math.log10(min(sizes)), math.log10(max(sizes))

    def x(n):
        return left + (math.log10(n) - first) / ((last - first) or 1) * (right - left)

    def y(v):
        return bottom - (math.log10(v) - low) / (high - low) * (bottom - top)

    for power in range(low, high + 1):
        svg.line(left, y(10**power), right, y(10**power), INK, 0.5, ' stroke-opacity="0.35"')
        svg.text(left - 8, y(10**power) + 4, format(10**power, ","), anchor="end")
    for power in range(round(first), round(last) + 1):
        svg.text(x(10**power), bottom + 18, {2: "100", 3: "1k", 4: "10k", 5: "100k", 6: "1M"}[power], anchor="middle")
    svg.text((left + right) / 2, bottom + 36, "tensors in the file", anchor="middle")
    ends = {way: y(points[-1][1]) for way, points in lines.items()}
    for way, points in lines.items():
        colour, ours = COLOURS.get(way, OURS), way == "ours"
        dashed = ' stroke-dasharray="4 3"' if way == "map, copy" else ""
        svg.path([(x(n), y(v)) for n, v in points], colour, 3 if ours else 1.75, dashed)
        for n, v in points if not dashed else ():
            svg.dot(x(n), y(v), 3.5 if ours else 2.5, colour)
    for way, height in spread(ends, 17).items():
        colour, value = COLOURS.get(way, OURS), lines[way][-1][1]
        svg.text(
            right + 10,
            height + 4,
            "%s  %s ns" % (NAMES[way], format(round(value), ",") if value >= 10 else "%.1f" % value),
            colour,
            12,
            bold=way == "ours",
        )


# ---- GB/s beside the limits ------------------------------------------------------------------------------------------

ROWS = [  # what it says, workload, label, variant, peer, limit
    ("load, warm, 1 thread", "load", "1 thread", "", "crate", "memcpy"),
    ("load, warm, 2 threads", "load", "2 threads", "", "crate", "memcpy"),
    ("load, cold", "load-cold", "", "4 threads", "crate", "O_DIRECT"),
    ("every 7th row of a matrix", "view", "every 7th row", "", "crate", "by hand"),
    ("BF16 to F32", "convert", "BF16 to F32 in memory", "", "numpy", "memcpy"),
    ("F16 to F32", "convert", "F16 to F32 in memory", "", "numpy", "memcpy"),
    ("F8 E4M3 to F32", "convert", "F8_E4M3 to F32 in memory", "", "numpy", "memcpy"),
    ("F32 to BF16", "convert", "F32 to BF16 in memory", "", "numpy", "memcpy"),
    ("transpose", "transpose", "", "", "numpy", "memcpy"),
    ("save", "save", "not flushed", "", "crate", "write"),
]


def speeds(report):
    """(row, ours, (peer's name, peer), (limit's name, limit)) in GB/s of each that was measured."""
    found = []
    for title, workload, label, variant, peer, limit in ROWS:
        for case in report["workloads"].get(workload, {}).get("cases", []):
            ways = {name: case["count"] / way["median_ns"] for name, way in case["ways"].items()}
            ours = ways.get(("ours " + variant).strip())
            if case["label"] == label and ours:
                found.append((title, ours, (peer, ways.get(peer)), (limit, ways.get(limit))))
    return found


def nice_step(most):
    return next(step for step in (0.5, 1, 2, 5, 10, 20, 50, 100) if most / step <= 6)


def draw_bars(svg, rows, left, top, right, bottom):
    most = max(v for _, ours, (_, peer), (_, limit) in rows for v in (ours, peer, limit) if v)
    step = nice_step(most)
    scale = (right - left) / (math.ceil(most / step) * step)
    for i in range(math.ceil(most / step) + 1):
        svg.line(left + i * step * scale, top, left + i * step * scale, bottom, INK, 0.5, ' stroke-opacity="0.35"')
        svg.text(left + i * step * scale, bottom + 18, "%g" % (i * step), anchor="middle")
    svg.text((left + right) / 2, bottom + 36, "GB/s", anchor="middle")
    pitch = (bottom - top) / len(rows)
    for i, (title, ours, (peer_name, peer), (limit_name, limit)) in enumerate(rows):
        middle = top + pitch * (i + 0.5)
        svg.text(left - 10, middle + 4, title, anchor="end")
        svg.bar(left, middle - 6, ours * scale, 12, OURS)
        halo = ' stroke="#fff" stroke-width="1.5"'
        if limit and limit < ours:  # else it would drown in the bar
            svg.line(left + limit * scale, middle - 6, left + limit * scale, middle + 6, "#fff", 6)
        if limit:
            svg.line(left + limit * scale, middle - 10, left + limit * scale, middle + 10, LIMIT, 2.5)
        if peer:
            svg.dot(left + peer * scale, middle, 4.5, COLOURS[peer_name], halo if peer < ours else "")


def key(svg, x, y):
    svg.bar(x, y - 10, 22, 12, OURS)
    svg.text(x + 28, y, "safetensors.h", OURS, bold=True)
    svg.dot(x + 134, y - 4, 4.5, COLOURS["crate"])
    svg.text(x + 142, y, "Rust crate", COLOURS["crate"])
    svg.dot(x + 222, y - 4, 4.5, COLOURS["numpy"])
    svg.text(x + 230, y, "numpy", COLOURS["numpy"])
    svg.line(x + 286, y - 14, x + 286, y + 6, LIMIT, 2.5)
    svg.text(x + 294, y, "memcpy, read or write")


def draw(report, path):
    lines = series(report["workloads"].get("open", {}).get("cases", []))
    rows = speeds(report)
    if not lines and not rows:
        return
    svg = Svg(960, 420)
    if lines:
        svg.text(24, 28, "Time to open a file, ns a tensor", size=15, bold=True)
        draw_lines(svg, lines, 64, 74, 296, 360)
    if rows:
        svg.text(510, 28, "Moving bytes", size=15, bold=True)
        key(svg, 510, 54)
        draw_bars(svg, rows, 672, 74, 940, 360)
    svg.save(path)


if __name__ == "__main__":
    with open(sys.argv[1]) as report_file:
        draw(json.load(report_file), sys.argv[2])
