/**
 * Tokens of a Jinja2 template for @huggingface/jinja's `parse`, read as Jinja 3.1's own lexer reads them under the
 * settings of transformers (`trim_blocks`, `lstrip_blocks`, the tag `generation`, loop controls). The package's own
 * lexer keeps carriage returns, takes JavaScript's white space for Python's and strips inside plain text; hence this one.
 */
import { TemplateError } from "./values.js";

/** A token as @huggingface/jinja's parser takes it. */
export interface Token {
  value: string;
  type: string;
}

/** White space as Python's `str.isspace` and `re`'s `\s` have it: a byte order mark is none, U+001C to U+001F are. */
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const ALL_SPACE = new RegExp(`^[${SPACE}]+$`);
const TRAILING_SPACE = new RegExp(`[${SPACE}]+$`);
const TAG = /\{(?:%|\{|#)/g;
const RAW = new RegExp(`\\{%[-+]?[${SPACE}]*raw[${SPACE}]*(?:-%\\}[${SPACE}]*|%\\})`, "y");
const RAW_END = new RegExp(`\\{%([-+]?)[${SPACE}]*endraw[${SPACE}]*(?:\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?)`, "g");
const COMMENT_END = new RegExp(`(?:\\+#\\}|-#\\}[${SPACE}]*|#\\}\\n?)`, "g");
const BLOCK_END = new RegExp(`(?:\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?)`, "y");
const VARIABLE_END = new RegExp(`(?:-\\}\\}[${SPACE}]*|\\}\\})`, "y");
const BLANK = new RegExp(`[${SPACE}]+`, "y");
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /(?:0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*)/iy;
const NAME = /[\p{L}\p{N}_\p{Mn}\p{Mc}]+/uy;
const STRING = /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/y;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+*/%~<>=()[\]{},.:|]/y;

const OPERATOR_TYPES: Readonly<Record<string, string>> = {
  "+": "AdditiveBinaryOperator",
  "-": "AdditiveBinaryOperator",
  "~": "AdditiveBinaryOperator",
  "*": "MultiplicativeBinaryOperator",
  "/": "MultiplicativeBinaryOperator",
  "//": "MultiplicativeBinaryOperator",
  "%": "MultiplicativeBinaryOperator",
  "**": "ExponentiationBinaryOperator",
  "==": "ComparisonBinaryOperator",
  "!=": "ComparisonBinaryOperator",
  "<": "ComparisonBinaryOperator",
  "<=": "ComparisonBinaryOperator",
  ">": "ComparisonBinaryOperator",
  ">=": "ComparisonBinaryOperator",
  "=": "Equals",
  "(": "OpenParen",
  ")": "CloseParen",
  "[": "OpenSquareBracket",
  "]": "CloseSquareBracket",
  "{": "OpenCurlyBracket",
  "}": "CloseCurlyBracket",
  ",": "Comma",
  ".": "Dot",
  ":": "Colon",
  "|": "Pipe",
};
const CLOSES: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/** Statements that the parser and the interpreter know; those of Jinja2 that they do not are refused by name. */
const STATEMENTS = new Set(
  "set endset if elif else endif for endfor macro endmacro call endcall filter endfilter break continue".split(" "),
);

/** The callee under which a `generation` block reaches the interpreter. */
export const GENERATION = "generation block";

/** The tokens of a template. Throws TemplateError where Jinja2 would not read it, or where a construct is not supported. */
export function tokenize(template: string): Token[] {
  const source = normalizeNewlines(template).replace(/\n$/, "");
  const tokens: Token[] = [];
  const text = (value: string) => {
    if (value !== "") tokens.push({ value, type: "Text" });
  };
  let at = 0;
  let lineStarts = true;
  while (at < source.length) {
    TAG.lastIndex = at;
    const tag = TAG.exec(source);
    if (tag === null) {
      text(source.slice(at));
      break;
    }
    const kind = tag[0];
    let inner = tag.index + 2;
    const sign = source[inner] === "-" || (source[inner] === "+" && kind !== "{{") ? source[inner] : "";
    RAW.lastIndex = tag.index;
    const raw = kind === "{%" ? RAW.exec(source) : null;
    text(stripBefore(source.slice(at, tag.index), sign, kind !== "{{", lineStarts));
    inner += sign.length;
    let end: number;
    if (raw !== null) {
      RAW_END.lastIndex = tag.index + raw[0].length;
      const close = RAW_END.exec(source);
      if (close === null) throw new TemplateError(`line ${lineOf(source, tag.index)}: {% raw %} is never closed`);
      const body = source.slice(tag.index + raw[0].length, close.index);
      text(stripBefore(body, close[1], true, raw[0].endsWith("\n")));
      end = RAW_END.lastIndex;
    } else if (kind === "{#") {
      COMMENT_END.lastIndex = inner;
      if (COMMENT_END.exec(source) === null)
        throw new TemplateError(`line ${lineOf(source, tag.index)}: a comment is never closed`);
      end = COMMENT_END.lastIndex;
    } else {
      const block = readBlock(source, inner, kind);
      tokens.push(...withOpening(block.tokens, kind, lineOf(source, tag.index)));
      end = block.end;
    }
    lineStarts = source[end - 1] === "\n";
    at = end;
  }
  return tokens;
}

const normalizeNewlines = (text: string): string => text.replace(/\r\n?/g, "\n");

const lineOf = (source: string, at: number): number => source.slice(0, at).split("\n").length;

/** The text before a tag: all white space off for "-"; for a tag alone on its line, the blanks before it. */
function stripBefore(text: string, sign: string, isBlock: boolean, lineStarts: boolean): string {
  if (sign === "-") return text.replace(TRAILING_SPACE, "");
  if (sign === "+" || !isBlock) return text;
  const line = text.lastIndexOf("\n") + 1;
  return (line > 0 || lineStarts) && ALL_SPACE.test(text.slice(line)) ? text.slice(0, line) : text;
}

/** The tokens of one tag from `at` on, and where the template goes on after it. */
function readBlock(source: string, at: number, kind: string): { tokens: Token[]; end: number } {
  const tokens: Token[] = [];
  const open: string[] = [];
  const close = kind === "{%" ? BLOCK_END : VARIABLE_END;
  const start = at;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(source)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  while (at < source.length) {
    if (open.length === 0 && match(close) !== undefined) return { tokens, end: at };
    if (match(BLANK) !== undefined) continue;
    const token = readToken(match);
    if (token === undefined)
      throw new TemplateError(`line ${lineOf(source, at)}: unexpected ${JSON.stringify(source[at])} in a tag`);
    if (token.value in CLOSES && token.type.startsWith("Open")) open.push(CLOSES[token.value]);
    else if (token.type.startsWith("Close") && open.pop() !== token.value)
      throw new TemplateError(`line ${lineOf(source, at)}: unexpected "${token.value}"`);
    tokens.push(token);
  }
  throw new TemplateError(`line ${lineOf(source, start)}: a tag that begins with ${kind} is never closed`);
}

function readToken(match: (pattern: RegExp) => string | undefined): Token | undefined {
  const float = match(FLOAT);
  if (float !== undefined) return { value: floatText(Number(float.replaceAll("_", ""))), type: "NumericLiteral" };
  const integer = match(INTEGER);
  if (integer !== undefined) return { value: String(Number(integer.replaceAll("_", ""))), type: "NumericLiteral" };
  const name = match(NAME);
  if (name !== undefined) return { value: name, type: "Identifier" };
  const string = match(STRING);
  if (string !== undefined) return { value: literalText(string.slice(1, -1)), type: "StringLiteral" };
  const operator = match(OPERATOR);
  return operator === undefined ? undefined : { value: operator, type: OPERATOR_TYPES[operator] };
}

/** The parser tells a float by its point. */
function floatText(value: number): string {
  const text = String(value);
  return text.includes(".") ? text : text.includes("e") ? text.replace("e", ".0e") : `${text}.0`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** A string literal's text: Python's escapes, what is none of them as it stands. */
function literalText(text: string): string {
  return text.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g,
    (whole, x, u, long, octal, single) => {
      if (single === undefined) {
        const code = octal === undefined ? Number.parseInt(x ?? u ?? long, 16) : Number.parseInt(octal, 8);
        return String.fromCodePoint(code);
      }
      if ("xuUN".includes(single))
        throw new TemplateError(`the escape "${whole}" in a string literal is not supported`);
      return ESCAPES[single] ?? whole;
    },
  );
}

/** A tag's tokens between its delimiters, with what the parser does not know put in its terms. */
function withOpening(inner: readonly Token[], kind: string, line: number): Token[] {
  const isStatement = kind === "{%";
  const open = { value: kind, type: isStatement ? "OpenStatement" : "OpenExpression" };
  const close = isStatement ? { value: "%}", type: "CloseStatement" } : { value: "}}", type: "CloseExpression" };
  const name = isStatement ? inner[0]?.value : undefined;
  if (name === "generation" && inner.length === 1) {
    const call = [
      { value: "call", type: "Identifier" },
      { value: GENERATION, type: "Identifier" },
      { value: "(", type: "OpenParen" },
      { value: ")", type: "CloseParen" },
    ];
    return [open, ...call, close];
  }
  if (name === "endgeneration") return [open, { value: "endcall", type: "Identifier" }, close];
  if (isStatement) requireStatement(inner, line);
  const tokens = testsAsFilters(markTuples(inner));
  refuseChains(tokens, name, line);
  return [open, ...tokens, close];
}

function requireStatement(inner: readonly Token[], line: number): void {
  const name = inner[0]?.value ?? "";
  const refuse = (what: string) => new TemplateError(`line ${line}: ${what} is not supported`);
  if (!STATEMENTS.has(name)) throw refuse(`the statement {% ${name} %}`);
  if (name === "for" && inner.at(-1)?.value === "recursive") throw refuse("a recursive for loop");
  if (name === "set" && !inner.some((t) => t.type === "Equals") && inner.some((t) => t.type === "Pipe"))
    throw refuse("a filter on a {% set %} block");
}

/** Name under which an empty tuple passes the parser. */
export const EMPTY_TUPLE = "()";
/** Name under which the end of a tuple after a comma passes the parser. */
export const END_OF_TUPLE = ",)";

const KEYWORDS = new Set("and or not in is if else elif for set".split(" "));

/** Puts names in the places of tuples that the parser does not read: `()` and `(a,)`. */
function markTuples(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  const calls: boolean[] = [];
  for (const token of tokens) {
    const previous = out.at(-1);
    const operand =
      previous !== undefined &&
      (previous.type === "Identifier" ? !KEYWORDS.has(previous.value) : /^(Close|StringLit)/.test(previous.type));
    if (token.type === "OpenParen") calls.push(operand);
    else if (token.type === "CloseParen" && calls.pop() === false) {
      if (previous?.type === "OpenParen") {
        out[out.length - 1] = { value: EMPTY_TUPLE, type: "Identifier" };
        continue;
      }
      if (previous?.type === "Comma") out.push({ value: END_OF_TUPLE, type: "Identifier" });
    }
    out.push(token);
  }
  return out;
}

const ARGUMENT = new Set(["Identifier", "StringLiteral", "NumericLiteral", "OpenSquareBracket", "OpenCurlyBracket"]);
const OPENS = new Set(["OpenParen", "OpenSquareBracket", "OpenCurlyBracket"]);

/**
 * Tests as filters named "is …": both bind alike, and the parser gives arguments to filters only. An argument without
 * parentheses gets them.
 */
function testsAsFilters(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const previous = tokens[i - 1];
    const isTest = tokens[i].type === "Identifier" && tokens[i].value === "is" && previous?.type !== "Dot";
    if (!isTest || tokens[i + 1] === undefined) {
      out.push(tokens[i]);
      continue;
    }
    const negated = tokens[i + 1].value === "not" && tokens[i + 1].type === "Identifier";
    i += negated ? 2 : 1;
    if (tokens[i]?.type !== "Identifier") throw new TemplateError(`"is" needs the name of a test`);
    out.push({ value: "|", type: "Pipe" });
    out.push({ value: `${negated ? "is not" : "is"} ${tokens[i].value}`, type: "Identifier" });
    const next = tokens[i + 1];
    if (next?.type === "Identifier" && next.value === "is")
      throw new TemplateError('tests cannot be chained with "is"');
    if (next === undefined || !ARGUMENT.has(next.type)) continue;
    if (next.type === "Identifier" && ["else", "or", "and", "if", "is"].includes(next.value)) continue;
    const end = endOfOperand(tokens, i + 1);
    out.push({ value: "(", type: "OpenParen" }, ...testsAsFilters(tokens.slice(i + 1, end)), {
      value: ")",
      type: "CloseParen",
    });
    i = end - 1;
  }
  return out;
}

/** The end of a primary expression and what follows it directly: members, subscripts, calls. */
function endOfOperand(tokens: readonly Token[], start: number): number {
  let at = OPENS.has(tokens[start].type) ? endOfGroup(tokens, start) : start + 1;
  while (at < tokens.length) {
    if (tokens[at].type === "Dot") at += 2;
    else if (tokens[at].type === "OpenParen" || tokens[at].type === "OpenSquareBracket") at = endOfGroup(tokens, at);
    else break;
  }
  return Math.min(at, tokens.length);
}

function endOfGroup(tokens: readonly Token[], start: number): number {
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    if (OPENS.has(tokens[at].type)) depth++;
    else if (tokens[at].type.startsWith("Close") && --depth === 0) return at + 1;
  }
  return tokens.length;
}

/** Python's `a < b < c` means `a < b and b < c`; the parser would read `(a < b) < c`, so such a template is refused. */
function refuseChains(tokens: readonly Token[], statement: string | undefined, line: number): void {
  const compared = [false];
  let loopHead = statement === "for";
  for (const [i, { type, value }] of tokens.entries()) {
    const top = compared.length - 1;
    const word = type === "Identifier" && tokens[i - 1]?.type !== "Dot" ? value : "";
    if (OPENS.has(type)) compared.push(false);
    else if (type.startsWith("Close")) compared.pop();
    else if (type === "ComparisonBinaryOperator" || word === "in") {
      if (word === "in" && loopHead && top === 0) {
        loopHead = false;
        continue;
      }
      if (compared[top])
        throw new TemplateError(`line ${line}: a chained comparison (a < b < c) is not supported; write it with "and"`);
      compared[top] = true;
    } else if (["and", "or", "if", "else"].includes(word) || ["Comma", "Colon", "Equals"].includes(type))
      compared[top] = false;
    else if (word === "not" && tokens[i + 1]?.value !== "in") compared[top] = false;
  }
}
