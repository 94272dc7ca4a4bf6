/** Typed reads of config.json, each an error with the file and the key where the value is of the wrong kind. */
import { InputError } from "../errors.js";

/** Object as JSON gives it. */
export type RawConfig = Readonly<Record<string, unknown>>;

/** Reader of one config.json; a key that is null counts as absent, as transformers has it. */
export class ConfigReader {
  constructor(
    private readonly raw: RawConfig,
    /** The file, for messages. */
    readonly where: string,
  ) {}

  /** The value of a key, undefined where it is absent or null. */
  get(key: string): unknown {
    return this.raw[key] ?? undefined;
  }

  /** A positive number. Throws InputError where it is something else, or absent without a fallback. */
  number(key: string, fallback?: number): number {
    const value = this.get(key) ?? fallback;
    if (typeof value !== "number" || !(value > 0))
      throw new InputError(`${this.where}: "${key}" must be a positive number, got ${JSON.stringify(value)}`);
    return value;
  }

  /** A positive number, or undefined where it is null: absent is the fallback. Throws InputError on anything else. */
  optional(key: string, fallback?: number): number | undefined {
    return this.raw[key] === null || (this.raw[key] === undefined && fallback === undefined)
      ? undefined
      : this.number(key, fallback);
  }

  /** A truth value; anything but true and false is the fallback. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.get(key);
    return typeof value === "boolean" ? value : fallback;
  }

  /** Refuses a key that has another value than those given; absent is always allowed. Throws InputError. */
  only(key: string, ...allowed: readonly unknown[]): void {
    const value = this.get(key);
    if (value !== undefined && !allowed.includes(value)) this.refuse(key, value);
  }

  /** Throws the InputError of a key whose value this engine cannot run. */
  refuse(key: string, value: unknown): never {
    throw new InputError(`${this.where}: "${key}": ${JSON.stringify(value)} is not supported by this engine`);
  }

  /** Throws an InputError with the file before the message. */
  fail(message: string): never {
    throw new InputError(`${this.where}: ${message}`);
  }
}
