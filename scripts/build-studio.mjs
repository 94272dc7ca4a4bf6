// Builds the studio's page, src/studio/page, into dist/studio-page: what `dualign studio` serves. A part of the build
// (ready.mjs), after the compiler, whose dist/report/style.js has the style sheet that page and report share.
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "vite";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

/** The report's style sheet as a module, in a layer that the page's own rules go over. */
const reportStyle = {
  name: "report-style",
  resolveId: (id) => (id === "virtual:report-style.css" ? "\0report-style.css" : null),
  async load(id) {
    if (id !== "\0report-style.css") return null;
    const { style } = await import("../dist/report/style.js");
    return `@layer report {\n${style.markup}\n}`;
  },
};

/** Builds the page into a folder. */
export async function buildStudio(outDir = path("dist/studio-page")) {
  await build({
    root: path("src/studio/page"),
    configFile: false,
    logLevel: "warn",
    base: "./",
    plugins: [reportStyle],
    // In a browser charts are drawn with the page's own document.
    resolve: { alias: { "linkedom/worker": path("src/studio/page/browserDocument.ts") } },
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    worker: { format: "es" },
    build: {
      outDir,
      emptyOutDir: true,
      target: "es2022",
      // The page's policy allows neither inline files nor what a polyfill would put in.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
    },
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await buildStudio();
