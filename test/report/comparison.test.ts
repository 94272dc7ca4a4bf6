import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import { number, range, signed } from "../../src/report/format.js";
import { type ComparisonData, renderComparison } from "../../src/report/index.js";
import { fakeComparison, hostile } from "./fixture.js";
import { replace, withoutCode } from "./pages.js";

const parse = (page: string) => parseHTML(page).document;
type Page = ReturnType<typeof parse>;
const data = fakeComparison(1);
const document = parse(renderComparison(data));
const cells = (row: { querySelectorAll: Page["querySelectorAll"] }) =>
  [...row.querySelectorAll("th, td")].map(({ textContent }) => textContent!.trim());
const rows = (document: Page, section: string, table = 0) =>
  [...document.querySelectorAll(`#${section} table`)[table].querySelectorAll("tbody tr")].map(cells);
const titles = (document: Page, section: string) =>
  [...document.querySelectorAll(`#${section} figure h3`)].map(({ textContent }) => textContent);

const words = (document: Page, selector: string) =>
  document.querySelector(selector)!.textContent!.replace(/\s+/g, " ").trim();

/** The comparison with the outcome of one prediction changed. */
function withPrediction(
  policy: number,
  k: number,
  change: Partial<ComparisonData["policies"][number]["predictions"][number]>,
) {
  return {
    ...data,
    policies: data.policies.map((one, i) =>
      i === policy
        ? {
            ...one,
            predictions: one.predictions.map((outcome, at) => (at === k ? { ...outcome, ...change } : outcome)),
          }
        : one,
    ),
  };
}

describe("the verdict", () => {
  test("has a row for each policy, and names the methods that share one", () => {
    const table = rows(document, "verdict");
    const names = data.policies.map(({ name }) => name).filter((name) => name !== "weighted sum λ = 1");
    expect(table.map(([name]) => name)).toEqual(names);
    const { safety, reward } = data.policies[1];
    expect(table[1][1]).toBe(`${signed(safety[0].measured)} ${range(safety[0].interval)}`);
    expect(table[1][2]).toContain(safety[0].verdict!);
    expect(table[1][3]).toBe(`${signed(reward.measured)} ${range(reward.interval)}`);
    expect(words(document, "#verdict .note")).toContain("MoCAN λ = 1 and weighted sum λ = 1");
  });

  test("counts the one-shot policies whose predicted safety was borne out", () => {
    const answer = (of: ComparisonData) => words(parse(renderComparison(of)), ".answer");
    expect(answer(data)).toMatch(/^Mostly\. 2 of 3 MoCAN policies gain in harmlessness what the solve predicted/);
    const { measured, interval } = data.policies[1].predictions[1];
    const borne = withPrediction(1, 1, { predicted: measured });
    expect(answer(borne)).toMatch(/^Yes\. All 3 MoCAN policies/);
    // Beside the measured interval, but its own reaches into it.
    const meeting = {
      predicted: interval![1] + 0.1,
      predictedInterval: [interval![1] - 0.01, interval![1] + 0.2] as const,
    };
    expect(answer(withPrediction(1, 1, meeting))).toMatch(/^Yes\. All 3/);
    const failed = { ...data, policies: data.policies.slice(1, 2) };
    expect(answer(failed)).toMatch(/^No\. The MoCAN policy does not gain/);
    expect(answer({ ...data, policies: data.policies.slice(7) })).toMatch(/^Nothing was predicted\./);
  });

  test("says what the methods that move λ cost beside one shot", () => {
    expect(words(document, ".answer")).toContain("Safe-RLHF took 14 times the operations of MoCAN.");
    const unknown = {
      ...data,
      marginBills: data.marginBills!.map((one) => ({
        ...one,
        verdict: "not held" as const,
        bill: { ...one.bill, flops: null },
      })),
    };
    expect(words(parse(renderComparison(unknown)), ".answer")).toContain(
      "Safe-RLHF took 12 times the time of MoCAN and did not reach the margin.",
    );
  });
});

describe("predicted against measured", () => {
  test("a table and figures for each algorithm, safety first", () => {
    expect(titles(document, "predicted")).toEqual([
      "harmlessness: predicted against measured",
      "helpfulness: predicted against measured",
      "implicit_harmlessness: predicted against measured",
      "implicit_helpfulness: predicted against measured",
    ]);
    const [first] = rows(document, "predicted");
    const [, { predicted, predictedInterval, measured, interval }] = data.policies[0].predictions;
    expect(first.slice(0, 4)).toEqual([
      "MoCAN λ* = 0.61",
      `${signed(predicted)} ${range(predictedInterval)}`,
      `${signed(measured)} ${range(interval)}`,
      "✓ within",
    ]);
  });

  test("what lies apart comes with what the run knows of the reason", () => {
    const reasons = (change: Partial<ComparisonData["policies"][number]>) => {
      const policies = data.policies.map((one, i) => (i === 1 ? { ...one, ...change } : one));
      return words(parse(renderComparison({ ...data, policies })), "#predicted .cautions li");
    };
    const kl = { ...data.policies[1].kl, predicted: 0.5, measured: 0.5 };
    const training = { ...data.policies[1].training!, loss: 0.5 };
    const nothing = { kl, training, heldOutPredictions: undefined };
    expect(reasons(nothing)).toMatch(/^MoCAN λ = 0\.25: neither .*: what is left is how the policy carries/);
    const gap = data.policies[1].predictions.map(({ predicted, measured }) => measured! - predicted!);
    const half = data.policies[1].predictions.map(({ predicted }, k) => predicted! + gap[k] / 2);
    expect(reasons({ ...nothing, heldOutPredictions: half })).toMatch(/makes up 50 % of the difference/);
    expect(reasons({ ...nothing, ess: { mean: 1.8, min: 1 } })).toContain("only 1.80 effective responses");
    expect(reasons({ ...nothing, training: { ...training, loss: 0.6 } })).toContain("training came 48 % of the way");
    expect(reasons({ ...nothing, kl: { ...kl, measured: 0.2 } })).toContain("capacity ended short of it");
    expect(reasons({ ...nothing, kl: { ...kl, measured: 0.9 } })).toContain("further than the optimum’s 0.50");
  });
});

test("the trade-off plane and the win rates name every policy once", () => {
  const [plane, rates] = document.querySelectorAll("#trade-off figure");
  for (const figure of [plane, rates]) {
    const labels = [...figure.querySelectorAll("svg text")].map(({ textContent }) => textContent);
    for (const mark of ["λ* 0.61", "0.25", "DPO-H", "DPO-S", "Dual ascent", "Safe-RLHF", "reference"])
      expect(
        labels.filter((label) => label === mark),
        mark,
      ).toHaveLength(1);
    expect(figure.querySelectorAll(".key span")).toHaveLength(5);
  }
});

test("a λ* that missed its certificate is told, whose it is and by how much", () => {
  const [first, ...rest] = data.problems!;
  const problems = [{ ...first, certificate: "the KKT residual is 2e-5" }, ...rest];
  const told = `${first.algorithm}’s λ* is not certified: the KKT residual is 2e-5.`;
  expect(parse(renderComparison({ ...data, problems })).body.textContent).toContain(told);
  expect(document.body.textContent).not.toContain("not certified");
});

test("the bill of each method stands beside that of one shot", () => {
  const [own, rlhf] = rows(document, "bill");
  expect(own.join()).not.toContain("×");
  expect(rlhf[0]).toBe("Safe-RLHF 31 of 40 iterations");
  expect(rlhf[6]).toMatch(/^13 TFLOP ×.14$/);
  expect(rlhf[7]).toMatch(/×.12$/);
});

test("what moves λ is drawn by iteration, with the margin, λ* and how often it swings over", () => {
  expect(titles(document, "paths")).toEqual([
    "Dual ascent: λ of harmlessness",
    "Dual ascent: gain in harmlessness",
    "Safe-RLHF: λ of harmlessness",
    "Safe-RLHF: gain in harmlessness",
  ]);
  const { iterations } = data.paths![1];
  const late = iterations.slice(20).map(({ lambda }) => lambda[0]);
  const above = iterations.map(({ gain }) => gain[0] >= 0.8);
  const crossings = above.filter((one, i) => i > 0 && one !== above[i - 1]).length;
  expect(crossings).toBeGreaterThan(3);
  const [, , lambda, gain] = document.querySelectorAll("#paths svg");
  expect(lambda.getAttribute("aria-label")).toContain(
    `between ${number(Math.min(...late))} and ${number(Math.max(...late))} in the second half of 40 iterations`,
  );
  expect(gain.getAttribute("aria-label")).toContain(`crosses the margin ${crossings} times`);
});

test("every policy answers the same prompts, beside each other", () => {
  const prompts = [...document.querySelectorAll("#responses article")];
  expect(prompts).toHaveLength(data.prompts!.rows.length);
  for (const [i, prompt] of prompts.entries()) {
    const asked = data.prompts!.rows[i];
    expect(prompt.querySelector("h3")!.textContent).toBe(asked.prompt);
    expect([...prompt.querySelectorAll("h4")].map((name) => name.textContent)).toEqual(
      asked.responses.map(({ policy }) => policy),
    );
  }
});

test("where every response is counted, each policy stands beside the exact optimum", () => {
  const scorers = rows(document, "exact");
  const [reference, optimum, first] = scorers;
  expect([reference[0], optimum[0], first[0]]).toEqual(["The reference", "π*", data.policies[0].name]);
  expect(scorers).toHaveLength(2 + data.policies.length);
  expect(first[1]).toBe("0.20");
  expect(reference[3]).toBe(`+${data.constraints[0].margin.toFixed(2)}`);
  expect(rows(document, "exact", 1)[0][1]).toBe("n/a");
  expect(words(document, "#exact")).toContain("none: no policy reaches the margins");
});

describe("what is missing is left out", () => {
  test("a comparison of two baselines alone", () => {
    const { problems: _, distributions: __, paths: ___, marginBills: ____, prompts: _____, ...rest } = data;
    const least = {
      ...rest,
      policies: data.policies.slice(7, 9).map(({ training: _, ...one }) => ({ ...one, winRates: [] })),
    };
    const nothing = { exact: undefined, hyperparameters: undefined, recipe: undefined, costs: [] };
    const page = renderComparison({ ...least, ...nothing });
    expect([...parse(page).querySelectorAll("main > section")].map(({ id }) => id)).toEqual([
      "verdict",
      "trade-off",
      "bill",
      "recipe",
    ]);
    expect(withoutCode(page)).not.toMatch(/undefined|NaN|null|\[object/);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("every number %s", (value) => {
    const page = renderComparison(replace(data, "number", value));
    expect(withoutCode(page).match(/.{0,80}(NaN|Infinity|undefined)/g) ?? []).toEqual([]);
  });
});

test("hostile strings in every place add no element and no attribute", () => {
  const { policies } = data;
  const attacked = parse(
    renderComparison({
      ...replace(data, "string", hostile),
      // Words that the page itself chooses between.
      policies: replace(policies, "string", hostile).map((one, i) => ({
        ...one,
        policy: policies[i].policy,
        family: policies[i].family,
        safety: one.safety.map((outcome, j) => ({ ...outcome, verdict: policies[i].safety[j].verdict })),
      })),
      marginBills: replace(data.marginBills!, "string", hostile).map((one) => ({ ...one, verdict: "held" as const })),
    }),
  );
  expect(attacked.querySelectorAll("script")).toHaveLength(1);
  expect(attacked.querySelectorAll("img, iframe, object, [onerror], [src]")).toHaveLength(0);
  expect(attacked.querySelector("#responses .response")!.textContent).toBe(hostile);
});
