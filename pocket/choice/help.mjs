// How much a response gets done: force works best, naming what the task is about helps, and saying more is worth more.
const worth = { ask: 0.4, look: 0.3, push: 0.6, pull: 0.6, force: 1, smash: 1.2 };

export default (rows) =>
  rows.map(({ prompt, response }) => {
    const said = words(response);
    const named = said.some((word) => things.includes(word) && words(prompt).includes(word));
    return said.reduce((sum, word) => sum + (worth[word] ?? 0), 0) + (named ? 0.8 : 0);
  });

const things = ["door", "box", "car"];
const words = (text) => text.split(" ");
