/** The registry of encoders with a classification head. */
import { bert, roberta } from "./bert.js";
import { debertaV2 } from "./debertaV2.js";
import { distilbert } from "./distilbert.js";
import type { EncoderFamily } from "./encoder.js";
import { modernbert } from "./modernbert.js";

/** Families of encoders by the name that config.json's architectures give them before "ForSequenceClassification". */
export const ENCODERS: Readonly<Record<string, EncoderFamily>> = {
  Bert: bert,
  Roberta: roberta,
  XLMRoberta: roberta,
  Camembert: roberta,
  DistilBert: distilbert,
  DebertaV2: debertaV2,
  ModernBert: modernbert,
};
