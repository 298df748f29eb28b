// dom.js: makes elements. Text from files reaches the page only through `untrusted` and text nodes, never as HTML.

// Makes an element: h("p", {class: "x", onclick: f}, "text", child, [children]).
export function h(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else if (value === true) element.setAttribute(name, "");
        else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value);
    }
    element.append(
        ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
    );
    return element;
}

// Characters that are invisible, or that turn the direction of the text around them.
const CONTROLS = "\\u0000-\\u001f\\u007f-\\u009f",
    MARKS = "\\u00ad\\u061c\\u180e\\u200b-\\u200f\\ufeff\\ufff9-\\ufffb";
const DIRECTIONS = "\\u2028-\\u202e\\u2060-\\u206f",
    TAGS = "\\u{e0000}-\\u{e007f}";
const HIDDEN = new RegExp(`[${CONTROLS}${MARKS}${DIRECTIONS}${TAGS}]`, "gu");
const escapeOf = (c) => ({ "\n": "\\n", "\r": "\\r", "\t": "\\t" })[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`;

// Returns text from a file with its hidden characters written out, for attributes and messages.
export const visible = (text) => text.replace(HIDDEN, escapeOf);

// Returns an element with text from a file, in which hidden characters are marked.
export function untrusted(text, { lines = false, most = 20000 } = {}) {
    const shown = text.length > most ? text.slice(0, most) : text;
    const element = h("bdi", { class: "untrusted" });
    let from = 0;
    for (const match of shown.matchAll(HIDDEN)) {
        if (lines && (match[0] === "\n" || match[0] === "\t")) continue;
        element.append(shown.slice(from, match.index), h("span", { class: "escape" }, escapeOf(match[0])));
        from = match.index + match[0].length;
    }
    element.append(shown.slice(from));
    if (shown !== text)
        element.append(h("span", { class: "sum" }, `… ${formatCount(text.length - most)} more characters`));
    return element;
}

// A name may be empty.
export const nameOf = (name, most) => (name === "" ? "(no name)" : untrusted(name, { most }));

export const formatCount = (n) => BigInt(n).toLocaleString("en-US");
export const plural = (n, one, several = one + "s") => `${formatCount(n)} ${Number(n) === 1 ? one : several}`;
export function formatBytes(n) {
    if (n < 1000) return plural(n, "byte");
    const units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let i = -1;
    for (; n >= 999.5 && i + 1 < units.length; i++) n /= 1000;
    return `${n < 9.995 ? n.toFixed(2) : n < 99.95 ? n.toFixed(1) : n.toFixed(0)} ${units[i]}`;
}
export const formatShape = (shape) => (shape.length ? shape.join(" × ") : "scalar");
export const formatNumber = (n) =>
    Number.isInteger(n) && Math.abs(n) < 1e15 ? n.toLocaleString("en-US") : String(Number(n.toPrecision(7)));

// Orders names as people do: layer.2 before layer.10.
const collator = new Intl.Collator("en", { numeric: true });
export const byName = (a, b) => collator.compare(a, b);

const COLORS = [
    "#3b76d1",
    "#e08214",
    "#2f9e5b",
    "#b5479b",
    "#c9a400",
    "#6b5bd2",
    "#17a2a8",
    "#c94f4f",
    "#7a8793",
    "#8a5a2b",
];
const FIXED = ["F32", "BF16", "F16", "F8_E4M3", "I8", "U8", "I64", "I32"];
// Returns the color of a dtype, the same in all pictures.
export function colorOf(dtype) {
    const place = FIXED.indexOf(dtype);
    return COLORS[place >= 0 ? place : 8 + (dtype.length % 2)];
}

// Offers a Blob as a download.
export function download(blob, name) {
    const url = URL.createObjectURL(blob);
    h("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
}
