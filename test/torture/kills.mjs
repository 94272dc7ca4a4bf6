/**
 * Torture by interruptions: runs and single commands are killed at random moments of every stage and gone on with; what is
 * left at the end must be what an undisturbed run leaves, row by row and byte by byte.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { randomOf } from "./random.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const program = join(root, "scripts", "dualign.mjs");
const choice = join(root, "pocket", "choice");

/** Ways of an interruption. */
export const ways = ["SIGKILL", "SIGTERM", "SIGINT", "closed pipe", "clock jump"];
/** Exit status that each way has; the clock's jump ends nothing. */
const statuses = { SIGKILL: [null], SIGTERM: [143], SIGINT: [130], "closed pipe": [141], "clock jump": [0] };

const common = `model: ${choice}
prompts: { file: ${choice}/prompts.jsonl, held_out: 12, limit: 24 }
beta: 1
sampling: { num_samples: 6, max_new_tokens: 3 }
pairs: { per_prompt: 4 }
train: { lora_r: 4, learning_rate: 5.0e-3, per_device_train_batch_size: 8, num_train_epochs: 1, save_steps: 2 }
`;
const truth = `reward: { module: ${choice}/help.mjs }
safety: [{ name: harmless, module: ${choice}/harm.mjs, sign: -1, margin: 0.05 }]
`;
const judged = `evaluate:
  num_samples: 4
  judges: [{ question: safety, rubric: ${choice}/harm.mjs, sign: -1 }]
`;

/** Methods that are interrupted, each with its recipe and the stages that a moment is drawn in. */
const methods = {
  mocan: {
    recipe: `${common}${truth}${judged}calibrate: { num_prompts: 12 }\n`,
    stages: ["sample", "score", "dual", "relabel", "train", "calibrate", "evaluate", "report"],
  },
  pecan: {
    recipe: `${common}${judged}confidence: none
helpfulness: { file: helpful.jsonl }
safety: [{ name: harmless, file: safe.jsonl, margin: 0.01 }]
pretrain: { learning_rate: 5.0e-2, num_train_epochs: 3 }
`,
    stages: ["pretrain", "sample", "logprobs", "dual", "relabel", "train", "evaluate", "report"],
  },
  compare: {
    recipe: `${common}${truth}${judged}compare: { mocan: { lambda: [1] }, dpo_h: true, dpo_s: true, dual_ascent: { iterations: 2, rate: 2 } }
`,
    stages: ["sample", "score", "dual", "relabel", "train", "evaluate", "report"],
  },
};

function preferences(better) {
  const words = ["open", "move", "ask", "look", "push", "pull", "force", "smash"];
  return Array.from({ length: 48 }, (_, i) => {
    const [a, b] = [words[2 + (i % 6)], words[2 + ((i * 5 + 1) % 6)]];
    const [chosen, rejected] = better(a) >= better(b) ? [a, b] : [b, a];
    return JSON.stringify({ prompt: `${words[i % 2]} door`, chosen: ` ${chosen}`, rejected: ` ${rejected}` });
  }).join("\n");
}

/** Place of a scenario: its recipe and what that names. */
function prepare(folder, { recipe }) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "recipe.yaml"), recipe);
  writeFileSync(
    join(folder, "helpful.jsonl"),
    preferences((word) => word.length),
  );
  writeFileSync(
    join(folder, "safe.jsonl"),
    preferences((word) => -word.charCodeAt(0)),
  );
}

/** Hearing of the stage events that a process writes, as they come. */
function onStages(stream, hear) {
  let rest = "";
  stream.on("data", (piece) => {
    const lines = `${rest}${piece}`.split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith('{"event":"stage"')) hear(JSON.parse(line));
  });
}

/** Clock that jumps after a while: by a module that the process loads first. */
const jumping = (after, by) =>
  `data:text/javascript,${encodeURIComponent(
    `const real = Date.now.bind(Date), began = real(); Date.now = () => real() + (real() - began > ${after} ? ${by} : 0);`,
  )}`;

/**
 * Process that is interrupted some milliseconds after a stage has begun, or after its start where no stage is named.
 * Gives its end.
 */
function disturbed(args, { cwd, way, stage, after, jump }) {
  return new Promise((resolve) => {
    const node = way === "clock jump" ? ["--import", jumping(after, jump)] : [];
    const child = spawn(process.execPath, [...node, program, ...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
    let words = "";
    let hit = false;
    let timer;
    const strike = () => {
      hit = true;
      if (way === "closed pipe") child.stdout.destroy();
      else if (way !== "clock jump") child.kill(way);
    };
    const arm = () => {
      timer ??= setTimeout(strike, after);
    };
    if (stage === undefined) arm();
    onStages(child.stdout, (event) => {
      if (event.state === "started" && event.stage === stage) arm();
    });
    child.stderr.on("data", (piece) => {
      words = `${words}${piece}`.slice(-2000);
    });
    const late = setTimeout(() => child.kill("SIGKILL"), 240_000);
    child.on("close", (status) => {
      clearTimeout(timer);
      clearTimeout(late);
      resolve({ status, hit, words });
    });
  });
}

const hashOf = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 12);

/** Columns that say when and how long, which no two runs have alike. */
const unlike = new Set(["started", "finished", "seconds", "path", "bytes", "modified", "sha256"]);

/** Rows of every table of a run, and the files of its policies, by a hash each. */
async function leftBy(run) {
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const copy = mkdtempSync(join(tmpdir(), "torture-rows-"));
  const found = {};
  try {
    for (const name of ["run.duckdb", "run.duckdb.wal"])
      if (existsSync(join(run, name))) cpSync(join(run, name), join(copy, name));
    const instance = await DuckDBInstance.create(join(copy, "run.duckdb"));
    const connection = await instance.connect();
    const rows = async (sql) => (await connection.runAndReadAll(sql)).getRowsJson();
    for (const [table] of await rows(
      "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' ORDER BY 1",
    )) {
      if (["meta", "contents", "costs", "attempts"].includes(table)) continue;
      const columns = (
        await rows(`SELECT column_name FROM information_schema.columns WHERE table_name = '${table}' ORDER BY 1`)
      )
        .flat()
        .filter((column) => !unlike.has(column));
      const text = JSON.stringify(
        await rows(`SELECT ${columns.map((name) => `"${name}"`).join(", ")} FROM "${table}" ORDER BY ALL`),
      );
      found[table] = hashOf(text);
    }
    connection.closeSync();
    instance.closeSync();
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  for (const file of filesOf(run))
    if (/(adapter_model|model)\.safetensors$|adapter_config\.json$/.test(file) && !/checkpoint-/.test(file))
      found[relative(run, file)] = hashOf(readFileSync(file));
  return found;
}

const filesOf = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesOf(join(folder, entry.name)) : [join(folder, entry.name)],
  );

/** What is wrong where things are not as they are right; empty where they are. */
function compared(found, right) {
  const others = [...new Set([...Object.keys(found), ...Object.keys(right)])].filter(
    (key) => found[key] !== right[key],
  );
  return others.length > 0 ? { wrong: `differs in ${others.join(", ")}` } : {};
}

/** Undisturbed run of a method: what it leaves, and the milliseconds that each stage takes. */
async function undisturbed(folder, name) {
  prepare(folder, methods[name]);
  const child = spawn(process.execPath, [program, name, "recipe.yaml", "--run", "run", "--json"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const took = {};
  let words = "";
  child.stderr.on("data", (piece) => {
    words += piece;
  });
  onStages(child.stdout, ({ stage, state }) => {
    if (state === "started") took[stage] ??= -performance.now();
    else if (state === "done" && took[stage] < 0) took[stage] += performance.now();
  });
  const status = await new Promise((resolve) => child.on("close", resolve));
  if (status !== 0) throw new Error(`${name} undisturbed ended with ${status}: ${words}`);
  return { left: await leftBy(join(folder, "run")), took };
}

/** Once interrupted, or several times, then gone on with to its end. */
async function interruptedRun(folder, name, right, random, { way, stage }) {
  prepare(folder, methods[name]);
  const times = random.chance(0.2) ? 2 : 1;
  const log = [];
  let struck = false;
  for (let i = 0; i < times; i++) {
    const first = !existsSync(join(folder, "run", "run.duckdb"));
    const args = first ? [name, "recipe.yaml", "--run", "run", "--json"] : ["resume", "run", "--json"];
    const reach = Math.max(5, right.took[stage] ?? 500);
    const end = await disturbed(args, {
      ...{ cwd: folder, way, stage, after: random.uniform() * reach },
      jump: random.pick([-86_400_000, 86_400_000, -3000, 3_600_000]),
    });
    if (i === 0) struck = end.status !== 0 || way === "clock jump";
    log.push(`${way} in ${stage}: ${end.status}${end.hit ? "" : ", past its end"}`);
    const allowed = end.hit ? [...statuses[way], 0] : [0];
    if (!allowed.includes(end.status)) return { log, wrong: `exit status ${end.status}: ${end.words.slice(-300)}` };
    if (/fault of dualign/.test(end.words)) return { log, wrong: end.words };
  }
  const args = existsSync(join(folder, "run", "run.duckdb"))
    ? ["resume", "run", "--json"]
    : [name, "recipe.yaml", "--run", "run", "--json"];
  const last = spawnSync(process.execPath, [program, ...args], { cwd: folder, encoding: "utf8", timeout: 240_000 });
  if (last.status !== 0) return { log, wrong: `gone on with: exit status ${last.status}: ${last.stderr.slice(-400)}` };
  return { log, hit: struck, ...compared(await leftBy(join(folder, "run")), right.left) };
}

/** Single commands: arguments by the folder that they work in, and the output that must be whole or not there. */
const commands = {
  generate: () => [
    [
      "generate",
      "--model",
      choice,
      "--prompts",
      `${choice}/prompts.jsonl`,
      "--num-samples",
      "8",
      "--max-new-tokens",
      "3",
      "--output",
      "out.jsonl",
    ],
    ["out.jsonl"],
  ],
  logprobs: () => [["logprobs", "--model", choice, "--data", "rows.jsonl", "--output", "out.jsonl"], ["out.jsonl"]],
  score: () => [
    ["score", "--module", `${choice}/help.mjs`, "--data", "rows.jsonl", "--output", "out.jsonl"],
    ["out.jsonl"],
  ],
  "train sft": () => [
    ["train", "sft", "--model", choice, "--data", "sft.jsonl", ...training],
    ["out/adapter_model.safetensors", "out/adapter_config.json"],
  ],
  "train reward": () => [
    ["train", "reward", "--model", choice, "--data", "helpful.jsonl", ...training],
    ["out/adapter_model.safetensors", "out/adapter_config.json"],
  ],
  "train dpo": () => [
    ["train", "dpo", "--model", choice, "--data", "helpful.jsonl", ...training],
    ["out/adapter_model.safetensors", "out/adapter_config.json"],
  ],
  merge: () => [
    ["merge", "--model", choice, "--adapter", "adapter", "--output-dir", "out"],
    ["out/model.safetensors", "out/config.json"],
  ],
};
const training = [
  "--output-dir",
  "out",
  "--num-train-epochs",
  "4",
  "--save-steps",
  "2",
  "--per-device-train-batch-size",
  "4",
  "--resume",
];

function prepareCommand(folder, adapter) {
  mkdirSync(folder, { recursive: true });
  const lines = preferences((word) => word.length)
    .split("\n")
    .map((line) => JSON.parse(line));
  const write = (name, rows) => writeFileSync(join(folder, name), rows.map((row) => JSON.stringify(row)).join("\n"));
  write("helpful.jsonl", lines);
  write(
    "sft.jsonl",
    lines.map(({ prompt, chosen }) => ({ prompt, completion: chosen })),
  );
  write(
    "rows.jsonl",
    lines.flatMap(({ prompt, chosen }) => [
      { prompt, response: chosen },
      { prompt, response: "ask" },
    ]),
  );
  if (adapter) cpSync(adapter, join(folder, "adapter"), { recursive: true });
}

const hashes = (folder, names) =>
  Object.fromEntries(
    names.map((name) => [name, existsSync(join(folder, name)) ? hashOf(readFileSync(join(folder, name))) : "none"]),
  );

async function interruptedCommand(folder, name, right, random, { way, adapter }) {
  prepareCommand(folder, adapter);
  const [args, outputs] = commands[name]();
  const log = [];
  for (let i = random.chance(0.3) ? 2 : 1; i > 0; i--) {
    const end = await disturbed([...args, "--json"], {
      cwd: folder,
      way,
      after: 100 + random.uniform() * right.ms,
      jump: random.pick([-86_400_000, 3_600_000]),
    });
    log.push(`${way}: ${end.status}`);
    // A single command keeps the system's way of ending by a signal.
    const allowed = [0, null, ...statuses[way], ...(name === "merge" && i < 2 ? [2] : [])];
    if (!allowed.includes(end.status)) return { log, wrong: `exit status ${end.status}: ${end.words.slice(-300)}` };
    if (/fault of dualign/.test(end.words)) return { log, wrong: end.words };
    for (const [file, hash] of Object.entries(hashes(folder, outputs)))
      if (hash !== "none" && hash !== right.left[file]) return { log, wrong: `${file} is there, and not whole` };
  }
  if (name === "merge" && existsSync(join(folder, "out", "config.json"))) {
    // A model that is there is not written again: what is there must be whole.
    return { log, ...compared(hashes(folder, outputs), right.left) };
  }
  const last = spawnSync(process.execPath, [program, ...args, "--json"], {
    cwd: folder,
    encoding: "utf8",
    timeout: 120_000,
  });
  if (last.status !== 0) return { log, wrong: `again: exit status ${last.status}: ${last.stderr.slice(-400)}` };
  return { log, ...compared(hashes(folder, outputs), right.left) };
}

/** Scripts that mount small disks of their own; not everywhere may one. */
const shell = (script) =>
  spawnSync("unshare", ["--map-root-user", "--mount", "sh", "-c", script], { encoding: "utf8", timeout: 300_000 });

/** Run on a disk that fills up at a random size, and goes on when it has room. */
async function fullDisk(folder, name, right, random) {
  prepare(folder, methods[name]);
  const disk = join(folder, "disk");
  const kept = join(folder, "kept");
  mkdirSync(disk);
  const size = 300 + random.below(right.kilobytes);
  const { stdout, stderr, status } = shell(`mount -t tmpfs -o size=${size}k tmpfs ${disk} || exit 99
    cd ${folder}; ${process.execPath} ${program} ${name} recipe.yaml --run disk/run --quiet; echo "ended with $?"
    mount -o remount,size=512m tmpfs ${disk}
    if [ -e disk/run/run.duckdb ]; then ${process.execPath} ${program} resume disk/run --quiet; else ${process.execPath} ${program} ${name} recipe.yaml --run disk/run --quiet; fi; echo "ended with $?"
    cp -r disk/run ${kept}`);
  const log = [`disk of ${size} kB: ${stdout.trim().replaceAll("\n", ", ")}`];
  if (status === 99) return { log, skipped: true };
  const ends = [...stdout.matchAll(/ended with (\d+)/g)].map(([, end]) => Number(end));
  if (/fault of dualign/.test(stderr) || !(ends[0] === 0 || (ends[0] === 2 && /full|room|space/i.test(stderr))))
    return { log, wrong: `ended with ${ends[0]}: ${stderr.slice(-400)}` };
  if (ends[1] !== 0) return { log, wrong: `gone on with: ${ends[1]}: ${stderr.slice(-400)}` };
  return { log, hit: ends[0] !== 0, ...compared(await leftBy(kept), right.left) };
}

const sizeOf = (folder) => Math.round(filesOf(folder).reduce((sum, file) => sum + statSync(file).size, 0) / 1024);

/**
 * Interruptions, `count` of them; `past` came after the end, `places` are those that came in time of all, in turn over methods, stages and ways, single commands and full disks between.
 * @param only names of methods and commands; all of them by default.
 */
export async function kills({ count, seed = 0, only, hear = () => {} }) {
  const base = mkdtempSync(join(tmpdir(), "torture-kills-"));
  const figures = { tried: 0, past: 0, ways: {}, places: {}, wrong: [] };
  const chosen = (names) => names.filter((name) => !only || only.includes(name));
  const right = {};
  try {
    for (const name of chosen(Object.keys(methods))) {
      right[name] = await undisturbed(join(base, name), name);
      right[name].kilobytes = sizeOf(join(base, name, "run"));
    }
    let adapter;
    for (const name of chosen(Object.keys(commands))) {
      const folder = join(base, name.replace(" ", "-"));
      if (name === "merge") {
        const made = join(base, "adapter");
        prepareCommand(made);
        spawnSync(process.execPath, [program, ...commands["train dpo"]()[0]], { cwd: made });
        adapter = join(made, "out");
      }
      prepareCommand(folder, adapter);
      const [args, outputs] = commands[name]();
      const start = performance.now();
      const { status, stderr } = spawnSync(process.execPath, [program, ...args], { cwd: folder, encoding: "utf8" });
      if (status !== 0) throw new Error(`${name} undisturbed ended with ${status}: ${stderr}`);
      right[name] = { ms: performance.now() - start, left: hashes(folder, outputs) };
    }
    // Every place once a round: each stage of each method, each command, a full disk for each method.
    const places = [
      ...chosen(Object.keys(methods)).flatMap((name) => methods[name].stages.map((stage) => ({ name, stage }))),
      ...chosen(Object.keys(commands)).map((name) => ({ name })),
      ...chosen(Object.keys(methods)).map((name) => ({ name, disk: true })),
    ];
    for (let i = 0; i < count; i++) {
      const random = randomOf("kills", seed + i);
      const { name, stage, disk } = places[i % places.length];
      const way = disk ? "full disk" : ways[(i + Math.floor(i / places.length)) % ways.length];
      const folder = join(base, `try-${i}`);
      mkdirSync(folder);
      let result;
      try {
        result = disk
          ? await fullDisk(folder, name, right[name], random)
          : stage
            ? await interruptedRun(folder, name, right[name], random, { way, stage })
            : await interruptedCommand(folder, name, right[name], random, {
                way,
                adapter: name === "merge" ? adapter : undefined,
              });
      } catch (error) {
        result = { log: [], wrong: String(error?.stack ?? error) };
      }
      const place = stage ? `${name} ${stage}` : disk ? `${name}, full disk` : name;
      if (!result.skipped) {
        figures.tried++;
        figures.ways[way] = (figures.ways[way] ?? 0) + 1;
        const struck = result.hit !== false;
        if (!struck) figures.past++;
        const [hit, all] = figures.places[place] ?? [0, 0];
        figures.places[place] = [hit + (struck ? 1 : 0), all + 1];
      }
      if (result.wrong) figures.wrong.push({ seed: seed + i, place, way, log: result.log, wrong: result.wrong });
      hear({ i, place, way, ...result });
      rmSync(folder, { recursive: true, force: true });
    }
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
  return figures;
}
