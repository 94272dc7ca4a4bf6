/** `dualign completion`: scripts by which bash, zsh and fish complete commands and flags. */
import { type Command, Option } from "commander";
import { InputError } from "../errors.js";

const shells = ["bash", "zsh", "fish"] as const;

/** Command `dualign completion`. */
export function addCompletionCommand(program: Command): void {
  program
    .command("completion")
    .description("print a completion script for a shell")
    .argument("<shell>", shells.join(", "))
    .addHelpText(
      "after",
      `
Examples:
  dualign completion bash >> ~/.bashrc
  dualign completion zsh > "\${fpath[1]}/_dualign"
  dualign completion fish > ~/.config/fish/completions/dualign.fish`,
    )
    .action((shell: string) => {
      if (!(shells as readonly string[]).includes(shell))
        throw new InputError(`there is no completion for '${shell}': it is one of ${shells.join(", ")}`);
      process.stdout.write(scripts[shell as (typeof shells)[number]](commandsOf(program)));
    });
}

/** Command by its words after `dualign`, with the flags that it takes. */
interface Entry {
  readonly path: readonly string[];
  readonly description: string;
  readonly flags: readonly { readonly long: string; readonly description: string }[];
  readonly children: readonly string[];
}

function commandsOf(command: Command, path: readonly string[] = []): Entry[] {
  const flags = command.options
    .filter((option) => option instanceof Option && option.long && !option.hidden)
    .map(({ long, description }) => ({ long: long!, description }));
  const own: Entry = {
    path,
    description: command.description(),
    flags: [...flags, { long: "--help", description: "show the help" }],
    children: command.commands.map((child) => child.name()),
  };
  return [own, ...command.commands.flatMap((child) => commandsOf(child, [...path, child.name()]))];
}

const words = ({ flags, children }: Entry) => [...children, ...flags.map(({ long }) => long)].join(" ");
/** Text within single quotes of a shell. */
const quoted = (text: string) => text.replaceAll("\n", " ").replaceAll("'", "'\\''");

const scripts = {
  bash: (entries: readonly Entry[]) => `_dualign() {
  local current=\${COMP_WORDS[COMP_CWORD]} path="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
${entries
  .filter(({ path }) => path.length > 0)
  .map(({ path }) => `      "${[path.slice(0, -1).join("/"), path.at(-1)].join(" ")}") path="${path.join("/")}" ;;`)
  .join("\n")}
    esac
  done
  case "$path" in
${entries.map((entry) => `    "${entry.path.join("/")}") COMPREPLY=($(compgen -W "${words(entry)}" -- "$current")) ;;`).join("\n")}
  esac
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _dualign dualign
`,
  zsh: (entries: readonly Entry[]) => `#compdef dualign
_dualign() {
  local path="" word
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$path $word" in
${entries
  .filter(({ path }) => path.length > 0)
  .map(({ path }) => `      "${[path.slice(0, -1).join("/"), path.at(-1)].join(" ")}") path="${path.join("/")}" ;;`)
  .join("\n")}
    esac
  done
  case "$path" in
${entries.map((entry) => `    "${entry.path.join("/")}") compadd -- ${words(entry)} ;;`).join("\n")}
  esac
  _files
}
compdef _dualign dualign
`,
  fish: (entries: readonly Entry[]) =>
    entries
      .flatMap(({ path, description, flags }) => {
        const parent = path.slice(0, -1);
        const seen = (of: readonly string[]) =>
          of.length === 0 ? "__fish_use_subcommand" : `__fish_seen_subcommand_from ${of.at(-1)}`;
        const own =
          path.length === 0
            ? []
            : [`complete -c dualign -n '${seen(parent)}' -a ${path.at(-1)} -d '${quoted(description)}'`];
        return [
          ...own,
          ...flags.map(
            ({ long, description }) =>
              `complete -c dualign -n '${seen(path)}' -l ${long.slice(2)} -d '${quoted(description)}'`,
          ),
        ];
      })
      .join("\n")
      .concat("\n"),
};
