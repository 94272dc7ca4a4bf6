export * from "./newton.js";
export * from "./passes.js";
export * from "./reach.js";
export * from "./scores.js";
export * from "./solve.js";
