/** Exports of a run's pairs for trainers of others, a file each. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { llamaFactoryFiles } from "./llamafactory.js";
import { openAiFiles } from "./openai.js";
import { openRlhfFiles } from "./openrlhf.js";
import { commonNotes, type PairsExport, type TrainerFiles } from "./pairs.js";
import { trlFiles } from "./trl.js";

/** Trainers that pairs are exported for, by the name of the command's argument. */
export const trainerExports = {
  trl: { name: "TRL 1.16", files: trlFiles },
  openrlhf: { name: "OpenRLHF 0.11", files: openRlhfFiles },
  llamafactory: { name: "LLaMA-Factory 0.9", files: llamaFactoryFiles },
  openai: { name: "OpenAI's fine-tuning", files: openAiFiles },
} as const satisfies Readonly<Record<string, { name: string; files: (given: PairsExport) => TrainerFiles }>>;

/** Trainer that pairs are exported for. */
export type ExportTrainer = keyof typeof trainerExports;

/**
 * Writes an export with a NOTES.md, which says how to train and what is done otherwise than in the run.
 * @returns the notes and the command line.
 */
export function writeExport(folder: string, trainer: ExportTrainer, given: PairsExport): Omit<TrainerFiles, "files"> {
  const { name, files: filesOf } = trainerExports[trainer];
  const { files, notes: own, command } = filesOf(given);
  const notes = [...commonNotes(given), ...own];
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  const text = `# DPO by ${name}

In this folder:

    ${command}

What it does otherwise than the run:

${notes.map((note) => `- ${note}\n`).join("")}`;
  writeFileSync(join(folder, "NOTES.md"), text);
  return { notes, command };
}
