/** Every exported name of the sources has a doc comment that starts with the noun it describes. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../src", import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replaceAll("\\", "/"))
  .sort();

const declaration =
  /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|const|let|class|interface|type|enum) (\w+)/;

/** An exported declaration and the doc comment right before it, without its stars. */
interface Export {
  readonly file: string;
  readonly name: string;
  readonly comment: string | undefined;
}

function exportsOf(file: string): Export[] {
  const lines = readFileSync(join(source, file), "utf8").split("\n");
  const found = new Map<string, Export>();
  for (const [i, line] of lines.entries()) {
    const name = declaration.exec(line)?.[1];
    // An overload's comment stands before its first signature.
    if (name === undefined || found.has(name)) continue;
    let end = i - 1;
    while (end >= 0 && lines[end].startsWith("//")) end--;
    let start = end;
    if (end >= 0 && lines[end].endsWith("*/")) while (!lines[start].startsWith("/**")) start--;
    const comment =
      start <= end && lines[start]?.startsWith("/**")
        ? lines
            .slice(start, end + 1)
            .map((text) => text.replace(/^\/\*\*|\*\/$|^ \*/g, "").trim())
            .join(" ")
            .trim()
        : undefined;
    found.set(name, { file, name, comment });
  }
  return [...found.values()];
}

const exported = files.flatMap(exportsOf);

/** First words with which a comment leaves open what it is about. */
const headless =
  /^(?:as|by|for|from|in|of|on|to|with|where|when|what|which|who|how|whether|that|this|these|those|it|its|their|here|the same|and|or|but|one of the same)\b/i;

test("the sources export names", () => {
  expect(exported.length).toBeGreaterThan(500);
});

test("every exported name has a doc comment", () => {
  const lacking = exported.filter(({ comment }) => !comment);
  expect(lacking.map(({ file, name }) => `${file}: ${name}`)).toEqual([]);
});

test("a doc comment starts with what it describes", () => {
  const open = exported.filter(({ comment }) => comment && headless.test(comment));
  expect(open.map(({ file, name, comment }) => `${file}: ${name}: ${comment}`)).toEqual([]);
});
