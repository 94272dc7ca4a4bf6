// The events' reference: what each event is for from the table in ports/events.ts, its fields from the types there, and
// the meaning of those fields that are columns of a run's tables from the columns' comments.
import { join } from "node:path";
import ts from "typescript";
import { cell, code, plain } from "./markdown.mjs";

const flags = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope;

/** The page. `root` is the checkout, `file` the source that exports the union type `name`. */
export function eventsPage({ root, file, name, descriptions }) {
  const program = ts.createProgram([join(root, file)], {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    skipLibCheck: true,
    types: ["node"],
    typeRoots: [join(root, "node_modules", "@types")],
  });
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(join(root, file)));
  const alias = checker.getExportsOfModule(module).find((symbol) => symbol.name === name);
  if (!alias) throw new Error(`${file} exports no type ${name}`);
  const type = checker.getDeclaredTypeOfSymbol(alias);
  const members = type.isUnion() ? type.types : [type];
  const shapes = new Map();

  const documented = (symbol) =>
    ts
      .displayPartsToString(symbol.getDocumentationComment(checker))
      .replace(/\{@link (\S+) ?\}/g, "$1")
      .replace(/\s+/g, " ");
  /** Comment of the column that a field of a table's row is. */
  const commented = (shape, field) => {
    const columns = Object.entries(descriptions.tables[descriptions.rows[shape]]?.columns ?? {});
    return columns.find(([name]) => snakeCase(name) === field)?.[1].comment ?? "";
  };
  const snakeCase = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const textOf = (inner) => checker.typeToString(inner, undefined, flags).replaceAll("readonly ", "");

  /** Types of the project that `inner` refers to, for sections of their own. */
  function collect(inner) {
    if (inner.isUnionOrIntersection() && !inner.aliasSymbol) return inner.types.forEach(collect);
    const element = checker.getIndexTypeOfType(inner, ts.IndexKind.Number);
    if (element && checker.isArrayLikeType(inner)) {
      for (const argument of checker.getTypeArguments(inner)) collect(argument);
      return;
    }
    const symbol = inner.aliasSymbol ?? inner.symbol;
    const source = symbol?.declarations?.[0]?.getSourceFile().fileName ?? "";
    if (!symbol || symbol.name.startsWith("__") || source.includes("node_modules") || shapes.has(symbol.name)) return;
    shapes.set(symbol.name, inner);
    if (inner.isUnion()) return;
    for (const property of checker.getPropertiesOfType(inner)) collect(checker.getTypeOfSymbol(property));
  }

  const symbolOf = (inner) => inner.aliasSymbol ?? inner.symbol;

  function fields(inner, skip = []) {
    const rows = checker
      .getPropertiesOfType(inner)
      .filter((property) => !skip.includes(property.name))
      .map((property) => {
        const optional = (property.flags & ts.SymbolFlags.Optional) !== 0;
        let value = checker.getTypeOfSymbol(property);
        if (optional) value = checker.getNonNullableType(value);
        collect(value);
        return `| ${code(property.name)}${optional ? " (optional)" : ""} | ${code(cell(textOf(value)))} | ${cell(plain(documented(property) || commented(symbolOf(inner)?.name, property.name)))} |`;
      });
    const open = checker.getIndexInfosOfType(inner).length > 0 ? ["| … | | further figures, by name |"] : [];
    return rows.length + open.length === 0
      ? "No fields."
      : ["| field | type | |", "| --- | --- | --- |", ...rows, ...open].join("\n");
  }

  const byName = new Map();
  for (const member of members) {
    const tag = checker.getTypeOfSymbol(member.getProperty("event"));
    const event = tag.isStringLiteral() ? tag.value : textOf(tag);
    byName.set(event, [...(byName.get(event) ?? []), member]);
  }
  const events = [...byName].map(([event, forms]) => {
    const parts = forms.map((form) => {
      const kind = form.getProperty("kind");
      const title = kind && checker.getTypeOfSymbol(kind).value;
      return title
        ? `### ${event}, kind ${code(title)}\n\n${plain(descriptions.kinds[title])}\n\n${fields(form, ["event", "kind"])}`
        : fields(form, ["event"]);
    });
    return `## ${event}\n\n${plain(descriptions.events[event])}\n\n${parts.join("\n\n")}`;
  });
  // Sections of shapes may add further shapes while they are written.
  const sections = [];
  for (const [shape, inner] of shapes) {
    const symbol = inner.aliasSymbol ?? inner.symbol;
    const text = documented(symbol);
    const body = inner.isUnion() ? code(inner.types.map(textOf).join(" | ")) : fields(inner);
    sections.push(`### ${shape}\n\n${text ? `${plain(text)}\n\n` : ""}${body}`);
  }
  return `# Events

With \`--json\`, a command writes one JSON object a line to standard output: its events. \`runRecipe\` of the library gives the
same objects. Each has \`event\`, its name. These shapes are an API: a change that breaks a reader is in the changelog.

${events.join("\n\n")}

## Shapes

${sections.join("\n\n")}
`;
}
