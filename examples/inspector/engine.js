// engine.js: the library, from JavaScript. Runs in the page's worker and in Node.

// Flags of st_open_options that let an imperfect model be opened, and what the page says of each.
export const OPEN_UNKNOWN_DTYPES = 1 << 2;
export const OPEN_PARTIAL = 1 << 3;
export const OPEN_TRAILING = 1 << 4;
export const OPEN_NO_INDEX = 1 << 5;

export const DTYPES = [
    "",
    "BOOL",
    "F4",
    "F6_E2M3",
    "F6_E3M2",
    "U8",
    "I8",
    "F8_E5M2",
    "F8_E4M3",
    "F8_E8M0",
    "F8_E4M3FNUZ",
    "F8_E5M2FNUZ",
    "I16",
    "U16",
    "F16",
    "BF16",
    "I32",
    "U32",
    "F32",
    "C64",
    "F64",
    "I64",
    "U64",
];
const [F64, C64, I64, U64] = ["F64", "C64", "I64", "U64"].map((name) => DTYPES.indexOf(name));

const ERR_ARGUMENT = 1;
const IO_NOT_FOUND = -1;
const MAX_OPENING_BYTES = 4e9; // a damaged file may ask to compare the same bytes again and again

// An error in the library's words.
export class LibraryError extends Error {
    constructor(status, name, message, position) {
        super(message);
        Object.assign(this, { status, statusName: name, position });
    }
}

// files: a Map from paths to {bytes, read(offset, n)}, which returns a Uint8Array of n bytes, at once.
export class Model {
    constructor(module, files) {
        this.files = files;
        this.paths = [...files.keys()];
        this.list = [...files.values()];
        this.bytesRead = 0;
        this.limit = Infinity;
        const page = {
            file_find: (path, n, bytes) => this.findFile(this.text(path, n), bytes),
            file_read: (file, offset, dst, n) =>
                this.readFile(file, Number(BigInt.asUintN(64, offset)), dst >>> 0, n >>> 0),
            file_name: (path, n, entry, name, room) => this.nameOf(this.text(path, n), entry, name >>> 0, room),
        };
        this.c = new WebAssembly.Instance(module, { page }).exports;
        this.checkLayout();
    }

    // -- memory --

    view() {
        return new DataView(this.c.memory.buffer);
    }
    bytes(address, n) {
        return new Uint8Array(this.c.memory.buffer, address >>> 0, n >>> 0);
    }
    u32(address) {
        return this.view().getUint32(address >>> 0, true);
    }
    u64(address) {
        return this.view().getBigUint64(address >>> 0, true);
    }
    text(address, n) {
        return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.bytes(address, n ?? this.length(address)));
    }
    length(address) {
        const all = new Uint8Array(this.c.memory.buffer);
        return all.indexOf(0, address >>> 0) - (address >>> 0);
    }
    allocate(n) {
        const address = this.c.allocate(n) >>> 0;
        if (!address) throw new LibraryError(2, "ST_ERR_MEMORY", `out of memory: ${n} bytes wanted`);
        return address;
    }
    // Calls use(address) with a block of memory that lives until it returns.
    withMemory(n, use) {
        const address = this.allocate(n);
        try {
            return use(address);
        } finally {
            this.c.release(address);
        }
    }

    // JavaScript reads the library's structs; this finds out if they are not what it expects.
    checkLayout() {
        const expected = [56, 12, 24, 40, 52, 32, 16, 24, 36, 36, 100, 16, 28];
        const at = this.c.layout();
        const found = expected.map((_, i) => this.u32(at + 4 * i));
        if (expected.join() !== found.join()) throw new Error(`structs have another layout: ${found}`);
    }

    // -- files: called by the library --

    findFile(path, bytes) {
        const file = this.paths.indexOf(path);
        if (file < 0) return IO_NOT_FOUND;
        this.view().setBigUint64(bytes >>> 0, BigInt(this.list[file].bytes), true);
        return file;
    }
    readFile(file, offset, dst, n) {
        if (this.bytesRead + n > this.limit) return 1;
        try {
            this.bytes(dst, n).set(this.list[file].read(offset, n));
        } catch (error) {
            this.readError = error; // the file was changed or removed after it was chosen
            return 1;
        }
        this.bytesRead += n;
        return 0;
    }
    nameOf(directory, entry, name, room) {
        this.listings ??= new Map();
        if (!this.listings.has(directory)) {
            const inside = this.paths.filter((path) => path.startsWith(directory + "/"));
            this.listings.set(directory, [
                ...new Set(inside.map((path) => path.slice(directory.length + 1).split("/")[0])),
            ]);
        }
        const names = this.listings.get(directory);
        if (names.length === 0) return -2;
        if (entry >= names.length) return -1;
        const bytes = new TextEncoder().encode(names[entry]).subarray(0, room);
        this.bytes(name, bytes.length).set(bytes);
        return bytes.length;
    }

    // -- opening --

    check(status) {
        if (status === 0) return;
        const at = this.c.last_error() >>> 0;
        const position = this.u64(at);
        let message = this.text(at + 100);
        if (this.readError) message += ` (${this.readError.message})`;
        throw new LibraryError(
            status,
            this.text(this.c.status_name(status)),
            message,
            position === 0xffffffffffffffffn ? undefined : Number(position),
        );
    }
    withText(text, use) {
        const bytes = new TextEncoder().encode(text + "\0");
        return this.withMemory(bytes.length, (at) => {
            this.bytes(at, bytes.length).set(bytes);
            return use(at);
        });
    }
    open(path, flags = 0) {
        this.limit = this.bytesRead + MAX_OPENING_BYTES;
        this.check(this.withText(path, (at) => this.c.open(at, flags)));
        this.limit = Infinity;
        this.readContents();
        return this;
    }
    // Reads what is left of a damaged file. Returns its faults, or null if nothing can be read.
    rescue(path) {
        this.limit = this.bytesRead + MAX_OPENING_BYTES;
        if (this.withText(path, (at) => this.c.rescue(at)) !== 0) return null;
        this.limit = Infinity;
        this.readContents();
        const faults = [];
        for (let i = 0; i < this.c.fault_count(); i++) {
            const at = this.c.fault(i) >>> 0;
            const name = this.u32(at + 8);
            faults.push({
                position: Number(this.u64(at)),
                name: name ? this.text(name, this.u32(at + 12)) : null,
                message: this.text(this.u32(at + 16)),
                mend: this.text(this.u32(at + 20)),
                isLoss: this.u32(at + 24) !== 0,
            });
        }
        return faults;
    }

    pairs(at, count) {
        return Array.from({ length: count }, (_, i) => {
            const pair = at + 16 * i;
            return {
                key: this.text(this.u32(pair), this.u32(pair + 8)),
                value: this.text(this.u32(pair + 4), this.u32(pair + 12)),
            };
        });
    }
    readContents() {
        const at = this.c.contents() >>> 0;
        const tensors = this.u32(at),
            shards = this.u32(at + 16),
            index = this.u32(at + 32);
        this.tensors = Array.from({ length: this.u32(at + 4) }, (_, i) => this.tensor(tensors + 56 * i));
        this.shards = Array.from({ length: this.u32(at + 20) }, (_, i) => this.shard(shards + 32 * i));
        this.metadata = this.shards.length ? this.shards[0].metadata : null;
        this.index = index ? this.pairs(index, this.u32(at + 36)) : [];
        this.size = Number(this.u64(at + 24));
    }
    tensor(at) {
        const shape = this.u32(at + 12);
        return {
            name: this.text(this.u32(at), this.u32(at + 20)),
            dtype: this.u32(at + 4),
            dtypeName: this.text(this.u32(at + 48)),
            shape: Array.from({ length: this.u32(at + 8) }, (_, i) => this.u64(shape + 8 * i)),
            bytes: Number(this.u64(at + 24)),
            elements: this.u64(at + 32),
            offset: Number(this.u64(at + 40)),
            shard: this.u32(at + 52),
        };
    }
    shard(at) {
        const metadata = this.u32(at + 24);
        return {
            path: this.text(this.u32(at)),
            bytes: Number(this.u64(at + 8)),
            dataOffset: Number(this.u64(at + 16)),
            metadata: metadata ? this.pairs(metadata, this.u32(at + 28)) : null,
        };
    }

    // -- values --

    // Calls use(ranges, axes) with a slice (see slice.js) in memory. isTransposed swaps its last two dimensions.
    withSlice(tensor, slice, isTransposed, use) {
        const rank = this.tensors[tensor].shape.length;
        const order = this.order(rank, slice, isTransposed);
        return this.withMemory(rank * 28 + 8, (at) => {
            const view = this.view();
            slice.ranges.forEach((range, i) => {
                view.setBigUint64(at + 24 * i, range.start, true);
                view.setBigUint64(at + 24 * i + 8, range.stop, true);
                view.setBigUint64(at + 24 * i + 16, range.step, true);
            });
            order.forEach((axis, i) => view.setUint32(at + 24 * rank + 4 * i, axis, true));
            return use(at, at + 24 * rank);
        });
    }
    // Dimensions of which one index was chosen come first, so that rows and columns are the last ones of the result.
    order(rank, slice, isTransposed) {
        const kept = [...slice.axes];
        if (isTransposed && kept.length > 1) kept.push(kept.splice(-2, 1)[0]);
        return [...Array(rank).keys()].filter((axis) => !kept.includes(axis)).concat(kept);
    }
    // Reads a slice as another dtype; of a sharded model too. Returns a typed array, of C64 pairs.
    read(tensor, slice, isTransposed = false) {
        const dtype = this.tensors[tensor].dtype;
        const as = dtype === I64 || dtype === U64 || dtype === C64 ? dtype : F64;
        const count = slice.shape.reduce((product, size) => product * Number(size), 1);
        return this.withMemory(count * 8 + 8, (dst) =>
            this.withSlice(tensor, slice, isTransposed, (ranges, axes) => {
                this.check(this.c.read_as(tensor, ranges, axes, as, dst, count * 8));
                const type =
                    as === I64 ? BigInt64Array : as === U64 ? BigUint64Array : as === C64 ? Float32Array : Float64Array;
                return new type(this.bytes(dst, count * 8).slice().buffer);
            }),
        );
    }
    // Reads bytes of a tensor as they are stored.
    readBytes(tensor, offset, n) {
        return this.withMemory(n + 8, (dst) => {
            this.check(this.c.read_bytes(tensor, BigInt(offset), dst, n));
            return this.bytes(dst, n).slice();
        });
    }

    // -- statistics --

    // Makes the statistics of a slice, block by block; a generator that yields the fraction done, and returns the
    // result. Of more than maxElements values it reads a sample: of each stretch of blocks one, the same each time.
    *summarize(tensor, slice, isTransposed, maxElements = Infinity) {
        this.check(
            this.withSlice(tensor, slice, isTransposed, (ranges, axes) => this.c.summary_begin(tensor, ranges, axes)),
        );
        const at = this.c.summary_result() >>> 0;
        const elements = this.u64(at),
            piece = this.u64(at + 24);
        const blocks = Number((elements + piece - 1n) / piece);
        const stretch = Math.max(1, Math.ceil(Number(elements) / maxElements));
        for (const pass of [0, 1]) {
            let random = 1;
            for (let first = 0; first < blocks; first += stretch) {
                random = (random * 1103515245 + 12345) % 2147483648;
                const block = Math.min(first + (stretch > 1 ? Math.floor(random / 65536) % stretch : 0), blocks - 1);
                let position = BigInt(block) * piece;
                const end = position + piece < elements ? position + piece : elements;
                while (position < end) {
                    const count = this.c.summary_step(position, end, pass); // fewer values where a dimension ends
                    if (count === 0n) this.check(this.u32((this.c.last_error() >>> 0) + 24));
                    position += count;
                }
                yield (pass + (first + stretch) / blocks) / 2;
            }
        }
        return this.summary(at);
    }
    summary(at) {
        const view = this.view();
        const u64 = (i) => Number(this.u64(at + 8 * i)),
            f64 = (i) => view.getFloat64(at + 8 * i, true);
        const [width, height] = [this.u32(at + 112), this.u32(at + 116)];
        const sums = at + 120 + 64 * 8,
            finite = sums + 65536 * 8,
            other = finite + 65536 * 4;
        const means = new Float64Array(width * height),
            others = new Uint32Array(width * height);
        for (let y = 0, i = 0; y < height; y++) {
            for (let x = 0; x < width; x++, i++) {
                const cell = 256 * y + x,
                    n = this.u32(finite + 4 * cell);
                means[i] = n ? view.getFloat64(sums + 8 * cell, true) / n : NaN;
                others[i] = this.u32(other + 4 * cell);
            }
        }
        const n = u64(9);
        return {
            elements: u64(0),
            columns: u64(1),
            rows: u64(2),
            seen: u64(4),
            nan: u64(5),
            positiveInfinity: u64(6),
            negativeInfinity: u64(7),
            zero: u64(8),
            finite: n,
            min: f64(10),
            max: f64(11),
            mean: f64(12),
            deviation: n ? Math.sqrt(f64(13) / n) : 0,
            bins: Array.from({ length: 64 }, (_, i) => u64(15 + i)),
            width,
            height,
            means,
            others,
        };
    }

    // -- a new header --

    // Returns the header of a file with the tensors of a shard and other metadata; null: none. Keeps the length of the
    // header `bytes` where the new one is not longer.
    makeHeader(shard, metadata, bytes = 0) {
        const made = this.header(shard, metadata, 0);
        if (made.length >= bytes) return made;
        const padded = this.header(shard, metadata, bytes - made.length);
        return padded.length === bytes ? padded : made;
    }
    header(shard, metadata, slack) {
        const texts = (metadata ?? [])
            .flatMap((pair) => [pair.key, pair.value])
            .map((text) => new TextEncoder().encode(text));
        const size = texts.reduce((sum, text) => sum + text.length, 0);
        return this.withMemory(8 * texts.length + size + 8, (pairs) => {
            let at = pairs + 8 * texts.length;
            texts.forEach((text, i) => {
                const pair = pairs + 16 * (i >> 1) + 4 * (i & 1);
                this.view().setUint32(pair, at, true);
                this.view().setUint32(pair + 8, text.length, true);
                this.bytes(at, text.length).set(text);
                at += text.length;
            });
            this.check(this.c.make_header(shard, pairs, texts.length / 2, metadata ? 1 : 0, slack));
            return this.bytes(this.c.header_bytes(), this.c.header_count()).slice();
        });
    }
}
