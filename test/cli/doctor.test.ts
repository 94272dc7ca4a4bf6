/** `dualign doctor` on this machine, models of known sizes, and doubles of servers. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, expect, test } from "vitest";
import { openModelFolder, openTokenizer } from "../../src/files/modelFolder.js";
import { countParameters } from "../../src/models/memory.js";
import { readModelConfig } from "../../src/models/readConfig.js";
import type { DoctorEvent } from "../../src/ports/events.js";
import { type CompletionsServer, completionsServer } from "../providers/completionsServer.js";
import { dualign } from "./run.js";

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-doctor-"));
let server: CompletionsServer | undefined;
afterEach(() => server?.close());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function doctor(...args: string[]) {
  const { status, events } = await dualign("doctor", ...args, "--json");
  const found = events.at(-1) as unknown as DoctorEvent;
  return { status, found, states: Object.fromEntries(found.findings.map(({ name, state }) => [name, state])) };
}

test("this machine runs the tests, so it is fit; what it lacks is no fault unless it is asked for", async () => {
  const { status, found, states } = await doctor();
  expect(status).toBe(0);
  expect(found.fit).toBe(true);
  expect(states).toMatchObject({ node: "fit", database: "fit", cpu: "fit" });
  const asked = await doctor("--device", "cuda");
  expect(asked.status).toBe(states.cuda === "fit" ? 0 : 2);
  for (const { state, remedy } of found.findings) if (state !== "fit") expect(remedy).toBeTruthy();
});

test("a model's memory is told from its shape; its weights are the file's", async () => {
  const model = path("pocket/policy");
  const { status, found } = await doctor("--model", model);
  expect(status).toBe(0);
  const { weights, config } = await openModelFolder(model);
  const elements = [...weights.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  expect(found.memory).toMatchObject({ parameters: elements, weights_bytes: 4 * elements, served_bytes: 2 * elements });
  expect(Math.abs(countParameters(readModelConfig(config, "config.json").config) / elements - 1)).toBeLessThan(0.01);
  expect(found.memory!.train_bytes).toBeGreaterThan(found.memory!.weights_bytes);

  const missing = await doctor("--model", join(folder, "none", "such", "model"));
  expect(missing.status).toBe(2);
  expect(missing.states.model).toBe("unfit");
});

test("a server is fit for what its probes say", async () => {
  const llama = path("test/golden/models/llama");
  const tokenizer = await openTokenizer(llama);
  const options = {
    vocabulary: tokenizer.embeddings,
    end: tokenizer.stopIds[0]!,
    models: [{ id: "base", owned_by: "vllm", max_model_len: 256 }],
    decode: (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true }),
  };
  const flags = () => ["--endpoint", server!.url, "--model", "base", "--tokenizer", llama, "--retries", "0"];
  server = await completionsServer({
    ...options,
    trouble: ({ path }) =>
      path === "/v1/load_lora_adapter"
        ? { status: 404, body: '{"error":{"message":"No adapter found for dualign-probe"}}' }
        : path === "/v1/chat/completions"
          ? { status: 200, body: '{"choices":[{"message":{"content":"hello"}}]}' }
          : "pass",
  });
  const whole = await doctor(...flags());
  expect(whole.states).toMatchObject({ sample: "fit", "log-probabilities": "fit", adapters: "fit", chat: "fit" });
  expect(whole.status).toBe(0);
  await server.close();

  // One that ignores the key for log-probabilities of given texts, and has no route for adapters.
  server = await completionsServer({
    ...options,
    change: (choice) => ({ ...choice, prompt_logprobs: null }),
    trouble: ({ path }) => (path === "/v1/completions" ? "pass" : { status: 404, body: "{}" }),
  });
  const lacking = await doctor(...flags());
  expect(lacking.states).toMatchObject({
    sample: "fit",
    "log-probabilities": "unfit",
    adapters: "unfit",
    chat: "absent",
  });
  expect(lacking.status).toBe(2);
  const adapters = lacking.found.findings.find(({ name }) => name === "adapters");
  expect(adapters!.detail).toContain("VLLM_ALLOW_RUNTIME_LORA_UPDATING");
});

test("an interpreter without TRL is unfit, and what to install is named", async () => {
  const python = join(folder, "python");
  writeFileSync(python, `#!/bin/sh\necho '{"trl": null, "torch": "2.0.0"}'\n`);
  chmodSync(python, 0o755);
  const { status, found } = await doctor("--python", python);
  expect(status).toBe(2);
  const { detail, remedy } = found.findings.find(({ name }) => name === "trl")!;
  expect(detail).toContain("trl");
  expect(remedy).toMatch(/trl==/);
});
