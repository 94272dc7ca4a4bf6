/** Responses from rows, as `generate` writes them or as people have them. */
import { InputError } from "../../errors.js";
import type { GivenResponse } from "../../ports/policy.js";
import { type Row, readText } from "../../text/rows.js";

/**
 * Response of a row {"prompt", "response"}; `response_ids` and `finish_reason` are used where given.
 * @throws InputError that names the row and the column.
 */
export function givenResponse(row: Row, where: string): GivenResponse {
  const { response, response_ids, finish_reason } = row;
  if (response_ids == null && typeof response !== "string")
    throw new InputError(`${where}: "response" must be a string`);
  if (finish_reason != null && finish_reason !== "stop" && finish_reason !== "length")
    throw new InputError(`${where}: "finish_reason" must be "stop" or "length", not ${JSON.stringify(finish_reason)}`);
  return {
    row,
    where,
    prompt: readText(row.prompt, "prompt", where),
    response: typeof response === "string" ? response : "",
    ...(response_ids == null ? {} : { responseIds: response_ids as number[] }),
    ...(finish_reason == null ? {} : { finishReason: finish_reason }),
  };
}
