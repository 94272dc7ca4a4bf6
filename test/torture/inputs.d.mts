/** Outcome of one mutated input. */
export interface Outcome {
  end: "value" | "refused" | "unnamed" | "wrong";
  message?: string;
}
export function tryInput(
  target: string,
  seed: number,
  load?: (name: string) => Promise<Record<string, unknown>>,
): Promise<Outcome>;
