/** What a server is fit for, found by trying: each ability by its probe. */
import { InputError } from "../../errors.js";
import type { Notice } from "../../ports/events.js";
import { adapterLoading } from "./adapters.js";
import { chatContent } from "./chat.js";
import { openClient } from "./client.js";
import { type EndpointPolicyOptions, type Needs, openEndpointPolicy } from "./policy.js";
import { dialectOf, namedModel, servedModels } from "./served.js";

/** Ability of a server: there, or the reason why it is not. */
export interface Ability {
  readonly name: "sample" | "log-probabilities" | "adapters" | "chat";
  readonly fit: boolean;
  /** Sentence: what it serves, or what is missing. */
  readonly detail: string;
}

/**
 * Abilities of a server of language models.
 * @throws InputError where no server answers.
 */
export async function examineEndpoint(options: EndpointPolicyOptions, notice: Notice): Promise<Ability[]> {
  const client = openClient(options);
  try {
    const served = await servedModels(client, options.name, options.model);
    const model = namedModel(served, options.model);
    const found: Ability[] = [];
    const attempt = async (name: Ability["name"], what: string, action: () => Promise<unknown>) => {
      try {
        await action();
        found.push({ name, fit: true, detail: what });
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        found.push({ name, fit: false, detail: error.message.replace(`${options.name}: `, "") });
      }
    };
    const open = async (needs: Needs, hear?: Notice) => (await openEndpointPolicy(options, {}, needs, hear)).close();
    const who = model === undefined ? "" : `${dialectOf(client, model).server} with '${model.id}'`;
    // What is odd about sampling is heard beside the log-probabilities, which are compared with those of samples.
    await attempt("sample", `${who}: token ids in and out, with their log-probabilities`, () =>
      open({ sample: true, logprobs: false }),
    );
    await attempt("log-probabilities", `${who}: of given responses, as PeCAN and the KL need them`, () =>
      open({ sample: found[0]!.fit, logprobs: true }, notice),
    );
    if (model !== undefined) {
      await attempt("adapters", "loads the trained adapter while it runs", async () => {
        const lack = await adapterLoading(client, { dialect: dialectOf(client, model), served });
        if (lack !== undefined) throw new InputError(lack);
      });
      const messages = [{ role: "user", content: "Say hello." }];
      await attempt("chat", "answers chats: a judge, or one that rates", () =>
        client.post("chat/completions", { model: model.id, messages, max_tokens: 8 }, chatContent, { retries: 0 }),
      );
    }
    return found;
  } finally {
    client.close();
  }
}
