// table.js: the table of tensors, with search and sorting, a page at a time.
import { h, untrusted, nameOf, formatBytes, formatCount, formatShape, plural, byName } from "./dom.js";

const PAGE_ROWS = 100;

// model: as the worker reports it; show(i): opens tensor number i.
export function tensorTable(model, show) {
    const columns = [
        { title: "Name", order: (a, b) => byName(a.name, b.name) },
        { title: "Dtype", order: (a, b) => byName(a.dtypeName, b.dtypeName) },
        { title: "Shape", order: (a, b) => a.shape.length - b.shape.length || compareNumbers(a.elements, b.elements) },
        { title: "Elements", order: (a, b) => compareNumbers(a.elements, b.elements), class: "number minor" },
        { title: "Size", order: (a, b) => a.bytes - b.bytes, class: "number" },
        { title: "Offset", order: (a, b) => a.shard - b.shard || a.offset - b.offset, class: "number minor" },
    ];
    if (model.shards.length > 1) columns.push({ title: "File", order: (a, b) => a.shard - b.shard, class: "minor" });
    const items = model.tensors.map((tensor, i) => ({ tensor, i, text: tensor.name.toLowerCase() }));
    const state = { column: columns.length > 6 ? 0 : 5, direction: 1, page: 0 };
    let shown = items;

    const search = h("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: update });
    const dtypes = [...new Set(model.tensors.map((tensor) => tensor.dtypeName))].sort(byName);
    const dtype = h(
        "select",
        { onchange: update },
        h("option", { value: "" }, "all"),
        dtypes.map((name) => h("option", { value: name }, untrusted(name))),
    );
    const count = h("p", { role: "status" });
    const body = h("tbody");
    const headings = columns.map((column, k) =>
        h(
            "th",
            { scope: "col", class: column.class },
            h(
                "button",
                { type: "button", onclick: () => sortBy(k) },
                column.title,
                h("span", { "aria-hidden": "true" }),
            ),
        ),
    );
    const back = h("button", { type: "button", onclick: () => turn(-1) }, "Previous");
    const forth = h("button", { type: "button", onclick: () => turn(1) }, "Next");

    function sortBy(column) {
        state.direction = state.column === column ? -state.direction : 1;
        state.column = column;
        update();
    }
    function turn(pages) {
        state.page += pages;
        render();
    }
    function update() {
        const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
        const { order } = columns[state.column];
        shown = items.filter(
            ({ tensor, text }) =>
                (!dtype.value || tensor.dtypeName === dtype.value) && words.every((word) => text.includes(word)),
        );
        shown.sort((a, b) => state.direction * (order(a.tensor, b.tensor) || a.i - b.i));
        state.page = 0;
        render();
    }
    function render() {
        const first = state.page * PAGE_ROWS,
            page = shown.slice(first, first + PAGE_ROWS);
        const size = shown.reduce((sum, { tensor }) => sum + tensor.bytes, 0);
        count.textContent =
            shown.length === 0
                ? "No tensor matches."
                : (page.length < shown.length
                      ? `${formatCount(first + 1)} to ${formatCount(first + page.length)} of `
                      : "") + `${plural(shown.length, "tensor")}, ${formatBytes(size)}`;
        body.replaceChildren(...page.map(row));
        headings.forEach((heading, k) => {
            const isSorted = k === state.column;
            heading.setAttribute("aria-sort", !isSorted ? "none" : state.direction > 0 ? "ascending" : "descending");
            heading.querySelector("span").textContent = !isSorted ? "" : state.direction > 0 ? " ▲" : " ▼";
        });
        back.disabled = state.page === 0;
        forth.disabled = first + page.length >= shown.length;
    }
    function row({ tensor, i }) {
        return h(
            "tr",
            {},
            h(
                "td",
                { class: "name" },
                h("button", { type: "button", "data-tensor": i, onclick: () => show(i) }, nameOf(tensor.name, 300)),
            ),
            h("td", {}, untrusted(tensor.dtypeName, { most: 40 })),
            h("td", {}, formatShape(tensor.shape)),
            h("td", { class: "number minor" }, formatCount(tensor.elements)),
            h("td", { class: "number", title: plural(tensor.bytes, "byte") }, formatBytes(tensor.bytes)),
            h("td", { class: "number minor" }, formatCount(tensor.offset)),
            model.shards.length > 1 &&
                h("td", { class: "minor" }, untrusted(model.shards[tensor.shard].path.split("/").pop())),
        );
    }
    update();
    const pages = h("div", { class: "form" }, back, forth);
    pages.hidden = items.length <= PAGE_ROWS;
    return h(
        "div",
        {},
        h(
            "div",
            { class: "form" },
            h("label", { class: "wide" }, "Search names", search),
            h("label", {}, "Dtype", dtype),
        ),
        count,
        h(
            "div",
            { class: "scroll", tabindex: 0, role: "region", "aria-label": "Tensors" },
            h("table", {}, h("thead", {}, h("tr", {}, headings)), body),
        ),
        pages,
    );
}

const compareNumbers = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
