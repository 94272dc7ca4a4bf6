import { chromium } from "playwright-core";
import { startStudio } from "./dist/studio/server.js";
const studio = await startStudio({ folder: process.argv[2] ?? "/tmp/studio/runs", port: 0, device: "cpu" });
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const wanted = process.argv[3]?.split(",");
const shots = [
  ["light", { viewport: { width: 1360, height: 900 } }],
  ["dark", { viewport: { width: 1360, height: 900 }, colorScheme: "dark" }],
  ["phone", { viewport: { width: 390, height: 844 } }],
];
const id = encodeURIComponent(process.argv[4] ?? "pocket");
for (const [name, options] of shots) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (m) => console.log(name, "console:", m.type(), m.text()));
  page.on("pageerror", (e) => console.log(name, "error:", e.message));
  page.on("requestfailed", (r) => console.log(name, "failed:", r.url(), r.failure()?.errorText));
  await page.goto(studio.link());
  await page.waitForSelector(".card .question");
  if (!wanted || wanted.includes("list")) await page.screenshot({ path: `/tmp/studio/shots/${name}-list.png`, fullPage: true });
  for (const view of ["margin", "training", "measured", "attempts", "chat", "report"]) {
    if (wanted && !wanted.includes(view)) continue;
    await page.goto(`http://127.0.0.1:${studio.port}/#/run/${id}/${view}`);
    if (view === "margin") await page.waitForSelector("[data-settled=true]", { timeout: 60000 });
    else await page.waitForTimeout(view === "report" ? 12000 : 1200);
    const w = await page.evaluate("document.documentElement.scrollWidth");
    if (w > options.viewport.width) console.log(name, view, "wider:", w, await page.evaluate(`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".wide, .tabs ul, svg")).slice(0,5).map((e) => e.outerHTML.slice(0, 120))`));
    await page.screenshot({ path: `/tmp/studio/shots/${name}-${view}.png`, fullPage: true });
  }
  await context.close();
}
await browser.close();
await studio.close();
