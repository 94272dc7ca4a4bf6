/** The examples, run as their readers run them. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createViteServer } from "vitest/node";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-examples-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program of the checkout and gives its standard output's lines. */
function run(...args: string[]): string[] {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  expect(status, stderr).toBe(0);
  return stdout.trim().split("\n");
}

beforeAll(() => {
  // The examples import the package by its name: what the build makes.
  run("scripts/ready.mjs", "build");
});

test("every example is listed", () => {
  const listed = readFileSync(join(root, "examples", "README.md"), "utf8");
  const there = readdirSync(join(root, "examples")).filter((name) => name !== "README.md");
  expect(there.filter((name) => !listed.includes(`(${name}`))).toEqual([]);
});

test("an op with its gradient: values and slopes as the formula has them, in float64 and by ONNX Runtime", () => {
  const rows = run("examples/op-with-gradient.mjs").map((line) => JSON.parse(line));
  expect(rows.length).toBeGreaterThan(3);
  const mish = (x: number) => x * Math.tanh(Math.log1p(Math.exp(x)));
  for (const { x, y, dx, onnx } of rows) {
    expect(y).toBeCloseTo(mish(x), 12);
    expect(dx).toBeCloseTo((mish(x + 1e-5) - mish(x - 1e-5)) / 2e-5, 8);
    expect(onnx.y).toBeCloseTo(y, 5);
    expect(onnx.dx).toBeCloseTo(dx, 5);
  }
});

test("an adapter is trained: the loss falls from ln 2, and PEFT's files are there", () => {
  const out = join(folder, "adapter");
  const losses = run("examples/train-adapter.mjs", out)
    .filter((line) => line.startsWith("step"))
    .map((line) => Number(line.split("loss ")[1]));
  expect(losses[0]).toBeCloseTo(Math.LN2, 3);
  expect(losses.at(-1)).toBeLessThan(losses[0]);
  expect(existsSync(join(out, "adapter_model.safetensors"))).toBe(true);
  expect(JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"))).toMatchObject({ peft_type: "LORA" });
});

test("own scorers, and the run that they make, queried", () => {
  const out = join(folder, "run");
  const [line] = run("examples/own-scorer/run.mjs", out);
  const { lambda, verdicts, report } = JSON.parse(line);
  expect(lambda[0]).toBeGreaterThanOrEqual(0);
  expect(verdicts).toMatchObject([{ constraint: "polite", margin: 0.1 }]);
  expect(existsSync(report)).toBe(true);

  const [solution, verdict, ...worst] = run("examples/query-run.mjs", out);
  expect(solution).toContain(String(lambda[0]));
  expect(verdict).toContain(verdicts[0].verdict);
  const scores = worst.map((row) => Number.parseFloat(row));
  expect(scores).toEqual(scores.toSorted((a, b) => a - b));
});

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

test.skipIf(executablePath === undefined && process.env.DUALIGN_REQUIRE_BROWSER !== "1")(
  "solve in a browser: a margin within reach has its λ, one beyond it has none",
  async () => {
    const server = await createViteServer({
      root: join(root, "examples", "solve-in-browser"),
      configFile: false,
      logLevel: "error",
      cacheDir: join(folder, "vite"),
      optimizeDeps: { noDiscovery: true },
      resolve: { alias: { "dualign/dual": join(root, "dist", "entry", "dual.js") } },
      server: { host: "127.0.0.1", port: 0, fs: { allow: [root] }, watch: null },
    });
    const args = [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
    ];
    const browser = await chromium.launch({ executablePath, args });
    try {
      await server.listen();
      const page = await browser.newPage();
      const errors: string[] = [];
      page.on("pageerror", (error) => errors.push(error.message));
      await page.goto(server.resolvedUrls!.local[0]);
      const figure = async (id: string) => Number(await page.textContent(`#${id}`));
      await page.waitForFunction("document.getElementById('lambda').textContent !== ''");
      expect(await figure("safety")).toBeCloseTo(0.5, 6);
      expect(await figure("kkt")).toBeLessThan(1e-9);
      const smaller = await figure("lambda");

      await page.fill("#margin", "0.7");
      expect(await figure("safety")).toBeCloseTo(0.7, 6);
      expect(await figure("lambda")).toBeGreaterThan(smaller);

      await page.fill("#margin", "2");
      expect(await page.textContent("#lambda")).toBe("");
      expect(await page.textContent("#problem")).not.toBe("");
      expect(errors).toEqual([]);
    } finally {
      await browser.close();
      await server.close();
    }
  },
);
