/** What the tests of the pages share. */
import { hostile } from "./fixture.js";

/** Words that the page itself chooses between, by their keys. */
const chosen = new Set(["verdict", "family", "policy"]);

/** Every string of a value hostile, but for those that the page chooses between. */
export function attack<T>(value: T, key = ""): T {
  if (typeof value === "string") return (chosen.has(key) ? value : hostile) as T;
  if (Array.isArray(value)) return value.map((item) => attack(item)) as T;
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, attack(item, name)])) as T;
  return value;
}

/** Every string, or every number, of a value replaced. */
export function replace<T>(value: T, kind: "string" | "number", by: unknown): T {
  if (typeof value === kind) return by as T;
  if (Array.isArray(value)) return value.map((item) => replace(item, kind, by)) as T;
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, replace(item, kind, by)])) as T;
  return value;
}

export const withoutCode = (page: string) => page.replace(/<(script|style)>.*?<\/\1>/gs, "");
