/** What a server has answered to a command, kept beside the command's output until that is written. */
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { InputError } from "../../errors.js";
import { STANDARD_OUTPUT } from "../../files/rows/write.js";

/** Answers of a command that may be stopped and given again: nothing that was paid for is asked twice. */
export class Journal<T> {
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
      if (this.file !== "") writeFileSync(this.file, `${JSON.stringify({ job: mark })}\n`);
      return;
    }
    // A line that a kill cut off is none.
    const lines = readFileSync(this.file, "utf8").split("\n").slice(0, -1);
    const [head, ...answers] = lines.map((line) => JSON.parse(line));
    if (head?.job !== mark)
      throw new InputError(
        `${this.file} holds the answers to another command, with other rows or options: give those again, give another --output, or remove it`,
      );
    this.kept = answers;
    writeFileSync(this.file, lines.map((line) => `${line}\n`).join(""));
  }

  /** Answers as they come, each kept before it is passed on. */
  async *keep(answers: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const answer of answers) {
      if (this.file !== "") appendFileSync(this.file, `${JSON.stringify(answer)}\n`);
      yield answer;
    }
  }

  /** Removes the file: the output is written. */
  remove(): void {
    if (this.file !== "") rmSync(this.file, { force: true });
  }
}
