import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { fingerprint, noteUsed } from "../../src/store/fingerprints.js";
import { RunMemory } from "../../src/store/memory.js";
import { toyRecipe } from "../methods/toy.js";

const root = mkdtempSync(join(tmpdir(), "dualign-prints-"));
afterAll(() => rmSync(root, { recursive: true }));
const at = (...parts: string[]) => join(root, ...parts);
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

let run: RunMemory;
beforeEach(async () => {
  run = await RunMemory.start(toyRecipe());
});

test("a data file's fingerprint is the hash of its content", async () => {
  writeFileSync(at("prompts.jsonl"), "one\n");
  expect(await fingerprint(run, at("prompts.jsonl"))).toBe(sha256("one\n"));
  await expect(fingerprint(run, at("nothing"))).rejects.toThrow(/nothing is not there/);
});

test("a module's depends on what it imports from beside it", async () => {
  mkdirSync(at("lib"));
  writeFileSync(at("scorer.mjs"), 'import { words } from "./lib/words.mjs";\nimport fs from "node:fs";\n');
  writeFileSync(at("lib", "words.mjs"), 'export { words } from "../scorer.mjs";\n');
  const before = await fingerprint(run, at("scorer.mjs"));
  writeFileSync(at("lib", "words.mjs"), 'export const words = ["bomb"];\n');
  expect(await fingerprint(run, at("scorer.mjs"))).not.toBe(before);
});

test("a model's depends on its weights and config, not on its place, its readme or checkpoints beside it", async () => {
  const make = (name: string, weights: string) => {
    mkdirSync(at(name, "checkpoint-3"), { recursive: true });
    writeFileSync(at(name, "model.safetensors"), weights);
    writeFileSync(at(name, "config.json"), "{}");
    writeFileSync(at(name, "README.md"), name);
    writeFileSync(at(name, "checkpoint-3", "model.safetensors"), name);
    return fingerprint(run, at(name));
  };
  const one = await make("one", "weights");
  expect(await make("two", "weights")).toBe(one);
  expect(await make("three", "other weights")).not.toBe(one);
});

test("a file that has not changed since is not read again; one of the same size and date is", async () => {
  const path = at("large.safetensors");
  writeFileSync(path, "aaaa");
  const { atime, mtime } = statSync(path);
  await fingerprint(run, path);
  const [row] = await run.select("contents");
  await run.replace("contents", { path: row!.path }, [{ ...row!, sha256: "as kept" }]);
  expect(await fingerprint(run, path)).toBe("as kept");
  writeFileSync(path, "bbbb");
  utimesSync(path, atime, mtime);
  expect(await fingerprint(run, path)).toBe(sha256("bbbb"));
});

test("what a stage used is kept once, and named when it has changed since", async () => {
  const [reward, safety] = [at("reward.mjs"), at("safety.mjs")];
  writeFileSync(reward, "export default () => [];");
  writeFileSync(safety, "export default () => [0];");
  const used = [
    { part: "reward", path: reward },
    { part: "safety.0", path: safety },
  ];
  expect(await noteUsed(run, "score", used)).toEqual([]);
  expect(await noteUsed(run, "score", used)).toEqual([]);
  writeFileSync(safety, "export default () => [10];");
  const changed = { part: "safety.0", path: safety, before: sha256("export default () => [0];") };
  expect(await noteUsed(run, "score", used)).toMatchObject([changed]);
  // The first stays, so that the change is named until it is undone or another attempt is begun.
  expect(await noteUsed(run, "score", used)).toMatchObject([changed]);
  expect(await noteUsed(run, "evaluate", used)).toEqual([]);
  const next = await run.begin({ recipe: toyRecipe(), recipeText: "", takenOver: ["sample"] });
  expect(await noteUsed(next, "score", used)).toEqual([]);
});
