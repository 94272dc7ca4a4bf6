/** Tokens of endpoints: from the environment only, and never printed. */
import { InputError } from "../../errors.js";

/** Host whose token has a variable of its own by convention. */
const OPENAI = { host: "api.openai.com", variable: "OPENAI_API_KEY" };

/**
 * Bearer token for an endpoint, out of the environment variable that a recipe or a flag names by `key`. Without a name,
 * api.openai.com gets OPENAI_API_KEY, and every other host none: a token is for the host that it was given for.
 * @param what what needs it, for the error: "judge 'name'".
 * @throws InputError where the variable is not set.
 */
export function tokenFor(what: string, { endpoint, key }: { endpoint: string; key?: string }): string | undefined {
  const host = URL.canParse(endpoint) ? new URL(endpoint).host : "";
  const variable = key ?? (host === OPENAI.host ? OPENAI.variable : undefined);
  if (variable === undefined) return undefined;
  const token = process.env[variable];
  if (token) return token;
  throw new InputError(`${what} needs the endpoint's token in the environment variable ${variable}, which is not set`);
}
