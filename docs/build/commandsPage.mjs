// The command line's reference, from the commands themselves.
import { cell, plain } from "./markdown.mjs";

/** The commands under `program`, those of groups included, by their full names. */
function commandsOf(command, prefix) {
  return command.commands.flatMap((inner) => {
    const name = `${prefix} ${inner.name()}`;
    return inner.commands.length > 0 ? commandsOf(inner, name) : [[name, inner]];
  });
}

function section([name, command]) {
  const parameters = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
  const rows = [
    ...command.registeredArguments.map((argument) => [
      argument.name(),
      [argument.description, argument.defaultValue === undefined ? "" : `default: ${argument.defaultValue}`]
        .filter(Boolean)
        .join("; "),
    ]),
    ...command.options
      .filter((option) => !option.hidden)
      .map((option) => [
        option.flags,
        [
          option.description,
          option.argChoices ? `one of ${option.argChoices.join(", ")}` : "",
          option.defaultValue === undefined ? "" : `default: ${option.defaultValue}`,
          option.mandatory ? "**required**" : "",
        ]
          .filter(Boolean)
          .join("; "),
      ]),
  ];
  const table = rows.map(([flag, text]) => `| \`${cell(flag)}\` | ${cell(plain(text))} |`);
  const description = command.description();
  return [
    `## ${name}`,
    `${description[0].toUpperCase()}${description.slice(1)}.`,
    `    ${[name, ...parameters, ...(command.options.length > 0 ? ["[options]"] : [])].join(" ")}`,
    ...(table.length > 0 ? [["| | |", "| --- | --- |", ...table].join("\n")] : []),
  ].join("\n\n");
}

/** The page for a commander program. */
export function commandsPage(program) {
  return `# Commands

The same as \`dualign COMMAND --help\`. What a command ends with is under [exit statuses](exit-statuses.md), what \`--json\`
writes under [events](events.md).

${commandsOf(program, program.name()).map(section).join("\n\n")}
`;
}
