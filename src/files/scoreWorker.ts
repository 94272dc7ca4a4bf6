/** The second thread of a pass over spooled scores. */
import { parentPort, workerData } from "node:worker_threads";
import type { Pass } from "../dual/passes.js";
import { passOverPart, type SpoolPart } from "./scoreSpool.js";

parentPort!.on("message", (pass: Pass) => parentPort!.postMessage(passOverPart(workerData as SpoolPart, pass)));
