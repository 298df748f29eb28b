// Tests the inspector's WebAssembly without a browser: inspector_engine.mjs INSPECTOR.wasm DIRECTORY ST. DIRECTORY is
// what inspector_files.py made; ST is the tool st, whose verdicts and repaired files must be the same.
import fs from "node:fs";
import path from "node:path";
import { execFileSync, spawnSync } from "node:child_process";
import {
    Model,
    LibraryError,
    OPEN_NO_INDEX,
    OPEN_PARTIAL,
    OPEN_UNKNOWN_DTYPES,
} from "../../examples/inspector/engine.js";
import { parseSlice } from "../../examples/inspector/slice.js";

const [wasm, directory, st] = process.argv.slice(2);
const module = new WebAssembly.Module(fs.readFileSync(wasm));
let passed = 0,
    failed = 0;
function check(what, isRight, ...details) {
    if (isRight) passed++;
    else {
        failed++;
        if (failed < 20) console.log(`FAILED ${what}:`, ...details);
    }
}

const handles = [];
function diskFile(name) {
    const handle = fs.openSync(name);
    handles.push(handle);
    return {
        bytes: fs.fstatSync(handle).size,
        read(offset, n) {
            const bytes = Buffer.alloc(n);
            if (fs.readSync(handle, bytes, 0, n, offset) !== n) throw new Error("short");
            return bytes;
        },
    };
}
const inMemory = (bytes) => ({ bytes: bytes.length, read: (offset, n) => bytes.subarray(offset, offset + n) });
const openPath = (name, flags = 0) => new Model(module, new Map([[name, diskFile(name)]])).open(name, flags);
function finish(steps) {
    for (;;) {
        const step = steps.next();
        if (step.done) return step.value;
    }
}
function errorOf(call) {
    try {
        call();
        return null;
    } catch (error) {
        return error;
    }
}

// ---- values and statistics, compared with NumPy's ----

const near = (a, b, size) => Object.is(a, b) || a === b || Math.abs(a - b) <= 1e-12 * size;
const open = new Map();
for (const expected of JSON.parse(fs.readFileSync(path.join(directory, "expected.json")))) {
    if (!open.has(expected.path)) open.set(expected.path, openPath(expected.path));
    const model = open.get(expected.path);
    const place = `${path.basename(expected.path)} ${JSON.stringify(expected.name)} [${expected.text}]`;
    const what = expected.isTransposed ? `${place} transposed` : place;
    const i = model.tensors.findIndex((tensor) => tensor.name === expected.name);
    const slice = parseSlice(expected.text, model.tensors[i].shape);
    check(`shape of ${what}`, slice.shape.join() === expected.shape.join(), slice.shape, expected.shape);
    if (expected.values !== null) {
        const values = model.read(i, slice, expected.isTransposed),
            wanted = Buffer.from(expected.values, "base64");
        const other = new values.constructor(wanted.buffer.slice(wanted.byteOffset, wanted.byteOffset + wanted.length));
        check(
            `values of ${what}`,
            values.length === other.length && values.every((value, k) => Object.is(value, other[k])),
        );
    }
    const s = finish(model.summarize(i, slice, expected.isTransposed)),
        wanted = expected.statistics;
    const counts = ["elements", "nan", "positiveInfinity", "negativeInfinity", "zero", "finite", "width", "height"];
    for (const key of counts)
        if (wanted[key] !== undefined) check(`${key} of ${what}`, s[key] === wanted[key], s[key], wanted[key]);
    check(`seen of ${what}`, s.seen === s.elements);
    if (!wanted.bins) continue;
    const size = Math.max(Math.abs(wanted.min), Math.abs(wanted.max));
    check(
        `range of ${what}`,
        s.min === Number(wanted.min) && s.max === Number(wanted.max),
        s.min,
        wanted.min,
        s.max,
        wanted.max,
    );
    if (!/huge|f64/.test(expected.name)) {
        // sums of squares overflow there
        check(`mean of ${what}`, near(s.mean, Number(wanted.mean), size), s.mean, wanted.mean);
        check(`deviation of ${what}`, near(s.deviation, Number(wanted.deviation), size), s.deviation, wanted.deviation);
    }
    check(`bins of ${what}`, s.bins.join() === wanted.bins.join(), s.bins.join(), wanted.bins.join());
    const means = new Float64Array(new Uint8Array(Buffer.from(wanted.means, "base64")).buffer);
    check(
        `cells of ${what}`,
        means.length === s.means.length && means.every((mean, k) => near(s.means[k], mean, size)),
    );
    check(`other cells of ${what}`, s.others.reduce((a, b) => a + b, 0) === wanted.others);
}
const shapes = openPath(path.join(directory, "shapes.safetensors"));

// a sample: as many values as wanted, from all rows of the picture, the same each time
const long = shapes.tensors.findIndex((tensor) => tensor.name === "long"),
    wide = shapes.tensors.findIndex((tensor) => tensor.name === "wide");
for (const [i, most] of [
    [wide, 100000],
    [long, 1 << 20],
]) {
    const sample = () => finish(shapes.summarize(i, parseSlice("", shapes.tensors[i].shape), false, most));
    const s = sample();
    check("sample", s.seen <= 1.2 * most && s.seen > most / 4 && s.seen === s.bins.reduce((a, b) => a + b, 0), s.seen);
    check("sample is repeatable", JSON.stringify(s) === JSON.stringify(sample()));
}

// ---- slices that are refused ----

const dims = [4n, 10n];
for (const [text, words] of [
    ["0,0,0", "too many"],
    ["4", "out of range"],
    ["-5", "out of range"],
    ["a", "expected"],
    ["0,", null],
    ["1:2:0", "step"],
    ["::-1", "step"],
    ["1:2:3:4", "expected"],
    ["..., ...", "once"],
    ["-", "expected"],
    ["[1, 2:4]", null],
    [",", "expected"],
    ["99999999999999999999:", null],
    ["::99999999999999999999999", null],
]) {
    const error = errorOf(() => parseSlice(text, dims));
    check(`slice ${text}`, words === null ? error === null : error?.message.includes(words), error?.message);
}
check("clipped slice", parseSlice("7:99, -3:", dims).shape.join() === "0,3");
check(
    "large step",
    finish(shapes.summarize(wide, parseSlice("::99999999999999999999, 0, :3", shapes.tensors[wide].shape), false))
        .seen === 3,
);

// ---- many files ----

const folder = (name, also = {}) => {
    const files = new Map();
    for (const file of fs.readdirSync(path.join(directory, name, "inside")))
        files.set(`${name}/inside/${file}`, diskFile(path.join(directory, name, "inside", file)));
    for (const [file, text] of Object.entries(also)) files.set(`${name}/inside/${file}`, inMemory(Buffer.from(text)));
    return new Model(module, files);
};
{
    const model = folder("sharded").open("sharded/inside/model.safetensors.index.json");
    check(
        "shards",
        model.tensors.length === 3 && model.shards.length === 2 && model.index[0].key === "total_size",
        model.tensors,
    );
    const i = model.tensors.findIndex((tensor) => tensor.name === "layers.2.w");
    check(
        "tensor of the second shard",
        model.read(i, parseSlice("1", model.tensors[i].shape))[0] === 7 &&
            model.shards[model.tensors[i].shard].path.includes("00002"),
    );
    check("folder", folder("sharded").open("sharded/inside").tensors.length === 3);
    check(
        "no index",
        errorOf(() => folder("unindexed").open("unindexed/inside"))?.statusName === "ST_ERR_NOT_FOUND" ||
            errorOf(() => folder("unindexed").open("unindexed/inside"))?.statusName === "ST_ERR_SHARD",
        errorOf(() => folder("unindexed").open("unindexed/inside")),
    );
    check("no index, by names", folder("unindexed").open("unindexed/inside", OPEN_NO_INDEX).tensors.length === 3);
    const missing = errorOf(() => folder("partial").open("partial/inside/model.safetensors.index.json"));
    check(
        "missing shard",
        missing?.statusName === "ST_ERR_SHARD" && missing.message.includes("model-00002-of-00002.safetensors"),
        missing?.message,
    );
    check(
        "missing shard, the rest",
        folder("partial").open("partial/inside/model.safetensors.index.json", OPEN_PARTIAL).tensors.length === 2,
    );
    const escape = { "model.safetensors.index.json": '{"weight_map":{"a":"../../secret.safetensors"}}' };
    check(
        "index that leaves the folder",
        errorOf(() => folder("sharded", escape).open("sharded/inside"))?.statusName === "ST_ERR_PATH",
    );
    check("no such folder", errorOf(() => folder("sharded").open("elsewhere"))?.statusName === "ST_ERR_NOT_FOUND");
}

// ---- verdicts and repaired files, compared with those of st ----

// The repaired file: the new header, and the bytes of the tensors that are left.
function repairedBytes(model, bytes) {
    const parts = model.tensors.map((tensor) => bytes.subarray(tensor.offset, tensor.offset + tensor.bytes));
    return Buffer.concat([model.makeHeader(0, model.metadata), ...parts]);
}
function compareWithTool(what, name, bytes) {
    const model = new Model(module, new Map([["file", inMemory(bytes)]]));
    const error = errorOf(() => model.open("file"));
    const verdict = spawnSync(st, ["check", name], { encoding: "utf8" });
    const wanted =
        verdict.status === 0 ? null : /: (ST_ERR_\w+)(?: at byte (\d+))?: (.*)/.exec(verdict.stdout + verdict.stderr);
    check(
        `verdict of ${what}`,
        (error === null) === (wanted === null) &&
            (error === null ||
                (error.statusName === wanted?.[1] &&
                    (error.position === undefined ? "undefined" : String(error.position)) === String(wanted[2]))),
        error?.statusName,
        error?.position,
        verdict.stdout,
        verdict.stderr,
    );
    if (error === null) return;
    check(`message of ${what}`, error.message.replace("file: ", "") === wanted?.[3], error.message, wanted?.[3]);
    const out = path.join(directory, "repaired.safetensors");
    fs.rmSync(out, { force: true });
    spawnSync(st, ["repair", "--no-sync", name, out]);
    const again = new Model(module, new Map([["file", inMemory(bytes)]]));
    const faults = again.rescue("file");
    const mine = faults && again.tensors.length ? repairedBytes(again, bytes) : null;
    const wantedBytes = fs.existsSync(out) ? fs.readFileSync(out) : null;
    check(
        `repaired ${what}`,
        mine === null ? wantedBytes === null : wantedBytes !== null && mine.equals(wantedBytes),
        mine?.length,
        wantedBytes?.length,
    );
}
const real = process.env.REAL_FILES;
const damaged = ["unknown", "trailing", "gap", "twice", "deep", "overflow", "empty", "page", "length", "short"].map(
    (name) => path.join(directory, `${name}.safetensors`),
);
if (real) damaged.push(`${real}/git-lfs-pointer.safetensors`, `${real}/cut-download.safetensors`);
for (const name of damaged) compareWithTool(path.basename(name), name, fs.readFileSync(name));

// changed bytes: nothing but an error of the library may happen; some of them are compared with the tool
const sound = fs.readFileSync(path.join(directory, "names.safetensors")),
    small = fs.readFileSync(path.join(directory, "twice.safetensors"));
const loud = fs.readFileSync(real ? `${real}/all-dtypes.safetensors` : path.join(directory, "unknown.safetensors"));
let seed = 1;
const random = (n) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * n);
};
for (let round = 0; round < 400; round++) {
    const bytes = Buffer.from([small, loud, loud, sound][round % 4]);
    for (let k = random(3); k >= 0; k--)
        bytes[random(round % 3 ? Math.min(bytes.length, 1500) : 16)] = random(4) ? 32 + random(95) : random(256);
    const cut = random(8) ? bytes : bytes.subarray(0, random(bytes.length));
    const what = `mutation ${round}`;
    if (round % 16 === 1) {
        const name = path.join(directory, "mutated.safetensors");
        fs.writeFileSync(name, cut);
        compareWithTool(what, name, cut);
        continue;
    }
    const model = new Model(module, new Map([["file", inMemory(cut)]]));
    let error = errorOf(() => model.open("file", OPEN_UNKNOWN_DTYPES));
    check(what, error === null || error instanceof LibraryError, error);
    if (error) error = errorOf(() => new Model(module, new Map([["file", inMemory(cut)]])).rescue("file"));
    check(`rescue of ${what}`, error === null || error instanceof LibraryError, error);
    for (const [i, tensor] of (error ? [] : (model.tensors ?? [])).entries()) {
        if (!tensor.dtype) continue;
        error = errorOf(() => finish(model.summarize(i, parseSlice("", tensor.shape), false)));
        check(
            `statistics of ${what}`,
            error === null || (error.statusName === "ST_ERR_TOO_LARGE" && error.message.includes("dimensions")),
            error,
        );
    }
}

// ---- headers ----

{
    const header = shapes.makeHeader(0, shapes.metadata, shapes.shards[0].dataOffset);
    check("a header of the same length", header.length === shapes.shards[0].dataOffset);
    const fewer = shapes.makeHeader(0, null, shapes.shards[0].dataOffset);
    check("a shorter header is padded", fewer.length === shapes.shards[0].dataOffset);
    const more = shapes.makeHeader(0, [{ key: "long", value: "x".repeat(5000) }], shapes.shards[0].dataOffset);
    check("a longer header", more.length > 5000);
    check("no metadata, no object", !Buffer.from(shapes.makeHeader(0, null)).includes("__metadata__"));
    check("empty metadata", Buffer.from(shapes.makeHeader(0, [])).includes('"__metadata__":{}'));
    const twice = errorOf(() =>
        shapes.makeHeader(0, [
            { key: "a", value: "1" },
            { key: "a", value: "2" },
        ]),
    );
    check("duplicate key", twice?.statusName === "ST_ERR_DUPLICATE", twice);
}

// ---- few bytes are read of a large file ----

{
    const begin = performance.now();
    const model = openPath(path.join(directory, "large.safetensors"));
    const opened = performance.now() - begin,
        read = model.bytesRead;
    check("5 GB file", opened < 1000 && read < 1000 && model.tensors.length === 2, opened, read);
    check("values after 5 GB", [...model.read(1, parseSlice("", [4n]))].join() === "0.25,0.5,-1,42");
    check(
        "a row of 5 GB",
        finish(model.summarize(0, parseSlice("-1", [50000n, 50000n]), false)).zero === 50000 && model.bytesRead < 1e6,
        model.bytesRead,
    );
    const many = openPath(path.join(directory, "many.safetensors"));
    check("50,000 tensors", many.tensors.length === 50000 && many.tensors[49999].name === "t.49999.w");
    console.log(`engine: 5 GB opened in ${opened.toFixed(1)} ms, ${read} bytes read`);
}
for (const handle of handles) fs.closeSync(handle);
console.log(`engine: ${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
