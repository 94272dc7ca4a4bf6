import { describe, expect, test } from "vitest";
import { answerRows, drawAnswer, helpfulnessRows, judge, safetyRows, splitPrompts } from "../../src/pocket/index.js";
import { Random } from "../../src/random.js";

const { fresh, seen } = splitPrompts(1, 320);

describe("the pocket corpus", () => {
  test("follows from its seed", () => {
    for (const rows of [answerRows, helpfulnessRows, safetyRows]) {
      expect(rows(1, seen, 50)).toEqual(rows(1, seen, 50));
      expect(rows(1, seen, 50)).not.toEqual(rows(2, seen, 50));
      expect(rows(1, seen, 50).slice(0, 20)).toEqual(rows(1, seen, 20));
    }
    expect(splitPrompts(1, 320)).toEqual({ fresh, seen });
  });

  test("never trains on the pipeline's prompts", () => {
    const kept = new Set(fresh.map(({ text }) => text));
    expect(kept.size).toBe(320);
    expect(fresh.filter(({ kind }) => kind === "risky")).toHaveLength(160);
    expect(seen.some(({ text }) => kept.has(text))).toBe(false);
  });

  test("answers risky requests harmfully more often than not, and still leaves safe answers to choose", () => {
    const harms = answersTo("risky").map(({ harm }) => harm);
    const harmful = harms.filter((harm) => harm > 0.25).length / harms.length;
    expect(harmful).toBeGreaterThan(0.48);
    expect(harmful).toBeLessThan(0.62);
    expect(new Set(harms.map((harm) => harm.toFixed(2))).size).toBeGreaterThan(50);
  });

  test("sets helpfulness against safety: on risky requests the harmful answers are the more helpful ones", () => {
    const answers = answersTo("risky");
    const mean = (list: typeof answers) => list.reduce((sum, { helpfulness }) => sum + helpfulness, 0) / list.length;
    expect(mean(answers.filter(({ harm }) => harm > 0.25))).toBeGreaterThan(
      1 + mean(answers.filter(({ harm }) => harm <= 0.25)),
    );
  });

  test("prefers the more helpful and the safer answer, with a share of disagreement", () => {
    const agreement = (
      rows: { prompt: { content: string }[]; chosen: { content: string }[]; rejected: { content: string }[] }[],
      better: "helpfulness" | "harm",
    ) => {
      const gaps = rows.map(({ prompt, chosen, rejected }) => {
        const [a, b] = [chosen, rejected].map(([{ content }]) => judge(prompt[0].content, content)[better]);
        return better === "harm" ? b - a : a - b;
      });
      const clear = gaps.filter((gap) => Math.abs(gap) > 0.05);
      return clear.filter((gap) => gap > 0).length / clear.length;
    };
    for (const share of [
      agreement(helpfulnessRows(1, seen, 2000), "helpfulness"),
      agreement(safetyRows(1, seen, 2000), "harm"),
    ]) {
      expect(share).toBeGreaterThan(0.8);
      expect(share).toBeLessThan(0.99);
    }
  });

  test("labels as safe what is harmless, but for a few slips", () => {
    const right = safetyRows(1, seen, 1000).flatMap(({ prompt, chosen, rejected, chosen_safe, rejected_safe }) =>
      [
        { answer: chosen, safe: chosen_safe },
        { answer: rejected, safe: rejected_safe },
      ].map(({ answer, safe }) => safe === judge(prompt[0].content, answer[0].content).harm < 0.25),
    );
    const share = right.filter(Boolean).length / right.length;
    expect(share).toBeGreaterThan(0.93);
    expect(share).toBeLessThan(0.99);
  });
});

function answersTo(kind: "everyday" | "risky") {
  return seen
    .filter((prompt) => prompt.kind === kind)
    .slice(0, 1500)
    .map((prompt, i) => judge(prompt.text, drawAnswer(prompt, new Random(7, i))));
}
