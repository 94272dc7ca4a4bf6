/** Rows grouped by prompt. */

/**
 * Offsets of the prompts in rows that are sorted by prompt: where each one's rows start, and the number of rows at the
 * end.
 */
export function promptOffsets(prompt: ArrayLike<number> & Iterable<number>): Uint32Array {
  const starts = Array.from(prompt, (_, i) => i).filter((i) => i === 0 || prompt[i] !== prompt[i - 1]);
  return Uint32Array.from([...starts, prompt.length]);
}
