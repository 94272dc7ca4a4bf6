// Checks that what may not be there is looked at before it is used (TypeScript's noUncheckedIndexedAccess) in the folders
// below. Elsewhere the option is off: of its 1,367 reports in November 2026 nine in ten were numbers read from typed arrays
// within a loop's own bounds, where the only remedy is a "!" that says nothing.
// node scripts/check-index-access.mjs    (a part of npm run lint)
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Folders of src/ that deal with files, recipes, rows and users: they shall grow in number. */
const folders = ["cli", "entry", "library", "ports", "recipe", "score"];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const flags = ["--noEmit", "--incremental", "false", "--pretty", "false", "--noUncheckedIndexedAccess"];
const { stdout, error } = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.json"), ...flags], {
  cwd: root,
  encoding: "utf8",
  maxBuffer: 1 << 26,
});
if (error) throw error;
const reports = stdout.split("\n").filter((line) => /^src[/\\]/.test(line));
const found = reports.filter((line) =>
  folders.some((folder) => line.replaceAll("\\", "/").startsWith(`src/${folder}/`)),
);
for (const line of found) console.error(line);
console.log(`index access: ${found.length} in ${folders.join(", ")}; ${reports.length} in all of src`);
if (found.length > 0) process.exitCode = 1;
