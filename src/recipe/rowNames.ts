/** Names that a run gives its own rows. */

/** Name of the policy that solves a run's problem. */
export const aligned = "aligned";
