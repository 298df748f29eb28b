// chromium.mjs: drives headless Chromium by the DevTools protocol, through a pipe.
import { spawn } from "node:child_process";
import fs from "node:fs";

export async function startChromium(profile) {
    const child = spawn(
        "chromium",
        [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            `--user-data-dir=${profile}`,
            "about:blank",
        ],
        { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
    );
    const waiting = new Map(),
        listeners = new Set();
    let lastId = 0,
        text = "";
    child.stdio[4].setEncoding("utf8");
    child.stdio[4].on("data", (chunk) => {
        const messages = (text + chunk).split("\0");
        text = messages.pop();
        for (const message of messages.map((one) => JSON.parse(one))) {
            if (!message.id) for (const listener of listeners) listener(message);
            else if (message.error)
                waiting
                    .get(message.id)
                    .reject(new Error(`${waiting.get(message.id).method}: ${message.error.message}`));
            else waiting.get(message.id).resolve(message.result);
            waiting.delete(message.id);
        }
    });
    child.on("exit", () => {
        for (const one of waiting.values()) one.reject(new Error("chromium ended"));
    });
    const send = (method, params = {}, sessionId = undefined) =>
        new Promise((resolve, reject) => {
            const id = ++lastId;
            waiting.set(id, { resolve, reject, method });
            child.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
        });
    await send("Browser.getVersion");
    return {
        send,
        listeners,
        async page(url) {
            const { targetId } = await send("Target.createTarget", { url: "about:blank" });
            const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
            const page = new Page((method, params) => send(method, params, sessionId), sessionId, targetId, listeners);
            await page.start(url);
            return page;
        },
        async close() {
            const ended = new Promise((resolve) => child.on("exit", resolve));
            send("Browser.close").catch(() => {});
            const late = setTimeout(() => child.kill("SIGKILL"), 5000);
            await ended;
            clearTimeout(late);
        },
    };
}

class Page {
    constructor(send, sessionId, targetId, listeners) {
        Object.assign(this, { send, sessionId, targetId, faults: [], requests: [] });
        listeners.add(({ sessionId: from, method, params }) => {
            if (from !== sessionId) return;
            if (method === "Runtime.exceptionThrown")
                this.faults.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
            if (method === "Log.entryAdded" && params.entry.level === "error") this.faults.push(params.entry.text);
            if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
            if (method === "Page.loadEventFired") this.loaded?.();
        });
    }
    async start(url) {
        for (const domain of ["Page", "Runtime", "Log", "Network", "DOM"]) await this.send(`${domain}.enable`);
        await this.open(url);
    }
    async open(url) {
        const loaded = new Promise((resolve) => {
            this.loaded = resolve;
        });
        await this.send("Page.navigate", { url });
        await loaded;
    }
    // Evaluates an expression, which may be a promise, and returns its value.
    async run(expression) {
        const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
            expression,
            awaitPromise: true,
            returnByValue: true,
        });
        if (exceptionDetails)
            throw new Error(`${exceptionDetails.exception?.description ?? exceptionDetails.text} in ${expression}`);
        return result.value;
    }
    // Waits until an expression is true.
    async until(expression, seconds = 10) {
        const end = Date.now() + 1000 * seconds;
        for (;;) {
            const value = await this.run(expression);
            if (value) return value;
            if (Date.now() > end) throw new Error(`not within ${seconds} s: ${expression}`);
            await new Promise((resolve) => setTimeout(resolve, 15));
        }
    }
    // Chooses files or a folder in a file input.
    async choose(selector, files) {
        const { root } = await this.send("DOM.getDocument");
        const { nodeId } = await this.send("DOM.querySelector", { nodeId: root.nodeId, selector });
        await this.send("DOM.setFileInputFiles", { nodeId, files });
    }
    // Drops files and folders on the page.
    async drop(files) {
        for (const type of ["dragEnter", "dragOver", "drop"]) {
            await this.send("Input.dispatchDragEvent", {
                type,
                x: 200,
                y: 300,
                data: { items: [], files, dragOperationsMask: 1 },
            });
        }
    }
    async press(key, code = key) {
        const keys = {
            Enter: 13,
            Tab: 9,
            Escape: 27,
            ArrowRight: 39,
            ArrowLeft: 37,
            ArrowDown: 40,
            ArrowUp: 38,
            " ": 32,
        };
        const text = key === "Enter" ? "\r" : key === " " ? " " : undefined;
        for (const type of ["keyDown", "keyUp"]) {
            await this.send("Input.dispatchKeyEvent", {
                type,
                key,
                code,
                text: type === "keyDown" ? text : undefined,
                windowsVirtualKeyCode: keys[key],
            });
        }
    }
    async look(width, height, isDark, scale = 1) {
        await this.send("Emulation.setDeviceMetricsOverride", {
            width,
            height,
            deviceScaleFactor: scale,
            mobile: width < 600,
        });
        await this.send("Emulation.setEmulatedMedia", {
            features: [{ name: "prefers-color-scheme", value: isDark ? "dark" : "light" }],
        });
    }
    async shoot(file) {
        const { data } = await this.send("Page.captureScreenshot", { format: "png" });
        fs.writeFileSync(file, Buffer.from(data, "base64"));
    }
}
