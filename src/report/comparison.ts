import { recipeSection } from "./appendix.js";
import type { ComparisonData } from "./compared.js";
import {
  agreementSection,
  billSection,
  comparisonQuestion,
  comparisonVerdict,
  distributionsSection,
  dualDataSection,
  dualsSection,
  exactSection,
  hyperparametersSection,
  pathsSection,
  sideBySideSection,
  tradeOffSection,
} from "./comparisonSections.js";
import { page, type Section } from "./page.js";
import { footer } from "./report.js";

/** The report of a comparison as one HTML page, like {@link renderReport}'s of a run. */
export function renderComparison(data: ComparisonData): string {
  const parts = [
    agreementSection,
    exactSection,
    tradeOffSection,
    distributionsSection,
    billSection,
    pathsSection,
    dualsSection,
    dualDataSection,
    sideBySideSection,
    hyperparametersSection,
    recipeSection,
  ];
  return page({
    title: `${data.title}: comparison`,
    header: comparisonQuestion(data),
    verdict: comparisonVerdict(data),
    sections: parts.map((part) => part(data)).filter((section): section is Section => section !== null),
    footer: footer(data),
  });
}
