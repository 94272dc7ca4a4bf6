// Checks the package as its users get it: packs the tarball, installs it into an empty folder without install scripts,
// and uses it from there: every entry point is imported and its types are checked, `init` writes a recipe whose schema is
// there, and `npx dualign quickstart` runs to its report.
//
//   node scripts/check-package.mjs [--quick] [--keep]
//
// --quick: fewer prompts and responses, a run of some seconds. --keep: leave the folder, and print where it is.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values: flags } = parseArgs({ options: { quick: { type: "boolean" }, keep: { type: "boolean" } } });
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const work = realpathSync(mkdtempSync(join(tmpdir(), "dualign-package-")));
const folder = join(work, "empty");
mkdirSync(folder);

/** Ends the check with a reason. */
function fail(reason) {
  console.error(`check-package: ${reason} (in ${work})`);
  process.exit(1);
}

/** Runs a program to its end and gives its standard output; its standard error goes to ours. */
function run(command, args, cwd = folder) {
  console.error(`$ ${command} ${args.join(" ")}`);
  const { status, stdout, error } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "inherit"],
    shell: process.platform === "win32" && command !== process.execPath, // where npm and npx are batch files
  });
  if (status !== 0) fail(`'${command} ${args.join(" ")}' ended with ${error?.message ?? status}\n${stdout ?? ""}`);
  return stdout;
}

// The checkout keeps install scripts off (.npmrc), and with them the build before packing, which is wanted here.
run("npm", ["pack", "--silent", "--ignore-scripts=false", "--pack-destination", work], root);
const { name, version, exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const tarball = join(work, `${name}-${version}.tgz`);
if (!existsSync(tarball)) fail(`npm pack left no ${tarball}`);

writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", tarball]);

for (const entry of Object.keys(exports)) {
  const id = entry.replace(/^\./, name);
  const options = entry.endsWith(".json") ? ', { with: { type: "json" } }' : "";
  run(process.execPath, ["--input-type=module", "-e", `await import(${JSON.stringify(id)}${options})`]);
}

if (!existsSync(join(folder, "node_modules", name, "dist", "studio-page", "index.html")))
  fail("the package lacks the page of dualign studio");

// The declarations are complete by themselves, and a recipe as data is checked by them.
const use = `import { evenOffsets, openRun, type RunEvent, runRecipe, solveDual } from "${name}";
import { bootstrap } from "${name}/dual";
import { verdictOn } from "${name}/evaluate";
import { gradients, ops } from "${name}/graph";
import { openModel, runTraining } from "${name}/train";
const scorers = { reward: { module: "./a.mjs" }, safety: [{ module: "./b.mjs", margin: 1 }] };
const recipe = { model: "m", prompts: { file: "p.jsonl" }, ...scorers };
await runRecipe(recipe, { folder: "x", onEvent: (event: RunEvent) => console.log(event.event) });
const scores = { reward: new Float64Array(4), safety: [new Float64Array(4)], offsets: evenOffsets(2, 2) };
const lambda: readonly number[] = solveDual(scores, { beta: 1, margins: [0] }).lambda;
console.log(lambda, openRun, bootstrap, verdictOn, gradients, ops.add, openModel, runTraining);
// @ts-expect-error a recipe without its parts
await runRecipe({ model: "m" }, { folder: "x" });
`;
writeFileSync(join(folder, "use.mts"), use);
const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
run(process.execPath, [compiler, "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "use.mts"]);

run("npx", ["--no-install", "dualign", "init", "recipe.yaml"]);
const schema = /\$schema=(\S+)/.exec(readFileSync(join(folder, "recipe.yaml"), "utf8"))?.[1];
if (schema === undefined || !existsSync(new URL(schema, pathToFileURL(`${folder}/`))))
  fail(`init names no schema: ${schema}`);

const small = ["prompts.limit=16", "prompts.held_out=8", "sampling.num_samples=8", "evaluate.num_samples=2"];
const settings = flags.quick ? small.flatMap((setting) => ["--set", setting]) : [];
const output = run("npx", ["--no-install", "dualign", "quickstart", "--json", ...settings]);
const done = JSON.parse(output.trim().split("\n").at(-1));
const report = join(folder, "runs", "pocket", "report.html");
if (done.event !== "done" || !Array.isArray(done.verdicts) || done.verdicts.length === 0)
  fail(`the quickstart ended without a verdict: ${JSON.stringify(done)}`);
if (!existsSync(report)) fail(`the quickstart left no ${report}`);
const { constraint, margin, measured, verdict } = done.verdicts[0];
console.log(
  `${name} ${version} installed without scripts on ${process.platform}-${process.arch}, Node ${process.version}`,
);
console.log(`quickstart: ${constraint} ${measured.toFixed(2)} of ${margin} asked, ${verdict}`);
if (flags.keep) console.log(folder);
else rmSync(work, { recursive: true, force: true });
