// The exit statuses' reference, from the command line's own table.
import { cell, plain } from "./markdown.mjs";

/** The page for a table of statuses by what happened. */
export function exitPage(statuses) {
  const rows = Object.values(statuses).map(
    ({ status, meaning }) => `| ${status} | ${cell(plain(`${meaning[0].toUpperCase()}${meaning.slice(1)}`))}. |`,
  );
  return `# Exit statuses

| status | meaning |
| --- | --- |
${rows.join("\n")}

Without \`--fail-on\` a verdict of "not held" is a result, and ends with 0. Messages go to standard error, and results to
standard output. \`DUALIGN_DEBUG=1\` shows where an unexpected error happened. Where a margin is out of reach, \`--json\` prints
the largest margins within reach. A run that ends with another status than 0 loses nothing that it has done.
`;
}
