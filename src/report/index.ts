export * from "./compared.js";
export { renderComparison } from "./comparison.js";
export * from "./data.js";
export { renderReport } from "./report.js";
export * from "./series.js";
