import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openWorld } from "../../src/cli/world.js";
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
  const files = await datasetFiles({ name: "people/talk", split: "train" });
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
  const world = openWorld("cpu");
  const source = {
    dataset: "people/safety",
    split: "train",
    column: "prompt",
    duplicates: "error",
    shuffle: false,
  } as const;
  expect((await world.readPrompts(source)).map(({ prompt }) => prompt)).toEqual(["question 1", "question 2"]);
  const pairs = await world.readPreferences({
    dataset: "people/safety",
    split: "train",
    label: "safer_response_id",
  } as never);
  expect(pairs).toHaveLength(2);
  expect(pairs[1]).toMatchObject({ prompt: "question 2", chosen: "yes", rejected: "no", safe: [true, false] });
});

test("what is not there is said", async () => {
  await expect(datasetFiles({ name: "people/none", split: "train" })).rejects.toThrow(InputError);
  await expect(datasetFiles({ name: "people/none", split: "train" })).rejects.toThrow(
    /people\/none: split "train".*not in the Hugging Face cache/,
  );
});

const names = async (part: Parameters<typeof datasetFiles>[0]) =>
  (await datasetFiles(part)).map((file) => file.split("/abc/")[1]);

test("a split is what its files are called, no more and no less", async () => {
  cacheDataset("people/ultra", {
    "data/train_prefs-00000-of-00001.parquet": "",
    "data/train_sft-00000-of-00001.parquet": "",
    "data/test_prefs-00000-of-00001.parquet": "",
  });
  expect(await names({ name: "people/ultra", split: "train_prefs" })).toEqual([
    "data/train_prefs-00000-of-00001.parquet",
  ]);
  await expect(names({ name: "people/ultra", split: "train" })).rejects.toThrow('split "train"');
  cacheDataset("people/folders", { "train/0000.parquet": "", "test/0000.parquet": "" });
  expect(await names({ name: "people/folders", split: "train" })).toEqual(["train/0000.parquet"]);
  cacheDataset("people/alone", { "data.jsonl": "", "README.md": "words" });
  expect(await names({ name: "people/alone", split: "train" })).toEqual(["data.jsonl"]);
});

test("a cache that lacks a shard is not taken for the split", async () => {
  cacheDataset("people/shards", { "data/train-00000-of-00002.parquet": "" });
  await expect(names({ name: "people/shards", split: "train" })).rejects.toThrow("data/train-00001-of-00002.parquet");
});

test("subsets are those of the dataset's card, or its folders", async () => {
  const card = `---
configs:
- config_name: one
  data_files:
  - split: train
    path: one/part-*
- config_name: two
  default: true
  data_files:
  - { split: train, path: ["two/a.jsonl", "two/b.jsonl"] }
  - { split: test, path: "two/**/t.jsonl" }
---
words`;
  const files = ["one/part-1.jsonl", "two/a.jsonl", "two/b.jsonl", "two/c.jsonl", "two/x/y/t.jsonl"];
  cacheDataset("people/card", { "README.md": card, ...Object.fromEntries(files.map((file) => [file, ""])) });
  expect(await names({ name: "people/card", split: "train" })).toEqual(["two/a.jsonl", "two/b.jsonl"]);
  expect(await names({ name: "people/card", split: "test" })).toEqual(["two/x/y/t.jsonl"]);
  expect(await names({ name: "people/card", subset: "one", split: "train" })).toEqual(["one/part-1.jsonl"]);
  await expect(names({ name: "people/card", subset: "three", split: "train" })).rejects.toThrow("it has one, two");
  cacheDataset("people/dirs", { "harmless/train.jsonl.gz": "", "helpful/train.jsonl.gz": "" });
  expect(await names({ name: "people/dirs", subset: "helpful", split: "train" })).toEqual(["helpful/train.jsonl.gz"]);
});
