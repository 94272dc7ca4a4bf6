/** What a model's weights are, by their content: a folder whose files were exchanged is another model. */
import { createHash } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import type { Model } from "../../models/model.js";

/** Hashes of files that this process has read, by path, with the state in which each was read. */
const known = new Map<string, { state: string; sha256: string }>();

/**
 * Hash of a model's weights and adapter, in hexadecimal. Files are read whole, each once as long as it does not change;
 * tensors in memory are hashed as they are.
 */
export async function weightsFingerprint({ weights, adapter, temperature }: Model): Promise<string> {
  const hash = createHash("sha256");
  const files = new Set<string>();
  for (const { name, file, data } of weights.values()) {
    if (file !== undefined) files.add(file);
    if (data !== undefined) hash.update(name).update(data);
  }
  for (const file of [...files].sort()) hash.update(await fileHash(file));
  if (adapter) {
    const { plan, layout, values } = adapter;
    hash.update(JSON.stringify([plan.scale, layout.entries.map(({ name, shape }) => [name, shape])]));
    hash.update(values);
  }
  return hash.update(JSON.stringify(temperature ?? 1)).digest("hex");
}

async function fileHash(file: string): Promise<string> {
  // The time of the last change of the inode: a copy that keeps its time of modification does not keep this one.
  const { size, ctimeMs, ino } = statSync(file);
  const state = `${size} ${ctimeMs} ${ino}`;
  const found = known.get(file);
  if (found?.state === state) return found.sha256;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  const sha256 = hash.digest("hex");
  known.set(file, { state, sha256 });
  return sha256;
}
