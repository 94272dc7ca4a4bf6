/** The report: a run's rows gathered as plain JSON, and a page drawn of that. */
export { drawPage, gatherPage, type PageData, type PageOptions, type SectionData } from "./page.js";
