// page.js: the page: starts the worker, takes files, and shows a model in tabs.
import { h, untrusted, visible, formatBytes, formatCount, plural, download } from "./dom.js";
import { tensorTable } from "./table.js";
import { tensorTree } from "./tree.js";
import { sizePictures } from "./sizes.js";
import { showTensor } from "./tensor.js";
import { metadataPanel } from "./metadata.js";
import { comparePanel } from "./compare.js";

const MAX_FAULTS = 200;
const $ = (id) => document.getElementById(id);
let models = [],
    current = null,
    tab = "Tensors";

// ---- the worker ----

const worker = new Worker(URL.createObjectURL(new Blob([$("worker").textContent], { type: "text/javascript" })));
const wasm = Uint8Array.from(atob($("wasm").textContent.replace(/\s/g, "")), (c) => c.charCodeAt(0));
worker.postMessage({ wasm }, [wasm.buffer]);
const questions = new Map();
let lastRequest = 0;

// Asks the worker. Returns a promise that has a function cancel.
function ask(operation, parameters, progress) {
    const request = ++lastRequest;
    const promise = new Promise((resolve, reject) => questions.set(request, { resolve, reject, progress }));
    promise.cancel = () => {
        if (questions.has(request)) worker.postMessage({ cancel: request });
    };
    worker.postMessage({ request, operation, ...parameters });
    return promise;
}
worker.onmessage = ({ data }) => {
    const question = questions.get(data.request);
    if (data.progress !== undefined) {
        question?.progress?.(data.progress, data.text);
        return;
    }
    questions.delete(data.request);
    document.body.dataset.bytesRead = data.bytesRead;
    if (data.error) question.reject(new Error(data.error.message));
    else question.resolve(data.result);
    if (models.length) showStatus(data.bytesRead);
};
worker.onerror = (event) => alertText(`The page failed: ${event.message}`);

function showStatus(bytesRead) {
    const total = models.reduce((sum, model) => sum + model.bytes, 0);
    $("status").textContent = `Read ${formatBytes(bytesRead)} of ${formatBytes(total)}.`;
}
function alertText(...text) {
    $("alerts").replaceChildren(h("p", { class: "notice" }, ...text));
}

// ---- taking files ----

// files: [{path, file}]
async function open(files) {
    $("alerts").replaceChildren();
    if (files.length === 0) return;
    $("status").textContent = "Opening…";
    try {
        const opened = await ask("open", { files }, (done, text) => {
            $("status").textContent = visible(text);
        });
        models.push(...opened);
        $("welcome").hidden = true;
        choose(opened[0]);
        showStatus(Number(document.body.dataset.bytesRead));
        document.body.dataset.models = models.length;
        $("model-name").focus();
    } catch (error) {
        $("status").textContent = "";
        alertText(visible(error.message));
    }
}
const inputFiles = (input) => [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
for (const id of ["files", "folder"]) {
    $(id).addEventListener("change", () => {
        open(inputFiles($(id)));
        $(id).value = "";
    });
}

// Lists the files of what was dropped. Directories come as entries; handles are the way where a page that was opened
// from a disk may not read entries.
async function droppedFiles(transfer) {
    const items = [...transfer.items].filter((item) => item.kind === "file");
    const plain = [...transfer.files];
    const taken = items.map((item) => ({
        entry: item.webkitGetAsEntry?.(),
        handle: item.getAsFileSystemHandle?.().catch(() => null),
    }));
    const files = [];
    for (const [i, { entry, handle }] of taken.entries()) {
        if (!entry?.isDirectory) {
            if (plain[i]) files.push({ path: plain[i].name, file: plain[i] });
            continue;
        }
        const found = await handle;
        if (found?.kind === "directory") await addHandle(found, found.name, files);
        else await addEntry(entry, entry.name, files);
    }
    return files;
}
const isWanted = (name) => /\.(safetensors|json)$/.test(name);
async function addHandle(directory, path, files) {
    for await (const [name, handle] of directory.entries()) {
        if (handle.kind === "directory") await addHandle(handle, `${path}/${name}`, files);
        else if (isWanted(name)) files.push({ path: `${path}/${name}`, file: await handle.getFile() });
    }
}
async function addEntry(directory, path, files) {
    const reader = directory.createReader();
    for (;;) {
        const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (entries.length === 0) return;
        for (const entry of entries) {
            if (entry.isDirectory) await addEntry(entry, `${path}/${entry.name}`, files);
            else if (isWanted(entry.name))
                files.push({
                    path: `${path}/${entry.name}`,
                    file: await new Promise((resolve, reject) => entry.file(resolve, reject)),
                });
        }
    }
}
document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    if ($("tensor").open) $("tensor").close();
    try {
        const files = await droppedFiles(event.dataTransfer);
        if (files.length) await open(files);
        else alertText("What was dropped holds no .safetensors file.");
    } catch (error) {
        alertText(
            `The browser does not let this page read the dropped folder (${visible(error.message)}). `,
            "The button “Open a folder” does.",
        );
    }
});

// ---- models ----

function choose(model) {
    current = model;
    $("models").hidden = models.length < 2;
    $("models").replaceChildren(
        ...models.map((one) =>
            h(
                "span",
                {},
                h(
                    "button",
                    { type: "button", "aria-current": one === model ? "true" : null, onclick: () => choose(one) },
                    untrusted(one.path, { most: 200 }),
                ),
                h(
                    "button",
                    { type: "button", "aria-label": `Close ${visible(one.path)}`, onclick: () => close(one) },
                    "×",
                ),
            ),
        ),
    );
    showModel();
}
function close(model) {
    ask("close", { id: model.id });
    models = models.filter((one) => one !== model);
    choose(model === current ? models[0] : current);
}

function showModel() {
    const model = current;
    const panel = h("div", { role: "tabpanel", id: "panel", "aria-labelledby": `tab-${tab}`, tabindex: -1 });
    const show = (i) => showTensor($("tensor"), model, i, ask);
    const panels = {
        Tensors: () => tensorTable(model, show),
        Tree: () => tensorTree(model, show),
        Sizes: () => sizePictures(model),
        Metadata: () => metadataPanel(model, ask),
        Compare: () =>
            comparePanel(
                models.filter((one) => one.isOpen),
                model,
                ask,
            ),
    };
    const names = Object.keys(panels);
    const tabs = names.map((name, k) =>
        h(
            "button",
            {
                type: "button",
                role: "tab",
                id: `tab-${name}`,
                "aria-controls": "panel",
                onclick: () => select(name),
                onkeydown: (event) => {
                    const next = { ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: names.length - 1 }[event.key];
                    if (next === undefined) return;
                    event.preventDefault();
                    select(names[(next + names.length) % names.length]);
                    $(`tab-${tab}`).focus();
                },
            },
            name,
        ),
    );
    function select(name) {
        tab = name;
        tabs.forEach((button, k) => {
            button.setAttribute("aria-selected", names[k] === name);
            button.tabIndex = names[k] === name ? 0 : -1;
        });
        panel.setAttribute("aria-labelledby", `tab-${name}`);
        panel.replaceChildren(panels[name]());
    }
    $("model").hidden = false;
    $("model").replaceChildren(
        h("h2", { id: "model-name", tabindex: -1 }, untrusted(model.path, { most: 500 })),
        ...summaryOf(model),
        ...(model.isOpen ? [h("div", { role: "tablist", "aria-label": "Views" }, tabs), panel] : []),
    );
    if (model.isOpen) select(tab);
}

function summaryOf(model) {
    const parts = [];
    if (model.isOpen) {
        const files = model.shards.filter((shard) => shard.bytes > 0).length;
        parts.push(
            h(
                "p",
                {},
                `${plural(model.tensors.length, "tensor")}, ${formatBytes(model.size)} of data` +
                    (model.isIndex ? ` in ${plural(files, "file")}` : `; the file has ${plural(model.bytes, "byte")}`),
                `; opened in ${model.milliseconds.toFixed(0)} ms, ${formatBytes(model.bytesRead)} read.`,
            ),
        );
    }
    if (model.hasNoIndex)
        parts.push(h("p", { class: "notice mild" }, "There is no index: the shards were found by their names."));
    if (model.error) parts.push(errorOf(model));
    return parts;
}
function errorOf(model) {
    const { message, status, position } = model.error;
    const losses = model.faults.filter((fault) => fault.isLoss).length;
    const notice = h(
        "div",
        { class: model.isOpen && !model.repaired ? "notice mild" : "notice", id: "fault" },
        h("p", {}, h("strong", {}, visible(message))),
        h("p", {}, status, position !== undefined && ` at byte ${formatCount(position)}`),
    );
    if (model.isOpen && !model.repaired) notice.append(h("p", {}, "Everything else could be opened and is shown."));
    if (!model.isOpen) notice.append(h("p", {}, "Nothing can be shown of it."));
    if (model.repaired) {
        notice.append(
            h(
                "p",
                {},
                `The file still holds ${plural(model.tensors.length, "whole tensor")}, shown below` +
                    (losses ? `; ${plural(losses, "part is", "parts are")} lost.` : "; nothing is lost."),
            ),
            h(
                "button",
                { type: "button", onclick: () => download(model.repaired, `repaired-${model.path.split("/").pop()}`) },
                `Save what is left (${formatBytes(model.repaired.size)})`,
            ),
        );
    }
    if (model.faults.length) {
        notice.append(
            h(
                "details",
                {},
                h("summary", {}, plural(model.faults.length, "fault")),
                h(
                    "ul",
                    {},
                    model.faults
                        .slice(0, MAX_FAULTS)
                        .map((fault) =>
                            h(
                                "li",
                                {},
                                `byte ${formatCount(fault.position)}: `,
                                fault.name !== null && [untrusted(fault.name, { most: 200 }), ": "],
                                visible(fault.message),
                                ` (${fault.mend})`,
                            ),
                        ),
                    model.faults.length > MAX_FAULTS &&
                        h("li", {}, `and ${formatCount(model.faults.length - MAX_FAULTS)} more`),
                ),
            ),
        );
    }
    return notice;
}
