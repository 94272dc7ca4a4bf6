/** Fingerprints of what a run's stages use: a part that has changed since is named, never mixed with what it was. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { InputError } from "../errors.js";
import type { RunStore, StageName } from "../ports/store.js";
import { kept } from "./places.js";

/** Part of a recipe that a stage uses: a file, a folder of a model or an adapter, or a module of JavaScript. */
export interface UsedPart {
  /** Name in messages and rows: the recipe's key. */
  readonly part: string;
  readonly path: string;
}

/** Part whose content is not what the stage used before. */
export interface ChangedPart extends UsedPart {
  /** Hashes, in hexadecimal. */
  readonly before: string;
  readonly now: string;
}

/**
 * Keeps what a stage of the run's attempt uses, and gives what has changed since the stage used it first: for that the
 * first fingerprint stays.
 * @throws InputError for a path that is not there.
 */
export async function noteUsed(run: RunStore, stage: StageName, used: readonly UsedPart[]): Promise<ChangedPart[]> {
  const { attempt } = run.attempt;
  const known = new Map((await run.select("fingerprints", { attempt, stage })).map((row) => [row.part, row.sha256]));
  const changed: ChangedPart[] = [];
  for (const { part, path } of used) {
    const now = await fingerprint(run, path);
    const before = known.get(part);
    if (before === undefined)
      await run.add("fingerprints", [{ attempt, stage, part, path: kept(path, run.path), sha256: now }]);
    else if (before !== now) changed.push({ part, path, before, now });
  }
  return changed;
}

/**
 * Hash of a path's content, in hexadecimal: of a file with the modules that it imports from beside it, or of the files of a
 * model's folder. Where it lies and when it was written do not matter. A file whose size and time of modification are
 * known to the run is not read again; the time is that of the inode's last change, which a copy that keeps its dates does
 * not keep.
 */
export async function fingerprint(run: RunStore, path: string): Promise<string> {
  if (!existsSync(path)) throw new InputError(`${path} is not there`);
  const isFolder = statSync(path).isDirectory();
  const names = isFolder ? folderFiles(path) : [...moduleFiles(resolve(path))];
  const hashes: (readonly [name: string, sha256: string])[] = [];
  for (const name of names)
    hashes.push([isFolder ? name : "", await contentHash(run, isFolder ? join(path, name) : name)]);
  if (hashes.length === 1 && !isFolder) return hashes[0]![1];
  return createHash("sha256").update(JSON.stringify(hashes)).digest("hex");
}

/** Files of a model's or an adapter's folder that say what it computes: no readme, no checkpoint of a training. */
const folderFiles = (folder: string) =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => /\.(safetensors|json|jinja|model|txt)$/.test(entry.name) && !entry.name.startsWith("."))
    .filter(({ name }) => statSync(join(folder, name)).isFile())
    .map(({ name }) => name)
    .sort();

/** A file, and where it is a module those that it imports by relative paths, in the order in which they are found. */
function moduleFiles(path: string, found = new Set<string>()): Set<string> {
  if (found.has(path) || !existsSync(path) || !statSync(path).isFile()) return found;
  found.add(path);
  if (!/\.([cm]?js|ts)$/.test(path)) return found;
  for (const [, name] of readFileSync(path, "utf8").matchAll(
    /(?:from|import|require)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g,
  ))
    moduleFiles(resolve(dirname(path), name!), found);
  return found;
}

async function contentHash(run: RunStore, given: string): Promise<string> {
  const path = realpathSync(given);
  const { size: bytes, ctimeMs: modified } = statSync(path);
  const [known] = await run.select("contents", { path });
  if (known?.bytes === bytes && known.modified === modified) return known.sha256;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  const sha256 = hash.digest("hex");
  await run.replace("contents", { path }, [{ path, bytes, modified, sha256 }]);
  return sha256;
}
