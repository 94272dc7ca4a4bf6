// Small pieces of Markdown.

/** A text as a cell of a table. */
export const cell = (text) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

/** A text as code; VitePress would read `{{` as a template. */
export const code = (text) => (text.includes("{{") ? `<code v-pre>${plain(text)}</code>` : `\`${text}\``);

/** A text that holds no markup. */
export const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
