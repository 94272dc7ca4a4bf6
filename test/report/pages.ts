/** What the tests of the pages share. */

/** Every string, or every number, of a value replaced. */
export function replace<T>(value: T, kind: "string" | "number", by: unknown): T {
  if (typeof value === kind) return by as T;
  if (Array.isArray(value)) return value.map((item) => replace(item, kind, by)) as T;
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, replace(item, kind, by)])) as T;
  return value;
}

export const withoutCode = (page: string) => page.replace(/<(script|style)>.*?<\/\1>/gs, "");
