/** The report: a run's rows gathered as plain JSON, and a page drawn of that. */
export {
  type DrawnSection,
  drawPage,
  drawSections,
  gatherPage,
  type PageData,
  type PageOptions,
  type SectionData,
} from "./page.js";
