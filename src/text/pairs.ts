/** One or two texts as an encoder reads them: cut where they are too long, and put between special tokens. */

type Json = Readonly<Record<string, unknown>>;

/** Piece of what an encoder reads: a special token, or the first or second text; tokens of either have its type. */
type Piece = { readonly type: number } & ({ readonly ids: readonly number[] } | { readonly text: 0 | 1 });

/** Layout of one text, and of two, by a tokenizer's post-processor. */
export interface PairLayout {
  readonly single: readonly Piece[];
  readonly pair: readonly Piece[];
}

/** Token ids and their types, and whether the texts lost tokens. */
export interface EncodedPair {
  readonly ids: number[];
  readonly types: number[];
  readonly cut: boolean;
}

/** Layout by the "post_processor" of tokenizer.json; `idOf` finds a special token's id. */
export function pairLayout(processor: unknown, idOf: (token: string) => number | undefined): PairLayout {
  const step = (processor ?? {}) as Json;
  const special = (token: unknown, type: number): Piece => {
    const [content, id] = token as [string, number];
    return { type, ids: [idOf(content) ?? id] };
  };
  const plain: PairLayout = {
    single: [{ type: 0, text: 0 }],
    pair: [
      { type: 0, text: 0 },
      { type: 1, text: 1 },
    ],
  };
  switch (step.type) {
    case "Sequence": {
      const layouts = (step.processors as unknown[]).filter((one) => (one as Json).type !== "ByteLevel");
      return pairLayout(layouts.at(-1), idOf);
    }
    case "TemplateProcessing":
      return { single: template(step, "single", idOf), pair: template(step, "pair", idOf) };
    case "BertProcessing":
    case "RobertaProcessing": {
      // RoBERTa has two separators between its texts, and one type for all tokens.
      const robust = step.type === "RobertaProcessing";
      const end = (type: number) => special(step.sep, type);
      const single: Piece[] = [special(step.cls, 0), { type: 0, text: 0 }, end(0)];
      const second = robust ? 0 : 1;
      return { single, pair: [...single, ...(robust ? [end(0)] : []), { type: second, text: 1 }, end(second)] };
    }
    default:
      return plain;
  }
}

function template(step: Json, kind: "single" | "pair", idOf: (token: string) => number | undefined): Piece[] {
  const known = (step.special_tokens ?? {}) as Readonly<Record<string, { ids?: number[] }>>;
  return (step[kind] as Json[]).map((item) => {
    const { id, type_id: type } = (item.SpecialToken ?? item.Sequence) as { id: string; type_id: number };
    if ("Sequence" in item) return { type, text: id === "B" ? 1 : 0 };
    const found = idOf(id);
    return { type, ids: known[id]?.ids ?? (found === undefined ? [] : [found]) };
  });
}

/**
 * Lengths of two texts that may have `room` tokens together, as Hugging Face's "longest_first": the longer loses first, and
 * both get half where each is longer than that.
 */
function longestFirst(first: number, second: number, room: number): [number, number] {
  if (first + second <= room) return [first, second];
  const short = Math.min(first, second);
  const half = Math.floor(room / 2);
  // Half each; the odd token goes to the longer one.
  const kept = Math.min(short, half);
  return first <= second ? [kept, room - kept] : [room - kept, kept];
}

/** One text or two in their layout, at most `maxLength` tokens with the special ones; `side` is where texts are cut. */
export function layOut(
  layout: PairLayout,
  texts: readonly (readonly number[])[],
  { maxLength = Number.POSITIVE_INFINITY, side = "right" }: { maxLength?: number; side?: "left" | "right" } = {},
): EncodedPair {
  const pieces = texts.length > 1 ? layout.pair : layout.single;
  const specials = pieces.reduce((n, piece) => n + ("ids" in piece ? piece.ids.length : 0), 0);
  const room = Math.max(0, maxLength - specials);
  const [first, second = []] = texts;
  const lengths = texts.length > 1 ? longestFirst(first!.length, second.length, room) : [Math.min(first!.length, room)];
  const kept = texts.map((ids, i) =>
    side === "left" ? ids.slice(ids.length - lengths[i]!) : ids.slice(0, lengths[i]),
  );
  const ids: number[] = [];
  const types: number[] = [];
  for (const piece of pieces) {
    const tokens = "ids" in piece ? piece.ids : (kept[piece.text] ?? []);
    ids.push(...tokens);
    for (let i = 0; i < tokens.length; i++) types.push(piece.type);
  }
  return { ids, types, cut: texts.some((text, i) => text.length > lengths[i]!) };
}
