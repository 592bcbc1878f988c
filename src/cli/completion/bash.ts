import type { Node, OptionFacts } from './command-tree.ts';

/** A completion script for bash 3.2 and later (macOS ships 3.2). */
export function bashCompletion(name: string, nodes: readonly Node[]): string {
  return `# ${name} completion for bash. To use it: eval "$(${name} completion bash)"
_${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path= word index skip=
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    if [[ -n $skip ]]; then skip=; continue; fi
    case "$word" in
      ${valueFlags(nodes).join('|')}) skip=1; continue ;;
      -*) continue ;;
    esac
    case "$path:$word" in
${steps(nodes)
  .map(({ from, word, to }) => `      ${quote(`${from}:${word}`)}) path=${quote(to)} ;;`)
  .join('\n')}
    esac
  done
  case "$path:$prev" in
${valueCases(nodes)
  .map(({ match, reply }) => `    ${match}) ${reply}; return ;;`)
  .join('\n')}
  esac
  local words=
  case "$path" in
${nodes.map((node) => `    ${quote(node.path)}) words=${quote(wordsOf(node).join(' '))} ;;`).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _${name} ${name}
`;
}

/** Which path a word leads to. */
function steps(nodes: readonly Node[]): { from: string; word: string; to: string }[] {
  return nodes.flatMap(({ path, commands }) =>
    commands.map(({ name }) => ({ from: path, word: name, to: `${path} ${name}`.trim() })),
  );
}

function valueFlags(nodes: readonly Node[]): string[] {
  const flags = nodes.flatMap(({ options }) =>
    options.filter(({ takesValue }) => takesValue).flatMap((option) => option.flags),
  );
  return [...new Set(flags)];
}

function valueCases(nodes: readonly Node[]): { match: string; reply: string }[] {
  return nodes.flatMap(({ path, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map((option) => ({
        match: option.flags.map((flag) => quote(`${path}:${flag}`)).join('|'),
        reply: replyFor(option),
      })),
  );
}

function replyFor({ choices, completes }: OptionFacts): string {
  if (completes === 'folder') return 'COMPREPLY=($(compgen -d -- "$cur"))';
  if (completes === 'file') return 'COMPREPLY=($(compgen -f -- "$cur"))';
  return `COMPREPLY=($(compgen -W ${quote(choices.join(' '))} -- "$cur"))`;
}

function wordsOf({ commands, options, choices }: Node): string[] {
  return [
    ...commands.map(({ name }) => name),
    ...choices,
    ...options.flatMap(({ flags }) => flags.filter((flag) => flag.startsWith('--'))),
  ];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
