export * from "./data.js";
export { renderReport } from "./report.js";
export * from "./series.js";
