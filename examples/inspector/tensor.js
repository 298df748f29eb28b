// tensor.js: the dialog with one tensor: its values, statistics, heat map and histogram, of any slice.
import { h, untrusted, nameOf, visible, formatBytes, formatCount, formatShape, formatNumber, plural } from "./dom.js";

// ask(operation, parameters, progress): asks the worker; returns a promise with a function cancel.
export function showTensor(dialog, model, i, ask) {
    const tensor = model.tensors[i];
    const canConvert = tensor.dtype !== 0;
    const slice = h("input", {
        value: "...",
        spellcheck: "false",
        autocomplete: "off",
        "aria-describedby": "slice-help slice-error",
    });
    const isTransposed = h("input", { type: "checkbox", onchange: () => load() });
    const fault = h("p", { id: "slice-error", role: "alert" });
    const progress = h("div", { class: "form", role: "status" });
    const results = h("div");
    let running = [];

    function cancel() {
        for (const question of running) question.cancel();
        running = [];
    }
    async function load(all = false) {
        cancel();
        fault.replaceChildren();
        const parameters = { id: model.id, tensor: i, text: slice.value, isTransposed: isTransposed.checked };
        const values = ask("firstValues", parameters);
        const summary = ask("summarize", { ...parameters, all }, (done) => showProgress(done));
        const mine = (running = [values, summary]);
        try {
            const table = await values;
            const statistics = await summary;
            if (mine !== running) return;
            progress.replaceChildren();
            results.replaceChildren(...show(table, statistics));
            results.dataset.ready = slice.value;
        } catch (error) {
            summary.catch(() => {});
            if (mine !== running) return;
            cancel();
            progress.replaceChildren();
            fault.replaceChildren(h("span", { class: "notice" }, visible(error.message)));
            results.replaceChildren();
        }
    }
    function showProgress(done) {
        const bar = h("progress", { max: 1, value: done, "aria-label": "Reading values" });
        const old = progress.querySelector("progress");
        if (old) old.value = done;
        else
            progress.replaceChildren(
                bar,
                h(
                    "button",
                    {
                        type: "button",
                        onclick: () => {
                            cancel();
                            progress.replaceChildren("Stopped.");
                        },
                    },
                    "Stop",
                ),
            );
    }

    function show(table, s) {
        const isSample = s.seen < s.elements;
        const parts = [
            h(
                "p",
                { role: "status" },
                `Slice: ${formatShape(table.shape)}, ${plural(s.elements, "value")}`,
                isSample && `. Statistics from a sample of ${formatCount(s.seen)} values, evenly spread. `,
                isSample && h("button", { type: "button", onclick: () => load(true) }, "Read all values"),
            ),
        ];
        if (s.elements === 0) return parts;
        const isComplex = tensor.dtypeName === "C64";
        parts.push(statisticsOf(s, isComplex));
        const pictures = h("div", { class: "pictures" });
        if (s.finite + s.nan + s.positiveInfinity + s.negativeInfinity > 0)
            pictures.append(heatMap(s, table, isComplex), histogram(s, isComplex));
        parts.push(pictures, valueTable(table));
        return parts;
    }

    const file = model.shards[tensor.shard];
    dialog.replaceChildren(
        h(
            "div",
            { class: "head" },
            h("h2", { id: "tensor-name" }, nameOf(tensor.name, 1000)),
            h("button", { type: "button", onclick: () => dialog.close() }, "Close"),
        ),
        h(
            "dl",
            { class: "facts" },
            h("dt", {}, "Dtype"),
            h("dd", {}, untrusted(tensor.dtypeName, { most: 100 })),
            h("dt", {}, "Shape"),
            h("dd", {}, formatShape(tensor.shape)),
            h("dt", {}, "Size"),
            h(
                "dd",
                {},
                `${plural(tensor.bytes, "byte")}${tensor.bytes >= 1000 ? `, ${formatBytes(tensor.bytes)}` : ""}`,
            ),
            h("dt", {}, "Bytes"),
            h(
                "dd",
                {},
                `${formatCount(tensor.offset)} to ${formatCount(tensor.offset + tensor.bytes)}`,
                model.shards.length > 1 && [" of ", untrusted(file.path)],
            ),
        ),
    );
    dialog.onclose = () => {
        if (!dialog.open) cancel();
    }; // the event comes late: the next tensor may be open
    if (canConvert) {
        dialog.append(
            h(
                "form",
                {
                    class: "form",
                    onsubmit: (event) => {
                        event.preventDefault();
                        load();
                    },
                },
                h("label", { class: "wide" }, "Slice", slice),
                h("button", { class: "main", type: "submit" }, "Show"),
                tensor.shape.length > 1 && h("label", { class: "inline" }, isTransposed, "Swap rows and columns"),
            ),
            h(
                "p",
                { id: "slice-help", class: "sum" },
                "One part for each dimension, as in NumPy: 0, :, 10:20, ::2, -1 or ...",
            ),
            fault,
            progress,
            results,
        );
        load();
    } else {
        dialog.append(h("p", {}, "The library does not know this dtype. The first bytes are:"), results);
        ask("firstBytes", { id: model.id, tensor: i }).then(
            (bytes) =>
                results.append(
                    h("pre", { class: "box" }, [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")),
                ),
            (error) => results.append(visible(error.message)),
        );
    }
    dialog.showModal();
}

function statisticsOf(s, isComplex) {
    const share = (n) => `${formatCount(n)}${n ? ` (${((100 * n) / s.seen).toPrecision(3)} %)` : ""}`;
    const rows = [
        ["Minimum", s.finite ? formatNumber(s.min) : "none"],
        ["Maximum", s.finite ? formatNumber(s.max) : "none"],
        ["Mean", s.finite ? formatNumber(s.mean) : "none"],
        ["Standard deviation", s.finite ? formatNumber(s.deviation) : "none"],
        ["Zeros", share(s.zero)],
        ["NaN", share(s.nan)],
        ["+ infinity", share(s.positiveInfinity)],
        ["− infinity", share(s.negativeInfinity)],
    ];
    return h(
        "section",
        {},
        h("h3", {}, isComplex ? "Statistics of the magnitudes" : "Statistics of the finite values"),
        h(
            "dl",
            { class: "facts pairs", id: "statistics" },
            rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
        ),
    );
}

// ---- pictures ----

const mix = (a, b, t) => a.map((from, k) => Math.round(from + (b[k] - from) * Math.max(0, Math.min(1, t))));
const BLUE = [33, 102, 172],
    WHITE = [247, 247, 247],
    RED = [178, 24, 43],
    NOT_FINITE = [255, 0, 255];
const STOPS = [
    [68, 1, 84],
    [59, 82, 139],
    [33, 145, 140],
    [94, 201, 98],
    [253, 231, 37],
];

// Returns a function from means to colors: blue, white, red around 0 if there are negative values, else dark to light.
function palette(low, high) {
    if (low < 0) {
        const most = Math.max(-low, high);
        return {
            low: -most,
            high: most,
            color: (v) => (v < 0 ? mix(WHITE, BLUE, -v / most) : mix(WHITE, RED, v / most)),
            stops: [BLUE, WHITE, RED],
        };
    }
    const color = (v) => {
        const share = high > low ? Math.max(0, Math.min(1, (v - low) / (high - low))) : 0.5;
        const t = share * (STOPS.length - 1);
        const k = Math.min(Math.floor(t), STOPS.length - 2);
        return mix(STOPS[k], STOPS[k + 1], t - k);
    };
    return { low, high, color, stops: STOPS };
}

function heatMap(s, table, isComplex) {
    // The colors end where the outermost half percent of the cells begins, so that one outlier does not fade the rest.
    const sorted = s.means.filter((mean) => Number.isFinite(mean)).sort();
    const at = (fraction) => sorted[Math.round((sorted.length - 1) * fraction)] ?? 0;
    const low = at(0),
        high = at(1);
    const colors = at(0.005) < at(0.995) ? palette(at(0.005), at(0.995)) : palette(low, high);
    const canvas = h("canvas", { width: s.width, height: s.height, tabindex: 0, role: "img", id: "heat" });
    canvas.style.aspectRatio = `${Math.max(s.width, s.height / 3)} / ${Math.max(s.height, s.width / 12)}`;
    const context = canvas.getContext("2d");
    const image = context.createImageData(s.width, s.height);
    for (let i = 0; i < s.width * s.height; i++) {
        if (s.others[i]) image.data.set([...NOT_FINITE, 255], 4 * i);
        else if (Number.isFinite(s.means[i])) image.data.set([...colors.color(s.means[i]), 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
    const hasOthers = s.others.some((n) => n > 0);
    const cell = s.width < s.columns || s.height < s.rows ? "the mean of several values" : "one value";
    canvas.setAttribute(
        "aria-label",
        `Heat map of ${formatCount(s.rows)} rows and ${formatCount(s.columns)} columns; each cell is ${cell}, ` +
            `${sorted.length ? `from ${formatNumber(low)} to ${formatNumber(high)}` : "none is finite"}. ` +
            "Arrow keys read out cells.",
    );

    // one cell, by pointer or arrow keys
    const readout = h(
        "p",
        { role: "status", class: "sum" },
        "Point at a cell, or use the arrow keys, to read its value.",
    );
    let x = 0,
        y = 0;
    const span = (cellNumber, cells, count) => {
        const first = Math.ceil((cellNumber * count) / cells),
            last = Math.ceil(((cellNumber + 1) * count) / cells) - 1;
        return first >= last ? `${first}` : `${first} to ${last}`;
    };
    const read = () => {
        const i = y * s.width + x;
        readout.textContent =
            `Row ${span(y, s.height, s.rows)}, column ${span(x, s.width, s.columns)}: ` +
            (Number.isFinite(s.means[i])
                ? `${cell === "one value" ? "" : "mean "}${formatNumber(s.means[i])}`
                : "no finite value") +
            (s.others[i] ? `, ${plural(s.others[i], "value")} not finite` : "");
    };
    canvas.addEventListener("pointermove", (event) => {
        const box = canvas.getBoundingClientRect();
        x = Math.max(0, Math.min(s.width - 1, Math.floor(((event.clientX - box.left) / box.width) * s.width)));
        y = Math.max(0, Math.min(s.height - 1, Math.floor(((event.clientY - box.top) / box.height) * s.height)));
        read();
    });
    canvas.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!move) return;
        event.preventDefault();
        x = Math.max(0, Math.min(s.width - 1, x + move[0]));
        y = Math.max(0, Math.min(s.height - 1, y + move[1]));
        read();
    });
    const gradient = h("div", { class: "gradient", "aria-hidden": "true" });
    const stops = colors.stops.map((stop) => `rgb(${stop.join()})`);
    gradient.style.background = `linear-gradient(to right, ${stops.join()})`;
    return h(
        "section",
        {},
        h("h3", {}, isComplex ? "Heat map of the magnitudes" : "Heat map"),
        canvas,
        gradient,
        h(
            "div",
            { class: "scale" },
            h("span", {}, formatNumber(colors.low), low < colors.low && " or less"),
            h("span", {}, formatNumber(colors.high), high > colors.high && " or more"),
        ),
        h(
            "p",
            { class: "sum" },
            dimensionsText(table),
            ` Each cell is ${cell}.`,
            hasOthers && " Magenta: NaN or infinity.",
        ),
        readout,
    );
}
function dimensionsText(table) {
    if (table.shape.length === 0) return "A single value.";
    if (table.shape.length === 1) return `Columns: dimension ${table.columnAxis}.`;
    return table.shape.length === 2
        ? `Rows: dimension ${table.rowAxis}, columns: dimension ${table.columnAxis}.`
        : `Columns: dimension ${table.columnAxis}; rows: all other dimensions, one after the other.`;
}

function histogram(s, isComplex) {
    const most = s.bins.reduce((a, b) => Math.max(a, b), 1),
        fullest = s.bins.indexOf(most),
        width = (s.max - s.min) / s.bins.length;
    const edge = (k) => formatNumber(s.min + k * width);
    const bars = s.bins.map((n, k) => {
        const bar = h("i", { title: `${edge(k)} to ${edge(k + 1)}: ${formatCount(n)}` });
        bar.style.height = `${n ? Math.max((100 * n) / most, 0.6) : 0}%`;
        return bar;
    });
    return h(
        "section",
        {},
        h("h3", {}, "Histogram"),
        h(
            "div",
            {
                class: "histogram",
                role: "img",
                id: "histogram",
                "data-bins": s.bins.join(),
                "aria-label": s.finite
                    ? `Histogram with ${s.bins.length} bins from ${formatNumber(s.min)} to ${formatNumber(s.max)}; ` +
                      `the fullest, with ` +
                      `${plural(most, "value")}, goes from ${edge(fullest)} to ${edge(fullest + 1)}.`
                    : "No finite value.",
            },
            bars,
        ),
        h(
            "div",
            { class: "scale", "aria-hidden": "true" },
            h("span", {}, s.finite ? formatNumber(s.min) : ""),
            h("span", {}, s.finite ? formatNumber(s.max) : ""),
        ),
        h("p", { class: "sum" }, `The highest bar is ${plural(most, isComplex ? "magnitude" : "value")}.`),
    );
}

function valueTable(table) {
    const shape = table.cells.length
        ? `${plural(table.cells.length, "row")} and ${plural(table.cells[0].length, "column")}`
        : "nothing";
    return h(
        "section",
        {},
        h("h3", {}, "Values"),
        h(
            "div",
            { class: "scroll values", tabindex: 0, role: "region", "aria-label": "Values" },
            h(
                "table",
                { id: "values" },
                h("caption", {}, `The first ${shape} of the slice, with their indices`),
                h(
                    "thead",
                    {},
                    h(
                        "tr",
                        {},
                        h("td"),
                        table.columnHeadings.map((text) =>
                            text ? h("th", { scope: "col", class: "number" }, text) : h("td"),
                        ),
                    ),
                ),
                h(
                    "tbody",
                    {},
                    table.cells.map((row, y) =>
                        h(
                            "tr",
                            {},
                            table.rowHeadings[y] ? h("th", { scope: "row" }, table.rowHeadings[y]) : h("td"),
                            row.map((value) => h("td", { class: "number" }, value)),
                        ),
                    ),
                ),
            ),
        ),
    );
}
