import { Argument, Command } from 'commander';
import { bashCompletion } from '../completion/bash.ts';
import { commandTree } from '../completion/command-tree.ts';
import { fishCompletion } from '../completion/fish.ts';
import { zshCompletion } from '../completion/zsh.ts';
import type { Context } from '../context.ts';
import { withExamples } from '../examples.ts';

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

export function completionCommand(context: Context, program: Command): Command {
  const command = new Command('completion')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SHELLS)))
    .action(async (shell: keyof typeof SHELLS) => {
      const script = SHELLS[shell](program.name(), commandTree(program));
      await context.terminal.print(script.trimEnd());
    });
  return withExamples(
    command,
    'eval "$(npx millrace completion bash)"',
    'source <(millrace completion zsh)',
    'millrace completion fish | source',
  );
}
