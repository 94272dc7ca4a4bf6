import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** The software Vulkan driver in Debian's chromium package, with the loader beside it. */
const DRIVER = process.env.VK_ICD_FILENAMES ?? "/usr/lib/chromium/vk_swiftshader_icd.json";
const required = process.env.DUALIGN_REQUIRE_BROWSER === "1";

/** Software compiles shaders slowly, more so beside other work. */
const TIMEOUT = 300_000;

/** Runs the tests of a file: the loader looks for its driver when its process starts, and a driver may take that down. */
const CHILD = `
  import { startVitest } from "vitest/node";
  await startVitest("test", [], { config: false, watch: false, include: ["test/providers/onWebgpu.ts"], testTimeout: ${TIMEOUT} });
`;

test.skipIf(!required && !existsSync(DRIVER))(
  "computes and trains on webgpu",
  async () => {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", CHILD], {
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
      env: {
        ...process.env,
        VK_ICD_FILENAMES: DRIVER,
        LD_LIBRARY_PATH: [dirname(DRIVER), process.env.LD_LIBRARY_PATH].filter(Boolean).join(":"),
      },
    });
    const [output, errors, status] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise((done) => child.on("close", done)),
    ]);
    expect(status, `${output}\n${errors}`).toBe(0);
    expect(output).toMatch(/passed/);
  },
  TIMEOUT,
);
