/**
 * A mistake in what the user gave: a file, an option, a value. Its message is one line that says what is wrong,
 * where, and what to do. The command line prints it as it is and exits with `exitCode`.
 */
export class InputError extends Error {
  override name = "InputError";
  constructor(
    message: string,
    readonly exitCode = 2,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
