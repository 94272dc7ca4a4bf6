#!/usr/bin/env node
// Runs the command line; in a checkout it installs and builds first where that is needed.
import { setFlagsFromString } from "node:v8";
import { ready } from "./ready.mjs";

// What the runtime gives back are large buffers that die at once: a wide young generation keeps them from setting off
// collections of everything else at every step.
setFlagsFromString("--min-semi-space-size=64");
setFlagsFromString("--max-semi-space-size=128");
ready({ build: true });
const { main } = await import("../dist/cli/main.js");
await main(process.argv);
