/**
 * What the torture of inputs tries: each target makes one input from a random generator, in a folder of its own, and puts
 * it to a reader. A reader gives a value or an InputError; where an independent reading knows the answer, the value must
 * be that one ({@link Wrong}).
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { mutateBytes, mutateJson, mutateText, oddValue } from "./random.mjs";

/** Answer that is not what an independent reading of the input gives. */
export class Wrong extends Error {
  name = "Wrong";
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const model = join(root, "pocket", "choice");
const read = (path) => readFileSync(path);
const json = (path) => JSON.parse(readFileSync(path, "utf8"));

function same(found, right, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(right)];
  if (a !== b) throw new Wrong(`${what}: ${String(a).slice(0, 200)} in place of ${String(b).slice(0, 200)}`);
}

async function all(events) {
  const found = [];
  for await (const event of events) found.push(event);
  return found;
}

/** Rows of a few kinds: texts with all that formats trip over. */
function rowsOf(random, columns) {
  const value = () =>
    random.chance(0.5)
      ? random.pick(["open door", "a, b; c", 'he said "no"', "two\nlines", "tab\there", "é 漢字 \u{1f600}", "", "x;y"])
      : Array.from({ length: random.below(12) }, () => random.pick([..."ab ,;\t\"'\n\r\\|é"])).join("");
  return Array.from({ length: 1 + random.below(12) }, () =>
    Object.fromEntries(columns.map((column) => [column, value()])),
  );
}

/** Comma-separated values as RFC 4180 writes them, with the freedoms that it leaves. */
function csvOf(rows, random, mark) {
  const always = random.chance(0.3);
  const end = random.pick(["\n", "\r\n"]);
  const cell = (text) =>
    always || text === "" || /["\r\n]/.test(text) || text.includes(mark) || /^\s|\s$/.test(text)
      ? `"${text.replaceAll('"', '""')}"`
      : text;
  const columns = Object.keys(rows[0]);
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))].map((cells) =>
    cells.map(cell).join(mark),
  );
  return `${random.chance(0.2) ? "\ufeff" : ""}${lines.join(end)}${random.chance(0.7) ? end : ""}`;
}

/** Every row of a text of JSON lines, read line by line; undefined where one is no object. */
function plainLines(bytes) {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes).replace(/^\ufeff/, "");
  const rows = [];
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const value = JSON.parse(line);
    if (typeof value === "string") rows.push({ prompt: value });
    else if (typeof value === "object" && value !== null && !Array.isArray(value)) rows.push(value);
    else return undefined;
  }
  return rows;
}
const attempt = (action) => {
  try {
    return action();
  } catch {
    return undefined;
  }
};

/** Copy of the model with what `change` does to its folder. */
function modelWith(dir, change) {
  const folder = join(dir, "model");
  cpSync(model, folder, { recursive: true });
  change(folder);
  return folder;
}

const responses = ["open door", "move box"].map((prompt) => JSON.stringify({ prompt, response: "ask" })).join("\n");

async function logprobsOf(folder, dir, load, adapter) {
  const { runLogprobs } = await load("cli/jobs/logprobs");
  writeFileSync(join(dir, "rows.jsonl"), responses);
  const output = join(dir, "out.jsonl");
  const job = { model: { model: folder, adapter }, source: { file: join(dir, "rows.jsonl") }, output };
  const events = await all(runLogprobs({ ...job, chat: false, device: "cpu" }));
  const values = read(output)
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).logprob);
  for (const value of values)
    if (!Number.isFinite(value) || value > 0) throw new Wrong(`a log-probability of ${value}`);
  return { values, notices: events.filter(({ event }) => event === "notice").map(({ message }) => message) };
}

/** Log-probabilities of the model as it is, to 4 digits. */
let known;
const right = async (dir, load) => {
  known ??= (await logprobsOf(model, dir, load)).values;
  return known;
};
const close = (a, b) => a.every((value, i) => Math.abs(value - b[i]) < 1e-3);

/** Whether a value asks for anything. */
const asks = (value) => (typeof value === "object" && value !== null ? Object.keys(value).length > 0 : Boolean(value));

/** Keys of config.json that may be changed without a change of what the model computes. */
const idle =
  /^(torch_dtype|dtype|architectures|bos_token_id|pad_token_id|attention_bias|mlp_bias|transformers_version)/;

function safetensors(entries) {
  let at = 0;
  const header = {};
  for (const [name, shape, data] of entries) {
    header[name] = { dtype: "F32", shape, data_offsets: [at, at + data.byteLength] };
    at += data.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const bytes = entries.map(([, , data]) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  return Buffer.concat([length, text, ...bytes]);
}

/** File of safetensors whose header is changed as JSON. */
function mutateHeader(given, random) {
  const start = 8 + Number(given.readBigUInt64LE());
  const text = Buffer.from(JSON.stringify(mutateJson(JSON.parse(given.subarray(8, start).toString()), random)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, given.subarray(start)]);
}

/** Adapter of rank 2 on the model's q_proj. */
function adapterFiles() {
  const names = [0, 1].map((layer) => `base_model.model.model.layers.${layer}.self_attn.q_proj`);
  const numbers = (n, scale) => Float32Array.from({ length: n }, (_, i) => scale * Math.sin(i + 1));
  const weights = safetensors(
    names.flatMap((name) => [
      [`${name}.lora_A.weight`, [2, 32], numbers(64, 0.1)],
      [`${name}.lora_B.weight`, [32, 2], numbers(64, 0.1)],
    ]),
  );
  const config = {
    ...{ peft_type: "LORA", task_type: "CAUSAL_LM", r: 2, lora_alpha: 4, lora_dropout: 0, bias: "none" },
    ...{ target_modules: ["q_proj"], base_model_name_or_path: "choice", use_rslora: false, modules_to_save: null },
  };
  return { weights, config };
}

const parquetSeeds = new Map();
/** Parquet file of rows, made once. */
async function parquetSeed(dir, name, sql) {
  if (!parquetSeeds.has(name)) {
    const { DuckDBInstance } = await import("@duckdb/node-api");
    const instance = await DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    const file = join(dir, `${name}.parquet`);
    await connection.run(`COPY (${sql}) TO '${file}' (FORMAT parquet)`);
    connection.closeSync();
    instance.closeSync();
    parquetSeeds.set(name, read(file));
  }
  return parquetSeeds.get(name);
}

/** Server that answers by `seed`, and from one of the first requests on by what a mutation leaves of that. */
async function serving(seed, random, action) {
  const first = random.below(3);
  let requests = 0;
  const server = http.createServer((request, response) => {
    let text = "";
    request.on("data", (piece) => {
      text += piece;
    });
    request.on("end", () => {
      const right = seed(request.url, text === "" ? {} : JSON.parse(text));
      const reply = requests++ < first ? { status: 200, body: JSON.stringify(right) } : replyOf(right, random);
      if (reply.reset) return response.destroy();
      response.writeHead(reply.status, { "content-type": "application/json", ...reply.headers });
      response.end(reply.body);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await action(`http://127.0.0.1:${server.address().port}/v1`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function replyOf(seed, random) {
  const text = JSON.stringify(random.chance(0.75) ? mutateJson(seed, random) : seed);
  return {
    status: random.chance(0.8) ? 200 : random.pick([204, 301, 400, 401, 404, 413, 422, 429, 500, 503]),
    body: random.chance(0.8) ? text : mutateText(text, random),
    headers: random.chance(0.1) ? { "retry-after": "0" } : {},
    reset: random.chance(0.03),
  };
}

const connection = { concurrency: 2, timeout: 5, retries: 1, backoff: 0.001 };

const recipes = ["pocket", "pocket-pecan", "pocket-compare", "paper"].map((name) =>
  readFileSync(join(root, "recipes", `${name}.yaml`), "utf8"),
);

const templates = [
  "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
  "{%- set ns = namespace(a=0) -%}{%- for m in messages -%}{%- if m['role'] == 'user' -%}{%- set ns.a = ns.a + 1 -%}[{{ ns.a }}] {{ m['content'].strip() }}{%- elif loop.last -%}{{ m.content.split('x')[-1].lstrip('\\n') }}{%- else -%}{{ raise_exception('no ' ~ m.role) }}{%- endif -%}{%- endfor -%}",
  "{% macro say(x, y='z') %}<{{ x }}|{{ y }}>{% endmacro %}{% for m in messages[::-1] %}{{ say(m.content[:3], y=loop.index0) }}{% if not loop.last %},{% endif %}{% endfor %}{{ messages | length }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ {'a': [1, 2.5, none, true]} | tojson }}",
];
const conversation = [
  { role: "user", content: " open door\n" },
  { role: "assistant", content: "ask xylem" },
  { role: "user", content: "move \u{1f600} box" },
];

const layouts = [
  { prompt: "open door", chosen: "ask", rejected: "force" },
  { chosen: "Human: open\n\nAssistant: ask", rejected: "Human: open\n\nAssistant: force" },
  {
    prompt: "a",
    response_0: "ask",
    response_1: "force",
    better_response_id: 1,
    is_response_0_safe: true,
    is_response_1_safe: false,
  },
  {
    prompt: "a",
    chosen: [
      { role: "user", content: "a" },
      { role: "assistant", content: "ask" },
    ],
    rejected: [
      { role: "user", content: "a" },
      { role: "assistant", content: "force" },
    ],
  },
  {
    prompt: [{ role: "user", content: "open" }],
    chosen: [{ role: "assistant", content: "ask" }],
    rejected: [{ role: "assistant", content: [{ type: "text", text: "force" }] }],
  },
];

/** Targets by name: each makes an input and puts it to a reader. */
export const targets = {
  async safetensors(random, dir, load) {
    const { readHeader, readTensor } = await load("files/safetensors");
    const file = join(dir, "model.safetensors");
    const given = random.chance(0.5) ? adapterFiles().weights : read(join(model, "model.safetensors")).subarray();
    const bytes = random.chance(0.5)
      ? mutateBytes(given, random, { first: Number(given.readBigUInt64LE()) + 8 })
      : mutateHeader(given, random);
    writeFileSync(file, bytes);
    const tensors = readHeader(file);
    // Read again by the letter of the format.
    const start = 8 + Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, start).toString());
    for (const [name, tensor] of tensors) {
      const { dtype, shape, data_offsets } = header[name];
      same(tensor.shape, shape, `shape of ${name}`);
      const own = readTensor(tensor);
      if (dtype !== "F32") continue;
      const part = Buffer.from(bytes.subarray(start + data_offsets[0], start + data_offsets[1]));
      const plain = Array.from({ length: part.length / 4 }, (_, i) => part.readFloatLE(4 * i));
      if (own.length !== plain.length || own.some((value, i) => !Object.is(value, plain[i]) && !Number.isNaN(value)))
        throw new Wrong(`values of ${name}`);
    }
  },

  async weights(random, dir, load) {
    const folder = modelWith(dir, (path) =>
      writeFileSync(
        join(path, "model.safetensors"),
        random.chance(0.4)
          ? mutateHeader(read(join(model, "model.safetensors")), random)
          : mutateBytes(read(join(model, "model.safetensors")), random, { most: 2, first: random.pick([2600, 90000]) }),
      ),
    );
    await logprobsOf(folder, dir, load);
  },

  async config(random, dir, load) {
    const before = json(join(model, "config.json"));
    const after = mutateJson(before, random, 2);
    const folder = modelWith(dir, (path) => writeFileSync(join(path, "config.json"), JSON.stringify(after)));
    const { values, notices } = await logprobsOf(folder, dir, load);
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after ?? {})])];
    const changed = keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
    if (changed.every((key) => idle.test(key)) && !close(values, await right(dir, load)))
      throw new Wrong(`${changed} changed ${values}`);
    // A key that is not of this architecture and changes nothing is listed.
    const strange = changed.filter((key) => !(key in before) && asks(after[key]));
    if (strange.length > 0 && !notices.some((text) => strange.some((key) => text.includes(key))))
      throw new Wrong(`no word on ${strange}`);
  },

  async generation(random, dir, load) {
    const { runGenerate } = await load("cli/jobs/generate");
    const { samplingSchema } = await load("recipe/options");
    const after = mutateJson({ ...json(join(model, "generation_config.json")), eos_token_id: [0, 3] }, random);
    const folder = modelWith(dir, (path) => writeFileSync(join(path, "generation_config.json"), JSON.stringify(after)));
    const sampling = samplingSchema.parse({ num_samples: 2, max_new_tokens: 4 });
    const output = join(dir, "samples.jsonl");
    const job = { model: { model: folder }, source: { prompts: ["open door"] }, column: "prompt", output };
    await all(runGenerate({ ...job, chat: false, device: "cpu", sampling, seed: 1 }));
    for (const line of read(output).toString().trim().split("\n")) {
      const { response_ids, logprob, finish_reason } = JSON.parse(line);
      if (response_ids.length > 4 || !Number.isFinite(logprob)) throw new Wrong(line);
      const last = response_ids.at(-1);
      if (finish_reason === "length" && response_ids.length < 4) throw new Wrong(`${line}: cut before its length`);
      if ((last === undefined && finish_reason !== "stop") || response_ids.some((id) => !(id >= 0 && id < 12)))
        throw new Wrong(line);
    }
  },

  async tokenizer(random, dir, load) {
    const { openTokenizer } = await load("files/modelFolder");
    const name = random.pick(["tokenizer.json", "tokenizer_config.json"]);
    const folder = modelWith(dir, (path) =>
      writeFileSync(join(path, name), JSON.stringify(mutateJson(json(join(model, name)), random))),
    );
    const tokenizer = await openTokenizer(folder);
    const ids = tokenizer.encode("open door smash");
    if (!Array.isArray(ids) || ids.some((id) => !Number.isInteger(id) || id < 0)) throw new Wrong(`ids ${ids}`);
    if (typeof tokenizer.decode(ids) !== "string") throw new Wrong("no text");
    if (tokenizer.hasChatTemplate) tokenizer.applyChatTemplate(conversation);
    for (const id of tokenizer.stopIds) if (!(id >= 0 && id < 12)) throw new Wrong(`stop id ${id}`);
  },

  async template(random, _dir, load) {
    const { makeTokenizer } = await load("text/tokenizer");
    const tokenizer = makeTokenizer({
      tokenizerJson: json(join(model, "tokenizer.json")),
      tokenizerConfig: json(join(model, "tokenizer_config.json")),
      chatTemplate: mutateText(random.pick(templates), random),
    });
    const messages = random.chance(0.5) ? conversation : mutateJson(conversation, random);
    if (!Array.isArray(messages) || messages.some((one) => typeof one !== "object" || one === null)) return;
    const text = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: random.chance(0.5) });
    if (typeof text !== "string") throw new Wrong("no text");
  },

  async jsonLines(random, dir, load) {
    const { readAllRows } = await load("files/rows/read");
    const text = rowsOf(random, ["prompt", "b"])
      .map((row) => JSON.stringify(row))
      .join(random.pick(["\n", "\r\n", "\n\n"]));
    const bytes = random.chance(0.3) ? Buffer.from(text) : mutateBytes(Buffer.from(text), random);
    const zipped = random.chance(0.2);
    const file = join(dir, zipped ? "rows.jsonl.gz" : "rows.jsonl");
    writeFileSync(file, zipped ? gzipSync(bytes) : bytes);
    const right = attempt(() => plainLines(bytes));
    const found = (await readAllRows(file)).map(({ row }) => row);
    same(found, right, "rows");
  },

  async json(random, dir, load) {
    const { readAllRows } = await load("files/rows/read");
    const rows = rowsOf(random, ["prompt", "b"]);
    const text = JSON.stringify(rows, null, random.pick([0, 1, 2]));
    const bytes = random.chance(0.3) ? Buffer.from(text) : mutateBytes(Buffer.from(text), random);
    const file = join(dir, "rows.json");
    writeFileSync(file, bytes);
    const right = attempt(() => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
    const found = (await readAllRows(file)).map(({ row }) => row);
    if (Array.isArray(right))
      same(
        found,
        right.map((row) => (typeof row === "string" ? { prompt: row } : row)),
        "rows",
      );
    else if (right !== undefined) same(found, [typeof right === "string" ? { prompt: right } : right], "row");
  },

  async csv(random, dir, load) {
    const { readAllRows } = await load("files/rows/read");
    const mark = random.pick([",", ";", "\t"]);
    const rows = rowsOf(random, mark === "," ? random.pick([["prompt"], ["prompt", "b"]]) : ["prompt", "b"]);
    const text = csvOf(rows, random, mark);
    const changed = random.chance(0.5);
    const file = join(dir, mark === "\t" ? "rows.tsv" : "rows.csv");
    writeFileSync(file, changed ? mutateBytes(Buffer.from(text), random) : text);
    const found = (await readAllRows(file)).map(({ row }) => row);
    if (!changed) same(found, rows, "rows");
    const widths = new Set(found.map((row) => Object.keys(row).length));
    if (widths.size > 1) throw new Wrong("rows of several widths");
  },

  async parquet(random, dir, load) {
    const { readAllRows } = await load("files/rows/read");
    const seed = await parquetSeed(
      dir,
      "rows",
      "SELECT 'p' || i AS prompt, i AS n, [i, i + 1] AS l FROM range(40) t(i)",
    );
    const changed = random.chance(0.9);
    const file = join(dir, "rows.parquet");
    writeFileSync(file, changed ? mutateBytes(seed, random) : seed);
    const found = await readAllRows(file);
    if (!changed) same(found[39].row, { prompt: "p39", n: 39, l: [39, 40] }, "last row");
  },

  async scores(random, dir, load) {
    const { readScores } = await load("files/scores");
    const named = random.chance(0.5);
    const rows = Array.from({ length: 2 * (1 + random.below(4)) }, (_, i) => ({
      prompt_id: named ? i >> 1 : `p${i >> 1}`,
      reward: random.pick([1, -2.5, 3e-7, 12345678901234, 0.1]),
      safety: [random.uniform(), -1e-300],
    }));
    const text = rows
      .map((row) => {
        const line = JSON.stringify(random.chance(0.1) ? mutateJson(row, random) : row);
        return random.chance(0.1) ? mutateText(line, random, 1) : line;
      })
      .join("\n");
    const file = join(dir, "scores.jsonl");
    writeFileSync(file, text);
    const opened = await readScores(file);
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    const plain = lines.map((line) => attempt(() => JSON.parse(line)));
    if (plain.includes(undefined)) throw new Wrong("a line that is no JSON was taken");
    same(
      [...opened.scores.reward],
      plain.map(({ reward }) => reward),
      "rewards",
    );
    same(
      [...opened.scores.safety[0]],
      plain.map(({ safety }) => (Array.isArray(safety) ? safety[0] : safety)),
      "safety",
    );
  },

  async scoreTables(random, dir, load) {
    const { readScores } = await load("files/scores");
    const mark = random.pick([",", ";"]);
    const rows = Array.from({ length: 2 * (1 + random.below(4)) }, (_, i) => [
      `p${i >> 1}`,
      String(i / 4),
      String(1 - i),
    ]);
    const text = [["prompt_id", "reward", "safety"], ...rows].map((row) => row.join(mark)).join("\n");
    const kind = random.below(3);
    const changed = random.chance(0.7);
    const seed =
      kind === 0
        ? await parquetSeed(
            dir,
            "scores",
            "SELECT i // 4 AS prompt_id, i / 7.0 AS reward, -i::DOUBLE AS safety FROM range(40) t(i)",
          )
        : Buffer.from(text);
    const file = join(dir, kind === 0 ? "scores.parquet" : random.pick(["scores.csv", "scores [1]*.csv"]));
    writeFileSync(file, changed ? mutateBytes(seed, random) : seed);
    const { scores } = await readScores(file);
    for (const values of [scores.reward, ...scores.safety])
      if (values.some((value) => !Number.isFinite(value))) throw new Wrong("a score that is not finite");
    if (!changed && kind > 0)
      same(
        [...scores.reward],
        rows.map((row) => Number(row[1])),
        "rewards",
      );
  },

  async preferences(random, dir, load) {
    const { readPreferenceFile } = await load("files/preferenceFile");
    const { tokenizePair, tokenizeRanking, tokenizeCompletion } = await load("text/rows");
    const { openTokenizer } = await load("files/modelFolder");
    const tokenizer = await openTokenizer(model);
    const rows = [random.pick(layouts), random.pick(layouts)].map((row) =>
      random.chance(0.7) ? mutateJson(row, random) : row,
    );
    const file = join(dir, "pairs.jsonl");
    writeFileSync(file, rows.map((row) => JSON.stringify(row)).join("\n"));
    const limit = { maxLength: 16 };
    const [row] = rows;
    const action = random.pick([
      () => readPreferenceFile(file, "better_response_id"),
      () => tokenizePair(tokenizer, row, "row 1", limit),
      () => tokenizeRanking(tokenizer, row, "row 1", limit),
      () => tokenizeCompletion(tokenizer, { ...row, completion: row?.chosen }, "row 1", limit),
    ]);
    if (typeof row === "object" && row !== null) await action();
  },

  async recipe(random, _dir, load) {
    const { parseRecipe } = await load("methods/recipe");
    const { parse, stringify } = await import("yaml");
    const text = random.pick(recipes);
    const changed = random.chance(0.5) ? mutateText(text, random) : stringify(mutateJson(parse(text), random));
    const recipe = parseRecipe(changed, { source: "recipe.yaml" });
    const numbers = [recipe.beta, ...recipe.safety.map(({ margin }) => margin), recipe.train.lora_r];
    if (numbers.some((value) => !Number.isFinite(value)) || !(recipe.beta > 0)) throw new Wrong(`${numbers}`);
  },

  async settings(random, _dir, load) {
    const { parseRecipe } = await load("methods/recipe");
    const keys = [
      "beta",
      "safety.0.margin",
      "train",
      "train.learning_rate",
      "sampling.num_samples",
      "seed",
      "evaluate.judges",
      "prompts",
    ];
    const set = [
      `${random.chance(0.7) ? random.pick(keys) : mutateText(random.pick(keys), random)}=${random.chance(0.5) ? JSON.stringify(oddValue(random)) : mutateText("0.5", random)}`,
    ];
    parseRecipe(recipes[0], { source: "recipe.yaml", set });
  },

  async adapter(random, dir, load) {
    const { weights, config } = adapterFiles();
    const folder = join(dir, "adapter");
    mkdirSync(folder);
    const which = random.below(3);
    writeFileSync(
      join(folder, "adapter_config.json"),
      JSON.stringify(which === 0 ? mutateJson(config, random) : config),
    );
    const first = Number(weights.readBigUInt64LE()) + 8;
    writeFileSync(
      join(folder, "adapter_model.safetensors"),
      which === 1 ? mutateBytes(weights, random, { first }) : which === 2 ? mutateBytes(weights, random) : weights,
    );
    await logprobsOf(model, dir, load, folder);
  },

  async checkpoint(random, dir, load) {
    const { readCheckpoint, writeCheckpoint } = await load("providers/onnx/checkpoint");
    const vector = Float32Array.from({ length: 6 }, (_, i) => i);
    writeCheckpoint(dir, { step: 3, parameters: vector, mean: vector, variance: vector }, "print", () => {});
    const name = random.pick(["state.json", "state.safetensors"]);
    const file = join(dir, "checkpoint-3", name);
    writeFileSync(file, mutateBytes(read(file), random, { most: 2, first: 300 }));
    readCheckpoint(dir, "print");
  },

  async journal(random, dir, load) {
    const { AnswerJournal } = await load("cli/jobs/answerJournal");
    const output = join(dir, "out.jsonl");
    const first = new AnswerJournal(output, { job: 1 });
    const coming = async function* () {
      for (let index = 0; index < 4; index++) yield { index, value: index / 3 };
    };
    await all(first.keep(coming()));
    const file = `${output}.partial`;
    writeFileSync(file, mutateBytes(read(file), random, { most: 1 }));
    const { kept } = new AnswerJournal(output, { job: 1 });
    // A line too many is taken for an answer where it is whole; what is asked again is no loss.
    if (kept.length > 5) throw new Wrong(`kept ${JSON.stringify(kept)}`);
  },

  async card(random, dir, load) {
    const { datasetFiles } = await load("files/hubDataset");
    const before = { offline: process.env.HF_HUB_OFFLINE, cache: process.env.HF_HUB_CACHE };
    Object.assign(process.env, { HF_HUB_OFFLINE: "1", HF_HUB_CACHE: dir });
    const repo = join(dir, "datasets--o--d");
    const snapshot = join(repo, "snapshots", "abc");
    mkdirSync(join(repo, "refs"), { recursive: true });
    mkdirSync(join(snapshot, "data"), { recursive: true });
    writeFileSync(join(repo, "refs", "main"), "abc");
    const names = [
      "data/train-00000-of-00002.parquet",
      "data/train-00001-of-00002.parquet",
      "data/test.jsonl",
      "train_prefs.csv",
      "x.json",
    ];
    for (const name of names) if (random.chance(0.8)) writeFileSync(join(snapshot, name), "");
    const { stringify } = await import("yaml");
    const head = {
      configs: [
        {
          config_name: "default",
          data_files: [
            { split: "train", path: "data/train-*" },
            { split: "test", path: ["data/test.jsonl"] },
          ],
        },
      ],
    };
    writeFileSync(
      join(snapshot, "README.md"),
      `---\n${random.chance(0.7) ? stringify(mutateJson(head, random)) : mutateText(stringify(head), random)}\n---\nwords\n`,
    );
    try {
      const files = await datasetFiles({ name: "o/d", split: random.pick(["train", "test", "train_prefs"]) });
      if (files.length === 0) throw new Wrong("no files");
    } finally {
      for (const [key, value] of [
        ["HF_HUB_OFFLINE", before.offline],
        ["HF_HUB_CACHE", before.cache],
      ])
        if (value === undefined) delete process.env[key];
        else process.env[key] = value;
    }
  },

  async judgeReply(random, _dir, load) {
    const { openEndpointJudge } = await load("providers/endpoint/judge");
    const said = random.pick([
      "Verdict: A",
      "Verdict: B",
      "Verdict: tie",
      "<think>Verdict: A</think>\nVerdict: B",
      "[[A]]",
    ]);
    const seed = () => ({
      choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: said } }],
    });
    await serving(seed, random, async (endpoint) => {
      const judge = openEndpointJudge({
        ...connection,
        name: "jury",
        question: "safety",
        endpoint,
        model: "m",
        key: "sk-secret",
        parameters: {},
      });
      try {
        const [verdict] = await all(judge.judge([{ prompt: "p", first: "a", second: "b" }]));
        if (!["first", "second", "tie", "unreadable"].includes(verdict?.preference))
          throw new Wrong(JSON.stringify(verdict));
      } finally {
        await judge.close();
      }
    });
  },

  async scorerReply(random, _dir, load) {
    const { openEndpointScorer } = await load("providers/endpoint/scorer");
    const api = random.pick(["predict", "moderations"]);
    const seed = (_, { inputs, input }) =>
      api === "predict"
        ? [inputs].flat().map((_, i) => [{ label: "unsafe", score: 0.25 * i }])
        : {
            results: [input].flat().map((_, i) => ({
              flagged: false,
              categories: { hate: false },
              category_scores: { hate: 0.25 * i, violence: 0 },
            })),
          };
    await serving(seed, random, async (endpoint) => {
      const scorer = await openEndpointScorer({
        ...connection,
        ...{
          kind: "endpoint",
          name: "guard",
          sign: 1,
          scale: 1,
          endpoint,
          api,
          label: api === "predict" ? "unsafe" : "hate",
        },
        ...{ model: "m", max_length: 64, batch_size: 2 },
      });
      try {
        const rows = ["a", "b"].map((response) => ({ prompt: "p", response, responseIds: [], finishReason: "stop" }));
        for (const { value } of await all(scorer.score(rows)))
          if (!Number.isFinite(value)) throw new Wrong(`a score of ${value}`);
      } finally {
        await scorer.close();
      }
    });
  },

  async samplerReply(random, _dir, load) {
    const { openEndpointPolicy } = await load("providers/endpoint/policy");
    const { openTokenizer } = await load("files/modelFolder");
    const tokenizer = await openTokenizer(model);
    const choice = (index, max) => {
      const ids = Array.from({ length: max }, (_, i) => (i === max - 1 ? 0 : 6));
      return {
        ...{
          index,
          text: "ask",
          token_ids: ids,
          finish_reason: "stop",
          prompt_logprobs: [null, { 3: { logprob: -1 } }],
        },
        logprobs: { token_logprobs: ids.map(() => -1), top_logprobs: ids.map((id) => ({ [`token_id:${id}`]: -1 })) },
      };
    };
    const models = { object: "list", data: [{ id: "base", owned_by: "vllm", max_model_len: 64 }] };
    const seed = (url, { n = 1, max_tokens = 2 }) =>
      /models/.test(url) ? models : { choices: Array.from({ length: n }, (_, i) => choice(i, max_tokens)) };
    await serving(seed, random, async (endpoint) => {
      const policy = await openEndpointPolicy(
        { ...connection, name: "sampler", endpoint, tokenizer },
        {},
        { sample: true, logprobs: false },
      );
      try {
        const jobs = [{ prompt: "open door", promptIndex: 0, sampleIndexes: [0] }];
        const sampling = {
          num_samples: 1,
          max_new_tokens: 2,
          temperature: 1,
          top_k: 0,
          top_p: 1,
          repetition_penalty: 1,
          batch_size: 2,
          seed: 0,
        };
        for (const { logprob, responseIds } of await all(policy.sample(jobs, sampling)))
          if (!Number.isFinite(logprob) || responseIds.some((id) => !(id >= 0 && id < 12)))
            throw new Wrong(`${logprob} ${responseIds}`);
      } finally {
        await policy.close();
      }
    });
  },
};
