/** A policy written at a strength of its update, in the place of the trained one, so that any program gives that policy. */
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
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
  const { strength = 1, from, adapter, model } = ref;
  const folder = adapter ?? model;
  const kept = join(folder, asTrained);
  if (!existsSync(kept)) {
    if (strength === 1) return;
    keep(folder, kept);
  }
  const trained = adapter === undefined ? { ...ref, model: kept } : { ...ref, adapter: kept };
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
