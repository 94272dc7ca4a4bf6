/** Files of a batch: requests out, answers in, and a list of all that was ever asked for. */
import { appendFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { AwaitingError, InputError } from "../../errors.js";
import { readRows } from "../../files/rows/read.js";
import { writeRows } from "../../files/rows/write.js";
import type { Notice } from "../../ports/events.js";
import type { Row } from "../../text/rows.js";
import { writeParquet } from "../trl/parquet.js";
import { type BulkRequest, requestColumns } from "./requests.js";

/** Places of a batch's files. */
export interface BulkFiles {
  readonly export: string;
  /** A file, or a folder of files. */
  readonly import: string;
}

/** Answer to a request, where it stands. */
export interface PlacedAnswer {
  readonly id: string;
  readonly row: Row;
  readonly where: string;
}

/** Exchange of one process with a batch: what it asks for adds up, so that one batch answers all of it. */
export class BulkExchange {
  private readonly asking = new Map<string, BulkRequest>();
  private readonly asked: Set<string>;
  private readonly ledger: string;

  constructor(
    private readonly files: BulkFiles,
    private readonly notice: Notice,
  ) {
    this.ledger = `${files.export}.asked`;
    this.asked = new Set(existsSync(this.ledger) ? readFileSync(this.ledger, "utf8").split("\n").filter(Boolean) : []);
  }

  /**
   * Answers to those of the requests, named by their ids, that have some, each once. Rows that answer nothing that was
   * ever asked for, and repeated ones, are counted and said.
   * @throws InputError where one request has two different answers, or no row answers anything that was asked for.
   */
  async *answers(requests: ReadonlySet<string>): AsyncGenerator<PlacedAnswer> {
    const seen = new Map<string, string>();
    let [rows, foreign, repeated] = [0, 0, 0];
    for (const file of this.importFiles())
      for await (const { row, where } of readRows(file)) {
        rows++;
        const id = row.request_id;
        if (typeof id !== "string") throw new InputError(`${where}: has no "request_id"`);
        if (!requests.has(id)) {
          if (!this.asked.has(id)) foreign++;
          continue;
        }
        const content = contentOf(row);
        const before = seen.get(id);
        if (before !== undefined) {
          if (before !== content)
            throw new InputError(`${where}: another answer to the request ${id} came before: remove one of them`);
          repeated++;
          continue;
        }
        seen.set(id, content);
        yield { id, row, where };
      }
    if (rows > 0 && foreign === rows)
      throw new InputError(
        `${this.files.import}: none of its ${rows} rows answers a request of ${this.files.export}: they are of another run, or of other options`,
      );
    if (foreign > 0) this.notice(`${this.files.import}: ${foreign} of ${rows} rows answer no request of this run`);
    if (repeated > 0) this.notice(`${this.files.import}: ${repeated} of ${rows} rows are there twice, and count once`);
  }

  /**
   * Adds requests to those of the export, and ends what needs their answers.
   * @throws AwaitingError always.
   */
  async ask(requests: Iterable<BulkRequest>): Promise<never> {
    for (const request of requests) this.asking.set(request.request_id, request);
    const { export: file } = this.files;
    const draft = file.replace(/(\.parquet|\.jsonl(\.gz)?)$/i, `.${process.pid}.tmp$1`);
    try {
      if (/\.parquet$/i.test(file)) await writeParquet(draft, this.asking.values(), requestColumns);
      else await writeRows(draft, asRows(this.asking.values()));
      // The list first: an export whose requests are not in it would have foreign answers.
      const unlisted = [...this.asking.keys()].filter((id) => !this.asked.has(id));
      if (unlisted.length > 0) appendFileSync(this.ledger, unlisted.map((id) => `${id}\n`).join(""));
      for (const id of unlisted) this.asked.add(id);
      renameSync(draft, file);
    } finally {
      rmSync(draft, { force: true });
    }
    throw new AwaitingError(
      `${file} holds ${this.asking.size} requests: have them answered into ${this.files.import}, then go on (dualign resume RUN)`,
    );
  }

  /** Files of the import, in the order of their names; none where there is nothing yet. */
  private importFiles(): string[] {
    const { import: place } = this.files;
    if (!existsSync(place)) return [];
    if (!statSync(place).isDirectory()) return [place];
    const names = readdirSync(place).filter((name) => /\.(parquet|jsonl|json|csv)(\.gz)?$/i.test(name));
    return names.toSorted().map((name) => join(place, name));
  }
}

function* asRows(requests: Iterable<BulkRequest>): Generator<Row> {
  for (const request of requests) yield { ...request };
}

/** Part of an answer that counts, as JSON. */
const contentOf = ({ token_ids, logprob, logprobs, finish_reason }: Row) =>
  JSON.stringify([token_ids, logprob, logprobs, finish_reason]);
