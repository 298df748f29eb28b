// environment.js: gives an Emscripten program the environment of node.
Module['preRun'] = [].concat(Module['preRun'] || [], () => {
    if (typeof ENV !== 'undefined') Object.assign(ENV, process.env); // a program without getenv has none
});
