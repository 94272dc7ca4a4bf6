/** A policy written at a strength of its update, in the place of the trained one, so that any program gives that policy. */
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../../errors.js";
import { rescaleAdapter } from "../../files/adapter.js";
import { readTensor, writeSafetensors } from "../../files/safetensors.js";
import { usedWeights } from "../../models/lora.js";
import type { PolicyRef } from "../../ports/policy.js";
import { openPolicyModel, saveAdapter } from "./openModel.js";

/** Folder beside a delivered policy's files that keeps it as the training left it. */
export const asTrained = "as_trained";

/**
 * Writes a policy at its strength into its own folder. The trained policy is kept in `as_trained` there, and every later
 * strength is counted from that one: a write that was stopped is begun anew with the same end.
 * @throws InputError where the strength of such a policy cannot be changed.
 */
export async function writeAtStrength(ref: PolicyRef): Promise<void> {
  const { strength = 1, adapter, model } = ref;
  const folder = adapter ?? model;
  const kept = join(folder, asTrained);
  if (!existsSync(kept)) {
    if (strength === 1) return;
    keep(folder, kept);
  }
  await writeInto(folder, adapter === undefined ? { ...ref, model: kept } : { ...ref, adapter: kept });
}

/**
 * A policy at a strength as an adapter folder of its own, for engines that take adapters as they lie.
 * @throws InputError for a policy whose every weight was trained.
 */
export async function folderAtStrength(ref: PolicyRef): Promise<PolicyRef> {
  const { strength = 1, from: _, ...rest } = ref;
  if (strength === 1) return ref;
  if (ref.adapter === undefined)
    throw new InputError(
      `${ref.model}: a server cannot sample whole weights at another strength: train an adapter (train.use_peft), or set confidence: none`,
    );
  const folder = join(ref.adapter, `at_strength_${strength}`);
  if (!existsSync(folder)) keep(ref.adapter, folder);
  await writeInto(folder, ref);
  return { ...rest, strength: 1, adapter: folder };
}

/** Writes a policy at its strength into a folder that has the files of the trained one. */
async function writeInto(folder: string, trained: PolicyRef): Promise<void> {
  const { strength = 1, from, adapter, model } = trained;
  const kept = adapter ?? model;
  if (adapter !== undefined && from?.adapter === undefined) {
    rescaleAdapter(folder, kept, strength);
    return;
  }
  const opened = await openPolicyModel(trained);
  if (opened.adapter) {
    const { plan } = opened.adapter;
    const options = { rank: plan.rank, alpha: plan.scale * plan.rank, dropout: 0, targetModules: [...plan.modules] };
    saveAdapter(folder, opened, opened.adapter, options);
    return;
  }
  for (const name of readdirSync(kept))
    if (name !== "model.safetensors") copyFileSync(join(kept, name), join(folder, name));
  const tensors = usedWeights(opened).map((name) => {
    const stored = opened.weights.get(name)!;
    return [name, { shape: stored.shape, data: readTensor(stored) }] as const;
  });
  writeSafetensors(join(folder, "model.safetensors"), new Map(tensors));
}

/** Copies the files of a folder, but none of its folders, whole or not at all. */
function keep(folder: string, kept: string): void {
  const draft = `${kept}.tmp`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isFile() && !/\.tmp$|^reference_logprobs\.json$/.test(entry.name))
      cpSync(join(folder, entry.name), join(draft, entry.name));
  renameSync(draft, kept);
}
