#!/usr/bin/env -S node --no-warnings --no-turbo-fast-api-calls
// wasi.mjs PROGRAM ARGUMENT...: runs a WASI program. Its root directory is the current directory, the only one it sees.
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const args = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args, env: process.env, preopens: { '/': '.' }, returnOnExit: true });
const { instance } = await WebAssembly.instantiate(readFileSync(args[0]), wasi.getImportObject());
process.exitCode = wasi.start(instance);
