/** Hugging Face Hub repositories in the cache that huggingface_hub keeps, so that both programs share one download. */
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { rename, rm, symlink } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { InputError } from "../errors.js";

/** Repository on the Hugging Face hub. */
export interface HubRepo {
  type: "model" | "dataset";
  /** "organization/name", or a bare name. */
  name: string;
}

/** Progress of a download: bytes of all wanted files, and the file being fetched. */
export interface DownloadProgress {
  file: string;
  doneBytes: number;
  totalBytes: number;
}

const REVISION = "main";

/** Could be a hub id: no more than one slash, and nothing that only a path has. */
export const isHubId = (name: string): boolean => /^[\w-][\w.-]*(\/[\w-][\w.-]*)?$/.test(name);

/** The cache that huggingface_hub uses under the same environment. */
export function cacheDir(): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
  const home = HF_HOME || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  return HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE || join(home, "hub");
}

/** Network use is forbidden: `HF_HUB_OFFLINE`, read as huggingface_hub reads it. */
export const isOffline = (): boolean => /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? "");

const repoDir = ({ type, name }: HubRepo) => join(cacheDir(), [`${type}s`, ...name.split("/")].join("--"));

/** The folder of the snapshot that the cache has for the main branch, whole or not; undefined without one. */
export function cachedSnapshot(repo: HubRepo): string | undefined {
  const ref = join(repoDir(repo), "refs", REVISION);
  if (!existsSync(ref)) return undefined;
  const folder = join(repoDir(repo), "snapshots", readFileSync(ref, "utf8").trim());
  return existsSync(folder) ? folder : undefined;
}

/**
 * Downloads those files of a repository's main branch that `select` keeps and the cache has not, and gives the
 * snapshot's folder. `HF_ENDPOINT` and `HF_TOKEN` are honoured.
 */
export async function downloadSnapshot(
  repo: HubRepo,
  select: (paths: readonly string[]) => readonly string[],
  onProgress: (progress: DownloadProgress) => void = () => {},
): Promise<string> {
  const { datasetInfo, listFiles, modelInfo } = await import("@huggingface/hub");
  const access = { hubUrl: process.env.HF_ENDPOINT || undefined, accessToken: process.env.HF_TOKEN || undefined };
  try {
    const query = { name: repo.name, revision: REVISION, additionalFields: ["sha" as const], ...access };
    const { sha } = await (repo.type === "model" ? modelInfo(query) : datasetInfo(query));
    const entries = new Map<string, { size: number; etag: string }>();
    for await (const entry of listFiles({ repo, revision: sha, recursive: true, ...access })) {
      const etag = entry.lfs?.oid ?? entry.oid;
      if (entry.type === "file" && etag !== undefined) entries.set(entry.path, { size: entry.size, etag });
    }
    const wanted = select([...entries.keys()]);
    const totalBytes = wanted.reduce((sum, path) => sum + entries.get(path)!.size, 0);
    let doneBytes = 0;
    for (const file of wanted) {
      const { size, etag } = entries.get(file)!;
      const before = doneBytes;
      onProgress({ file, doneBytes, totalBytes });
      await fetchInto(repo, file, sha, etag, access, (bytes) => {
        doneBytes += bytes;
        onProgress({ file, doneBytes, totalBytes });
      });
      doneBytes = before + size;
    }
    // Written last: a reference to main means that its files are there.
    const ref = join(repoDir(repo), "refs", REVISION);
    mkdirSync(dirname(ref), { recursive: true });
    writeFileSync(ref, sha);
    return join(repoDir(repo), "snapshots", sha);
  } catch (error) {
    if (error instanceof InputError) throw error;
    const status = (error as { statusCode?: number }).statusCode;
    const cause = ((error as Error).cause as Error | undefined)?.message ?? (error as Error).message;
    const why =
      status === 401 || status === 403 || status === 404
        ? "no such public repository (a private or gated one needs HF_TOKEN)"
        : cause;
    throw new InputError(`${repo.name}: neither a folder here, nor in the cache, nor to be had from the hub: ${why}`);
  }
}

/** One file into the cache's layout: the content under blobs/ by its hash, and a link to it under snapshots/. */
async function fetchInto(
  repo: HubRepo,
  path: string,
  revision: string,
  etag: string,
  access: { hubUrl?: string; accessToken?: string },
  onBytes: (bytes: number) => void,
): Promise<void> {
  const link = join(repoDir(repo), "snapshots", revision, path);
  if (existsSync(link)) return;
  const blob = join(repoDir(repo), "blobs", etag);
  mkdirSync(dirname(blob), { recursive: true });
  mkdirSync(dirname(link), { recursive: true });
  if (!existsSync(blob)) {
    const { downloadFile } = await import("@huggingface/hub");
    const content = await downloadFile({ repo, path, revision, ...access });
    if (content === null) throw new InputError(`${repo.name}: the hub lists ${path} but does not give it`);
    const draft = `${blob}.${process.pid}.incomplete`;
    const source = Readable.fromWeb(content.stream() as ReadableStream);
    source.on("data", (chunk: Uint8Array) => onBytes(chunk.byteLength));
    try {
      await pipeline(source, createWriteStream(draft));
      await rename(draft, blob);
    } finally {
      await rm(draft, { force: true });
    }
  }
  await rm(link, { force: true }); // a dangling link of a pruned cache
  await symlink(relative(dirname(link), blob), link);
}
