import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import type { Outcome } from "../../src/report/figures.js";
import { number, range, signed } from "../../src/report/format.js";
import { drawPage, type PageData } from "../../src/report/index.js";
import { fakeComparison, hostile } from "./fixture.js";
import { attack, replace, withoutCode } from "./pages.js";

const parse = (page: string) => parseHTML(page).document;
type Page = ReturnType<typeof parse>;
const data = fakeComparison(1);
const document = parse(drawPage(data));
const { policies } = data.verdict;
const [mocan] = data.sections.predicted!.families;
const cells = (row: { querySelectorAll: Page["querySelectorAll"] }) =>
  [...row.querySelectorAll("th, td")].map(({ textContent }) => textContent!.trim());
const rows = (document: Page, section: string, table = 0) =>
  [...document.querySelectorAll(`#${section} table`)[table].querySelectorAll("tbody tr")].map(cells);
const titles = (document: Page, section: string) =>
  [...document.querySelectorAll(`#${section} figure h3`)].map(({ textContent }) => textContent);

const words = (document: Page, selector: string) =>
  document.querySelector(selector)!.textContent!.replace(/\s+/g, " ").trim();

/** The comparison with the first lines' policies changed. */
const withPolicies = (policies: PageData["headline"]["policies"]): PageData => ({
  ...data,
  headline: { ...data.headline, policies },
});

/** The comparison with the outcome of one prediction changed. */
const withPrediction = (policy: number, k: number, change: Partial<Outcome>): PageData =>
  withPolicies(
    data.headline.policies.map((one, i) =>
      i === policy
        ? {
            ...one,
            predictions: one.predictions.map((outcome, at) => (at === k ? { ...outcome, ...change } : outcome)),
          }
        : one,
    ),
  );

describe("the verdict", () => {
  test("has a row for each policy, and names the methods that share one", () => {
    const table = rows(document, "verdict");
    const names = policies.map(({ name }) => name).filter((name) => name !== "weighted sum λ = 1");
    expect(table.map(([name]) => name)).toEqual(names);
    const { safety, reward } = policies[1];
    expect(table[1][1]).toBe(`${signed(safety[0].measured)} ${range(safety[0].interval)}`);
    expect(table[1][2]).toContain(safety[0].verdict!);
    expect(table[1][3]).toBe(`${signed(reward.measured)} ${range(reward.interval)}`);
    expect(words(document, "#verdict .note")).toContain("MoCAN λ = 1 and weighted sum λ = 1");
  });

  test("counts the one-shot policies whose predicted safety was borne out", () => {
    const answer = (of: PageData) => words(parse(drawPage(of)), ".answer");
    expect(answer(data)).toMatch(/^Mostly\. 2 of 3 MoCAN policies gain in harmlessness what the solve predicted/);
    const { measured, interval } = data.headline.policies[1].predictions[1];
    const borne = withPrediction(1, 1, { predicted: measured });
    expect(answer(borne)).toMatch(/^Yes\. All 3 MoCAN policies/);
    // Beside the measured interval, but its own reaches into it.
    const meeting = {
      predicted: interval![1] + 0.1,
      predictedInterval: [interval![1] - 0.01, interval![1] + 0.2] as const,
    };
    expect(answer(withPrediction(1, 1, meeting))).toMatch(/^Yes\. All 3/);
    expect(answer(withPolicies(data.headline.policies.slice(1, 2)))).toMatch(/^No\. The MoCAN policy does not gain/);
    expect(answer(withPolicies(data.headline.policies.slice(7)))).toMatch(/^Nothing was predicted\./);
  });

  test("says what the methods that move λ cost beside one shot", () => {
    expect(words(document, ".answer")).toContain("Safe-RLHF took 14 times the operations of MoCAN.");
    const bills = data.headline.bills.map((one) => ({ ...one, missed: true, bill: { ...one.bill, flops: null } }));
    expect(words(parse(drawPage({ ...data, headline: { ...data.headline, bills } })), ".answer")).toContain(
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
    const [, { predicted, predictedInterval, measured, interval }] = mocan.policies[0].predictions;
    expect(first.slice(0, 4)).toEqual([
      "MoCAN λ* = 0.61",
      `${signed(predicted)} ${range(predictedInterval)}`,
      `${signed(measured)} ${range(interval)}`,
      "✓ within",
    ]);
  });

  test("what lies apart comes with what the run knows of the reason", () => {
    const [, policy] = mocan.policies;
    const reasons = (change: Partial<typeof policy>) => {
      const policies = mocan.policies.map((one, i) => (i === 1 ? { ...one, ...change } : one));
      const predicted = { ...data.sections.predicted!, families: [{ ...mocan, policies }] };
      const page = drawPage({ ...data, sections: { ...data.sections, predicted } });
      return words(parse(page), "#predicted .cautions li");
    };
    const kl = { ...policy.kl, predicted: 0.5, measured: 0.5 };
    const nothing = { kl, progress: 1, heldOutPredictions: null };
    expect(reasons(nothing)).toMatch(/^MoCAN λ = 0\.25: neither .*: what is left is how the policy carries/);
    const gap = policy.predictions.map(({ predicted, measured }) => measured! - predicted!);
    const half = policy.predictions.map(({ predicted }, k) => predicted! + gap[k] / 2);
    expect(reasons({ ...nothing, heldOutPredictions: half })).toMatch(/makes up 50 % of the difference/);
    expect(reasons({ ...nothing, ess: { mean: 1.8, min: 1 } })).toContain("only 1.80 effective responses");
    expect(reasons({ ...nothing, progress: (Math.LN2 - 0.6) / (Math.LN2 - 0.5) })).toContain(
      "training came 48 % of the way",
    );
    expect(reasons({ ...nothing, kl: { ...kl, measured: 0.2 } })).toContain("capacity ended short of it");
    expect(reasons({ ...nothing, kl: { ...kl, measured: 0.9 } })).toContain("further than the optimum’s 0.50");
  });
});

test("the trade-off plane and the win rates name every policy once", () => {
  const [plane, rates] = document.querySelectorAll("#trade-off figure, #judges figure");
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
  const [first, ...rest] = data.verdict.problems;
  const problems = [{ ...first, certificate: "the KKT residual is 2e-5" }, ...rest];
  const verdict = { ...data.verdict, problems };
  const told = `${first.algorithm}’s λ* is not certified: the KKT residual is 2e-5.`;
  expect(parse(drawPage({ ...data, verdict })).body.textContent).toContain(told);
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
  const { iterations } = data.sections.paths!.paths[1];
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
  expect(prompts).toHaveLength(data.sections.responses!.rows.length);
  for (const [i, prompt] of prompts.entries()) {
    const asked = data.sections.responses!.rows[i];
    expect(prompt.querySelector("h3")!.textContent).toBe(asked.prompt);
    expect([...prompt.querySelectorAll("h4")].map((name) => name.textContent)).toEqual(
      asked.responses.map(({ name }) => name),
    );
  }
});

test("where every response is counted, each policy stands beside the exact optimum", () => {
  const scorers = rows(document, "exact");
  const [reference, optimum, first] = scorers;
  expect([reference[0], optimum[0], first[0]]).toEqual(["The reference", "π*", policies[0].name]);
  expect(scorers).toHaveLength(2 + policies.length);
  expect(first[1]).toBe("0.20");
  expect(reference[3]).toBe(`+${data.verdict.conditions[0].margin.toFixed(2)}`);
  expect(rows(document, "exact", 1)[0][1]).toBe("n/a");
  expect(words(document, "#exact")).toContain("none: no policy reaches the margins");
});

describe("what is missing is left out", () => {
  test("a comparison of two baselines alone", () => {
    const two = policies.slice(7, 9).map((one) => ({ ...one, winRates: [] }));
    const { "trade-off": tradeOff, bill } = data.sections;
    const page = drawPage({
      ...withPolicies(data.headline.policies.slice(7, 9)),
      verdict: { ...data.verdict, policies: two, problems: [] },
      sections: {
        "trade-off": { ...tradeOff!, policies: tradeOff!.policies.slice(-2) },
        bill: { ...bill!, methods: [], work: [] },
      },
    });
    expect([...parse(page).querySelectorAll("main > section")].map(({ id }) => id)).toEqual([
      "verdict",
      "trade-off",
      "bill",
    ]);
    expect(withoutCode(page)).not.toMatch(/undefined|NaN|null|\[object/);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("every number %s", (value) => {
    const page = drawPage(replace(data, "number", value));
    expect(withoutCode(page).match(/.{0,80}(NaN|Infinity|undefined)/g) ?? []).toEqual([]);
  });
});

test("hostile strings in every place add no element and no attribute", () => {
  const attacked = parse(drawPage(attack(data)));
  expect(attacked.querySelectorAll("script")).toHaveLength(1);
  expect(attacked.querySelectorAll("img, iframe, object, [onerror], [src]")).toHaveLength(0);
  expect(attacked.querySelector("#responses .response")!.textContent).toBe(hostile);
});
