// Solves the dual in a page, as the margin moves. The scores are drawn; yours would be fetched.
import { evenOffsets, InfeasibleError, solveDual } from "dualign/dual";

const prompts = 200;
const responses = 16;

/** Numbers between 0 and 1 that are the same on every load. */
function uniform(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
const draw = uniform(1);
const normal = () => Math.sqrt(-2 * Math.log(draw() || 1e-12)) * Math.cos(2 * Math.PI * draw());

// What helps most is a little less safe.
const reward = Float64Array.from({ length: prompts * responses }, normal);
const safety = reward.map((value) => -0.5 * value + normal());
const scores = { reward, safety: [safety], offsets: evenOffsets(prompts, responses) };

const element = (id) => document.getElementById(id);
const show = (id, value) => {
  element(id).textContent = value === undefined ? "" : value.toPrecision(3);
};

function solve() {
  const margin = Number(element("margin").value);
  show("asked", margin);
  try {
    const { lambda, predicted, kkt } = solveDual(scores, { beta: 1, margins: [margin] });
    show("lambda", lambda[0]);
    show("safety", predicted.safetyGain[0]);
    show("reward", predicted.rewardGain);
    show("kl", predicted.kl);
    show("kkt", kkt);
    element("problem").textContent = "";
  } catch (error) {
    if (!(error instanceof InfeasibleError)) throw error;
    for (const id of ["lambda", "safety", "reward", "kl", "kkt"]) show(id);
    element("problem").textContent = `No reweighting reaches it: at most ${error.largestMargins[0].toPrecision(3)}.`;
  }
}

element("margin").addEventListener("input", solve);
solve();
