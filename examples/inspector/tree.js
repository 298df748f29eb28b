// tree.js: the tensors as a tree by the dots in their names, with sums. Branches are made when they are opened.
import { h, untrusted, nameOf, formatBytes, formatShape, plural, byName } from "./dom.js";

const MAX_DEPTH = 32; // a hostile name may have a million dots
const BRANCH_ROWS = 200;

function branch() {
    return { branches: new Map(), tensors: [], bytes: 0, count: 0 };
}
function treeOf(tensors) {
    const root = branch();
    tensors.forEach((tensor, i) => {
        const parts = tensor.name.split(".", MAX_DEPTH + 1);
        const depth = Math.min(parts.length - 1, MAX_DEPTH);
        let node = root,
            used = 0;
        const add = () => {
            node.bytes += tensor.bytes;
            node.count++;
        };
        add();
        for (let k = 0; k < depth; k++) {
            if (!node.branches.has(parts[k])) node.branches.set(parts[k], branch());
            node = node.branches.get(parts[k]);
            used += parts[k].length + 1;
            add();
        }
        node.tensors.push({ tensor, i, name: tensor.name.slice(used) });
    });
    return root;
}

export function tensorTree(model, show) {
    const list = (node) => {
        const entries = [...[...node.branches].map(([name, inside]) => ({ name, inside })), ...node.tensors];
        entries.sort((a, b) => byName(a.name, b.name));
        const ul = h("ul");
        const more = (first) => {
            ul.append(
                ...entries
                    .slice(first, first + BRANCH_ROWS)
                    .map((entry) => (entry.inside ? openable(entry) : leaf(entry))),
            );
            const left = entries.length - first - BRANCH_ROWS;
            if (left <= 0) return;
            const item = h(
                "li",
                {},
                h(
                    "button",
                    {
                        type: "button",
                        onclick: () => {
                            item.remove();
                            more(first + BRANCH_ROWS);
                        },
                    },
                    `${left} more`,
                ),
            );
            ul.append(item);
        };
        more(0);
        return ul;
    };
    const openable = ({ name, inside }) => {
        while (inside.branches.size === 1 && inside.tensors.length === 0) {
            // a branch that only leads to one other
            const [[next, deeper]] = inside.branches;
            name += "." + next;
            inside = deeper;
        }
        const details = h(
            "details",
            {
                ontoggle: () => {
                    if (details.open && details.children.length === 1) details.append(list(inside));
                },
            },
            h(
                "summary",
                {},
                untrusted(name, { most: 200 }),
                h("span", { class: "sum" }, `${plural(inside.count, "tensor")}, ${formatBytes(inside.bytes)}`),
            ),
        );
        return h("li", {}, details);
    };
    const leaf = ({ tensor, i, name }) =>
        h(
            "li",
            {},
            h("button", { type: "button", onclick: () => show(i) }, nameOf(name, 200)),
            h(
                "span",
                { class: "sum" },
                untrusted(tensor.dtypeName, { most: 40 }),
                ` ${formatShape(tensor.shape)}, ${formatBytes(tensor.bytes)}`,
            ),
        );
    const root = treeOf(model.tensors);
    return h(
        "div",
        { class: "tree" },
        h("p", {}, `${plural(root.count, "tensor")}, ${formatBytes(root.bytes)}`),
        list(root),
    );
}
