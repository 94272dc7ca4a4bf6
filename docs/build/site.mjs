// Builds the documentation as a site into docs/.vitepress/dist, every internal link checked.
// node docs/build/site.mjs    (npm run docs)
//
// The site's packages are docs/package.json's own: TypeDoc reads the sources with TypeScript 6, as it has no release for
// 7, and neither it nor VitePress is needed for anything else here.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ready } from "../../scripts/ready.mjs";

const docs = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(docs);

function run(command, args, cwd = docs) {
  const { status, error } = spawnSync(command, args, {
    cwd,
    stdio: "inherit",
    shell: command === "npm" && process.platform === "win32", // where npm is a batch file
  });
  if (status === 0) return;
  console.error(`docs: '${command} ${args.join(" ")}' failed${error ? `: ${error.message}` : ""}`);
  process.exit(1);
}
const tool = (path, ...args) => run(process.execPath, [join(docs, "node_modules", path), ...args]);

ready({ build: true });
const installed = join(docs, "node_modules", ".package-lock.json");
const age = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);
// Install scripts stay off, as in the checkout itself; nothing is written back to the lock.
if (age(installed) < age(join(docs, "package-lock.json")) - 1000)
  run("npm", ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]);

run(process.execPath, [join(docs, "build", "pages.mjs")]);

const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const sources = Object.values(exports)
  .map((target) => target.default)
  .filter((target) => target?.endsWith(".js"))
  .map((target) => join(root, target.replace("./dist/", "src/").replace(/\.js$/, ".ts")));
rmSync(join(docs, "api"), { recursive: true, force: true });
tool(
  "typedoc/bin/typedoc",
  ...["--options", join(docs, "typedoc.json"), "--basePath", join(root, "src"), "--out", join(docs, "api")],
  ...sources,
);

tool("vitepress/bin/vitepress.js", "build", docs);
run(process.execPath, [join(docs, "build", "checkLinks.mjs")]);
console.log(`docs: ${join(docs, ".vitepress", "dist", "index.html")}`);
