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

/** End of a command that waits for answers which somebody else computes: what it has is kept, and it goes on later. */
export class AwaitingError extends InputError {
  override name = "AwaitingError";
  constructor(message: string) {
    super(message, 5);
  }
}
