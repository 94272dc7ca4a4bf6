/** The sections of the page in their order, beneath the verdict. A new figure is a file here and a line below. */
import { attempts } from "./attempts.js";
import { bill } from "./bill.js";
import { byPrompt } from "./byPrompt.js";
import { dual } from "./dual.js";
import { exact } from "./exact.js";
import { hyperparameters } from "./hyperparameters.js";
import { judges } from "./judges.js";
import { paths } from "./paths.js";
import { predicted } from "./predicted.js";
import { recipe } from "./recipe.js";
import { responses } from "./responses.js";
import { scores } from "./scores.js";
import { strength } from "./strength.js";
import { tradeOff } from "./tradeOff.js";
import { training } from "./training.js";
import { trust } from "./trust.js";

/** Sections of the pages of runs and of comparisons: what came out, how, what it took, and how to do it again. */
export const sections = [
  attempts,
  strength,
  predicted,
  exact,
  tradeOff,
  judges,
  scores,
  byPrompt,
  dual,
  trust,
  training,
  paths,
  bill,
  responses,
  hyperparameters,
  recipe,
] as const;
