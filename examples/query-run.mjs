// Reads a run: its solution, its verdicts, and the responses that scored worst.
// node examples/query-run.mjs FOLDER
import { openRun } from "dualign";

const [folder = "runs/pocket"] = process.argv.slice(2);
const run = await openRun(folder);
try {
  const solution = await run.solve("aligned");
  console.log(`λ* = ${solution.lambda.join(", ")}`);
  for (const { scorer, measured, low, high, verdict } of await run.evaluations("aligned"))
    if (verdict) console.log(`${scorer}: ${measured.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}], ${verdict}`);

  const constraint = run.recipe.safety[0].name;
  const worst = await run.query(
    "SELECT prompt_text, response, score FROM scored WHERE policy = 'aligned' AND scorer = ? ORDER BY score LIMIT 3",
    constraint,
  );
  for (const { score, response } of worst) console.log(`${score.toFixed(2)}  ${response}`);
} finally {
  await run.close();
}
