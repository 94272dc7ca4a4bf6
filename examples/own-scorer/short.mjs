// Another one: short answers are better, in words.
export default (rows) => rows.map(({ response }) => -response.split(/\s+/).length / 10);
