import { execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, expect, test, vi } from "vitest";
import { withExamples } from "../../src/cli/examples.js";
import { failing } from "../../src/cli/exitStatus.js";
import { makeProgram } from "../../src/cli/main.js";
import { writeReportFile } from "../../src/cli/reportFile.js";
import { writeRows } from "../../src/files/rows/write.js";
import { runMethod } from "../../src/methods/methods.js";
import type { DoneEvent } from "../../src/ports/events.js";
import { startRun } from "../../src/store/runFolder.js";
import { toyRecipe, toyWorld } from "../methods/toy.js";
import { dualign } from "./run.js";

const folder = mkdtempSync(join(tmpdir(), "dualign-manners-"));
afterAll(() => rmSync(folder, { recursive: true }));
const model = fileURLToPath(new URL("../../pocket/choice", import.meta.url));

test("a prompt on the command line is answered on standard output, flags in either spelling", async () => {
  const args = ["--prompt", "open door", "--prompt", "move box", "--max_new_tokens=2", "--num_samples", "2"];
  const { stdout, stderr } = await dualign("generate", "--model", model, ...args);
  const rows = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(rows.map(({ prompt }) => prompt)).toEqual(["open door", "open door", "move box", "move box"]);
  expect(stderr).not.toBe("");
  const quiet = await dualign("generate", "--model", model, ...args, "--quiet");
  expect(quiet.stdout).toBe(stdout);
  expect(quiet.stderr).toBe("");
  const both = await dualign("generate", "--model", model, ...args, "--json");
  expect(both).toMatchObject({ status: 2, stdout: "" });
});

test("writing never replaces a link or a device", async () => {
  const file = join(folder, "rows.jsonl");
  const link = join(folder, "link.jsonl");
  writeFileSync(file, "old\n");
  symlinkSync(file, link);
  await writeRows(link, [{ a: 1 }]);
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(readFileSync(file, "utf8")).toBe('{"a":1}\n');
  if (existsSync("/dev/null")) {
    await writeRows("/dev/null", [{ a: 1 }]);
    expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
  }
  expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

test("--fail-on picks the verdicts that are no success", () => {
  const verdict = (constraint: string, verdict: "held" | "not held" | "undecided") => ({
    ...{ constraint, verdict, margin: 1, predicted: 1, measured: 1 },
    interval: [0, 2] as [number, number],
  });
  const event = (...verdicts: ReturnType<typeof verdict>[]) => ({ event: "done", verdicts }) as unknown as DoneEvent;
  const all = event(verdict("a", "held"), verdict("b", "not held"), verdict("c", "undecided"));
  expect(failing(all, "not-held")).toEqual(["b: not held"]);
  expect(failing(all, "undecided")).toEqual(["b: not held", "c: undecided"]);
  expect(failing(event(verdict("a", "held")), "undecided")).toEqual([]);
});

test("every command has examples, and what they show exists", () => {
  const program = makeProgram();
  const names = program.commands.map((command) => command.name()).filter((name) => name !== "completion");
  expect(withExamples.toSorted()).toEqual(names.toSorted());
  for (const command of program.commands) {
    let help = "";
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    const lines = [...help.matchAll(/^ {2}dualign (\S+)(.*)$/gm)];
    expect(lines.length, command.name()).toBeGreaterThan(0);
    for (const [, name, rest] of lines) {
      expect(name).toBe(command.name());
      const sub = command.commands.find((one) => rest.trim().startsWith(one.name())) ?? command;
      for (const [flag] of rest.matchAll(/--[a-z-]+/g)) expect(sub.options.map(({ long }) => long)).toContain(flag);
    }
  }
});

test("the completion scripts know the commands and their flags", async () => {
  const { stdout } = await dualign("completion", "bash");
  const complete = (...words: string[]) => {
    const script = `${stdout}\nCOMP_WORDS=(dualign ${words.join(" ")}); COMP_CWORD=${words.length}; _dualign; echo "\${COMPREPLY[@]}"`;
    return execFileSync("bash", ["-c", script], { encoding: "utf8" }).trim().split(" ");
  };
  expect(complete("moc")).toEqual(["mocan"]);
  expect(complete("train", "dp")).toEqual(["dpo"]);
  expect(complete("train", "dpo", "--lora-a")).toEqual(["--lora-alpha"]);
  expect((await dualign("completion", "zsh")).stdout).toContain("#compdef dualign");
  expect((await dualign("completion", "fish")).stdout).toMatch(/complete -c dualign .* -a mocan/);
  expect((await dualign("completion", "cmd")).status).toBe(2);
});

test("report --open starts the browser on the page, and says where it is where there is none", async () => {
  const run = join(folder, "to-open");
  const store = await startRun(run, { recipe: toyRecipe(), recipeText: "", versions: {} });
  await runMethod({ run: store, world: { ...toyWorld(), writeReport: writeReportFile }, emit: () => {} });
  const page = pathToFileURL(join(run, "report.html")).href;
  await store.close();
  const browser = join(folder, "browser.sh");
  writeFileSync(browser, `#!/bin/sh\necho "$1" > ${join(folder, "opened")}\n`, { mode: 0o755 });
  vi.stubEnv("BROWSER", browser);
  expect((await dualign("report", run, "--open")).status).toBe(0);
  await vi.waitFor(() => expect(readFileSync(join(folder, "opened"), "utf8").trim()).toBe(page));
  vi.stubEnv("BROWSER", join(folder, "no-such-browser"));
  const without = await dualign("report", run, "--open");
  expect([without.status, without.stderr]).toEqual([0, expect.stringContaining(page)]);
  // Beside a process that works on the run: its database is open elsewhere, and its live status names that process.
  const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  try {
    writeFileSync(join(run, "status.json"), JSON.stringify({ pid: other.pid, updated: "", stage: "train" }));
    rmSync(join(run, "report.html"));
    expect((await dualign("report", run)).stdout).toContain(join(run, "report.html"));
    expect(existsSync(join(run, "report.html"))).toBe(true);
    expect(JSON.parse((await dualign("status", run, "--json")).stdout).running.pid).toBe(other.pid);
  } finally {
    other.kill();
    vi.unstubAllEnvs();
  }
}, 30_000);
