// Writes the pages that are made from the sources: docs/reference/*.md.
// node docs/build/pages.mjs
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { commandsPage } from "./commandsPage.mjs";
import { eventsPage } from "./eventsPage.mjs";
import { exitPage } from "./exitPage.mjs";
import { recipePage } from "./recipePage.mjs";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const reference = join(root, "docs", "reference");
mkdirSync(reference, { recursive: true });
const write = (name, text) => writeFileSync(join(reference, name), text);

const { makeProgram } = await import("../../dist/cli/main.js");
write("recipe.md", recipePage(JSON.parse(readFileSync(join(root, "dist", "recipe.schema.json"), "utf8"))));
const { exitStatuses } = await import("../../dist/cli/exitStatus.js");
write("exit-statuses.md", exitPage(exitStatuses));
write("commands.md", commandsPage(makeProgram()));
const { eventDescriptions, doneDescriptions } = await import("../../dist/ports/events.js");
const { tables } = await import("../../dist/ports/tables.js");
/** Shapes that are rows of a table. */
const rows = {
  MultiplierEvent: "multipliers",
  EvaluationFigures: "evaluations",
  WinRateFigures: "winRates",
  ExactFigures: "exact",
};
const descriptions = { events: eventDescriptions, kinds: doneDescriptions, tables, rows };
write("events.md", eventsPage({ root, descriptions, file: "src/ports/events.ts", name: "AnyEvent" }));
