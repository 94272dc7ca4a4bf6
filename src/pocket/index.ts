export * from "./corpus.js";
export * from "./model.js";
export * from "./rubric.js";
export * from "./tokenizer.js";
export * from "./world.js";
