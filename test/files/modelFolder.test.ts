import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { InputError } from "../../src/errors.js";
import { openModelFolder } from "../../src/files/modelFolder.js";
import { readTensor, writeSafetensors } from "../../src/files/safetensors.js";

const golden = fileURLToPath(new URL("../golden/", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "dualign-"));
afterAll(() => rmSync(root, { recursive: true }));

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(root, "cache-"));
  vi.stubEnv("HF_HUB_CACHE", cache);
  vi.stubEnv("HF_HUB_OFFLINE", "1");
});
afterEach(() => vi.unstubAllEnvs());

const tensor = (...values: number[]) => ({ shape: [values.length], data: Float32Array.from(values) });
const json = (folder: string, name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value));

function emptyModel(folder = mkdtempSync(join(root, "model-"))): string {
  mkdirSync(folder, { recursive: true });
  json(folder, "config.json", { model_type: "llama", eos_token_id: 2 });
  return folder;
}

function singleModel(folder?: string): string {
  const path = emptyModel(folder);
  writeSafetensors(join(path, "model.safetensors"), new Map([["w", tensor(1, 2)]]));
  return path;
}

function shardedModel(): string {
  const path = emptyModel();
  const map = { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" };
  writeSafetensors(join(path, map.a), new Map([["a", tensor(1)]]));
  writeSafetensors(join(path, map.b), new Map([["b", tensor(2)]]));
  json(path, "model.safetensors.index.json", { metadata: {}, weight_map: map });
  return path;
}

test("opens a folder: configs, weights where they lie, tokenizer with its template", async () => {
  const path = singleModel();
  json(path, "generation_config.json", { eos_token_id: [2, 5] });
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    copyFileSync(join(golden, "tokenizer", name), join(path, name));
  }
  json(path, "chat_template.json", { chat_template: "{{ messages[0].content }}" });
  const model = await openModelFolder(path);
  expect(model.path).toBe(path);
  expect(model.config.model_type).toBe("llama");
  expect(model.weights.get("w")).toMatchObject({ file: join(path, "model.safetensors"), bytes: 8, shape: [2] });
  expect(model.tokenizer.stopIds).toEqual([2, 5]);
  expect(model.tokenizer.applyChatTemplate([{ role: "user", content: "Hi" }])).toBe("Hi");
  writeFileSync(join(path, "chat_template.jinja"), "from its own file");
  const again = await openModelFolder(path);
  expect(again.tokenizer.applyChatTemplate([{ role: "user", content: "Hi" }])).toBe("from its own file");
});

test("opens sharded weights", async () => {
  const { weights } = await openModelFolder(shardedModel());
  expect([...weights.keys()]).toEqual(["a", "b"]);
  expect(readTensor(weights.get("b")!)).toEqual(Float32Array.of(2));
});

test("a broken folder is one clear error", async () => {
  const cases: [string, string][] = [];
  cases.push([mkdtempSync(join(root, "empty-")), "has no config.json"]);
  cases.push([join(golden, "peft"), "is an adapter, not a model"]);
  cases.push([emptyModel(), "has no weights"]);

  const pickled = emptyModel();
  writeFileSync(join(pickled, "pytorch_model.bin"), "");
  cases.push([pickled, "pytorch_model.bin only; convert them"]);

  const shardless = shardedModel();
  rmSync(join(shardless, "model-00002-of-00002.safetensors"));
  cases.push([shardless, "model-00002-of-00002.safetensors: missing"]);

  const lying = shardedModel();
  writeSafetensors(join(lying, "model-00002-of-00002.safetensors"), new Map([["c", tensor(2)]]));
  cases.push([lying, 'model-00002-of-00002.safetensors: tensor "b" is missing']);

  const misspelt = singleModel();
  writeFileSync(join(misspelt, "config.json"), "{");
  cases.push([misspelt, "config.json: not JSON"]);

  for (const [path, message] of cases) {
    await expect(openModelFolder(path), message).rejects.toThrow(InputError);
    await expect(openModelFolder(path)).rejects.toThrow(message);
  }
});

test("weights open without a tokenizer; asking for it says what is missing", async () => {
  const path = singleModel();
  writeFileSync(join(path, "tokenizer.model"), "");
  const model = await openModelFolder(path);
  expect(() => model.tokenizer).toThrow("has no tokenizer.json, only tokenizer.model");
});

test("neither a folder nor a hub id", async () => {
  await expect(openModelFolder("./no/such/folder")).rejects.toThrow("./no/such/folder: no such folder");
  await expect(openModelFolder("org/name")).rejects.toThrow("not in the Hugging Face cache; HF_HUB_OFFLINE");
});

test("a hub id is found in the cache that huggingface_hub wrote", async () => {
  const repo = join(cache, "models--org--tiny");
  const blob = join(repo, "blobs", "abc");
  const snapshot = join(repo, "snapshots", "f00d");
  mkdirSync(join(repo, "refs"), { recursive: true });
  mkdirSync(join(repo, "blobs"));
  writeFileSync(join(repo, "refs", "main"), "f00d");
  emptyModel(snapshot);
  await expect(openModelFolder("org/tiny")).rejects.toThrow("only partly in");
  writeSafetensors(blob, new Map([["w", tensor(3)]]));
  symlinkSync("../../blobs/abc", join(snapshot, "model.safetensors"));
  const { path, weights } = await openModelFolder("org/tiny");
  expect(path).toBe(snapshot);
  expect(readTensor(weights.get("w")!)).toEqual(Float32Array.of(3));
});

/** Enough of the hub for one repository whose files lie in `folder`. */
async function hubOf(files: Map<string, Buffer>): Promise<{ server: Server; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url!.split("?")[0];
    if (path === "/api/models/org/tiny/revision/main") {
      return response.end(JSON.stringify({ _id: "1", id: "org/tiny", sha: "c0ffee" }));
    }
    if (path === "/api/models/org/tiny/tree/c0ffee") {
      const entries = [...files].map(([name, { length }]) => ({
        type: "file",
        path: name,
        size: length,
        oid: `oid-${name}`,
      }));
      response.setHeader("content-type", "application/json");
      return response.end(JSON.stringify(entries));
    }
    const name = path.split("/resolve/c0ffee/")[1];
    const content = files.get(name);
    if (content === undefined) {
      response.statusCode = 404;
      return response.end();
    }
    asked.push(name);
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "");
    const part = range ? content.subarray(Number(range[1]), Number(range[2]) + 1) : content;
    response.statusCode = range ? 206 : 200;
    response.setHeader("etag", `"oid-${name}"`);
    response.setHeader("content-length", part.length);
    if (range) response.setHeader("content-range", `bytes ${range[1]}-${range[2]}/${content.length}`);
    response.end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  vi.stubEnv("HF_ENDPOINT", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  vi.stubEnv("HF_HUB_OFFLINE", "");
  vi.stubEnv("HF_TOKEN", "");
  return { server, asked };
}

test("a hub id that the cache has not is fetched into it, once, and only what is needed", async () => {
  const { readFileSync } = await import("node:fs");
  const source = singleModel();
  const content = (name: string) => readFileSync(join(source, name));
  const { server, asked } = await hubOf(
    new Map([
      ["config.json", content("config.json")],
      ["model.safetensors", content("model.safetensors")],
      ["pytorch_model.bin", Buffer.from("not wanted")],
      ["onnx/model.json", Buffer.from("not wanted")],
    ]),
  );
  try {
    const progress: number[] = [];
    const { path, weights } = await openModelFolder("org/tiny", {
      onProgress: ({ doneBytes, totalBytes }) => progress.push(doneBytes / totalBytes),
    });
    expect(path).toBe(join(cache, "models--org--tiny", "snapshots", "c0ffee"));
    expect(lstatSync(join(path, "model.safetensors")).isSymbolicLink()).toBe(true);
    expect(readTensor(weights.get("w")!)).toEqual(Float32Array.of(1, 2));
    expect(progress.at(-1)).toBe(1);
    const fetched = new Set(asked);
    expect([...fetched].sort()).toEqual(["config.json", "model.safetensors"]);
    asked.length = 0;
    await openModelFolder("org/tiny");
    expect(asked).toEqual([]);
    await expect(openModelFolder("org/none")).rejects.toThrow("org/none: neither a folder here");
  } finally {
    server.close();
  }
});

const real = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "dualign", "SmolLM2-135M-Instruct");
test.skipIf(!existsSync(real))("opens SmolLM2 as it is", async () => {
  const { weights, tokenizer } = await openModelFolder(real);
  expect(weights.get("model.embed_tokens.weight")!.shape).toEqual([49152, 576]);
  expect(tokenizer.decode(tokenizer.encode("Don't  worry 🙂"))).toBe("Don't  worry 🙂");
});
