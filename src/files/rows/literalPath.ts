/** Name of one file for DuckDB's readers, which would take `[`, `*` and `?` for patterns of several. */
export const literalPath = (file: string): string => file.replace(/[[*?]/g, (mark) => `[${mark}]`);
