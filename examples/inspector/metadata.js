// metadata.js: the metadata of a file, readable, raw and edited.
import { h, untrusted, visible, formatBytes, formatCount, plural, download } from "./dom.js";

const LONG = 200000;

// Returns a value as text that people can read: JSON indented, everything else as it is.
function readable(value) {
    if (value.length <= LONG && /^\s*[{[]/.test(value)) {
        try {
            return JSON.stringify(JSON.parse(value), null, 2);
        } catch {
            // text that only looks like JSON
        }
    }
    return value;
}

export function metadataPanel(model, ask) {
    let shard = 0;
    const panel = h("div");
    const body = h("div");
    if (model.index.length) panel.append(h("h3", {}, "Of the index"), pairTable(model.index, "Metadata of the index"));
    if (model.shards.length > 1) {
        panel.append(
            h(
                "div",
                { class: "form" },
                h(
                    "label",
                    {},
                    "File",
                    h(
                        "select",
                        {
                            onchange: (event) => {
                                shard = Number(event.target.value);
                                show();
                            },
                        },
                        model.shards.map((file, k) => h("option", { value: k }, visible(file.path))),
                    ),
                ),
            ),
        );
    }
    panel.append(body);

    function show() {
        if (model.shards.length === 0 || model.shards[shard].bytes === 0) {
            body.replaceChildren(h("p", {}, "There is no file to show."));
            return;
        }
        const { metadata } = model.shards[shard];
        const raw = h("pre", { class: "box", tabindex: 0, "aria-label": "Header as stored" });
        const details = h(
            "details",
            {
                ontoggle: () => {
                    if (!details.open || raw.childNodes.length) return;
                    ask("rawHeader", { id: model.id, shard }).then(
                        ({ text, bytes, shown }) => {
                            raw.replaceChildren(untrusted(text.trimEnd(), { most: LONG }));
                            if (shown < bytes) raw.append(`\n… the header has ${formatCount(bytes)} bytes`);
                        },
                        (error) => raw.replaceChildren(visible(error.message)),
                    );
                },
            },
            h("summary", {}, "Header as stored (raw)"),
            raw,
        );
        body.replaceChildren(
            metadata === null
                ? h("p", {}, "This file has no metadata.")
                : metadata.length === 0
                  ? h("p", {}, "The metadata is empty.")
                  : pairTable(metadata, "Metadata"),
            h(
                "div",
                { class: "form" },
                h("button", { type: "button", onclick: edit }, metadata?.length ? "Edit metadata" : "Add metadata"),
            ),
            details,
        );
    }

    function edit() {
        const { metadata, path } = model.shards[shard];
        const rows = h("tbody");
        const result = h("div", { role: "alert" });
        const add = (pair) => {
            const key = h("input", { value: pair.key, "aria-label": "Key", spellcheck: "false" });
            const value = h("textarea", {
                rows: Math.min(8, 1 + pair.value.split("\n").length),
                "aria-label": "Value",
                spellcheck: "false",
            });
            value.value = pair.value;
            const row = h(
                "tr",
                {},
                h("td", {}, key),
                h("td", {}, value),
                h("td", {}, h("button", { type: "button", onclick: () => row.remove() }, "Remove")),
            );
            // form fields change line ends: what the user did not edit is taken from the file
            const before = [key.value, value.value];
            row.pair = () => ({
                key: key.value === before[0] ? pair.key : key.value,
                value: value.value === before[1] ? pair.value : value.value,
            });
            rows.append(row);
            return key;
        };
        for (const pair of metadata ?? []) add(pair);
        if (rows.children.length === 0) add({ key: "", value: "" });
        const save = async (part) => {
            result.replaceChildren();
            const pairs = [...rows.children].map((row) => row.pair());
            try {
                const made = await ask("editedFile", {
                    id: model.id,
                    shard,
                    metadata: pairs.length || metadata ? pairs : null,
                });
                const name = path.split("/").pop();
                download(made[part], part === "file" ? name : `${name}.header`);
                result.append(
                    h(
                        "p",
                        { class: "notice mild" },
                        `Saved ${plural(made[part].size, "byte")} (${formatBytes(made[part].size)}). `,
                        part === "file"
                            ? ""
                            : made.isSameLength
                              ? "The header is as long as the old one: it can be written over the start of the file."
                              : "The header is not as long as the old one: the data must follow it in a new file.",
                    ),
                );
            } catch (error) {
                result.append(h("p", { class: "notice" }, visible(error.message)));
            }
        };
        body.replaceChildren(
            h(
                "form",
                { class: "edit", onsubmit: (event) => event.preventDefault() },
                h(
                    "table",
                    {},
                    h(
                        "thead",
                        {},
                        h("tr", {}, h("th", { scope: "col" }, "Key"), h("th", { scope: "col" }, "Value"), h("td")),
                    ),
                    rows,
                ),
                h(
                    "div",
                    { class: "form" },
                    h("button", { type: "button", onclick: () => add({ key: "", value: "" }).focus() }, "Add an entry"),
                    h(
                        "button",
                        { type: "button", class: "main", onclick: () => save("file") },
                        `Save the file (${formatBytes(model.shards[shard].bytes)})`,
                    ),
                    h("button", { type: "button", onclick: () => save("header") }, "Save its header only"),
                    h("button", { type: "button", onclick: show }, "Back"),
                ),
            ),
            result,
        );
        rows.querySelector("input").focus();
    }
    show();
    return panel;
}

function pairTable(pairs, caption) {
    return h(
        "table",
        {},
        h("caption", {}, caption),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Key"), h("th", { scope: "col" }, "Value"))),
        h(
            "tbody",
            {},
            pairs.map(({ key, value }) =>
                h(
                    "tr",
                    {},
                    h("th", { scope: "row" }, untrusted(key, { most: 500 })),
                    h("td", {}, h("pre", {}, untrusted(readable(value), { lines: true, most: LONG }))),
                ),
            ),
        ),
    );
}
