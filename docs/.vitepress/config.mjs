import { readdirSync } from "node:fs";
import { posix } from "node:path";
import { defineConfig } from "vitepress";

const docs = new URL("../", import.meta.url);
const repository = "https://github.com/dualign/dualign";

/** The library's pages: one an entry point. */
function library() {
  try {
    return readdirSync(new URL("api/", docs), { withFileTypes: true })
      .filter((entry) => entry.name !== "index.md")
      .map((entry) => [entry.name.replace(/\.md$/, ""), entry.isDirectory() ? "/" : ""])
      .map(([name, end]) => ({
        text: name === "dualign" ? name : `dualign/${name}`,
        link: `/api/${name}${end}`,
      }));
  } catch {
    return [];
  }
}

/** Links that leave docs/, to sources and recipes, lead to the repository. docs/build/checkLinks.mjs checks them. */
function linkToRepository({ tokens, env }) {
  for (const { children } of tokens)
    for (const token of children ?? []) {
      const href = token.type === "link_open" ? token.attrGet("href") : null;
      if (!href || /^(?:[a-z][a-z+.-]*:|#|\/)/i.test(href)) continue;
      const path = posix.normalize(posix.join("docs", posix.dirname(env.relativePath), href));
      if (!path.startsWith("docs/")) token.attrSet("href", `${repository}/blob/main/${path}`);
    }
}

export default defineConfig({
  title: "dualign",
  description: "One-shot safety alignment of language models: solve the dual first, train once.",
  srcExclude: ["node_modules/**", "build/**"],
  cleanUrls: true,
  lastUpdated: false,
  markdown: { math: true, config: (md) => md.core.ruler.push("repository-links", linkToRepository) },
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
          { text: "Reliability", link: "/reliability" },
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
          { text: "Models", link: "/guides/models" },
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
