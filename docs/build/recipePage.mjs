// The recipe reference, from the JSON Schema that the build derives from the schemas recipes are checked by.
import { cell, code } from "./markdown.mjs";

/** What kinds of value a schema admits, in words. */
function kindOf(schema) {
  if (schema.const !== undefined) return code(JSON.stringify(schema.const));
  if (schema.enum) return schema.enum.map((value) => code(String(value))).join(", ");
  const variants = schema.anyOf ?? schema.oneOf;
  if (variants) return [...new Set(variants.map(kindOf))].join(" or ");
  if (schema.type === "array") return `list: ${kindOf(schema.items ?? {})}`;
  if (schema.type === "object") return "group";
  const names = { string: "text", integer: "whole number", number: "number", boolean: "true or false" };
  return `${names[schema.type] ?? "any value"}${bounds(schema)}`;
}

function bounds({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }) {
  const parts = [
    minimum === undefined ? "" : `≥ ${minimum}`,
    exclusiveMinimum === undefined ? "" : `> ${exclusiveMinimum}`,
    maximum === undefined ? "" : `≤ ${maximum}`,
    exclusiveMaximum === undefined ? "" : `< ${exclusiveMaximum}`,
  ].filter(Boolean);
  return parts.length === 0 ? "" : ` ${parts.join(", ")}`;
}

const isEmptyGroup = (value) => typeof value === "object" && value !== null && Object.keys(value).length === 0;

/** The groups of keys that a schema stands for: itself, each variant of a union, what a list holds. */
function groups(schema) {
  if (schema.properties) return [schema];
  if (schema.anyOf ?? schema.oneOf) return (schema.anyOf ?? schema.oneOf).flatMap(groups);
  return schema.items ? groups(schema.items) : [];
}

/** The key whose fixed value tells the variants of a union apart. */
function tag(schema, number) {
  const found = Object.entries(schema.properties).find(([, { const: value }]) => value !== undefined);
  return found ? `${found[0]}: ${found[1].const}` : `form ${number}`;
}

function table(schema) {
  const rows = Object.entries(schema.properties).map(([key, field]) => {
    const required = schema.required?.includes(key) && field.default === undefined;
    const fallback =
      field.default === undefined || isEmptyGroup(field.default)
        ? required
          ? "**required**"
          : ""
        : code(JSON.stringify(field.default));
    return `| ${code(key)} | ${cell(kindOf(field))} | ${cell(fallback)} | ${cell(field.description ?? "")} |`;
  });
  return ["| key | kind | default | |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

/** Sections for a group of keys and for every group inside it. `path` is dotted, `[]` marks a list's entries. */
function sections(schema, path, level, seen) {
  const text = [table(schema)];
  for (const [key, field] of Object.entries(schema.properties)) {
    const inner = groups(field);
    if (inner.length === 0) continue;
    const name = `${path}${key}${field.type === "array" ? "[]" : ""}`;
    text.push(
      `${"#".repeat(Math.min(level, 4))} \`${name}\`${field.description ? `\n\n${sentence(field.description)}` : ""}`,
    );
    for (const [i, group] of inner.entries()) {
      // The same keys again are one link instead of one more table.
      const known = seen.get(JSON.stringify(group));
      if (known !== undefined) {
        text.push(`The keys are those of [\`${known}\`](#${anchor(known)}).`);
        continue;
      }
      const label = inner.length > 1 ? `${name} (${tag(group, i + 1)})` : name;
      if (inner.length > 1) text.push(`${"#".repeat(Math.min(level + 1, 5))} \`${label}\``);
      seen.set(JSON.stringify(group), label);
      text.push(sections(group, `${name}.`, level + 1, seen));
    }
  }
  return text.join("\n\n");
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
const anchor = (title) =>
  title
    .toLowerCase()
    .replace(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");

/** The keys of one method's recipe that no earlier method has, or that differ from it. */
export function recipePage(schema) {
  const methods = [
    ["MoCAN", "A recipe with `reward`: reward and safety scores are given.", schema.else.else],
    ["PeCAN", "A recipe with `helpfulness`: preference data is given.", schema.else.then],
    ["Comparison", "A recipe with `compare`: several methods from one reference.", schema.then],
  ];
  const seen = new Map();
  const [, , first] = methods[0];
  const parts = methods.map(([title, text, method], i) => {
    const shown =
      i === 0
        ? method
        : {
            ...method,
            properties: Object.fromEntries(
              Object.entries(method.properties).filter(
                ([key, field]) => JSON.stringify(field) !== JSON.stringify(first.properties[key]),
              ),
            ),
          };
    const rest = i === 0 ? "" : "\n\nKeys that are not listed here are those of MoCAN's recipe, and mean the same.";
    // Headings of one page are told apart by their method.
    return `## ${title}\n\n${text}${rest}\n\n${sections(shown, i === 0 ? "" : `${title.toLowerCase()}: `, 3, seen)}`;
  });
  return `# Recipe reference

Every key of a recipe, from the schemas by which recipes are checked. Paths in a recipe are relative to its folder, \`~\` and
\`\${NAME}\` (an environment variable) are expanded. A key that is not listed is an error. \`--set KEY=VALUE\` sets a key for one
run: keys are dotted (\`--set safety.0.margin=0.5\`), values are YAML, and \`null\` takes a key away.

Editors with a YAML language server complete and check recipes by the schema that \`dualign init\` names in the first line.

${parts.join("\n\n")}
`;
}
