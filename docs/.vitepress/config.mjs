import { readdirSync } from "node:fs";
import { defineConfig } from "vitepress";

const docs = new URL("../", import.meta.url);
const repository = "https://github.com/dualign/dualign";

/** The library's pages: one an entry point. */
function library() {
  try {
    return readdirSync(new URL("api/", docs), { withFileTypes: true })
      .filter((entry) => entry.name !== "index.md")
      .map(({ name }) => name.replace(/\.md$/, ""))
      .map((name) => ({ text: name === "index" ? "dualign" : `dualign/${name}`, link: `/api/${name}` }));
  } catch {
    return [];
  }
}

export default defineConfig({
  title: "dualign",
  description: "One-shot safety alignment of language models: solve the dual first, train once.",
  srcExclude: ["node_modules/**", "build/**"],
  cleanUrls: true,
  lastUpdated: false,
  markdown: { math: true },
  // Pages link to sources and recipes, which are in the repository; docs/build/checkLinks.mjs checks those links.
  ignoreDeadLinks: [/\.\.\/(?:bench|CONTRIBUTING|ARCHITECTURE|README)/],
  themeConfig: {
    search: { provider: "local" },
    socialLinks: [{ icon: "github", link: repository }],
    nav: [
      { text: "Quickstart", link: "/quickstart" },
      { text: "Guides", link: "/guides/align" },
      { text: "Recipe", link: "/reference/recipe" },
      { text: "Library", link: "/api/" },
    ],
    sidebar: [
      {
        text: "Start",
        items: [
          { text: "What it is", link: "/" },
          { text: "Quickstart", link: "/quickstart" },
          { text: "The method", link: "/method" },
          { text: "Glossary", link: "/glossary" },
        ],
      },
      {
        text: "Guides",
        items: [
          { text: "Align your model", link: "/guides/align" },
          { text: "From preference data", link: "/guides/preferences" },
          { text: "The multiplier alone", link: "/guides/multiplier" },
          { text: "Compare methods", link: "/guides/compare" },
          { text: "Scorers and judges of your own", link: "/guides/scorers" },
          { text: "The run folder", link: "/guides/run-folder" },
          { text: "The pieces alone", link: "/guides/pieces" },
          { text: "From a program", link: "/guides/library" },
        ],
      },
      {
        text: "Reference",
        items: [
          { text: "Recipe", link: "/reference/recipe" },
          { text: "Commands", link: "/reference/commands" },
          { text: "Events", link: "/reference/events" },
          { text: "Exit statuses", link: "/reference/exit-statuses" },
        ],
      },
      { text: "Library", items: [{ text: "Entry points", link: "/api/" }, ...library()] },
      {
        text: "Measured",
        items: [
          { text: "The pocket models", link: "/pocket" },
          { text: "SmolLM2", link: "/smollm2" },
        ],
      },
      { text: "Contribute", items: [{ text: "How to add one", link: "/adding" }] },
    ],
  },
});
