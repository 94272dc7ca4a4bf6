/** `dualign push`: an adapter or a model, with its card, to the hub. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Command } from "commander";
import { InputError } from "../errors.js";
import { isHubId, isOffline } from "../files/hub.js";

interface Given {
  repo: string;
  private?: boolean;
  dryRun?: boolean;
}

/** Command `dualign push`. */
export function addPushCommand(program: Command): void {
  program
    .command("push")
    .description("send a run's adapter, or any adapter or model folder, to the Hugging Face hub (token in HF_TOKEN)")
    .argument("<folder>", "run folder, adapter folder or model folder")
    .requiredOption("--repo <name>", "organization/name on the hub; made where it is missing")
    .option("--private", "make the repository private")
    .option("--dry-run", "list what would be sent, and send nothing")
    .action(push);
}

async function push(folder: string, { repo, private: isPrivate = false, dryRun }: Given): Promise<void> {
  if (!/\//.test(repo) || !isHubId(repo)) throw new InputError(`--repo is ${repo}: give organization/name`);
  const path = placeOf(folder);
  const files = readdirSync(path).filter((name) => statSync(join(path, name)).isFile());
  if (dryRun) {
    for (const name of files) process.stdout.write(`${repo}/${name}  ${statSync(join(path, name)).size} bytes\n`);
    return;
  }
  const accessToken = process.env.HF_TOKEN;
  if (!accessToken) throw new InputError("HF_TOKEN is not set: put a token with write access into the environment");
  if (isOffline()) throw new InputError("HF_HUB_OFFLINE forbids sending: unset it");
  const { createRepo, repoExists, uploadFiles } = await import("@huggingface/hub");
  const target = { type: "model", name: repo } as const;
  const access = { hubUrl: process.env.HF_ENDPOINT || undefined, accessToken };
  try {
    if (!(await repoExists({ repo: target, ...access })))
      await createRepo({ repo: target, private: isPrivate, ...access });
    await uploadFiles({
      repo: target,
      ...access,
      commitTitle: "Upload by dualign",
      files: files.map((name) => ({ path: name, content: pathToFileURL(join(path, name)) })),
    });
  } catch (error) {
    const status = (error as { statusCode?: number }).statusCode;
    throw new InputError(
      `${repo}: the hub refused it${status === undefined ? "" : ` (${status})`}: ${(error as Error).message.split("\n")[0]}`,
    );
  }
  process.stdout.write(`${files.length} files sent to ${repo}\n`);
}

/** Folder to send: a run's aligned policy, or the folder itself where it holds an adapter or a model. */
function placeOf(folder: string): string {
  const holds = (path: string, name: string) => existsSync(join(path, name));
  const path = holds(folder, "run.duckdb") ? join(folder, "aligned") : folder;
  const adapter = holds(path, "adapter_config.json") && holds(path, "adapter_model.safetensors");
  const model =
    holds(path, "config.json") && (holds(path, "model.safetensors") || holds(path, "model.safetensors.index.json"));
  if (!adapter && !model) throw new InputError(`${path}: holds neither an adapter nor a model, whole`);
  return path;
}
