import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-disk-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a script where it may mount a small disk of its own. */
const sh = (script: string) =>
  spawnSync("unshare", ["--map-root-user", "--mount", "sh", "-c", script], { cwd: root, encoding: "utf8" });
const disk = join(folder, "disk");
mkdirSync(disk);
const mountable = sh(`mount -t tmpfs -o size=1m tmpfs ${disk}`).status === 0;

test.skipIf(!mountable)("a disk that fills up is told in one line; with room again, the run goes on to its end", () => {
  const recipe = `recipes/pocket.yaml --set prompts.limit=6 --set prompts.held_out=3 --set sampling.num_samples=4
    --set sampling.max_new_tokens=12 --set safety.0.margin=0.01 --set pairs.per_prompt=4 --set evaluate.num_samples=2`;
  const { stdout, stderr } = sh(
    `mount -t tmpfs -o size=6m tmpfs ${disk}
    node scripts/dualign.mjs mocan ${recipe.replaceAll("\n", " ")} --run ${disk}/run; echo "ended with $?"
    node scripts/dualign.mjs status ${disk}/run
    mount -o remount,size=64m tmpfs ${disk}
    node scripts/dualign.mjs resume ${disk}/run --json; echo "ended with $?"`,
  );
  const told = stderr.split("\n").filter((line) => line.startsWith("dualign: "));
  expect(told).toEqual([
    `dualign: the disk of ${disk}/run is full: make room, then go on with 'dualign resume ${disk}/run' (rows written so far are kept)`,
  ]);
  expect(stdout.match(/ended with \d/g)).toEqual(["ended with 2", "ended with 0"]);
  expect(stdout).toContain("24 samples of 6 train prompts (reference)");
  expect(stdout).toContain('{"event":"stage","stage":"sample","state":"skipped"}');
  expect(stdout).toContain('"event":"done"');
});
