// Makes a checkout ready to run: installs npm packages where they are missing or older than the lock file,
// with `build` compiles src/ into dist/ where a source is newer (after `clean`, from nothing: dist/ keeps what a source
// that is gone was compiled to), with `test` installs the browser that the browser tests
// need, where it can. Needs nothing but Node and npm.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const time = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function run(command, args) {
  // Progress goes to stderr: stdout belongs to the command that follows (it may be JSON).
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: command === "npm" && process.platform === "win32", // where npm is a batch file
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

/** Where test/report/browser.test.ts looks too. */
const browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

function browser() {
  if (browsers.some(existsSync)) return;
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  if (/^ID=debian$/m.test(release) && process.getuid() === 0) {
    console.error("dualign: installing Debian's chromium for the browser tests");
    for (const args of [["update"], ["install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]])
      spawnSync("apt-get", ["-qq", ...args], {
        stdio: ["ignore", "ignore", 2],
        env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      });
    if (browsers.some(existsSync)) return;
  }
  console.error("dualign: the browser tests need a chromium in /usr/bin; there is none, so they are skipped");
}

export function ready({ build = false, clean = false, test = false } = {}) {
  if (!existsSync(join(root, "src"))) return; // installed from npm: dist/ came along
  if (time(join(root, "node_modules", ".package-lock.json")) < time(join(root, "package-lock.json")) - 1000)
    // Not `npm ci`: the lock may have been written where a registry lacks other platforms' optional binaries, which
    // `ci` takes for a lock out of step. The lock's versions hold all the same, and nothing is written back.
    run("npm", ["install", "--no-save", "--no-audit", "--no-fund"]);
  if (test) browser();
  if (clean) rmSync(join(root, "dist"), { recursive: true, force: true });
  if (!build || newest(join(root, "src")) <= time(join(root, "dist", "recipe.schema.json"))) return;
  run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json"]);
  run(process.execPath, [join(root, "scripts", "build-studio.mjs")]);
  // Last: its time says when all was built.
  run(process.execPath, [join(root, "scripts", "build-schema.mjs")]);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const asked = (what) => process.argv.slice(2).includes(what);
  ready({ build: asked("build"), clean: asked("clean"), test: asked("test") });
}
