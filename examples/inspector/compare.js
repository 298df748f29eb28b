// compare.js: two models side by side: what differs.
import { h, untrusted, visible, formatCount, formatShape, formatNumber, plural } from "./dom.js";

const MAX_ROWS = 1000;

export function comparePanel(models, current, ask) {
    const choices = (chosen) =>
        models.map((model) => h("option", { value: model.id, selected: model.id === chosen }, visible(model.path)));
    const other = models.find((model) => model.id !== current.id);
    if (!other) return h("p", {}, "Open a second file to compare it with this one.");
    const left = h("select", {}, choices(current.id)),
        right = h("select", {}, choices(other.id));
    const withValues = h("input", { type: "checkbox", checked: true });
    const results = h("div", { id: "differences" }),
        status = h("div", { class: "form", role: "status" });
    let running;

    async function run(event) {
        event.preventDefault();
        running?.cancel();
        results.replaceChildren();
        const bar = h("progress", { max: 1, value: 0, "aria-label": "Comparing" });
        status.replaceChildren(bar, h("button", { type: "button", onclick: () => running.cancel() }, "Stop"));
        const mine = (running = ask(
            "compare",
            { left: Number(left.value), right: Number(right.value), withValues: withValues.checked },
            (done) => {
                bar.value = done;
            },
        ));
        try {
            const difference = await mine;
            if (mine !== running) return;
            status.replaceChildren(sentence(difference, withValues.checked));
            results.replaceChildren(...differences(difference));
        } catch (error) {
            if (mine === running) status.replaceChildren(visible(error.message));
        }
    }
    return h(
        "div",
        {},
        h(
            "form",
            { class: "form", onsubmit: run },
            h("label", {}, "Left", left),
            h("label", {}, "Right", right),
            h("label", { class: "inline" }, withValues, "Values too"),
            h("button", { class: "main", type: "submit" }, "Compare"),
        ),
        status,
        results,
    );
}

function sentence({ rows, same, metadata }, withValues) {
    const what = withValues ? "with the same values" : "of the same type and shape";
    if (rows.length + metadata.length === 0) return `No difference: ${plural(same, "tensor")} ${what}.`;
    const tensors = plural(rows.length, "tensor differs", "tensors differ");
    const entries = plural(metadata.length, "metadata entry differs", "metadata entries differ");
    return `${tensors}, ${formatCount(same)} the same; ${entries}.`;
}

const describe = (tensor) =>
    tensor ? [untrusted(tensor.dtypeName, { most: 40 }), " ", formatShape(tensor.shape)] : "—";
function kindText(row) {
    if (row.kind === "left") return "only left";
    if (row.kind === "right") return "only right";
    if (row.kind === "type") return "dtype or shape";
    return (
        `${plural(row.differing, "byte differs", "bytes differ")}` +
        (row.largest === undefined ? "" : `, by at most ${formatNumber(row.largest)}`)
    );
}
function differences({ rows, metadata }) {
    const table = (caption, heads, body) =>
        h(
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
                        heads.map((text) => h("th", { scope: "col" }, text)),
                    ),
                ),
                h("tbody", {}, body),
            ),
        );
    const parts = [];
    if (rows.length) {
        parts.push(
            table(
                rows.length > MAX_ROWS
                    ? `The first ${MAX_ROWS} of ${formatCount(rows.length)} tensors that differ`
                    : "Tensors that differ",
                ["Name", "Difference", "Left", "Right"],
                rows
                    .slice(0, MAX_ROWS)
                    .map((row) =>
                        h(
                            "tr",
                            {},
                            h("th", { scope: "row" }, untrusted(row.name, { most: 300 })),
                            h("td", {}, kindText(row)),
                            h("td", {}, describe(row.left)),
                            h("td", {}, describe(row.right)),
                        ),
                    ),
            ),
        );
    }
    if (metadata.length) {
        const value = (text) => (text === undefined ? "—" : untrusted(text, { most: 1000 }));
        parts.push(
            table(
                "Metadata that differs",
                ["Key", "Left", "Right"],
                metadata
                    .slice(0, MAX_ROWS)
                    .map((entry) =>
                        h(
                            "tr",
                            {},
                            h("th", { scope: "row" }, untrusted(entry.key, { most: 300 })),
                            h("td", {}, value(entry.left)),
                            h("td", {}, value(entry.right)),
                        ),
                    ),
            ),
        );
    }
    return parts;
}
