/**
 * Chat templates as transformers renders them. The grammar is @huggingface/jinja's; the lexer and the meaning are ours,
 * because that package's runtime differs from Jinja2 without a word (arguments of `strip`, booleans and None as text,
 * lengths in UTF-16, scopes, filters' iterators). A construct that is not here is refused by name before anything renders.
 */
import { parse } from "@huggingface/jinja";
import { FILTERS } from "./filters.js";
import { globals, MISSING_GLOBALS } from "./globals.js";
import { render, Scope } from "./interpreter.js";
import { GENERATION, tokenize } from "./lexer.js";
import { type Node, walk } from "./syntax.js";
import { TESTS } from "./tests.js";
import { fromJson, TemplateError } from "./values.js";

export { TemplateError } from "./values.js";

/** Options of a template. */
export interface TemplateOptions {
  /** The clock of `strftime_now`; by default the machine's. */
  readonly now?: () => Date;
}

/** A compiled template: from variables as JSON holds them to text. */
export type Template = (variables: Readonly<Record<string, unknown>>) => string;

/**
 * A chat template, compiled. Throws TemplateError for what Jinja2 would not compile and for constructs that are not
 * supported; rendering throws it for what Jinja2 would refuse, `raise_exception` included.
 */
export function compileTemplate(source: string, { now = () => new Date() }: TemplateOptions = {}): Template {
  const tokens = tokenize(source);
  let body: Node[];
  try {
    body = (parse(tokens as Parameters<typeof parse>[0]) as unknown as { body: Node[] }).body;
  } catch (error) {
    const broken =
      error instanceof TypeError ? "a block is not closed, or a tag ends too early" : (error as Error).message;
    throw new TemplateError(`it cannot be parsed: ${broken}`);
  }
  check(body);
  return (variables) => {
    const scope = new Scope();
    for (const [name, value] of globals(now)) scope.set(name, value);
    for (const [name, value] of Object.entries(variables)) scope.set(name, fromJson(value));
    return render(body, new Scope(scope));
  };
}

/** Refuses filters, tests and globals that are not here, and `safe` where its escaping would show. */
function check(body: readonly Node[]): void {
  for (const statement of body)
    for (const node of walk(statement)) {
      if (node.type === "FilterExpression" || node.type === "FilterStatement") checkFilter(node.filter);
      if (node.type === "Identifier" && MISSING_GLOBALS.has(node.value))
        throw new TemplateError(`"${node.value}" is not supported`);
      if (node.type === "CallStatement" && node.call.callee.type === "Identifier") {
        if (node.call.callee.value === GENERATION && leavesLoop(node.body))
          throw new TemplateError("a break or continue inside a generation block is not supported");
      }
      if (node.type === "BinaryExpression" && ["+", "%", "*"].includes(node.operator.value)) {
        for (const side of [node.left, node.right])
          if (side.type === "FilterExpression" && nameOf(side.filter) === "safe")
            throw new TemplateError(
              `the filter "safe" next to "${node.operator.value}" is not supported: it would escape`,
            );
      }
    }
}

const nameOf = (filter: Node): string => {
  const callee = filter.type === "CallExpression" ? filter.callee : filter;
  return callee.type === "Identifier" ? callee.value : "";
};

function checkFilter(filter: Node): void {
  const name = nameOf(filter);
  const test = /^is (?:not )?(.+)$/.exec(name)?.[1];
  if (test === undefined ? !Object.hasOwn(FILTERS, name) : !Object.hasOwn(TESTS, test))
    throw new TemplateError(`the ${test === undefined ? `filter "${name}"` : `test "is ${test}"`} is not supported`);
}

/** Whether a block leaves a loop around it. */
function leavesLoop(body: readonly Node[]): boolean {
  return body.some((node) => {
    if (node.type === "Break" || node.type === "Continue") return true;
    return node.type === "If" && (leavesLoop(node.body) || leavesLoop(node.alternate));
  });
}
