/** Sampling by a batch that somebody else runs: requests go out as a file, answers come in as one. */
import { name } from "./common.js";

/** Fields of a sampler by a batch. */
export const bulkFields = {
  export: name.describe("file that gets the requests, .parquet or .jsonl: prompts as token ids, one row a sample"),
  import: name.describe("file or folder of files with the answers; it need not be there yet"),
  tokenizer: name
    .optional()
    .describe("folder or hub id of the tokenizer, by which ids go out and come in; that of the model by default"),
};
