/** Kinds of a recipe's parts: each a record with the keys that it reads. Its opener stands in `providers/kinds.ts`. */
import { z } from "zod";

/** Kind of a part. */
export interface Kind<Name extends string = string, Shape extends z.ZodRawShape = z.ZodRawShape> {
  readonly kind: Name;
  /** Keys that tell the kind where `kind` is left out: the short form. */
  readonly marks: readonly string[];
  /** Keys that it reads, beside those of every kind of its part. */
  readonly shape: Shape;
  /** Keys of them that hold paths, dotted. */
  readonly paths: readonly string[];
  /** Kind that a stage of the run makes of it: such a kind has no opener of its own. */
  readonly becomes?: string;
  /** Keys of those whose files come and go while a run works: they need not be there, and are no part of what it is. */
  readonly exchanged?: readonly string[];
}

/** Part of a recipe that comes in several kinds. */
export interface Part {
  /** Noun of the part, for errors: "scorer". */
  readonly noun: string;
  readonly kinds: readonly Kind[];
}

/** Schema of one kind: its own keys, those that every kind of the part has, and those of the place where it stands. */
export const objectOf = <Name extends string, Shape extends z.ZodRawShape, More extends z.ZodRawShape>(
  { kind, shape }: Kind<Name, Shape>,
  more: More,
) =>
  z.strictObject({ kind: z.literal(kind).describe("told by the other keys where it is left out"), ...more, ...shape });

/**
 * Kind of a raw value by its `kind`, or by its keys: the one kind that reads every mark which is there. Undefined where
 * none does, or several.
 */
export function kindOf({ kinds }: Part, raw: Readonly<Record<string, unknown>>): Kind | undefined {
  if (raw.kind !== undefined) return kinds.find(({ kind }) => kind === raw.kind);
  const there = new Set(kinds.flatMap(({ marks }) => marks).filter((mark) => raw[mark] != null));
  const fitting = kinds.filter(
    ({ marks, shape }) => marks.some((mark) => there.has(mark)) && [...there].every((mark) => mark in shape),
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

/** Sentence on a part without a kind, to follow its key's name. */
export function kindWanted({ noun, kinds }: Part, raw: Readonly<Record<string, unknown>>): string {
  if (raw.kind !== undefined)
    return `is of the kind ${JSON.stringify(raw.kind)}: a ${noun} is of the kind ${kinds.map(({ kind }) => kind).join(", ")}`;
  const marks = [...new Set(kinds.flatMap(({ marks }) => marks))];
  return `needs ${marks.slice(0, -1).join(", ")} or ${marks.at(-1)}, one of them`;
}
