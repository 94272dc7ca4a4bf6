/** The report in a real browser. Skipped where there is none, unless DUALIGN_REQUIRE_BROWSER=1 asks for it. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { drawPage } from "../../src/report/index.js";
import { fakeComparison, fakeRun } from "./fixture.js";

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
/** Neither a sandbox, which root cannot have, nor anything that would use a network. */
const args = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const skip = executablePath === undefined && process.env.DUALIGN_REQUIRE_BROWSER !== "1";

describe.skipIf(skip)("the reports in a browser", () => {
  const folder = mkdtempSync(join(tmpdir(), "dualign-report-"));
  const file = (name: string) => join(folder, `${name}.html`);
  let browser: Browser;

  beforeAll(async () => {
    if (executablePath === undefined) throw new Error("these tests need a chromium in /usr/bin");
    writeFileSync(file("run"), drawPage(fakeRun(2)));
    writeFileSync(file("comparison"), drawPage(fakeComparison(2)));
    browser = await chromium.launch({ executablePath, args });
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });

  /** Opens a report, and keeps what it complains of and what it asks for. */
  async function open(options: BrowserContextOptions = {}, name = "run"): Promise<{ page: Page; troubles: string[] }> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const page = await context.newPage();
    const troubles: string[] = [];
    page.on("console", (message) => troubles.push(message.text()));
    page.on("pageerror", (error) => troubles.push(error.message));
    page.on("request", (request) => {
      if (!/^(file|data):/.test(request.url())) troubles.push(request.url());
    });
    await page.goto(pathToFileURL(file(name)).href);
    return { page, troubles };
  }

  describe.each(["run", "comparison"])("that of a %s", (name) => {
    test("opens without an error or a request, and runs nothing that a model wrote", async () => {
      const { page, troubles } = await open({}, name);
      expect(troubles).toEqual([]);
      expect(await page.evaluate("window.broken")).toBeUndefined();
    });

    test("dark and light differ, in the page and in the charts", async () => {
      const colours = async (colorScheme: "light" | "dark") => {
        const { page } = await open({ colorScheme }, name);
        return page.evaluate(`[
        getComputedStyle(document.body).backgroundColor,
        getComputedStyle(document.body).color,
        getComputedStyle(document.querySelector("#dual .chart circle")).stroke,
        getComputedStyle(document.querySelector("#dual .chart text")).fill,
      ]`) as Promise<string[]>;
      };
      const [light, dark] = [await colours("light"), await colours("dark")];
      for (const [i, colour] of light.entries()) expect(colour).not.toBe(dark[i]);
    });

    test.each([390, 768, 1280])("nothing is wider than a screen of %i pixels", async (width) => {
      const { page } = await open({ viewport: { width, height: 800 } }, name);
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(width);
      const wide = await page.evaluate(`[...document.querySelectorAll("main *, header *, #verdict *")]
      .filter((e) => !e.closest("pre, thead, .unseen") && e.getBoundingClientRect().right > innerWidth + 1)
      .map((e) => e.outerHTML.slice(0, 80))`);
      expect(wide).toEqual([]);
      const spilling = await page.evaluate(`[...document.querySelectorAll("table :is(th, td)")]
      .filter((e) => e.scrollWidth > e.clientWidth && !e.closest(".plain thead"))
      .map((e) => e.textContent)`);
      expect(spilling).toEqual([]);
    });

    test.each([390, 1280])("no label of a chart lies on another at %i pixels", async (width) => {
      const { page } = await open({ viewport: { width, height: 800 } }, name);
      const overlapping = await page.evaluate(`[...document.querySelectorAll("svg.chart")].flatMap((chart) => {
      const labels = [...chart.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
      return labels.flatMap(([a, p], i) => labels.slice(i + 1)
        .filter(([, q]) => p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 2 && q.top < p.bottom - 2)
        .map(([b]) => chart.closest("figure").querySelector("h3").textContent + ": " + a + " on " + b));
    })`);
      expect(overlapping).toEqual([]);
    });
  });

  const visibleRows = (page: Page) => page.locator("#responses-table tbody tr:visible");
  const firstNumber = (page: Page) => visibleRows(page).first().locator("td").first().textContent();

  test("the search finds the rows that hold every word", async () => {
    const { page } = await open();
    await page.getByRole("searchbox").fill("31M Unmistakable");
    expect(await visibleRows(page).count()).toBe(1);
    expect(await page.getByRole("status").textContent()).toBe("Rows 1–1 of 1 found");
    await page.getByRole("searchbox").fill("no such words");
    expect(await visibleRows(page).count()).toBe(0);
    expect(await page.getByRole("status").textContent()).toBe("No row has these words.");
  });

  test("the pages turn and the columns sort by keyboard alone", async () => {
    const { page } = await open();
    await page.getByRole("button", { name: "Next rows" }).focus();
    await page.keyboard.press("Enter");
    expect(await page.getByRole("status").textContent()).toBe("Rows 11–20 of 34");
    for (let i = 0; i < 5; i++) await page.keyboard.press("Space");
    expect(await page.getByRole("status").textContent()).toBe("Rows 31–34 of 34");
    expect(await visibleRows(page).count()).toBe(4);

    const header = page.locator("#responses-table").getByRole("columnheader", { name: "helpfulness" });
    await header.getByRole("button").focus();
    await page.keyboard.press("Enter");
    expect(await header.getAttribute("aria-sort")).toBe("ascending");
    const { rows } = fakeRun(2).sections.responses!;
    const changes = rows.map(({ responses: [before, after] }) => (after.scores[0] ?? Number.NaN) - before.scores[0]!);
    const finite = changes.filter(Number.isFinite);
    expect(await firstNumber(page)).toBe(String(changes.indexOf(Math.min(...finite)) + 1));
    await page.keyboard.press("Enter");
    expect(await header.getAttribute("aria-sort")).toBe("descending");
    expect(await firstNumber(page)).toBe(String(changes.indexOf(Math.max(...finite)) + 1));
  });

  test("without scripts every row is there, and no control that would do nothing", async () => {
    const { page } = await open({ javaScriptEnabled: false });
    expect(await visibleRows(page).count()).toBe(34);
    expect(await page.locator("button:visible, input:visible").count()).toBe(0);
  });

  test("on paper without scripts the table keeps to its first rows, black on white", async () => {
    const { page } = await open({ javaScriptEnabled: false, colorScheme: "dark" });
    await page.emulateMedia({ media: "print" });
    expect(await visibleRows(page).count()).toBe(12);
    const ground = await page.evaluate("getComputedStyle(document.body).backgroundColor");
    expect(ground).toBe("rgb(255, 255, 255)");
  });
});
