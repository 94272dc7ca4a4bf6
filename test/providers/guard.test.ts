import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { openGuard } from "../../src/providers/onnx/guard.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import golden from "../golden/guard.json" with { type: "json" };

const llama = fileURLToPath(new URL("../golden/models/llama", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-guard-"));
afterAll(() => rmSync(folder, { recursive: true }));
for (const name of readdirSync(llama)) copyFileSync(join(llama, name), join(folder, name));
const config = JSON.parse(readFileSync(join(folder, "tokenizer_config.json"), "utf8"));
writeFileSync(
  join(folder, "tokenizer_config.json"),
  JSON.stringify({ ...config, chat_template: golden.chat_template }),
);
const { safe, unsafe, template } = golden;

async function odds(model: string, given?: string): Promise<number[]> {
  const guard = await openGuard(onnxRuntime(), { name: "guard", model, template: given, safe, unsafe });
  const values: number[] = [];
  for await (const { index, value } of guard.score(golden.rows)) values[index] = value;
  await guard.close();
  return values;
}

test("a guard's score is the log-odds of its answers, as transformers has them: by a template and by its own", async () => {
  for (const [values, right] of [
    [await odds(llama, template), golden.rows.map(({ by_template }) => by_template)],
    [await odds(folder), golden.rows.map(({ by_chat }) => by_chat)],
  ] as const)
    for (const [i, value] of right.entries()) expect(values[i]).toBeCloseTo(value, 4);
});

test("without a chat template it needs one", async () => {
  await expect(odds(llama)).rejects.toThrow(/scorer 'guard': .*has no chat template; give 'template'/);
});
