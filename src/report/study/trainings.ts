/** The trainings of a run's policies, between the losses of the reference and of the predicted optimum. */
import type { RunStore } from "../../ports/store.js";
import { dpoObjective } from "../../recipe/options.js";
import type { Recipe } from "../../recipe/parse.js";
import { aligned } from "../../stages/context.js";
import { knownLoss } from "../../train/objectives/dpo.js";
import { distinct, type PolicyFigures } from "../figures.js";
import { isNumber, mean } from "../statistics.js";
import type { Entry } from "./policies.js";

/** Training of a policy: of its last round where it has several. */
export interface TrainingFigures extends Pick<PolicyFigures, "name" | "policy" | "lambda" | "family" | "mark"> {
  /** Pairs that it learned from; 0: its own responses. */
  readonly pairs: number;
  /** Whether those are labelled pairs of the reference's responses, and not given preferences. */
  readonly labelled: boolean;
  /** Rounds of a method that moves λ as it trains; 0 for others. */
  readonly rounds: number;
  readonly steps: number;
  /** Seconds that it took; null before its end. */
  readonly seconds: number | null;
  /** Loss by step: means over runs of steps where there are very many. */
  readonly curve: readonly (readonly [step: number, loss: number])[];
  /** Mean loss of the last tenth of the steps. */
  readonly loss: number | null;
  /** Losses that the predicted optimum and the reference have on the same pairs; null where they are not known. */
  readonly optimum: number | null;
  readonly start: number | null;
}

/** Share of a training's steps over which its last loss is averaged. */
const lastShare = 0.1;
/** Most points of a curve. */
const maxPoints = 600;

/** Source of the trainings: a {@link Study} is one. */
export interface TrainingSource {
  readonly run: RunStore;
  readonly recipe: Recipe;
  policies(): Promise<readonly PolicyFigures[]>;
  entries(): Promise<readonly Entry[]>;
}

/** Trainings of the policies that differ, without those that were not trained here. */
export async function trainingsOf(study: TrainingSource): Promise<TrainingFigures[]> {
  const { run, recipe } = study;
  const entries = await study.entries();
  const found: TrainingFigures[] = [];
  for (const { policy: figures } of distinct(await study.policies())) {
    const { name, policy, lambda, family, mark } = figures;
    const entry = entries.find((one) => one.policy === policy);
    const of = entry ? await entry.trainedAs(run) : aligned;
    const row = await run.training(policy);
    const steps = await run.trainSteps(of);
    if (!row && steps.length === 0) continue;
    const given = await run.pairs(of);
    const pairs = row?.pairs ?? given.length;
    const labelled = (entry?.labelled ?? true) && pairs > 0;
    const known = labelled ? knownLoss(dpoObjective(recipe.beta, recipe.train), given) : null;
    const last = steps.slice(-Math.max(1, Math.round(lastShare * steps.length))).map(({ loss }) => loss);
    found.push({
      ...{ name, policy, lambda, family, mark, pairs, labelled },
      rounds: entry?.lambda === "moving" ? (await run.multipliers(policy)).length : 0,
      steps: row?.steps ?? steps.length,
      seconds: row?.seconds ?? null,
      curve: thinned(steps),
      loss: last.length > 0 ? mean(last) : null,
      optimum: known?.optimum ?? null,
      start: known?.start ?? null,
    });
  }
  return found;
}

function thinned(steps: readonly { readonly step: number; readonly loss: number }[]): [number, number][] {
  const stride = Math.ceil(steps.length / maxPoints);
  return Array.from({ length: stride > 0 ? Math.ceil(steps.length / stride) : 0 }, (_, i) => {
    const part = steps.slice(i * stride, (i + 1) * stride);
    return [part[part.length - 1].step, mean(part.map(({ loss }) => loss))];
  });
}

/** Share of the way from the reference's loss to the predicted optimum's that a loss has come; null if not known. */
export function progressOf({ optimum, start }: Pick<TrainingFigures, "optimum" | "start">, loss: number | null) {
  if (!isNumber(loss) || !isNumber(optimum) || !isNumber(start)) return null;
  return (start - loss) / (start - optimum);
}
