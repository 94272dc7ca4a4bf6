/** The syntax tree that @huggingface/jinja's parser gives, as far as the interpreter reads it. */

interface Binary {
  type: "BinaryExpression";
  operator: { value: string };
  left: Node;
  right: Node;
}
/** A name. */
export interface Identifier {
  type: "Identifier";
  value: string;
}
/** An argument of a call, or a parameter with its default, by name. */
export interface KeywordArgument {
  type: "KeywordArgumentExpression";
  key: Identifier;
  value: Node;
}
/** A call with its arguments in order. */
export interface Call {
  type: "CallExpression";
  callee: Node;
  args: Node[];
}
/** A parameter of a macro or call block. */
export type Parameter = Identifier | KeywordArgument;
/** A macro with its body. */
export interface Macro {
  type: "Macro";
  name: Identifier;
  args: Parameter[];
  body: Node[];
}
/** A loop; `defaultBlock` is its `else`. */
export interface For {
  type: "For";
  loopvar: Node;
  iterable: Node;
  body: Node[];
  defaultBlock: Node[];
}
/** A `call` block; `callerArgs` are the parameters of its body. */
export interface CallBlock {
  type: "CallStatement";
  call: Call;
  callerArgs: Parameter[] | null;
  body: Node[];
}
/** An assignment, of a value or of the text of a body. */
export interface SetBlock {
  type: "Set";
  assignee: Node;
  value: Node | null;
  body: Node[];
}
/** A slice; what is left out is undefined. */
export interface Slice {
  type: "SliceExpression";
  start?: Node;
  stop?: Node;
  step?: Node;
}
/** An attribute, or a subscript where `computed`. */
export interface Member {
  type: "MemberExpression";
  object: Node;
  property: Node;
  computed: boolean;
}
/** A value through a filter or, under the name that the lexer gives it, a test. */
export interface Filtered {
  type: "FilterExpression";
  operand: Node;
  filter: Identifier | Call;
}

/** A node of the tree by its type. */
export type Node =
  | { type: "Program"; body: Node[] }
  | { type: "If"; test: Node; body: Node[]; alternate: Node[] }
  | For
  | { type: "Break" }
  | { type: "Continue" }
  | SetBlock
  | Macro
  | { type: "Comment" }
  | Member
  | Call
  | Identifier
  | { type: "IntegerLiteral" | "FloatLiteral"; value: number }
  | { type: "StringLiteral"; value: string }
  | { type: "ArrayLiteral" | "TupleLiteral"; value: Node[] }
  | { type: "ObjectLiteral"; value: Map<Node, Node> }
  | Binary
  | Filtered
  | { type: "FilterStatement"; filter: Identifier | Call; body: Node[] }
  | { type: "SelectExpression"; lhs: Node; test: Node }
  | { type: "UnaryExpression"; operator: { value: string }; argument: Node }
  | Slice
  | KeywordArgument
  | { type: "SpreadExpression" | "KeywordSpreadExpression"; argument: Node }
  | CallBlock
  | { type: "Ternary"; condition: Node; trueExpr: Node; falseExpr: Node };

/** Every node below one, itself included. */
export function* walk(node: Node): Generator<Node> {
  yield node;
  for (const child of Object.values(node)) yield* walkValue(child);
}

function* walkValue(value: unknown): Generator<Node> {
  if (Array.isArray(value)) for (const item of value) yield* walkValue(item);
  else if (value instanceof Map) {
    for (const [key, item] of value) {
      yield* walkValue(key);
      yield* walkValue(item);
    }
  } else if (typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string")
    yield* walk(value as Node);
}
