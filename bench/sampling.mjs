// Sampling beside transformers' generate: 32 chat prompts × 16 samples, at most 64 new tokens, temperature 1, top-p 0.95.
//
//   node bench/sampling.mjs --python PYTHON [--model DIR] [--peer transformers_generate.py] [--prompts FILE.jsonl]
//                           [--count 32] [--batch-size 64] [--peer-count 8]
//
// PYTHON needs torch and transformers. The peer decodes four prompts × 16 samples at a time; --peer-count takes only the
// first prompts for it, since its rate does not depend on their number.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ready } from "../scripts/ready.mjs";
import { gigabytes, realModel, runOurs, runPeer, shared } from "./common.mjs";

const { values: flags } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    model: { type: "string" },
    peer: { type: "string", default: join(shared, "peers", "transformers_generate.py") },
    prompts: { type: "string" },
    count: { type: "string", default: "32" },
    "peer-count": { type: "string", default: "8" },
    "batch-size": { type: "string", default: "64" },
  },
});
ready({ build: true });
const model = flags.model ?? realModel();
const work = mkdtempSync(join(tmpdir(), "dualign-bench-"));
try {
  const rows = readPrompts().slice(0, Number(flags.count));
  const write = (name, list) => {
    const file = join(work, name);
    writeFileSync(file, list.map((row) => `${JSON.stringify(row)}\n`).join(""));
    return file;
  };
  const [all, few] = [write("all.jsonl", rows), write("few.jsonl", rows.slice(0, Number(flags["peer-count"])))];
  const peerOut = join(work, "peer.jsonl");
  const peer = runPeer(flags.python, flags.peer, [
    "sample",
    model,
    few,
    peerOut,
    "--new",
    "64",
    "--n",
    "16",
    "--batch",
    "4",
  ]);
  const sampling = ["--num-samples", "16", "--max-new-tokens", "64", "--temperature", "1", "--top-p", "0.95"];
  const files = ["--model", model, "--prompts", all, "--output", join(work, "ours.jsonl")];
  const done = runOurs(["generate", ...files, ...sampling, "--batch-size", flags["batch-size"]]).at(-1);
  const print = (name, theirs, ours, ratio) =>
    console.log(`${name.padEnd(16)} ${theirs.padStart(13)} ${ours.padStart(10)}   ${ratio}`);
  print("", "transformers", "dualign", "");
  const [theirs, ours] = [peer.tokens_per_s, done.tokens_per_second];
  print("new tokens/s", theirs.toFixed(1), ours.toFixed(1), `${(ours / theirs).toFixed(2)}×`);
  print("peak memory", gigabytes(peer.peak_memory_bytes), gigabytes(done.peak_memory_bytes), "");
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** Rows {"prompt": messages}: a file of them, or the authors' helpfulness prompts beside the project. */
function readPrompts() {
  if (flags.prompts)
    return readFileSync(flags.prompts, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  const file = join(shared, "data", "can-eval-prompts", "helpfulness.json");
  return JSON.parse(readFileSync(file, "utf8")).map(({ instruction }) => ({
    prompt: [{ role: "user", content: instruction }],
  }));
}
