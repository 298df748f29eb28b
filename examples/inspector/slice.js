// slice.js: slices as NumPy writes them, such as "0, :, 10:20:2".

// Parses a slice of a tensor. Returns {ranges: [{start, stop, step}], shape, axes}: what the library takes, the shape
// of the result, and the dimensions of the tensor that the result has. All numbers are BigInt. Throws an Error with a
// sentence for the user.
export function parseSlice(text, shape) {
    const inside = text
        .trim()
        .replace(/^\[([^]*)\]$/, "$1")
        .trim();
    let parts =
        inside === ""
            ? []
            : inside
                  .replace(/,\s*$/, "")
                  .split(",")
                  .map((part) => part.trim());
    const dots = parts.indexOf("...");
    if (parts.lastIndexOf("...") !== dots) throw new Error("“...” may stand only once");
    if (dots >= 0) {
        const missing = shape.length - (parts.length - 1);
        parts = [...parts.slice(0, dots), ...Array(Math.max(0, missing)).fill(":"), ...parts.slice(dots + 1)];
    }
    if (parts.length > shape.length) {
        throw new Error(`too many dimensions: ${parts.length} given, the tensor has ${shape.length}`);
    }
    const result = { ranges: [], shape: [], axes: [] };
    shape.forEach((size, axis) => {
        const part = parseRange(parts[axis] ?? ":", size, axis);
        result.ranges.push(part);
        if (part.isIndex) return;
        result.shape.push((part.stop - part.start + part.step - 1n) / part.step);
        result.axes.push(axis);
    });
    return result;
}

function parseRange(text, size, axis) {
    const fault = (what) => new Error(`dimension ${axis}: ${what}`);
    const fields = text.split(":").map((field) => field.trim());
    if (fields.length > 3 || !fields.every((field) => /^[+-]?\d*$/.test(field)) || text === "") {
        throw fault("expected a number, or start:stop:step");
    }
    const number = (field) => {
        if (field === "+" || field === "-") throw fault("expected a number");
        return BigInt(field.replace("+", ""));
    };
    if (fields.length === 1) {
        let index = number(fields[0]);
        if (index < 0n) index += size;
        if (index < 0n || index >= size) throw fault(`index ${fields[0]} is out of range, the size is ${size}`);
        return { start: index, stop: index + 1n, step: 1n, isIndex: true };
    }
    const bound = (field, otherwise) => {
        if (field === "") return otherwise;
        let n = number(field);
        if (n < 0n) n += size;
        return n < 0n ? 0n : n > size ? size : n;
    };
    const step = fields[2] ? number(fields[2]) : 1n;
    if (step < 1n) throw fault("the step must be 1 or more");
    const stop = bound(fields[1], size);
    const start = bound(fields[0], 0n);
    return { start: start > stop ? stop : start, stop, step: step > 1n << 62n ? 1n << 62n : step, isIndex: false };
}
