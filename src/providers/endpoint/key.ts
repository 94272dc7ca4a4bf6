/** Tokens of endpoints: from the environment alone, so that no recipe, run or log holds one. */
import { InputError } from "../../errors.js";

/**
 * Token in an environment variable; undefined where none is named.
 * @throws InputError where the variable is not set.
 */
export function tokenOf(name: string, variable: string | undefined): string | undefined {
  if (variable === undefined) return undefined;
  const token = process.env[variable];
  if (token) return token;
  throw new InputError(`${name} needs the endpoint's token in the environment variable ${variable}, which is not set`);
}
