import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { nativeBinaryError } from "../../src/cli/nativeBinary.js";
import { InputError } from "../../src/errors.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What loading a package throws on a platform for which it has no binary. */
function failure(name: string): Error {
  const { stdout } = spawnSync(
    process.execPath,
    [
      "-e",
      `Object.defineProperty(process, "arch", { value: "s390x" });
       import("${name}").catch(({ message, code }) => console.log(JSON.stringify({ message, code })));`,
    ],
    { cwd: root, encoding: "utf8" },
  );
  const { message, code } = JSON.parse(stdout);
  return Object.assign(new Error(message), { code });
}

test.each(["onnxruntime-node", "@duckdb/node-api"])("a platform without a binary of %s is an input error", (name) => {
  const error = nativeBinaryError(failure(name));
  expect(error).toBeInstanceOf(InputError);
  expect(error!.message).toContain(name);
  expect(error!.message).toContain(`${process.platform}-${process.arch}`);
  expect(error!.message).not.toContain("\n");
});

test("a binary that the system cannot load is one too", () => {
  const error = Object.assign(
    new Error("libonnxruntime.so.1: cannot open shared object file: No such file or directory"),
    { code: "ERR_DLOPEN_FAILED" },
  );
  expect(nativeBinaryError(error)).toBeInstanceOf(InputError);
});

test("other missing modules, and other errors, are none", () => {
  const missing = Object.assign(new Error("Cannot find module './scorer.mjs'"), { code: "MODULE_NOT_FOUND" });
  expect(nativeBinaryError(missing)).toBeUndefined();
  expect(nativeBinaryError(new Error("libonnxruntime gave up"))).toBeUndefined();
  expect(nativeBinaryError(undefined)).toBeUndefined();
});

test("the quickstart's recipe is where the command looks for it", async () => {
  const { pocketRecipe } = await import("../../src/cli/quickstart.js");
  expect(existsSync(pocketRecipe)).toBe(true);
});
