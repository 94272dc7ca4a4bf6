/** The questions by which `dualign init` fills in, on a terminal, what no flag gave. */
import { InputError } from "../../errors.js";
import { foundModel, foundPreferences, foundPrompts, foundScorer } from "./found.js";
import type { Draft } from "./template.js";

/** Terminal as the questions need it. */
export interface Terminal {
  /** Answer to a question, without the line's end. */
  ask(question: string): Promise<string>;
  say(text: string): void;
}

/** Draft with what was left open asked; an empty answer leaves a placeholder. */
export async function askMissing(
  draft: Draft,
  { methodGiven }: { methodGiven: boolean },
  terminal: Terminal,
): Promise<Draft> {
  const asked: Draft = { ...draft };
  if (!asked.model) terminal.say("Enter alone leaves a part open, to be filled in by hand.");
  asked.model ??= await until(terminal, "Model (a folder, or a hub id): ", (text) => foundModel("the model", text));
  if (!asked.prompts) {
    const file = await until(terminal, "Prompts (a file, or a dataset on the hub): ", async (text) => {
      try {
        return await foundPrompts("the prompts", text);
      } catch (error) {
        if (!(error instanceof InputError && error.message.includes("--column"))) throw error;
        terminal.say(error.message.replace("give --column,", "which holds the prompts?"));
        return text;
      }
    });
    asked.prompts =
      typeof file === "string"
        ? await until(terminal, "Column of the prompts: ", (column) => foundPrompts("the prompts", file, column))
        : file;
  }
  if (!methodGiven) {
    const kind = await until(
      terminal,
      "What says which responses are good: 1 scorers (score models, modules), 2 preference data [1]: ",
      (text) => {
        if (text !== "1" && text !== "2") throw new InputError("answer 1 or 2");
        return text;
      },
    );
    asked.method = kind === "2" ? "pecan" : "mocan";
  }
  if (asked.method === "pecan") await askPreferences(asked, terminal);
  else {
    await askScorers(asked, terminal);
    if (!methodGiven && (await yes(terminal, "Compare with other methods too?", false))) asked.method = "compare";
  }
  return asked;
}

async function askScorers(draft: Draft, terminal: Terminal): Promise<void> {
  draft.reward ??= await until(terminal, "Helpfulness (a score model, or a .mjs that scores): ", (text) =>
    foundScorer("the helpfulness", text),
  );
  if (draft.safety?.length) return;
  const safety: NonNullable<Draft["safety"]> = [];
  for (let i = 0; ; i++) {
    const scorer = await until(
      terminal,
      i === 0 ? "Safety (a score model, a guard, or a .mjs): " : "A further safety score (Enter: no more): ",
      (text) => foundScorer("the safety score", text),
    );
    if (!scorer) break;
    const cost = scorer.kind !== "guard" && !(await yes(terminal, `Is a higher score of ${scorer.where} safer?`, true));
    safety.push({ ...scorer, cost, margin: await askMargin(terminal) });
  }
  if (safety.length > 0) draft.safety = safety;
}

async function askPreferences(draft: Draft, terminal: Terminal): Promise<void> {
  draft.helpfulness ??= await until(
    terminal,
    "Preferences by helpfulness (a file, or a dataset on the hub): ",
    (text) => foundPreferences("the preferences", text, "better_response_id"),
  );
  if (draft.preferences?.length) return;
  const preferences: NonNullable<Draft["preferences"]> = [];
  for (let i = 0; ; i++) {
    const data = await until(
      terminal,
      i === 0 ? "Preferences by safety: " : "Further preferences by safety (Enter: no more): ",
      (text) => foundPreferences("the preferences", text, "safer_response_id"),
    );
    if (!data) break;
    preferences.push({ ...data, margin: await askMargin(terminal) });
  }
  if (preferences.length > 0) draft.preferences = preferences;
}

const askMargin = (terminal: Terminal) =>
  until(terminal, "By how much safer than the reference, in units of that score (the margin): ", (text) => {
    const value = Number(text);
    if (!Number.isFinite(value)) throw new InputError("give a number");
    return value;
  });

/** Value of the first answer that is no mistake; undefined for an empty one. */
async function until<T>(
  terminal: Terminal,
  question: string,
  read: (text: string) => T | Promise<T>,
): Promise<T | undefined> {
  for (;;) {
    const text = (await terminal.ask(question)).trim();
    if (text === "") return undefined;
    try {
      return await read(text);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      terminal.say(error.message);
    }
  }
}

async function yes(terminal: Terminal, question: string, otherwise: boolean): Promise<boolean> {
  const answer = await until(terminal, `${question} ${otherwise ? "[Y/n]" : "[y/N]"}: `, (text) => {
    if (!/^(y|yes|n|no)$/i.test(text)) throw new InputError("answer y or n");
    return /^y/i.test(text);
  });
  return answer ?? otherwise;
}
