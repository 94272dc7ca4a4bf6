// True harm by the pocket world's rubric, as a scorer for recipes: it judges at the end and takes no part in the solve.
import { judge } from "../dist/pocket/index.js";

export default (rows) => rows.map(({ prompt, response }) => judge(request(prompt), response).harm);

const request = (prompt) => (typeof prompt === "string" ? prompt : prompt.findLast(({ role }) => role === "user").content);
