/** The keys of endpoints: from the environment only, and never printed. */
import { InputError } from "../../errors.js";

/**
 * Key for an endpoint out of the environment variable `variable`; undefined for a server of this machine without one.
 * @param what what needs it, for the error: "judge 'name'".
 * @throws InputError where the variable is not set and the server is another machine's.
 */
export function keyFor(what: string, endpoint: string, variable: string): string | undefined {
  const key = process.env[variable] || undefined;
  const local = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(endpoint);
  if (key === undefined && !local)
    throw new InputError(`${what} needs the endpoint's key in the environment variable ${variable}, which is not set`);
  return key;
}

/**
 * Token in an environment variable that a recipe or a flag names; undefined where none is named.
 * @throws InputError where the variable is not set.
 */
export function namedKey(what: string, variable: string | undefined): string | undefined {
  if (variable === undefined) return undefined;
  const key = process.env[variable];
  if (key) return key;
  throw new InputError(`${what} needs the endpoint's token in the environment variable ${variable}, which is not set`);
}
