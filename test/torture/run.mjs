/**
 * npm run torture -- inputs [COUNT] [--from N] [--only TARGET[/SEED]] [--workers N]
 * npm run torture -- kills [COUNT] [--from N] [--only METHOD,COMMAND,…]
 * Prints the findings, then the figures as JSON; exit status 1 where there is any finding.
 */
import { torture, tryInput } from "./inputs.mjs";
import { kills } from "./kills.mjs";
import { targets } from "./targets.mjs";

const [what = "inputs", ...rest] = process.argv.slice(2);
const value = (flag) => (rest.includes(flag) ? rest[rest.indexOf(flag) + 1] : undefined);

const count = (otherwise) => (/^\d/.test(rest[0] ?? "") ? Number(rest[0]) : otherwise);

if (what === "inputs") await inputs();
else if (what === "kills") await interruptions();
else throw new Error(`torture what? inputs or kills, not ${what}`);

async function interruptions() {
  const hear = ({ i, place, way, log, wrong }) =>
    console.log(`${i} ${way}, ${place}: ${log.join("; ")}${wrong ? ` WRONG: ${wrong}` : ""}`);
  const only = value("--only")?.split(",");
  const figures = await kills({ count: count(500), seed: Number(value("--from") ?? 0), only, hear });
  console.log(JSON.stringify(figures));
  process.exitCode = figures.wrong.length > 0 ? 1 : 0;
}

async function inputs() {
  const [only, seed] = (value("--only") ?? "").split("/");
  if (seed !== undefined) {
    console.log(await tryInput(only, Number(seed)));
    return;
  }
  const names = only ? [only] : Object.keys(targets);
  const from = Number(value("--from") ?? 0);
  const seen = new Map();
  const hear = (_, { target, seed, end, message = "", stack = "" }) => {
    if (end === "value" || end === "refused") return;
    const kind = `${target}: ${end}: ${message.replace(/\/\S+|\d+/g, "…").slice(0, 160)}`;
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
    if (seen.get(kind) <= 2) console.log(`${target}/${seed} ${end}: ${message.slice(0, 300)} ${stack}`);
  };
  const result = await torture({
    names,
    from,
    to: from + count(10_000),
    workers: Number(value("--workers") ?? 2),
    hear,
  });
  for (const [kind, times] of [...seen].sort((a, b) => b[1] - a[1])) console.log(`${times} × ${kind}`);
  console.log(
    JSON.stringify({ inputs: result.inputs, seconds: Math.round(result.seconds), ...result.counts, kinds: seen.size }),
  );
  process.exitCode = seen.size > 0 ? 1 : 0;
}
