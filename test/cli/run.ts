import { vi } from "vitest";
import { main } from "../../src/cli/main.js";

export interface Told {
  status: number;
  stdout: string;
  stderr: string;
  /** Standard output's JSON lines. */
  events: Record<string, unknown>[];
}

/** Runs the command line in this process and gives what it wrote. */
export async function dualign(...args: string[]): Promise<Told> {
  const written = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((stream) =>
    vi.spyOn(process[stream], "write").mockImplementation((text) => {
      written[stream] += text;
      return true;
    }),
  );
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    await main(["node", "dualign", ...args]);
    const lines = written.stdout.split("\n").filter((line) => line.startsWith("{"));
    return { status: Number(process.exitCode ?? 0), ...written, events: lines.map((line) => JSON.parse(line)) };
  } finally {
    for (const spy of spies) spy.mockRestore();
    process.exitCode = before;
  }
}
