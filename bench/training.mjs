// One DPO training beside TRL's: the same model, adapter and pairs in the same order. Prints rates, memory, how far the
// losses agree, and the share of the machine's matrix-product rate that our steps reach.
//
//   node bench/training.mjs --python PYTHON [--model DIR] [--peer trl_dpo.py] [--hh PAIRS.jsonl.gz] [--pairs 40] [--rounds 1]
//
// PYTHON needs torch, transformers, trl and peft. Rounds go peer, ours, peer, ours …
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ready } from "../scripts/ready.mjs";
import { gigabytes, productRate, realModel, runOurs, runPeer, shared } from "./common.mjs";

const { values: flags } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    model: { type: "string" },
    peer: { type: "string", default: join(shared, "peers", "trl_dpo.py") },
    hh: { type: "string" },
    pairs: { type: "string", default: "40" },
    rounds: { type: "string", default: "1" },
  },
});
ready({ build: true });
const model = flags.model ?? realModel();
const folder = join(shared, "data", "hh-rlhf");
const hh =
  flags.hh ??
  join(
    folder,
    readdirSync(folder).find((name) => name.endsWith(".jsonl.gz")),
  );
const work = mkdtempSync(join(tmpdir(), "dualign-bench-"));
try {
  for (let round = 0; round < Number(flags.rounds); round++) await measure();
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function measure() {
  const peer = runPeer(flags.python, flags.peer, [hh, work, "--pairs", flags.pairs, "--model", model]);
  const output = join(work, "ours");
  rmSync(output, { recursive: true, force: true });
  const data = ["--data", join(work, "pairs.jsonl"), "--output-dir", output, "--max-length", "256", "--no-shuffle"];
  const same = ["--beta", "0.1", "--learning-rate", "5e-4", "--lr-scheduler-type", "constant", "--save-steps", "0"];
  const start = ["--model", join(work, "model"), "--adapter", join(work, "adapter0")];
  const events = runOurs(["train", "dpo", ...start, ...data, ...same]);
  const done = events.at(-1);
  const losses = events.filter(({ event }) => event === "step").map(({ loss }) => loss);
  const apart = Math.max(...losses.map((loss, i) => Math.abs(loss / peer.losses[i] - 1)));
  const rate = await productRate();
  const reached = done.step_flops / done.step_seconds / 1e9;
  const print = (name, theirs, ours, ratio) =>
    console.log(`${name.padEnd(32)} ${theirs.padStart(10)} ${ours.padStart(10)}   ${ratio}`);
  print("", "TRL", "dualign", "");
  // TRL's rate leaves its first step out; ours is the whole training, reference passes included.
  const [theirs, ours] = [peer.pairs_per_s, peer.pairs / done.train_seconds];
  print("pairs/s, reference included", theirs.toFixed(3), ours.toFixed(3), `${(ours / theirs).toFixed(2)}×`);
  print("peak memory", gigabytes(peer.peak_memory_bytes), gigabytes(done.peak_memory_bytes), "");
  print("largest difference of a loss", "", "", apart.toExponential(1));
  print("matrix products of the steps", "", `${(done.step_flops / 1e9).toFixed(0)} G`, `${reached.toFixed(0)} GFLOP/s`);
  print("of the machine's rate", "", "", `${((100 * reached) / rate).toFixed(0)} % of ${rate.toFixed(0)} GFLOP/s`);
}
