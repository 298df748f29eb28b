// worker.js: opens files and answers the page's questions, in a worker: there FileReaderSync reads a slice of a file at
// once, as the library wants it, and a long read does not stop the page.
import {
    Model,
    LibraryError,
    DTYPES,
    OPEN_UNKNOWN_DTYPES,
    OPEN_PARTIAL,
    OPEN_TRAILING,
    OPEN_NO_INDEX,
} from "./engine.js";
import { parseSlice } from "./slice.js";

const MAX_RAW_HEADER = 1 << 20; // bytes of header that are shown as text
const MAX_SUMMARIZED = 1 << 24; // values read for statistics unless the user asks for all
const MAX_GROWTH = 100; // as in `st repair`: tensors that share bytes may not make a file that many times as large
const COMPARED = 1 << 22; // bytes of each of two tensors compared at a time
const TABLE_ROWS = 16,
    TABLE_COLUMNS = 8;

let module;
const models = new Map(); // by id: {model, blobs: Map from paths to Blobs, damaged}
let lastId = 0;
const cancelled = new Set();

// ---- files ----

function readBlob(blob, offset, n) {
    const bytes = new FileReaderSync().readAsArrayBuffer(blob.slice(offset, offset + n));
    if (bytes.byteLength !== n) throw new Error("the file is shorter than before");
    return new Uint8Array(bytes);
}
function newModel(blobs) {
    const files = [...blobs].map(([path, blob]) => [
        path,
        { bytes: blob.size, read: (offset, n) => readBlob(blob, offset, n) },
    ]);
    return new Model(module, new Map(files));
}
const directoryOf = (path) => path.slice(0, path.lastIndexOf("/") + 1);

// Decides which of the chosen files are models: an index with its shards; shards without an index; and every other
// .safetensors file. Returns a list of {path, blobs, isIndex, flags}.
function findModels(files) {
    const found = [];
    const loose = files.filter((file) => !file.path.includes("/"));
    if (loose.length > 1 && loose.every((file) => shardSet(file.path))) {
        // the shards of a set, without the folder around them
        files = files.map((file) => (loose.includes(file) ? { ...file, path: "dropped/" + file.path } : file));
    }
    const directories = new Map();
    for (const file of files) {
        const directory = directoryOf(file.path);
        directories.set(directory, [...(directories.get(directory) ?? []), file]);
    }
    const blobs = new Map(files.map((file) => [file.path, file.file]));
    for (const [directory, inside] of directories) {
        const indexes = inside.filter((file) => /\.safetensors\.index(\.[^/]*)?\.json$/.test(file.path));
        const tensors = inside.filter((file) => file.path.endsWith(".safetensors"));
        const sets = new Set(tensors.map((file) => shardSet(file.path)).filter(Boolean));
        for (const index of indexes) found.push({ path: index.path, blobs, isIndex: true, flags: 0 });
        if (indexes.length === 0 && sets.size === 1 && directory) {
            found.push({ path: directory.slice(0, -1), blobs, isIndex: true, flags: OPEN_NO_INDEX });
        }
        for (const file of tensors) found.push({ path: file.path, blobs: new Map([[file.path, file.file]]), flags: 0 });
        if (indexes.length + tensors.length === 0 && files.length === 1) {
            // not named like a model: the library shall say what it is
            found.push({ path: files[0].path, blobs, flags: 0 });
        }
    }
    return found;
}
const shardSet = (path) => /^(.*)-\d{5}-of-(?!00001)\d{5}\.safetensors$/.exec(path)?.[1];

// ---- opening ----

// Opens a model strictly. If that fails, says why and opens what can be had: all but what makes it imperfect, or what a
// damaged file still holds.
function openModel({ path, blobs, isIndex, flags }) {
    const begin = performance.now(),
        original = blobs.get(path);
    let model = newModel(blobs),
        error = null,
        faults = [],
        repaired = null,
        isOpen = true;
    const attempt = (more) => {
        try {
            model.open(path, flags | more);
            return true;
        } catch (e) {
            if (!(e instanceof LibraryError)) throw e;
            error ??= { status: e.statusName, message: e.message, position: e.position };
            return false;
        }
    };
    const afresh = () => {
        const { bytesRead } = model;
        model = newModel(blobs);
        model.bytesRead = bytesRead;
    };
    if (!attempt(0)) {
        afresh();
        if (!attempt(OPEN_UNKNOWN_DTYPES | OPEN_TRAILING | (isIndex ? OPEN_PARTIAL : 0))) {
            afresh();
            ({ faults, repaired } = isIndex ? { faults: null } : rescue(model, path, blobs.get(path)));
            isOpen = Boolean(repaired);
            if (repaired) {
                const { bytesRead } = model;
                blobs = new Map([[path, repaired]]);
                model = newModel(blobs).open(path, OPEN_UNKNOWN_DTYPES);
                model.bytesRead += bytesRead;
            }
        }
    }
    const id = ++lastId;
    models.set(id, { model, blobs, damaged: repaired && original });
    const shards = isOpen ? model.shards : [];
    return {
        id,
        path,
        isIndex: Boolean(isIndex),
        isOpen,
        error,
        faults: faults ?? [],
        repaired,
        size: isOpen ? model.size : 0,
        tensors: isOpen ? model.tensors : [],
        shards,
        index: isOpen ? model.index : [],
        hasNoIndex: Boolean(flags & OPEN_NO_INDEX),
        bytes: isIndex ? shards.reduce((sum, shard) => sum + shard.bytes, 0) : (original?.size ?? 0),
        bytesRead: model.bytesRead,
        milliseconds: performance.now() - begin,
    };
}

// Makes of a damaged file one that holds what is left: a new header, and the bytes of the tensors, which stay where
// they are: a Blob refers to parts of a file without reading them.
function rescue(model, path, blob) {
    const faults = model.rescue(path);
    if (!faults || model.tensors.length === 0 || model.size / MAX_GROWTH > blob.size) return { faults, repaired: null };
    const parts = [];
    for (const tensor of model.tensors) {
        const last = parts[parts.length - 1];
        if (tensor.bytes === 0) continue;
        if (last && last[1] === tensor.offset) last[1] += tensor.bytes;
        else parts.push([tensor.offset, tensor.offset + tensor.bytes]);
    }
    let header;
    try {
        header = model.makeHeader(0, model.metadata);
    } catch {
        return { faults, repaired: null }; // a header over the limit, or no memory: the first error says more
    }
    return { faults, repaired: new Blob([header, ...parts.map(([begin, end]) => blob.slice(begin, end))]) };
}

function unopened(path, { message }) {
    const error = { status: "not opened", message: `${path}: ${message}` };
    const nothing = { faults: [], repaired: null, tensors: [], shards: [], index: [], size: 0, bytes: 0, bytesRead: 0 };
    return { id: ++lastId, path, isIndex: false, isOpen: false, error, milliseconds: 0, ...nothing };
}

function openFiles({ files }, post) {
    const taken = new Set(); // paths of files that belong to a model of several files
    const opened = [];
    for (const found of findModels(files)) {
        if (taken.has(found.path)) continue;
        post({ progress: opened.length, text: `Opening ${found.path}` });
        let model;
        try {
            model = openModel(found);
        } catch (error) {
            model = unopened(found.path, error); // such as memory that runs out: the other files go on
        }
        if (found.isIndex) for (const shard of model.shards) taken.add(shard.path);
        opened.push(model);
    }
    if (opened.length === 0) throw new Error("no safetensors file among the chosen files");
    return opened;
}

// ---- header and metadata ----

function rawHeader({ id, shard }) {
    const { model, blobs, damaged } = models.get(id);
    const { path, dataOffset } = model.shards[shard];
    const blob = damaged || blobs.get(path);
    const stated = damaged ? Number(new DataView(readBlob(blob, 0, 8).buffer).getBigUint64(0, true)) : dataOffset - 8;
    const length = Math.min(stated, blob.size - 8);
    const n = Math.min(length, MAX_RAW_HEADER);
    model.bytesRead += n;
    return {
        text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(readBlob(blob, 8, n)),
        bytes: length,
        shown: n,
    };
}

// Makes a file with other metadata. Returns Blobs: its header alone, and the whole file.
function editedFile({ id, shard, metadata }) {
    const { model, blobs } = models.get(id);
    const { path, dataOffset } = model.shards[shard];
    const blob = blobs.get(path);
    const bytes = model.tensors.reduce((sum, tensor) => sum + (tensor.shard === shard ? tensor.bytes : 0), 0);
    const header = model.makeHeader(shard, metadata, dataOffset);
    return {
        header: new Blob([header]),
        isSameLength: header.length === dataOffset,
        file: new Blob([header, blob.slice(dataOffset, dataOffset + bytes)]),
    };
}

// ---- values ----

// Writes a value with as few digits as tell it from its neighbours in its dtype.
function valueText(value, dtype) {
    if (typeof value === "bigint" || (Number.isInteger(value) && Math.abs(value) < 2 ** 53))
        return Object.is(value, -0) ? "-0" : String(value);
    if (!Number.isFinite(value)) return String(value);
    const digits =
        { F32: 9, C64: 9, F16: 5, BF16: 4 }[dtype] ?? (dtype.startsWith("F8") || dtype.startsWith("F6") ? 4 : 17);
    if (digits === 17) return String(value);
    for (let n = 1; n < digits; n++) {
        const shorter = Number(value.toPrecision(n));
        if (digits === 9 ? Math.fround(shorter) === value : shorter === value) return String(shorter);
    }
    return String(Number(value.toPrecision(digits)));
}

function complexText(real, imaginary) {
    return `${valueText(real, "C64")} ${imaginary < 0 ? "−" : "+"} ${valueText(Math.abs(imaginary), "C64")}i`;
}

// Returns the first rows and columns of a slice as text.
function firstValues({ id, tensor, text, isTransposed }) {
    const { model } = models.get(id);
    const { shape, dtype } = model.tensors[tensor];
    const slice = parseSlice(text, shape);
    const rowAxis = slice.axes.at(isTransposed && slice.axes.length > 1 ? -1 : -2);
    const columnAxis = slice.axes.at(isTransposed && slice.axes.length > 1 ? -2 : -1);
    const part = { ranges: slice.ranges.map((range) => ({ ...range })), axes: slice.axes, shape: [] };
    slice.axes.forEach((axis, i) => {
        const most = axis === columnAxis ? TABLE_COLUMNS : axis === rowAxis ? TABLE_ROWS : 1;
        const count = Number(slice.shape[i] < most ? slice.shape[i] : most);
        const range = part.ranges[axis];
        if (count > 0) range.stop = range.start + BigInt(count - 1) * range.step + 1n;
        part.shape.push(BigInt(count));
    });
    const sizeOf = (axis) => (axis === undefined ? 1 : Number(part.shape[slice.axes.indexOf(axis)]));
    const [rows, columns] = [sizeOf(rowAxis), sizeOf(columnAxis)];
    const headings = (axis, n) =>
        Array.from({ length: n }, (_, i) =>
            axis === undefined ? "" : String(part.ranges[axis].start + BigInt(i) * part.ranges[axis].step),
        );
    const values = part.shape.some((n) => n === 0n) ? [] : model.read(tensor, part, isTransposed);
    const name = DTYPES[dtype];
    const cell = (i) => (name !== "C64" ? valueText(values[i], name) : complexText(values[2 * i], values[2 * i + 1]));
    return {
        shape: slice.shape,
        rowAxis,
        columnAxis,
        rowHeadings: headings(rowAxis, rows),
        columnHeadings: headings(columnAxis, columns),
        cells:
            values.length === 0
                ? []
                : Array.from({ length: rows }, (_, y) =>
                      Array.from({ length: columns }, (_, x) => cell(y * columns + x)),
                  ),
    };
}

function firstBytes({ id, tensor }) {
    const { model } = models.get(id);
    return model.readBytes(tensor, 0, Math.min(256, model.tensors[tensor].bytes));
}

async function summarize({ id, tensor, text, isTransposed, all }, post, request) {
    const { model } = models.get(id);
    const slice = parseSlice(text, model.tensors[tensor].shape);
    const steps = model.summarize(tensor, slice, isTransposed, all ? Infinity : MAX_SUMMARIZED);
    for (;;) {
        const step = steps.next();
        if (step.done) return step.value;
        await pause(request, () => post({ progress: step.value }));
    }
}

// Lets messages in, twenty times a second, and stops what was cancelled.
let lastPause = 0;
async function pause(request, report) {
    if (performance.now() - lastPause < 50) return;
    report();
    await new Promise((resolve) => setTimeout(resolve));
    lastPause = performance.now();
    if (cancelled.delete(request)) throw new Error("cancelled");
}

// ---- comparing ----

// Compares the bytes of two tensors of the same size and, if they differ and both are numbers of one shape, the values.
async function compareTensors(a, i, b, k, check) {
    const bytes = a.tensors[i].bytes;
    let differing = 0,
        largest = 0;
    const canConvert =
        ![0, DTYPES.indexOf("C64")].includes(a.tensors[i].dtype) && Number(a.tensors[i].elements) * 8 <= COMPARED * 64;
    for (let offset = 0; offset < bytes; offset += COMPARED) {
        const n = Math.min(COMPARED, bytes - offset);
        const [x, y] = [a.readBytes(i, offset, n), b.readBytes(k, offset, n)];
        for (let at = 0; at < n; at++) differing += x[at] !== y[at];
        await check(n);
    }
    if (differing && canConvert) {
        const slice = parseSlice("", a.tensors[i].shape);
        const [x, y] = [a.read(i, slice), b.read(k, slice)];
        for (let at = 0; at < x.length; at++) largest = Math.max(largest, Math.abs(Number(x[at]) - Number(y[at])) || 0);
    }
    return { differing, largest: differing && canConvert ? largest : undefined };
}

// Compares two models by the names of their tensors, and their bytes if wanted.
async function compare({ left, right, withValues }, post, request) {
    const [a, b] = [models.get(left).model, models.get(right).model];
    const places = new Map(b.tensors.map((tensor, k) => [tensor.name, k]));
    const names = new Set(a.tensors.map((tensor) => tensor.name));
    const rows = [];
    let same = 0,
        done = 0;
    for (const [i, tensor] of a.tensors.entries()) {
        const k = places.get(tensor.name);
        const other = b.tensors[k];
        if (!other) rows.push({ name: tensor.name, kind: "left", left: tensor });
        else if (tensor.dtypeName !== other.dtypeName || tensor.shape.join() !== other.shape.join()) {
            rows.push({ name: tensor.name, kind: "type", left: tensor, right: other });
        } else if (withValues && tensor.bytes) {
            const result = await compareTensors(a, i, b, k, (n) => {
                done += n;
                return pause(request, () => post({ progress: done / a.size }));
            });
            if (result.differing)
                rows.push({ name: tensor.name, kind: "values", left: tensor, right: other, ...result });
            else same++;
        } else same++;
    }
    for (const tensor of b.tensors)
        if (!names.has(tensor.name)) rows.push({ name: tensor.name, kind: "right", right: tensor });
    return { rows, same, metadata: compareMetadata(a.metadata ?? [], b.metadata ?? []) };
}
function compareMetadata(a, b) {
    const [left, right] = [a, b].map((pairs) => new Map(pairs.map((pair) => [pair.key, pair.value])));
    return [...new Set([...left.keys(), ...right.keys()])]
        .filter((key) => left.get(key) !== right.get(key))
        .map((key) => ({ key, left: left.get(key), right: right.get(key) }));
}

// ---- messages ----

function close({ id }) {
    models.delete(id);
}
const operations = { open: openFiles, close, rawHeader, editedFile, firstValues, firstBytes, summarize, compare };

self.onmessage = async ({ data }) => {
    if (data.wasm) {
        module = new WebAssembly.Module(data.wasm);
        return;
    }
    if (data.cancel) {
        cancelled.add(data.cancel);
        return;
    }
    const { request, operation } = data;
    const bytesRead = () => [...models.values()].reduce((sum, { model }) => sum + model.bytesRead, 0);
    try {
        const result = await operations[operation](data, (message) => postMessage({ request, ...message }), request);
        postMessage({ request, result, bytesRead: bytesRead() });
    } catch (error) {
        postMessage({ request, error: { message: error.message, status: error.statusName }, bytesRead: bytesRead() });
    }
    cancelled.delete(request);
};
