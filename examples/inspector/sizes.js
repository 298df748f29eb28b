// sizes.js: pictures of what takes the space: by dtype, and by layer. The bars stand in tables, for screen readers.
import { h, untrusted, formatBytes, plural, byName, colorOf } from "./dom.js";

const MAX_LAYERS = 120;

// Returns the layer of a tensor: its name up to the first number, or without the last part.
function layerOf(name) {
    return (
        /^(?:[^.]*\.)*?\d+(?=\.)/.exec(name.slice(0, 500))?.[0] ??
        name.slice(0, Math.min(500, name.includes(".") ? name.lastIndexOf(".") : 500))
    );
}

// Groups sizes: a Map from keys to {bytes, count, dtypes: Map from dtypes to bytes}.
function group(tensors, keyOf) {
    const groups = new Map();
    for (const tensor of tensors) {
        const key = keyOf(tensor);
        if (!groups.has(key)) groups.set(key, { bytes: 0, count: 0, dtypes: new Map() });
        const entry = groups.get(key);
        entry.bytes += tensor.bytes;
        entry.count++;
        entry.dtypes.set(tensor.dtypeName, (entry.dtypes.get(tensor.dtypeName) ?? 0) + tensor.bytes);
    }
    return groups;
}

function bar(dtypes, total, isTall) {
    return h(
        "div",
        { class: isTall ? "bar tall" : "bar", "aria-hidden": "true" },
        [...dtypes].map(([dtype, bytes]) => {
            const part = h("i", { title: `${dtype}: ${formatBytes(bytes)}` });
            part.style.width = `${(100 * bytes) / (total || 1)}%`;
            part.style.background = colorOf(dtype);
            return part;
        }),
    );
}
function swatch(dtype) {
    const color = h("i", { "aria-hidden": "true" });
    color.style.background = colorOf(dtype);
    return color;
}

function sizeTable(caption, first, rows, largest) {
    return h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
        h(
            "table",
            {},
            h("caption", {}, caption),
            h(
                "thead",
                {},
                h(
                    "tr",
                    {},
                    h("th", { scope: "col" }, first),
                    h("th", { scope: "col" }, "Size by dtype"),
                    h("th", { scope: "col", class: "number minor" }, "Tensors"),
                    h("th", { scope: "col", class: "number" }, "Size"),
                ),
            ),
            h(
                "tbody",
                {},
                rows.map(([name, entry]) =>
                    h(
                        "tr",
                        {},
                        h("th", { scope: "row" }, untrusted(name, { most: 200 })),
                        h("td", { class: "graph" }, bar(entry.dtypes, largest)),
                        h("td", { class: "number minor" }, plural(entry.count, "tensor")),
                        h("td", { class: "number" }, formatBytes(entry.bytes)),
                    ),
                ),
            ),
        ),
    );
}

export function sizePictures(model) {
    const byDtype = [...group(model.tensors, (tensor) => tensor.dtypeName)].sort((a, b) => b[1].bytes - a[1].bytes);
    let layers = [...group(model.tensors, (tensor) => layerOf(tensor.name))].sort((a, b) => byName(a[0], b[0]));
    const hidden = layers.length - MAX_LAYERS;
    if (hidden > 0) {
        const kept = new Set([...layers].sort((a, b) => b[1].bytes - a[1].bytes).slice(0, MAX_LAYERS));
        layers = layers.filter((layer) => kept.has(layer));
    }
    const largest = layers.reduce((most, layer) => Math.max(most, layer[1].bytes), 0);
    return h(
        "div",
        {},
        h("h3", {}, "By dtype"),
        bar(
            byDtype.map(([dtype, entry]) => [dtype, entry.bytes]),
            model.size,
            true,
        ),
        h(
            "ul",
            { class: "legend" },
            byDtype.map(([dtype, entry]) =>
                h(
                    "li",
                    {},
                    swatch(dtype),
                    untrusted(dtype, { most: 40 }),
                    ` ${formatBytes(entry.bytes)}, ${((100 * entry.bytes) / (model.size || 1)).toFixed(1)} %, `,
                    plural(entry.count, "tensor"),
                ),
            ),
        ),
        h("h3", {}, "By layer"),
        sizeTable(
            hidden > 0
                ? `The ${MAX_LAYERS} largest of ${layers.length + hidden} groups`
                : "Each bar is divided by dtype",
            "Layer",
            layers,
            largest,
        ),
    );
}
