// Checks the links of every Markdown page of the repository that lead inside it: files, folders and headings.
// node docs/build/checkLinks.mjs
//
// Pages that the site's build makes (docs/api/, docs/reference/) are checked where they are
// there; a link to one that is not there yet is taken to be right.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const skipped = new Set(["node_modules", "dist", "runs", ".git", "golden", ".vitepress", "cache"]);
const made = (path) => /^docs\/(?:api|reference)\//.test(relative(root, path).replaceAll("\\", "/"));

function pagesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : pagesIn(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

/** A page without its code, in which brackets are no links. */
const prose = (text) =>
  text
    .replace(/^(```|~~~)[\s\S]*?^\1/gm, "")
    .replace(/^(?: {4}|\t).*$/gm, "")
    .replace(/`[^`\n]*`/g, "``");

/** The anchors of a page's headings, by GitHub's rule and by VitePress's. */
function anchors(path) {
  const found = new Set();
  const text = readFileSync(path, "utf8").replace(/^(```|~~~)[\s\S]*?^\1/gm, "");
  for (const [, title] of text.matchAll(/^#{1,6}\s+(.+)$/gm)) {
    const plain = title
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .replace(/[`*]/g, "")
      .trim()
      .toLowerCase();
    const github = plain.replace(/[^\p{L}\p{N}_\- ]/gu, "").replaceAll(" ", "-");
    const vitepress = plain
      .normalize("NFKD")
      .replace(/[\s~`!@#$%^&*()\-_+=[\]{}|\\;:"'“”‘’<>,.?/]+/g, "-")
      .replace(/-{2,}/g, "-")
      .replace(/^-+|-+$/g, "");
    for (const name of [github, vitepress]) {
      let anchor = name;
      for (let i = 1; found.has(anchor) && name === github; i++) anchor = `${name}-${i}`;
      found.add(anchor);
    }
  }
  return found;
}

const pages = pagesIn(root);
const broken = [];
let links = 0;
for (const page of pages) {
  const text = prose(readFileSync(page, "utf8"));
  for (const [, target] of text.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)) {
    if (/^[a-z][a-z+.-]*:/i.test(target)) continue;
    links++;
    const [path, anchor] = target.split("#");
    const base = path.startsWith("/") ? join(root, "docs") : dirname(page);
    let file = path === "" ? page : resolve(base, `.${path.startsWith("/") ? "" : "/"}${decodeURIComponent(path)}`);
    if (!existsSync(file) && existsSync(`${file}.md`)) file = `${file}.md`;
    if (existsSync(file) && statSync(file).isDirectory() && existsSync(join(file, "index.md")))
      file = join(file, "index.md");
    const where = `${relative(root, page)}: ${target}`;
    if (!existsSync(file)) {
      if (!made(file)) broken.push(`${where} (no such file)`);
    } else if (anchor && file.endsWith(".md") && !made(page) && !anchors(file).has(decodeURIComponent(anchor)))
      broken.push(`${where} (no such heading)`);
  }
}
for (const line of broken) console.error(`links: ${line}`);
console.log(`links: ${links} in ${pages.length} pages, ${broken.length} broken`);
if (broken.length > 0) process.exitCode = 1;
