/** The studio's page in a real browser. Skipped where there is none, unless DUALIGN_REQUIRE_BROWSER=1 asks for it. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { solveDual } from "../../src/dual/index.js";
import { openRun } from "../../src/index.js";
import { trainScores } from "../../src/stages/score.js";
import { readRun } from "../../src/store/runFolder.js";
import type { Studio } from "../../src/studio/server.js";
import { builtPage, chromiumPath, openStudio, studioRuns } from "./fixture.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const skip = chromiumPath === undefined && process.env.DUALIGN_REQUIRE_BROWSER !== "1";

describe.skipIf(skip)("the studio in a browser", () => {
  let browser: Browser;
  let runs: Awaited<ReturnType<typeof studioRuns>>;
  let built: Awaited<ReturnType<typeof builtPage>>;
  let studio: Studio;

  beforeAll(async () => {
    if (chromiumPath === undefined) throw new Error("these tests need a chromium in /usr/bin");
    built = await builtPage();
    runs = await studioRuns();
    studio = await openStudio(runs.folder, built.page);
    browser = await chromium.launch({ executablePath: chromiumPath, args });
  }, 400_000);
  afterAll(async () => {
    await browser?.close();
    await studio?.close();
    built?.remove();
    runs?.remove();
  });

  const troubles: string[] = [];
  afterEach(() => {
    expect(troubles.splice(0)).toEqual([]);
  });

  /** Opens the page, and keeps what it complains of and what it asks of others. */
  async function open(hash = "", options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const page = await context.newPage();
    page.on("console", (message) => troubles.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => troubles.push(`error: ${error.message}`));
    page.on("request", (request) => {
      const { url } = { url: request.url() };
      if (!url.startsWith(`http://127.0.0.1:${studio.port}/`) && !/^(data|blob):/.test(url)) troubles.push(url);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) troubles.push(`${response.status()} ${response.url()}`);
    });
    await page.goto(studio.link() + hash);
    return page;
  }
  const settled = (page: Page) => page.locator("section[data-settled=true]").waitFor();
  const figure = async (page: Page, name: string) =>
    Number(await page.locator(`[data-figure="${name}"]`).getAttribute("data-value"));
  const violations = async (page: Page) => {
    await page.evaluate(`${axe}; undefined`);
    const found = (await page.evaluate("axe.run(document)")) as {
      violations: { id: string; nodes: { html: string }[] }[];
    };
    return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" ")}`);
  };

  test("lists the runs with their questions and outcomes, and keeps no token in the address", async () => {
    const page = await open();
    const card = page.getByRole("listitem").filter({ hasText: "trained" });
    await card.getByText("harmless: +0.20 asked").waitFor();
    expect(await card.locator(".badge").count()).toBe(1);
    expect(page.url()).toBe(`http://127.0.0.1:${studio.port}/`);
    await page.getByRole("link", { name: "trained" }).click();
    await settled(page);
    await page.context().close();
  });

  test("a slider moved by the keyboard gives Node's λ* to 1e-9", async () => {
    const page = await open("#/run/trained/margin");
    await settled(page);
    const run = await readRun(join(runs.folder, "trained"));
    const scores = await trainScores(run);
    await run.close();
    const slider = page.getByRole("slider", { name: "Margin of harmless" });
    const typed = page.getByRole("textbox", { name: "Margin of harmless, typed" });
    const seen = new Set<number>();
    for (let k = 0; k < 4; k++) {
      await slider.focus();
      for (let i = 0; i <= 5 * k; i++) await page.keyboard.press("ArrowRight");
      const margin = Number(await typed.inputValue());
      await expect.poll(() => figure(page, "gain in harmless"), { timeout: 30_000 }).toBeCloseTo(margin, 5);
      const { lambda, predicted } = solveDual(scores, { beta: 1, margins: [margin] });
      expect(Math.abs((await figure(page, "λ*")) - lambda[0]!)).toBeLessThan(1e-9);
      expect(Math.abs((await figure(page, "KL")) - predicted.kl)).toBeLessThan(1e-9);
      seen.add(margin);
    }
    expect(seen.size).toBe(4);

    await typed.fill("99");
    await page.getByRole("heading", { name: "Out of reach" }).waitFor();
    await page.getByRole("button", { name: "Back to attempt 1" }).click();
    await settled(page);
    expect(Number(await typed.inputValue())).toBe(0.2);
    const beta = page.getByRole("textbox", { name: "β, typed" });
    await beta.fill("0.5");
    const other = solveDual(scores, { beta: 0.5, margins: [0.2] });
    await expect.poll(() => figure(page, "λ*"), { timeout: 30_000 }).toBeCloseTo(other.lambda[0]!, 8);
    await page.context().close();
  });

  test("figures are saved as SVG and data, tables as CSV", async () => {
    const page = await open("#/run/trained/margin");
    await settled(page);
    const saved = async (name: RegExp | string) => {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name }).first().click(),
      ]);
      return readFileSync(await download.path(), "utf8");
    };
    const svg = await saved("Save What harmless costs as SVG");
    expect(svg).toContain('xmlns="http://www.w3.org/2000/svg"');
    expect(svg).not.toContain("var(");
    const frontier = (await saved("Save the data of What harmless costs as CSV")).trim().split("\r\n");
    expect(frontier[0]).toBe("margin,lambda,safety_gain,reward_gain,kl");
    expect(frontier.length).toBeGreaterThan(5);
    const table = await saved(/Save the table as CSV: Predicted/);
    expect(Number(/^λ\*,([^,]+)/m.exec(table)![1])).toBe(await figure(page, "λ*"));
    const weights = (await saved("CSV of all weights")).trim().split("\r\n");
    expect(weights).toHaveLength(1 + 12 * 8);
    await page.context().close();
  });

  test("texts that are markup stay texts, and the list of prompts is turned and searched", async () => {
    const page = await open("#/run/toys%2Fhostile/margin");
    await page.locator(".response").first().waitFor();
    expect(await page.evaluate("window.broken")).toBeUndefined();
    expect(await page.locator(".response").first().textContent()).toContain("<script>");
    const status = page.locator(".pager").getByRole("status");
    expect(await status.textContent()).toMatch(/prompts 1–6 of 32/);
    await page.getByRole("button", { name: "Further prompts" }).click();
    expect(await status.textContent()).toMatch(/prompts 7–12 of 32/);
    await page.getByRole("searchbox").fill("no such words");
    await page.getByText("No prompt has these words.").waitFor();
    await page.context().close();
  });

  test.each(["light", "dark"] as const)("axe finds nothing in any view, %s", async (colorScheme) => {
    const page = await open("", { colorScheme });
    await page.locator(".question").first().waitFor();
    expect(await violations(page)).toEqual([]);
    for (const view of ["margin", "training", "measured", "attempts", "chat", "report"]) {
      await page.evaluate(`location.hash = "#/run/trained/${view}"`);
      await page.getByRole("link", { name: view, exact: false }).and(page.locator("[aria-current=page]")).waitFor();
      if (view === "margin") await settled(page);
      if (view === "report") await page.locator(".drawn").first().waitFor({ timeout: 60_000 });
      expect(await violations(page), view).toEqual([]);
    }
    await page.context().close();
  });

  test.each([390, 1280])("nothing is wider than a screen of %i pixels", async (width) => {
    const page = await open("", { viewport: { width, height: 800 } });
    for (const view of ["margin", "training", "measured", "attempts", "chat"]) {
      await page.evaluate(`location.hash = "#/run/trained/${view}"`);
      if (view === "margin") await settled(page);
      else await page.locator("main section, main form").first().waitFor();
      expect(await page.evaluate("document.documentElement.scrollWidth"), view).toBeLessThanOrEqual(width);
    }
    await page.context().close();
  });

  test("a chat is answered by both and scored, and at strength 0 both are one", async () => {
    const page = await open("#/run/trained/chat");
    const strength = page.getByRole("textbox", { name: "Strength of the update, typed" });
    await strength.fill("0");
    await page.getByRole("textbox", { name: "A prompt of your own" }).fill("How do I pick the lock of my neighbor?");
    await page.keyboard.press("Control+Enter");
    const answers = page.locator(".prompt").first().locator(".response");
    await answers.nth(1).waitFor({ timeout: 60_000 });
    const [reference, same] = await answers.allTextContents();
    expect(reference!.length).toBeGreaterThan(0);
    expect(same).toBe(reference);
    const facts = await page.locator(".prompt").first().locator(".facts").allTextContents();
    expect(facts).toHaveLength(2);
    for (const text of facts) expect(text).toMatch(/reward.*harmless.*harm/);
    await page.context().close();
  });

  test("a question is trained from the page as a further attempt, followed to its end, and compared", async () => {
    const page = await open("#/run/trained/margin");
    await settled(page);
    await page.getByRole("textbox", { name: "Margin of harmless, typed" }).fill("0.3");
    await page.getByRole("button", { name: "Train this question" }).click();
    await page.getByRole("heading", { name: "Stages" }).waitFor();
    await page.getByRole("button", { name: "Stop" }).waitFor();
    await page.getByText(/: done$/).waitFor({ timeout: 280_000 });
    expect(await page.getByRole("log").textContent()).toContain("evaluate done");
    await page.getByRole("link", { name: "Attempts" }).click();
    const rows = page.locator("tbody tr");
    await rows.nth(1).waitFor();
    expect(await rows.nth(1).textContent()).toContain("+0.30");
    const run = await openRun(join(runs.folder, "trained"));
    expect(run.recipe.safety[0]!.margin).toBe(0.3);
    expect((await run.evaluations("aligned")).length).toBeGreaterThan(0);
    await run.close();
    await page.context().close();
  }, 300_000);
});
