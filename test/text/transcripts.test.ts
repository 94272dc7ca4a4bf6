import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { isTranscript, transcriptMessages, transcriptPair } from "../../src/text/transcripts.js";

const shared = fileURLToPath(new URL("../../../shared/data/hh-rlhf/harmless-base-test.jsonl.gz", import.meta.url));

test("a transcript's turns, and a pair's last answers", () => {
  const start = "\n\nHuman: Can I?\n\nAssistant: What?\n\nHuman: Take: it\n\nAssistant:";
  expect(transcriptMessages(start)).toEqual([
    { role: "user", content: "Can I?" },
    { role: "assistant", content: "What?" },
    { role: "user", content: "Take: it" },
    { role: "assistant", content: "" },
  ]);
  expect(transcriptPair(`${start} No.`, `${start} Now.`)).toEqual({
    prompt: transcriptMessages(start).slice(0, -1),
    chosen: "No.",
    rejected: "Now.",
  });
  expect(isTranscript("Human: hello")).toBe(false);
  // They part before the last turn, or end with the other side's.
  expect(transcriptPair(`${start} No.`, "\n\nHuman: Can we?\n\nAssistant: No.")).toBeUndefined();
  expect(transcriptPair(`${start} No.\n\nHuman: a`, `${start} No.\n\nHuman: b`)).toBeUndefined();
});

test.skipIf(!existsSync(shared))(
  "HH-RLHF's own file (../shared): all but a few pairs differ in their last answer alone",
  () => {
    const rows = gunzipSync(readFileSync(shared))
      .toString()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const pairs = rows.map(({ chosen, rejected }) => transcriptPair(chosen, rejected));
    expect(rows).toHaveLength(2312);
    expect(pairs.filter((pair) => pair === undefined).length).toBe(5);
    for (const [i, pair] of pairs.entries())
      if (pair) expect(rows[i].chosen.trimEnd().endsWith(pair.chosen)).toBe(true);
  },
);
