/** Where a killed training goes on: folders `checkpoint-STEP` with everything that the next step depends on. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../../errors.js";
import { readHeader, readTensor, writeSafetensors } from "../../files/safetensors.js";
import type { TrainingState } from "../../train/stepper.js";

const NAME = /^checkpoint-(\d+)$/;
const VECTORS = ["parameters", "mean", "variance"] as const;
/** What the names of a guided training's own vectors begin with. */
const GUIDED = "guided.";

/** Writes a checkpoint, whole or not at all, then removes the older ones. `extra` may put more files into its folder. */
export function writeCheckpoint(
  dir: string,
  state: TrainingState,
  fingerprint: string,
  extra: (folder: string) => void,
): void {
  const folder = join(dir, `checkpoint-${state.step}`);
  const draft = `${folder}.${process.pid}.tmp`;
  mkdirSync(draft, { recursive: true });
  try {
    extra(draft);
    const { step, guided } = state;
    const vectors = Object.entries(guided?.vectors ?? {}).map(([name, data]) => [`${GUIDED}${name}`, data] as const);
    const tensors = [...VECTORS.map((name) => [name, state[name]] as const), ...vectors].map(
      ([name, data]) => [name, { shape: [data.length], data }] as const,
    );
    writeSafetensors(join(draft, "state.safetensors"), new Map(tensors));
    writeFileSync(join(draft, "state.json"), `${JSON.stringify({ step, fingerprint, guided: guided?.account })}\n`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
  for (const { step, path } of checkpoints(dir))
    if (step !== state.step) rmSync(path, { recursive: true, force: true });
}

/** @throws InputError where the checkpoint belongs to another training: other rows, model or options. */
export function readCheckpoint(dir: string, fingerprint: string): TrainingState | undefined {
  const all = checkpoints(dir).reverse();
  if (all.length === 0) return undefined;
  // Beside the first checkpoint of a training that began anew, one of the training before may still stand.
  const [last] = all.flatMap(({ path }) => {
    const state = stateOf(path);
    return state.fingerprint === fingerprint ? [{ path, ...state }] : [];
  });
  if (!last)
    throw new InputError(
      `${all[0].path}: belongs to a training with another model, other rows or other options; give those again, or another --output-dir`,
    );
  const { step, guided: account } = last;
  const file = join(last.path, "state.safetensors");
  const stored = readHeader(file);
  const lacking = VECTORS.find((name) => !stored.has(name));
  if (lacking !== undefined)
    throw new InputError(`${file}: has no tensor "${lacking}": remove ${last.path}, and start anew`);
  const [parameters, mean, variance] = VECTORS.map((name) => readTensor(stored.get(name)!));
  if (account === undefined) return { step, parameters, mean, variance };
  const own = [...stored].filter(([name]) => name.startsWith(GUIDED));
  const vectors = Object.fromEntries(own.map(([name, tensor]) => [name.slice(GUIDED.length), readTensor(tensor)]));
  return { step, parameters, mean, variance, guided: { vectors, account } };
}

function stateOf(
  path: string,
): Pick<TrainingState, "step"> & { fingerprint: string; guided?: NonNullable<TrainingState["guided"]>["account"] } {
  const file = join(path, "state.json");
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new InputError(`${file}: cannot be read (${(error as Error).message}): remove ${path}, and start anew`);
  }
}

/** Test of a folder for checkpoints. */
export const hasCheckpoint = (dir: string): boolean => checkpoints(dir).length > 0;

/** Removal of all checkpoints in a folder. */
export function removeCheckpoints(dir: string): void {
  for (const { path } of checkpoints(dir)) rmSync(path, { recursive: true, force: true });
}

function checkpoints(dir: string): { step: number; path: string }[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .flatMap((name) => {
      const match = NAME.exec(name);
      return match ? [{ step: Number(match[1]), path: join(dir, name) }] : [];
    })
    .sort((a, b) => a.step - b.step);
}
