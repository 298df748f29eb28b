// bare.mjs MODULE: runs main of a WebAssembly module that has no library but board_print.
import { readFileSync } from 'node:fs';

let memory;
const board_print = (at) => {
    const bytes = new Uint8Array(memory.buffer, at);
    process.stdout.write(Buffer.from(bytes.subarray(0, bytes.indexOf(0))));
};
const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), { env: { board_print } });
memory = instance.exports.memory;
process.exitCode = (instance.exports.__main_void ?? instance.exports.main)();
