import { createHash } from "node:crypto";
import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import type { Verdict } from "../../src/report/figures.js";
import { duration, number, range, signed } from "../../src/report/format.js";
import { drawPage, type PageData } from "../../src/report/index.js";
import { fakeComparison, fakeRun, hostile } from "./fixture.js";
import { attack, replace, withoutCode } from "./pages.js";

const parse = (page: string) => parseHTML(page).document;
const data = fakeRun(2);
const page = drawPage(data);
const document = parse(page);

/** The least that a page can be made of: a run that has solved, and not yet evaluated. */
function least(): PageData {
  const { headline, verdict, sections, ...rest } = fakeRun(1);
  const none = { measured: null, interval: null };
  const policies = verdict.policies.map(({ reward, safety, kl, ...policy }) => ({
    ...policy,
    heldOut: [],
    winRates: [],
    reward: { ...reward, ...none },
    safety: safety.map((outcome) => ({ ...outcome, ...none, verdict: null })),
    kl: { ...kl, ...none },
  }));
  const [{ reward, safety, kl }] = policies;
  const [family] = sections.predicted!.families;
  return {
    ...rest,
    headline: { ...headline, policies: headline.policies.map((policy, i) => ({ ...policy, ...policies[i] })) },
    verdict: { ...verdict, policies, lengths: undefined, arrival: undefined },
    sections: {
      predicted: {
        ...sections.predicted!,
        families: [
          { ...family, policies: [{ ...family.policies[0], kl, predictions: [reward, ...safety], progress: null }] },
        ],
      },
    },
  };
}

/** A page with one of its sections in other words. */
const withSection = <Id extends keyof PageData["sections"]>(
  page: PageData,
  id: Id,
  change: Partial<NonNullable<PageData["sections"][Id]>>,
): PageData => ({ ...page, sections: { ...page.sections, [id]: { ...page.sections[id], ...change } } });

describe("text from models and users stays text", () => {
  test("hostile strings in every place add no element and no attribute", () => {
    const attacked = parse(drawPage(attack(data)));
    expect(attacked.querySelectorAll("script")).toHaveLength(1);
    expect(attacked.querySelectorAll("img, iframe, object, [onerror], [src]")).toHaveLength(0);
    const [prompt, before] = attacked.querySelectorAll(
      "#responses-table tbody th, #responses-table tbody td[data-name]",
    );
    expect(prompt.textContent).toBe(hostile);
    expect(before.textContent).toBe(hostile);
    expect(attacked.querySelector("pre")!.textContent).toBe(hostile);
    expect(attacked.querySelector("title")!.textContent).toContain(hostile);
  });

  test("control characters are shown, not passed on", () => {
    expect(page).not.toMatch(/[^\P{Cc}\t\n]/u);
    expect(document.body.textContent).toContain("\u2400\u241b[31m");
  });

  test("a long response is folded without losing a character", () => {
    const long = `${"🙂".repeat(400)}end`;
    const responses = [long, ""].map((response, i) => ({ name: `${i}`, response, scores: [i] }));
    const rows = [{ prompt: "p", responses }];
    const folded = parse(drawPage(withSection(data, "responses", { scorers: ["reward"], rows })));
    const cell = folded.querySelector("td[data-name=Before]")!;
    cell.querySelector("summary")!.remove();
    expect(cell.textContent).toBe(long);
  });
});

describe.each([
  ["a run", page, () => drawPage(data)],
  ["a comparison", drawPage(fakeComparison(2)), () => drawPage(fakeComparison(2))],
])("the page of %s stands alone", (_, page, again) => {
  const document = parse(page);
  const policy = document.querySelector("meta[http-equiv]")!.getAttribute("content")!;

  test("its policy forbids requests and allows exactly its own script", () => {
    const script = document.querySelector("script")!.textContent!;
    const hash = createHash("sha256").update(script).digest("base64");
    expect(policy).toContain("default-src 'none'");
    expect(policy, "put this hash into tableScript.ts").toContain(`script-src 'sha256-${hash}'`);
  });

  test("nothing in it refers to another place", () => {
    const references = [...document.querySelectorAll("[href], [src]")].map(
      (element) => element.getAttribute("href") ?? element.getAttribute("src")!,
    );
    expect(references.filter((reference) => !/^(#|data:,$)/.test(reference))).toEqual([]);
    expect(document.querySelector("style")!.textContent).not.toMatch(/url\(|@import/);
  });

  test("every link inside leads somewhere, and ids are unique", () => {
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const link of document.querySelectorAll("a[href]")) expect(ids).toContain(link.getAttribute("href")!.slice(1));
  });

  test("the same data give the same page", () => expect(again()).toBe(page));
});

describe("what it says", () => {
  const answer = (verdicts: (Verdict | null)[]) => {
    const { headline } = data;
    const [policy] = headline.policies;
    const safety = policy.safety.map((outcome, j) => ({ ...outcome, verdict: verdicts[j] }));
    const changed = { ...data, headline: { ...headline, policies: [{ ...policy, safety }] } };
    return parse(drawPage(changed)).querySelector(".answer strong")!.textContent;
  };

  test("one constraint that is not held makes the answer no, one in doubt makes it undecided", () => {
    expect(answer(["held", "held"])).toBe("Yes.");
    expect(answer(["held", "undecided"])).toBe("Undecided.");
    expect(answer(["undecided", "not held"])).toBe("No.");
    expect(answer([null, null])).toBe("Not measured yet.");
  });

  test("the verdict's row holds what was asked, predicted and measured", () => {
    const [name, ...cells] = document.querySelectorAll("#verdict tbody tr:first-child > *");
    const { margin, predicted, measured, interval } = data.verdict.policies[0].safety[0];
    expect(name.textContent).toContain("harmlessness");
    expect(cells[0].textContent).toContain(signed(margin));
    expect(cells[1].textContent).toContain(signed(predicted));
    expect(cells[2].textContent).toBe(`${signed(measured)} ${range(interval)}`);
    expect(cells[3].textContent).toContain("undecided");
  });

  test("every response is in the table, with its scores' change to sort by", () => {
    const rows = document.querySelectorAll("#responses-table tbody tr");
    expect(rows).toHaveLength(data.sections.responses!.rows.length);
    const [before, after] = data.sections.responses!.rows[0].responses;
    const cell = rows[0].querySelectorAll("td.number")[1];
    expect(Number(cell.getAttribute("data-value"))).toBe(after.scores[0]! - before.scores[0]!);
    expect(rows[4].querySelectorAll("td.number")[1].hasAttribute("data-value")).toBe(false);
  });
});

describe("what is missing is left out", () => {
  test("a run that has only solved", () => {
    const document = parse(drawPage(least()));
    expect([...document.querySelectorAll("main section")].map(({ id }) => id)).toEqual(["verdict", "predicted"]);
    expect(document.querySelectorAll("#predicted svg").length).toBe(3);
    expect(withoutCode(drawPage(least()))).not.toMatch(/undefined|NaN|null|\[object/);
  });

  test("a solve without a frontier, without traces", () => {
    const { dual, trust, "trade-off": tradeOff, ...rest } = fakeRun(1).sections;
    const bare = {
      dual: { ...dual!, problems: dual!.problems.map((problem) => ({ ...problem, convergence: [] })) },
      trust: {
        ...trust!,
        problems: trust!.problems.map((problem) => ({
          ...problem,
          ess: [],
          conditions: problem.conditions.map((condition) => ({ ...condition, byPrompts: [] })),
        })),
      },
      "trade-off": {
        ...tradeOff!,
        conditions: tradeOff!.conditions.map((condition) => ({ ...condition, frontier: [] })),
      },
    };
    const document = parse(drawPage({ ...fakeRun(1), sections: { ...rest, ...bare } }));
    const titles = [...document.querySelectorAll("#dual h3, #trust h3")].map((title) => title.textContent);
    expect(titles).toEqual([
      "harmlessness under the reference",
      "The dual of harmlessness",
      "λ* of harmlessness by responses per prompt",
      "KL to the reference",
    ]);
    expect(document.querySelector("#trade-off")).toBeNull();
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("every number %s", (value) => {
    const page = drawPage(replace(data, "number", value));
    expect(withoutCode(page).match(/.{0,80}(NaN|Infinity|undefined)/g) ?? []).toEqual([]);
  });
});

describe.each([
  ["a run", page],
  ["a comparison", drawPage(fakeComparison(1))],
])("the page of %s is readable by a screen reader", (_, page) => {
  const document = parse(page);

  test("every chart says its finding, every figure has a heading and a caption", () => {
    const charts = [...document.querySelectorAll("svg")];
    expect(charts.length).toBeGreaterThan(10);
    for (const chart of charts) {
      expect(chart.getAttribute("role")).toBe("img");
      expect(chart.getAttribute("aria-label")).toMatch(/\d/);
      expect(chart.querySelectorAll("[aria-label]")).toHaveLength(0);
    }
    for (const figure of document.querySelectorAll("figure")) {
      expect(figure.querySelector("h3")!.textContent).not.toBe("");
      expect(figure.querySelector("figcaption")!.textContent!.length).toBeGreaterThan(40);
    }
  });

  test("headings descend one level at a time, tables have captions and scoped headers", () => {
    const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map(({ tagName }) => Number(tagName[1]));
    expect(levels[0]).toBe(1);
    for (const [i, level] of levels.slice(1).entries()) expect(level - levels[i]).toBeLessThanOrEqual(1);
    for (const table of document.querySelectorAll("table")) expect(table.querySelector("caption")).not.toBeNull();
    for (const header of document.querySelectorAll("th")) expect(header.getAttribute("scope")).toMatch(/^(col|row)$/);
  });

  test("text stands out from its ground by 4.5 to 1 at least, in light, dark and print", () => {
    const schemes = [...document.querySelector("style")!.textContent!.matchAll(/:root \{([^}]*)\}/g)].map(([, body]) =>
      Object.fromEntries([...body.matchAll(/--(\w+): (#\w+)/g)].map(([, name, colour]) => [name, colour])),
    );
    expect(schemes).toHaveLength(3);
    for (const colours of schemes)
      for (const name of ["text", "muted", "accent", "reference", "asked", "held", "failed", "open"])
        for (const ground of ["paper", "panel"])
          if (ground === "paper" || ["text", "muted", "accent"].includes(name))
            expect(contrast(colours[name], colours[ground]), `${name} on ${ground}`).toBeGreaterThanOrEqual(4.5);
  });
});

/** WCAG's contrast ratio. */
function contrast(a: string, b: string): number {
  const luminance = (colour: string) => {
    const digits = colour.length === 4 ? [...colour.slice(1)].map((digit) => digit + digit) : colour.match(/\w\w/g)!;
    const [red, green, blue] = digits.map((pair) => {
      const value = Number.parseInt(pair, 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

test.each([
  ["run", fakeRun(2)],
  ["comparison", fakeComparison(2)],
])("the data of a %s are plain JSON", (_, data) => {
  expect(drawPage(JSON.parse(JSON.stringify(data)))).toBe(drawPage(data));
});

test("numbers are short, with true minus signs", () => {
  expect([0, 0.5, -1.234, 0.0456, 12.34, 123.4, 12_345, 2.4e-14, -3e7].map(number)).toEqual([
    "0",
    "0.50",
    "−1.23",
    "0.046",
    "12.3",
    "123",
    "12,345",
    "2.4 × 10⁻¹⁴",
    "−3.0 × 10⁷",
  ]);
  expect([signed(0.8), signed(-0.8), signed(null), number(Number.NaN)]).toEqual(["+0.80", "−0.80", "n/a", "n/a"]);
  expect([0.03, 9.7, 59.7, 127.6, 7300].map(duration)).toEqual([
    "30 ms",
    "9.7 s",
    "1 min 0 s",
    "2 min 8 s",
    "2 h 1 min",
  ]);
});
