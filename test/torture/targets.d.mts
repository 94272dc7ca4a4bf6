export const targets: Readonly<Record<string, unknown>>;
