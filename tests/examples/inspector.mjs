// Tests the inspector in headless Chromium: inspector.mjs PAGE DIRECTORY ST [AXE]. DIRECTORY is what inspector_files.py
// made and gets the screenshots; ST is the tool st; AXE is the script of axe-core.
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { spawnSync } from "node:child_process";
import { pathToFileURL } from "node:url";
import { startChromium } from "./chromium.mjs";

const [html, directory, st, axe] = process.argv.slice(2).map((name) => path.resolve(name));
const { REAL_FILES: real, MODEL: minilm } = process.env;
const at = (name) => path.join(directory, name);
let passed = 0,
    failed = 0;
function check(what, isRight, ...details) {
    if (isRight) passed++;
    else {
        failed++;
        console.log(`FAILED ${what}:`, ...details);
    }
}
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const profile = fs.mkdtempSync(path.join(os.tmpdir(), "inspector-"));
const downloads = at("downloads");
fs.rmSync(downloads, { recursive: true, force: true });
fs.mkdirSync(downloads);
const browser = await startChromium(profile);

// ---- what a user does ----

const modelCount = (page) => page.run("Number(document.body.dataset.models ?? 0)");
const alertOf = (page) => page.run("document.querySelector('#alerts').innerText");
const textOf = (page) => page.run("document.querySelector('#model').innerText");
async function opened(page, act) {
    const before = await modelCount(page);
    await act();
    await page.until(
        `Number(document.body.dataset.models ?? 0) > ${before} || document.querySelector('#alerts').innerText`,
    );
    return textOf(page);
}
const choose = (page, ...names) => opened(page, () => page.choose("#files", names));
const drop = (page, ...names) => opened(page, () => page.drop(names));
const tab = (page, name) => page.run(`document.getElementById('tab-${name}').click()`);
const click = (page, text, within = "document") =>
    page.run(`(() => {
  const buttons = [...${within}.querySelectorAll('button')];
  const found = buttons.find((one) => one.innerText.startsWith(${JSON.stringify(text)}));
  if (!found) throw new Error('no button ' + ${JSON.stringify(text)});
  found.click(); })()`);
async function showTensor(page, name) {
    await page.run(
        `[...document.querySelectorAll('[data-tensor]')]
        .find((one) => one.innerText === ${JSON.stringify(name)}).click()`,
    );
    return page.until(
        "document.querySelector('#tensor #values, #tensor pre') && document.querySelector('#tensor').innerText",
    );
}
async function slice(page, text) {
    await page.run("delete document.querySelector('#tensor [data-ready]')?.dataset.ready");
    await page.run(
        `document.querySelector('#tensor form input').value = ${JSON.stringify(text)};
    document.querySelector('#tensor form button').click()`,
    );
    return page.until(`(document.querySelector('#tensor [data-ready]')?.dataset.ready === ${JSON.stringify(text)} ||
    document.querySelector('#slice-error').innerText) && document.querySelector('#tensor').innerText`);
}
async function downloaded(name, act) {
    const file = path.join(downloads, name);
    await act();
    for (let i = 0; i < 300 && !fs.existsSync(file); i++) await wait(20);
    await wait(50);
    return file;
}
const tool = (...words) => spawnSync(st, words, { encoding: "utf8" });

async function accessible(page, what) {
    if (!axe) return;
    await page.run(fs.readFileSync(axe, "utf8") + ";0");
    const result = await page.run(
        `axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations.map((violation) =>
      violation.id + ': ' + violation.nodes.map((node) => node.html.slice(0, 120)).slice(0, 3).join(' | ')))`,
    );
    check(`accessibility of ${what}`, result.length === 0, result);
}
async function shoot(page, name) {
    for (const [size, width, height] of [
        ["desktop", 1200, 800],
        ["phone", 390, 844],
    ]) {
        for (const isDark of [false, true]) {
            await page.look(width, height, isDark);
            await page.shoot(at(`${name}-${size}-${isDark ? "dark" : "light"}.png`));
            const overflow = await page.run(
                `Math.max(document.documentElement.scrollWidth,
        document.querySelector('dialog[open]')?.scrollWidth ?? 0) - innerWidth`,
            );
            check(`${name} fits ${size}`, overflow <= 0, overflow);
            if (size === "desktop") await accessible(page, `${name}, ${isDark ? "dark" : "light"}`);
        }
    }
    await page.look(1200, 800, false);
}

// ---- the tests ----

// A real model: table, search, sorting, tree, sizes, a tensor by keyboard.
async function realModel(page) {
    const text = await choose(page, minilm);
    check(
        "real model",
        text.includes("104 tensors, 90.9 MB") && /\b\d+ ms, 11.4 kB read/.test(text),
        text.slice(0, 300),
    );
    await shoot(page, "table");
    const search = (words) =>
        page.run(`(() => { const input = document.querySelector('input[type=search]'); input.value = '${words}';
    input.dispatchEvent(new Event('input')); return document.querySelector('#panel [role=status]').innerText; })()`);
    check(
        "search",
        (await search("layer.3 BIAS")) === "8 tensors, 31.4 kB" ||
            (await search("layer.3 BIAS")).startsWith("8 tensors"),
        await search("layer.3 BIAS"),
    );
    check("search without result", (await search("nothing here")) === "No tensor matches.");
    await search("");
    await click(page, "Size", "document.querySelector('#panel')");
    await click(page, "Size", "document.querySelector('#panel')");
    const first = await page.run("document.querySelector('tbody tr').innerText");
    check("sorted by size", first.includes("word_embeddings") && first.includes("46.9 MB"), first);
    check(
        "sort order is announced",
        await page.run("document.querySelector('th[aria-sort=descending]')?.innerText.startsWith('Size')"),
    );
    await click(page, "Next", "document.querySelector('#panel')");
    check(
        "second page",
        (await page.run("document.querySelector('#panel [role=status]').innerText")).startsWith("101 to 104 of 104"),
    );

    // by keyboard alone: the tabs by arrow keys, then into a tensor and out again
    await page.run("document.querySelector('#tab-Tensors').focus()");
    await page.press("ArrowRight");
    check(
        "arrow keys change tabs",
        (await page.run(
            "document.activeElement.id === 'tab-Tree' && document.activeElement.getAttribute('aria-selected')",
        )) === "true",
    );
    await page.press("Tab");
    await page.press("Enter");
    await page.until("document.querySelector('.tree details[open] ul')");
    const tree = await textOf(page);
    check(
        "tree with sums",
        /embeddings\s*6 tensors, 47.7 MB/.test(tree) &&
            /encoder.layer\s*96 tensors, 42.6 MB/.test(tree) &&
            tree.includes("position_ids"),
        tree,
    );
    await page.press("Tab");
    await page.press("Tab");
    await page.press("Tab");
    await page.press("Enter");
    await page.until("document.querySelector('#tensor').open && document.querySelector('#values')");
    check(
        "a tensor by keyboard",
        (await page.run("document.querySelector('#tensor h2').innerText")) === "embeddings.position_ids",
    );
    await page.press("Escape");
    check(
        "Escape closes, focus returns",
        (await page.run("!document.querySelector('#tensor').open && document.activeElement.innerText")) ===
            "position_ids",
    );
    await shoot(page, "tree");
    await tab(page, "Sizes");
    const sizes = await textOf(page);
    check(
        "sizes",
        sizes.includes("F32 90.9 MB, 100.0 %, 103 tensors") && /encoder.layer.0\s+16 tensors\s+7.10 MB/.test(sizes),
        sizes,
    );
    await shoot(page, "sizes");
    await tab(page, "Tensors");
    const weight = await showTensor(page, "encoder.layer.0.attention.self.query.weight");
    check(
        "statistics",
        /Minimum\s+-0.7725162\s+Maximum\s+0.6507862\s+Mean\s+0.00009174394\s+Standard deviation\s+0.09545745/.test(
            weight,
        ),
        weight.slice(0, 600),
    );
    await shoot(page, "tensor");
    await page.run("document.querySelector('#heat').focus()");
    await page.press("ArrowRight");
    const readout = await page.run("document.querySelector('#heat').parentNode.innerText");
    check("a cell by keyboard", readout.includes("Row 0 to 1, column 2: mean"), readout);
    await page.press("Escape");
}

// Values of slices, special values, refused slices.
async function values(page) {
    await choose(page, at("shapes.safetensors"));
    const special = await showTensor(page, "special");
    check(
        "NaN and infinities are counted",
        /NaN\s+3 \(0.100 %\)\s+\+ infinity\s+2 \(0.0667 %\)\s+− infinity\s+1/.test(special) &&
            /Zeros\s+40/.test(special),
        special,
    );
    await page.press("Escape");
    await showTensor(page, "rank4");
    const part = await slice(page, "1, 2, 3:40:5, -2:");
    const rows = await page.run(
        "[...document.querySelectorAll('#values tr')].map((row) => [...row.cells].map((cell) => cell.innerText))",
    );
    const expected = spawnSync(st, ["show", at("shapes.safetensors"), "rank4", "--slice", "1,2,3:40:5,5:7"], {
        encoding: "utf8",
    });
    check(
        "slice of rank 4",
        part.includes("Slice: 8 × 2, 16 values") &&
            rows.length === 9 &&
            rows[0].join() === ",5,6" &&
            rows[8][0] === "38",
        rows.join("; "),
        expected.stdout,
    );
    const numbers = JSON.parse(fs.readFileSync(at("expected.json"))).find(
        (one) => one.name === "rank4" && one.text === "...",
    );
    const all = new Float64Array(new Uint8Array(Buffer.from(numbers.values, "base64")).buffer);
    check(
        "values of the slice",
        rows
            .slice(1)
            .every((row, y) =>
                [5, 6].every((x, k) => Math.fround(Number(row[k + 1])) === all[((1 * 4 + 2) * 50 + 3 + 5 * y) * 7 + x]),
            ),
        rows.join("; "),
    );
    await page.run("document.querySelector('#tensor input[type=checkbox]').click()");
    await page.until("document.querySelectorAll('#values tr').length === 3");
    check("swapped", (await page.run("document.querySelectorAll('#values tr')[1].cells.length")) === 9);
    check(
        "slice that is refused",
        (await slice(page, "9")).includes("dimension 0: index 9 is out of range, the size is 3"),
    );
    await page.press("Escape");
    for (const [name, words] of [
        ["long", "1,100,000 values"],
        ["wide", "420,000 values"],
        ["huge", "1.7e+308"],
        ["empty", "0 values"],
        ["all nan", "NaN\n2"],
        ["constant", "2.5"],
    ]) {
        const shown = await page
            .run(`[...document.querySelectorAll('[data-tensor]')].find((one) => one.innerText === '${name}').click()`)
            .then(() =>
                page.until(
                    `document.querySelector('#tensor [data-ready]') && document.querySelector('#tensor').innerText`,
                ),
            );
        check(`tensor ${name}`, shown.includes(words), shown);
        await page.press("Escape");
    }
}

// 5 GB: the time from the drop to the table, and what is read for it.
async function large(page) {
    const begin = performance.now(),
        before = await page.run("Number(document.body.dataset.bytesRead ?? 0)");
    const text = await drop(page, at("large.safetensors"));
    const milliseconds = performance.now() - begin;
    const read = (await page.run("Number(document.body.dataset.bytesRead)")) - before;
    check(
        "5 GB file",
        text.includes("5,000,000,192 bytes") && milliseconds < 1000 && read < 1000,
        milliseconds,
        read,
        text.slice(0, 200),
    );
    console.log(`browser: 5 GB file dropped and shown after ${milliseconds.toFixed(0)} ms, ${read} bytes read`);
    const last = await showTensor(page, "last");
    check(
        "values after 5 GB",
        /0\s+0.25\s+0.5\s+-1\s+42/.test(await page.run("document.querySelector('#values tbody').innerText")) ||
            last.includes("0.25"),
        last,
    );
    await page.press("Escape");
    await showTensor(page, "first");
    check(
        "a sample of 2.5 billion values",
        /Statistics from a sample of 1[5-9],\d{3},\d{3} values/.test(
            await page.run("document.querySelector('#tensor').innerText"),
        ),
    );
    await click(page, "Read all", "document.querySelector('#tensor')");
    await page.until("document.querySelector('#tensor progress')");
    await click(page, "Stop", "document.querySelector('#tensor')");
    await page.until("document.querySelector('#tensor').innerText.includes('Stopped.')");
    await page.press("Escape");
}

async function folders(page, canDropFolders) {
    const acts = [["chosen", (name) => opened(page, () => page.choose("#folder", [at(name)]))]];
    if (canDropFolders) acts.push(["dropped", (name) => drop(page, at(name))]);
    for (const [how, act] of acts) {
        const text = await act("sharded");
        check(
            `folder ${how}`,
            text.includes("3 tensors, 32 bytes of data in 2 files") &&
                text.startsWith("sharded/inside/model.safetensors.index.json"),
            text,
            await alertOf(page),
        );
        const order = await page.run(
            "[...document.querySelectorAll('[data-tensor]')].map((one) => one.innerText).join()",
        );
        check(`names in folder ${how} in natural order`, order === "layers.0.w,layers.2.w,layers.10.w", order);
        await showTensor(page, "layers.2.w");
        check(
            `values of a shard in folder ${how}`,
            (await page.run("document.querySelector('#values tbody').innerText")).split(/\s+/).slice(-3).join() ===
                "6,7,8",
        );
        await page.press("Escape");
    }
    const partial = await opened(page, () => page.choose("#folder", [at("partial")]));
    check(
        "missing shard",
        /model-00002-of-00002.safetensors.*\n?.*ST_ERR_SHARD/s.test(partial) && partial.includes("2 tensors"),
        partial,
    );
    const unindexed = await opened(page, () => page.choose("#folder", [at("unindexed")]));
    check("no index", unindexed.includes("There is no index") && unindexed.includes("3 tensors"), unindexed);
    const inside = fs.readdirSync(at("unindexed/inside")).map((name) => at(`unindexed/inside/${name}`));
    check(
        "shards without their folder",
        (await choose(page, ...inside)).includes("3 tensors, 32 bytes of data in 2 files"),
    );
}

// Damaged files: the library's words, and what is left is the same as st repair writes.
async function damaged(page) {
    const names = ["trailing", "gap", "unknown", "twice"].map((name) => at(`${name}.safetensors`));
    if (real) names.push(`${real}/cut-download.safetensors`);
    for (const name of names) {
        const base = path.basename(name),
            text = await choose(page, name);
        const verdict = tool("check", name).stdout + tool("check", name).stderr;
        const message = verdict.trim().split(": ").slice(2).join(": ");
        check(`message of ${base}`, message !== "" && text.includes(message), text.slice(0, 300), verdict);
        if (["trailing", "unknown"].some((word) => base.startsWith(word))) {
            check(`${base} is shown`, text.includes("Everything else could be opened"), text);
        } else if (base.startsWith("twice")) {
            check(`${base} cannot be shown`, text.includes("Nothing can be shown"), text);
        } else {
            const out = at("repaired.safetensors");
            tool("repair", "--no-sync", name, out);
            const mine = await downloaded(`repaired-${base}`, () => click(page, "Save what is left"));
            check(`repaired ${base}`, fs.existsSync(mine) && fs.readFileSync(mine).equals(fs.readFileSync(out)));
            if (base.startsWith("cut")) {
                check("a cut file's length", text.includes("the file has 100,000 bytes"), text.slice(0, 200));
                check(
                    "a cut file lists its whole tensors",
                    text.includes("still holds 3 whole tensors") && text.includes("embeddings.LayerNorm.bias"),
                    text,
                );
                await page.run("document.querySelector('#fault details').open = true");
                await shoot(page, "damaged");
            }
        }
    }
    for (const [name, status] of [
        ["deep", "ST_ERR_JSON"],
        ["overflow", "ST_ERR_OVERFLOW"],
        ["empty", "ST_ERR_TRUNCATED"],
        ["page", "ST_ERR_FORMAT"],
        ["length", "ST_ERR_HEADER_LIMIT"],
        ["short", "ST_ERR_TRUNCATED"],
    ]) {
        const text = await choose(page, at(`${name}.safetensors`));
        check(`${name} is refused`, text.includes(status), text);
    }
    if (real)
        check(
            "a Git LFS pointer is recognised",
            (await choose(page, `${real}/git-lfs-pointer.safetensors`)).includes("Git LFS pointer"),
        );
}

// A file that becomes shorter after it was opened.
async function changed(page) {
    const file = at("changed.safetensors");
    fs.copyFileSync(at("other.safetensors"), file);
    await choose(page, file);
    fs.truncateSync(file, 1000);
    await page.run("document.querySelector('[data-tensor]').click()");
    const fault = await page.until("document.querySelector('#slice-error').innerText");
    check("a file that was changed", fault.includes("changed.safetensors: ") && fault.length > 40, fault);
    await page.press("Escape");
    const again = await choose(page, file, at("unknown.safetensors"));
    check("one bad file of two", again.includes("ST_ERR_TRUNCATED") && (await modelCount(page)) === 3, again);
    await click(page, "×", "document.querySelector('#models')");
    await click(page, "×", "document.querySelector('#models')");
    check("closed", (await textOf(page)).startsWith("unknown.safetensors"), await textOf(page));
}

// Names and metadata that try to be HTML, to turn the text around, or to be properties of JavaScript's objects.
async function hostile(page) {
    const title = await page.run("document.title");
    const text = await choose(page, at("names.safetensors"));
    check(
        "hostile names are text",
        text.includes("<img src=x onerror=") &&
            text.includes("\\u{202e}gpj.\\u{0}\\u{1b}]0;evil\\u{7}") &&
            text.includes("__proto__"),
        text.slice(0, 500),
    );
    for (const name of ["Tree", "Sizes", "Metadata"]) {
        await tab(page, name);
        check(`${name} of hostile names`, (await textOf(page)).includes("__proto__"));
    }
    await tab(page, "Tensors");
    await page.run(
        `[...document.querySelectorAll('[data-tensor]')].forEach((one) => {
      one.click();
      document.querySelector('#tensor').close();
    })`,
    );
    await page.run(
        "[...document.querySelectorAll('[data-tensor]')].find((one) => one.innerText.includes('<img')).click()",
    );
    await page.until("document.querySelector('#tensor #values')");
    await shoot(page, "hostile");
    await page.press("Escape");
    await wait(100);
    check(
        "nothing ran",
        (await page.run("document.title")) === title &&
            (await page.run("document.querySelectorAll('img').length")) === 0,
    );
    const many = await choose(page, at("many.safetensors"));
    check("50,000 tensors", many.includes("1 to 100 of 50,000 tensors"));
    await tab(page, "Tree");
    check("tree of 50,000", (await textOf(page)).includes("50,000 tensors"));
    await tab(page, "Tensors");
    const none = await page.run("document.querySelector('#alerts').innerText");
    check("no alert", none === "", none);
    await choose(page, at("expected.json"));
    check(
        "a file that is none",
        (await textOf(page)).includes("ST_ERR_") || (await alertOf(page)).includes("no safetensors file"),
        await textOf(page),
    );
}

async function compare(page) {
    await choose(page, at("shapes.safetensors"));
    await choose(page, at("other.safetensors"));
    await tab(page, "Compare");
    const run = async () => {
        await page.run("document.querySelector('#differences').replaceChildren()");
        await click(page, "Compare", "document.querySelector('#panel form')");
        return page.until(
            `document.querySelector('#differences table, #panel [role=status]:not(:has(progress)):not(:empty)') &&
      document.querySelector('#panel').innerText`,
        );
    };
    await page.run(
        `(() => {
      const [left, right] = document.querySelectorAll('#panel select');
      const last = (options, name) => [...options].findLastIndex((one) => one.text === name);
      left.selectedIndex = last(left.options, 'shapes.safetensors');
      right.selectedIndex = last(right.options, 'other.safetensors'); })()`,
    );
    const text = await run();
    check("values that differ", /rank4\s+\d bytes? differs?, by at most 0\.(5|49999|50000)\d*/.test(text), text);
    check("shape that differs", /special\s+dtype or shape\s+F32 3000\s+F32 30 × 100/.test(text), text);
    check("tensors of one side", /added\s+only right\s+—\s+U8 1/.test(text) && /wide\s+only left/.test(text), text);
    check(
        "metadata that differs",
        /note\s+line 1\\r\\nline 2\s+line 1\\nline 2/.test(text) &&
            /script\s+<script>/.test(text) &&
            !/json\s+\{/.test(text),
        text,
    );
    check(
        "the sum of it",
        text.includes("9 tensors differ, 1 the same; 2 metadata entries differ."),
        text.slice(0, 300),
    );
    await shoot(page, "compare");
    await page.run(
        `(() => {
      const [left, right] = document.querySelectorAll('#panel select');
      right.selectedIndex = left.selectedIndex; })()`,
    );
    check(
        "no difference",
        (await run()).includes("No difference: 9 tensors with the same values."),
        await page.run("document.querySelector('#panel').innerText"),
    );
}

// Metadata: shown, edited, and saved; st reads what was saved.
async function metadata(page) {
    await choose(page, at("shapes.safetensors"));
    await tab(page, "Metadata");
    const text = await textOf(page);
    check("metadata is readable", text.includes('"b": null') && text.includes("<script>document.title"), text);
    await page.run("document.querySelector('#panel details').open = true");
    const raw = await page.until("document.querySelector('pre.box').innerText");
    check(
        "raw header",
        raw.startsWith('{"__metadata__": {"note": "line 1\\\\r\\\\nline 2"') ||
            raw.startsWith('{"__metadata__": {"note": "line 1\\r\\nline 2"'),
        raw.slice(0, 100),
    );
    await click(page, "Edit metadata");
    await accessible(page, "editing");
    await page.run(
        `(() => {
      const rows = document.querySelectorAll('.edit tbody tr');
      rows[2].querySelector('button').click();
      rows[1].querySelector('textarea').value = 'new é\\u0007'; })()`,
    );
    await click(page, "Add an entry");
    await page.run(
        `(() => {
      const row = document.querySelector('.edit tbody tr:last-child');
      row.querySelector('input').value = 'added';
      row.querySelector('textarea').value = 'x'; })()`,
    );
    const file = await downloaded("shapes.safetensors", () => click(page, "Save the file"));
    const header = await downloaded("shapes.safetensors.header", () => click(page, "Save its header"));
    const verdict = tool("check", file);
    check(
        "saved file",
        verdict.status === 0 && verdict.stdout.includes("ok, 9 tensors"),
        verdict.stdout,
        verdict.stderr,
    );
    const before = fs.readFileSync(at("shapes.safetensors")),
        after = fs.readFileSync(file);
    const [old, length] = [before, after].map((bytes) => 8 + Number(bytes.readBigUInt64LE()));
    const saved = JSON.parse(after.subarray(8, length)).__metadata__;
    check(
        "saved metadata",
        JSON.stringify(Object.entries(saved).sort()) ===
            JSON.stringify([
                ["added", "x"],
                ["json", "new é\u0007"],
                ["note", "line 1\r\nline 2"],
            ]),
        saved,
    );
    check("saved data", after.subarray(length).equals(before.subarray(old)));
    check("saved header", fs.readFileSync(header).equals(after.subarray(0, length)));
    check(
        "header of the same length",
        length === old && (await textOf(page)).includes("can be written over the start"),
        length,
        old,
    );
    await page.run(
        "document.querySelectorAll('.edit tbody tr').forEach((row) => { row.querySelector('input').value = 'same'; })",
    );
    await click(page, "Save the file");
    const refused = await page.until("document.querySelector('.edit + [role=alert]').innerText");
    check("duplicate key is refused in the library's words", refused.includes("duplicate"), refused);
}

const isLocal = (url) =>
    url.startsWith("file:") ||
    url.startsWith("blob:") ||
    url.startsWith("http://127.0.0.1") ||
    url.startsWith("about:");
let server;
try {
    await browser.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: downloads });
    const page = await browser.page(pathToFileURL(html).href);
    await page.look(1200, 800, false);
    await shoot(page, "welcome");
    const sections = [
        ["large", large],
        ["values", values],
        ["folders", (one) => folders(one, true)],
        ["damaged", damaged],
        ["changed", changed],
        ["hostile", hostile],
        ["compare", compare],
        ["metadata", metadata],
    ];
    if (minilm) sections.unshift(["real model", realModel]);
    for (const [what, section] of sections) {
        await page.open(pathToFileURL(html).href);
        await section(page).catch((error) => check(what, false, error.stack));
    }
    check("no fault in the console", page.faults.length === 0, page.faults);
    check(
        "no request leaves the page",
        page.requests.every(isLocal),
        page.requests.filter((url) => !isLocal(url)),
    );

    // the same page from a server
    server = http.createServer((request, response) => {
        response.writeHead(request.url === "/" ? 200 : 404, { "Content-Type": "text/html; charset=utf-8" });
        response.end(request.url === "/" ? fs.readFileSync(html) : "");
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const served = await browser.page(`http://127.0.0.1:${server.address().port}/`);
    await served.look(1200, 800, false);
    for (const [what, section] of [
        ["served: folders", (one) => folders(one, true)],
        ["served: large", large],
    ]) {
        await section(served).catch((error) => check(what, false, error.stack));
    }
    check(
        "only the page is requested",
        served.requests.filter((url) => url.startsWith("http")).every((url) => /:\d+\/(favicon.ico)?$/.test(url)),
        served.requests,
    );
    check(
        "no fault in the console when served",
        served.faults.filter((one) => !one.includes("favicon")).filter((one) => !one.includes("404")).length === 0,
        served.faults,
    );
} catch (error) {
    check("browser", false, error.stack);
} finally {
    server?.close();
    await browser.close();
    fs.rmSync(profile, { recursive: true, force: true });
}
console.log(`browser: ${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
