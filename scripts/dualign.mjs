#!/usr/bin/env node
// Runs the command line; in a checkout it installs and builds first where that is needed.
import { ready } from "./ready.mjs";

ready({ build: true });
const { main } = await import("../dist/cli/main.js");
await main(process.argv);
