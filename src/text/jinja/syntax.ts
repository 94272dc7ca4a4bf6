/** The syntax tree that @huggingface/jinja's parser gives, as far as the interpreter reads it. */

interface Binary {
  type: "BinaryExpression";
  operator: { value: string };
  left: Node;
  right: Node;
}
export interface Identifier {
  type: "Identifier";
  value: string;
}
export interface KeywordArgument {
  type: "KeywordArgumentExpression";
  key: Identifier;
  value: Node;
}
export interface Call {
  type: "CallExpression";
  callee: Node;
  args: Node[];
}
export type Parameter = Identifier | KeywordArgument;
export interface Macro {
  type: "Macro";
  name: Identifier;
  args: Parameter[];
  body: Node[];
}
export interface For {
  type: "For";
  loopvar: Node;
  iterable: Node;
  body: Node[];
  defaultBlock: Node[];
}
export interface CallBlock {
  type: "CallStatement";
  call: Call;
  callerArgs: Parameter[] | null;
  body: Node[];
}
export interface SetBlock {
  type: "Set";
  assignee: Node;
  value: Node | null;
  body: Node[];
}
export interface Slice {
  type: "SliceExpression";
  start?: Node;
  stop?: Node;
  step?: Node;
}
export interface Member {
  type: "MemberExpression";
  object: Node;
  property: Node;
  computed: boolean;
}
export interface Filtered {
  type: "FilterExpression";
  operand: Node;
  filter: Identifier | Call;
}

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
