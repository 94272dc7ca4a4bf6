/** What a server has answered to a command, kept beside the command's output until that is written. */
import { createHash } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { InputError } from "../../errors.js";
import { STANDARD_OUTPUT } from "../../files/rows/write.js";

/** Answers of a command that may be stopped and given again: nothing that was paid for is asked twice. */
export class AnswerJournal<T> {
  private readonly file: string;
  /** Answers of an earlier call of the same command. */
  readonly kept: readonly T[];

  /**
   * Opens `OUTPUT.partial`.
   * @param job all that the answers depend on.
   * @throws InputError where the file belongs to another job.
   */
  constructor(output: string, job: unknown) {
    this.file = output === STANDARD_OUTPUT ? "" : `${output}.partial`;
    const mark = createHash("sha256").update(JSON.stringify(job)).digest("hex");
    if (this.file === "" || !existsSync(this.file)) {
      this.kept = [];
      if (this.file !== "") writeFileSync(this.file, lineOf({ job: mark }));
      return;
    }
    const answers: unknown[] = [];
    let number = 0;
    // A line that a kill cut off is none.
    const whole = eachLine(this.file, (line) => {
      const value = this.parsed(line, ++number);
      if (number > 1) answers.push(value);
      else if ((value as { job?: unknown } | null)?.job !== mark)
        throw new InputError(
          `${this.file} holds the answers to another command, with other rows or options: give those again, give another --output, or remove it`,
        );
    });
    truncateSync(this.file, whole);
    if (number === 0) writeFileSync(this.file, lineOf({ job: mark }));
    this.kept = answers as T[];
  }

  private parsed(line: string, number: number): unknown {
    try {
      const value: unknown = JSON.parse(line.slice(line.indexOf(" ") + 1));
      if (lineOf(value) !== `${line}\n`) throw new Error("another text");
      return value;
    } catch {
      throw new InputError(`${this.file}:${number}: is damaged: take that line out, and it is asked for again`);
    }
  }

  /** Answers as they come, each kept before it is passed on. */
  async *keep(answers: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const answer of answers) {
      if (this.file !== "") appendFileSync(this.file, lineOf(answer));
      yield answer;
    }
  }

  /** Removes the file: the output is written. */
  remove(): void {
    if (this.file !== "") rmSync(this.file, { force: true });
  }
}

/** Lines of a file that end in a line feed, one at a time: a file may be longer than any text. Gives the bytes that they take. */
function eachLine(file: string, take: (line: string) => void): number {
  const descriptor = openSync(file, "r");
  try {
    const buffer = Buffer.alloc(1 << 20);
    let rest: Buffer = Buffer.alloc(0);
    let whole = 0;
    for (let read = readSync(descriptor, buffer); read > 0; read = readSync(descriptor, buffer)) {
      let bytes = Buffer.concat([rest, buffer.subarray(0, read)]);
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
        take(bytes.toString("utf8", 0, end));
        whole += end + 1;
        bytes = bytes.subarray(end + 1);
      }
      rest = bytes;
    }
    return whole;
  } finally {
    closeSync(descriptor);
  }
}

/** Line of a value behind the beginning of its own hash, by which damage is seen. */
function lineOf(value: unknown): string {
  const text = JSON.stringify(value);
  return `${createHash("sha256").update(text).digest("hex").slice(0, 8)} ${text}\n`;
}
