/** From rows of text to what the objectives train on. A row that is too long to be learned from gives undefined. */
import { InputError } from "../errors.js";
import { type LengthOptions, type Row, tokenizeCompletion, tokenizePair, tokenizeRanking } from "../text/rows.js";
import type { Tokenizer } from "../text/tokenizer.js";
import type { Example, Objective } from "./objectives.js";

/** A row as an objective's example; `where` names the row in errors. */
export function exampleOf(
  objective: Objective,
  tokenizer: Tokenizer,
  row: Row,
  where: string,
  lengths: LengthOptions,
): Example | undefined {
  switch (objective.kind) {
    case "sft": {
      const tokens = tokenizeCompletion(tokenizer, row, where, lengths);
      return tokens && { prompt: tokens.prompt, completions: [tokens.completion] };
    }
    case "dpo": {
      const tokens = tokenizePair(tokenizer, row, where, lengths);
      return (
        tokens && {
          prompt: tokens.prompt,
          completions: [tokens.chosen, tokens.rejected],
          probability: probabilityOf(row, where),
        }
      );
    }
    case "reward":
    case "cost": {
      const tokens = tokenizeRanking(tokenizer, row, where, lengths);
      if (!tokens) return undefined;
      const { chosen, rejected } = tokens;
      // What both begin with is computed once; each keeps a token of its own, the one that is scored.
      let shared = 0;
      const most = Math.min(chosen.length, rejected.length) - 1;
      while (shared < most && chosen[shared] === rejected[shared]) shared++;
      return {
        prompt: chosen.slice(0, shared),
        completions: [chosen.slice(shared), rejected.slice(shared)],
        ...(objective.kind === "cost" ? { safe: safetyOf(row, where) } : { probability: probabilityOf(row, where) }),
      };
    }
  }
}

/** A soft label: how likely `chosen` is the better one. */
function probabilityOf(row: Row, where: string): number | undefined {
  const p = row.probability;
  if (p === undefined || p === null) return undefined;
  if (typeof p === "number" && p >= 0 && p <= 1) return p;
  throw new InputError(`${where}: "probability" must be a number from 0 to 1, not ${JSON.stringify(p)}`);
}

function safetyOf(row: Row, where: string): [boolean, boolean] {
  const [chosen, rejected] = [row.chosen_safe, row.rejected_safe];
  if (typeof chosen === "boolean" && typeof rejected === "boolean") return [chosen, rejected];
  throw new InputError(`${where}: a cost model learns from "chosen_safe" and "rejected_safe", each true or false`);
}
