// Makes a checkout ready to run: installs npm packages where they are missing or older than the lock file,
// and with `build` compiles src/ into dist/ where a source is newer. Needs nothing but Node and npm.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const time = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function run(command, args) {
  // Progress goes to stderr: stdout belongs to the command that follows (it may be JSON).
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (status !== 0) {
    console.error(`dualign: '${command} ${args.join(" ")}' failed${error ? `: ${error.message}` : ""}`);
    process.exit(1);
  }
}

function newest(folder) {
  let latest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    latest = Math.max(latest, entry.isDirectory() ? newest(path) : time(path));
  }
  return latest;
}

export function ready({ build = false } = {}) {
  if (!existsSync(join(root, "src"))) return; // installed from npm: dist/ came along
  if (time(join(root, "node_modules", ".package-lock.json")) < time(join(root, "package-lock.json")) - 1000)
    // Not `npm ci`: the lock may have been written where a registry lacks other platforms' optional binaries, which
    // `ci` takes for a lock out of step. The lock's versions hold all the same, and nothing is written back.
    run("npm", ["install", "--no-save", "--no-audit", "--no-fund"]);
  if (build && newest(join(root, "src")) > time(join(root, "dist", ".tsbuildinfo")))
    run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json"]);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) ready({ build: process.argv.includes("build") });
