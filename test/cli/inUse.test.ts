import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { openRun, startRun } from "../../src/store/runFolder.js";
import { toyRecipe } from "../methods/toy.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-in-use-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a run that another process works on is left alone, and that process named; reading goes on", async () => {
  const run = await startRun(folder, { recipe: toyRecipe(), recipeText: "", versions: {} });
  await run.addPrompts([{ prompt: 0, split: "train", text: "mine" }]);
  for (const command of ["resume", "sample"]) {
    const { status, stderr } = spawnSync(process.execPath, ["scripts/dualign.mjs", command, folder], {
      cwd: root,
      encoding: "utf8",
    });
    expect(status).toBe(2);
    expect(stderr).toBe(
      `dualign: the run in ${folder} is in use by another process (${process.pid}): wait for it to end, or stop it\n`,
    );
  }
  const { status, stdout } = spawnSync(process.execPath, ["scripts/dualign.mjs", "status", folder, "--json"], {
    cwd: root,
    encoding: "utf8",
  });
  expect(status).toBe(0);
  expect(JSON.parse(stdout).stages[0]).toEqual({ stage: "sample", done: false });
  await run.close();
  const again = await openRun(folder);
  expect(await again.prompts()).toHaveLength(1);
  await again.close();
});
