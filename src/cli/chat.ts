/** `dualign chat`: a run's reference and its aligned policy answer side by side. */
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import type { Sampler } from "../ports/policy.js";
import type { Message } from "../text/rows.js";
import { addRunFlags } from "./common.js";
import type { Device } from "./jobOptions.js";
import { policiesOf } from "./merge.js";

/** Command `dualign chat`. */
export function addChatCommand(program: Command): void {
  addRunFlags(
    program
      .command("chat")
      .description("talk to a run's reference and its aligned policy side by side; an empty line ends")
      .argument("<run>", "run folder")
      .option("--seed <value>", "of the answers", "0"),
  ).action(chat);
}

async function chat(folder: string, { device, seed, json }: { device: Device; seed: string; json?: boolean }) {
  const { openWorld } = await import("./world.js");
  const { recipe, reference, trained } = await policiesOf(folder);
  const world = openWorld(device, (message) => process.stderr.write(`${message}\n`), recipe.engine);
  const samplers = [
    { name: "reference", sampler: await world.openSampler(reference), turns: [] as Message[] },
    { name: "aligned", sampler: await world.openSampler(trained), turns: [] as Message[] },
  ];
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: process.stdin.isTTY });
  try {
    if (process.stdin.isTTY) lines.setPrompt("> ");
    lines.prompt();
    let turn = 0;
    for await (const line of lines) {
      if (line.trim() === "") break;
      turn++;
      for (const { name, sampler, turns } of samplers) {
        // A model without a template continues the text; one with a template hears the conversation so far.
        turns.push({ role: "user", content: line });
        const prompt = sampler.hasChatTemplate ? turns : line;
        const response = await answerOf(sampler, prompt, { ...recipe.sampling, seed: Number(seed) + turn });
        turns.push({ role: "assistant", content: response });
        process.stdout.write(
          json ? `${JSON.stringify({ policy: name, prompt: line, response })}\n` : `${name.padStart(9)}: ${response}\n`,
        );
      }
      lines.prompt();
    }
  } finally {
    lines.close();
    for (const { sampler } of samplers) await sampler.close();
  }
}

async function answerOf(
  sampler: Sampler,
  prompt: Message[] | string,
  options: Parameters<Sampler["sample"]>[1],
): Promise<string> {
  for await (const { response } of sampler.sample([{ prompt, promptIndex: 0, sampleIndexes: [0] }], options))
    return response;
  return "";
}
