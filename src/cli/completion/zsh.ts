import type { Node, OptionFacts } from './command-tree.ts';

/** A completion script for zsh: either sourced, or a file `_millrace` in a folder of $fpath. */
export function zshCompletion(name: string, nodes: readonly Node[]): string {
  return `#compdef ${name}
# ${name} completion for zsh. To use it: source <(${name} completion zsh)
_${name}() {
  local -a command_names
  local state
  case "$1" in
${nodes.map((node) => caseOf(name, node)).join('\n')}
  esac
}
if [ "$funcstack[1]" = "_${name}" ]; then
  _${name} ''
else
  compdef "_${name} ''" ${name}
fi
`;
}

function caseOf(name: string, node: Node): string {
  const { path, commands, options, choices } = node;
  const rest =
    commands.length > 0
      ? ["'1: :->command'", "'*:: :->rest'"]
      : choices.length > 0
        ? [`'1:value:(${choices.join(' ')})'`]
        : ["'*:argument:'"];
  const specs = [...options.map(optionSpec), ...rest].map((spec) => `        ${spec}`);
  return [
    `    ${quote(path)})`,
    `      _arguments -C \\`,
    `${specs.join(' \\\n')}`,
    ...(commands.length === 0 ? [] : dispatch(name, node)),
    '      ;;',
  ].join('\n');
}

/** The names of the commands below, or what the one that was named takes. */
function dispatch(name: string, { path, commands }: Node): string[] {
  return [
    '      case $state in',
    '        command)',
    '          command_names=(',
    ...commands.map((each) => `            ${quote(`${each.name}:${each.description}`)}`),
    '          )',
    "          _describe 'command' command_names ;;",
    `        rest) _${name} ${path === '' ? '"$words[1]"' : `${quote(path)}" $words[1]"`} ;;`,
    '      esac',
  ];
}

function optionSpec({ flags, description, takesValue, choices, completes }: OptionFacts): string {
  const text = `[${description.replaceAll(/[[\]\\:]/g, String.raw`\$&`)}]`;
  const action = completes === 'folder' ? '_files -/' : completes === 'file' ? '_files' : '';
  const value = takesValue
    ? `:value:${choices.length > 0 ? `(${choices.join(' ')})` : action}`
    : '';
  if (flags.length === 1) return quote(`${flags[0] ?? ''}${text}${value}`);
  return `${quote(`(${flags.join(' ')})`)}{${flags.join(',')}}${quote(`${text}${value}`)}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
