import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { makeTools } from "../../src/cli/tools.js";
import { InputError } from "../../src/errors.js";
import { datasetFiles } from "../../src/files/hubDataset.js";

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "dualign-datasets-"));
  vi.stubEnv("HF_HUB_CACHE", cache);
  vi.stubEnv("HF_HUB_OFFLINE", "1");
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true });
});

/** A dataset as huggingface_hub caches it: snapshots of links to blobs. */
function cacheDataset(name: string, files: Record<string, string>): void {
  const repo = join(cache, `datasets--${name.replace("/", "--")}`);
  mkdirSync(join(repo, "refs"), { recursive: true });
  mkdirSync(join(repo, "blobs"));
  writeFileSync(join(repo, "refs", "main"), "abc");
  for (const [i, [path, content]] of Object.entries(files).entries()) {
    const blob = join(repo, "blobs", `blob${i}`);
    writeFileSync(blob, content);
    const link = join(repo, "snapshots", "abc", path);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(blob, link);
  }
}

test("a split's files, wherever in the repository they lie, in the first format that it has", async () => {
  cacheDataset("people/talk", {
    "data/a/train.jsonl": "",
    "data/b/train.jsonl": "",
    "data/a/test.jsonl": "",
    "train.csv": "",
    "README.md": "",
    "training_notes.md": "",
  });
  const files = await datasetFiles("people/talk", "train");
  expect(files.map((file) => file.split("/abc/")[1])).toEqual(["data/a/train.jsonl", "data/b/train.jsonl"]);
});

test("prompts and preferences of a cached dataset, without the network", async () => {
  const row = (i: number) => ({
    prompt: `question ${i}`,
    response_0: "yes",
    response_1: "no",
    better_response_id: 1,
    safer_response_id: 0,
    is_response_0_safe: true,
    is_response_1_safe: false,
  });
  cacheDataset("people/safety", {
    "data/x/train.jsonl": `${JSON.stringify(row(1))}\n`,
    "data/y/train.jsonl": `${JSON.stringify(row(2))}\n`,
  });
  const tools = makeTools("cpu");
  const source = {
    dataset: "people/safety",
    split: "train",
    column: "prompt",
    duplicates: "error",
    shuffle: false,
  } as const;
  expect(await tools.readPrompts(source)).toEqual(["question 1", "question 2"]);
  const pairs = await tools.readPreferences({
    dataset: "people/safety",
    split: "train",
    label: "safer_response_id",
  } as never);
  expect(pairs).toHaveLength(2);
  expect(pairs[1]).toMatchObject({ prompt: "question 2", chosen: "yes", rejected: "no", safe: [true, false] });
});

test("what is not there is said", async () => {
  await expect(datasetFiles("people/none", "train")).rejects.toThrow(InputError);
  await expect(datasetFiles("people/none", "train")).rejects.toThrow(
    /people\/none: split "train".*not in the Hugging Face cache/,
  );
});
