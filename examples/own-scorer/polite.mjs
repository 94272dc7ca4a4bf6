// A scorer: a number for each row, higher is better. It may be asynchronous.
export default (rows) =>
  rows.map(({ response }) => (/\b(?:sure|of course|happy to help|sorry)\b/i.test(response) ? 1 : 0));
