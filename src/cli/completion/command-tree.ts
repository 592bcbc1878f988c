import type { Command, Option } from 'commander';

/** A command as completion needs it, taken from commander's own tree. */
export type Node = Readonly<{
  /** Names below the program, separated by spaces; empty for the program itself. */
  path: string;
  description: string;
  commands: readonly Readonly<{ name: string; description: string }>[];
  options: readonly OptionFacts[];
  /** Values of the first argument where they are a fixed list. */
  choices: readonly string[];
}>;

export type OptionFacts = Readonly<{
  flags: readonly string[];
  description: string;
  takesValue: boolean;
  choices: readonly string[];
  /** Completed with names of files or folders. */
  completes: 'file' | 'folder' | undefined;
}>;

/** Every command of a program, itself first. Options of the program stand at each, as they work at each. */
export function commandTree(program: Command): Node[] {
  const help = program.createHelp();
  const shared = program.options.filter((option) => option.long !== '--version');
  const visit = (command: Command, path: string): Node[] => {
    const children = help.visibleCommands(command);
    const own = help.visibleOptions(command);
    const options = command === program ? own : [...own, ...shared];
    return [
      {
        path,
        description: command.description(),
        commands: children.map((child) => ({
          name: child.name(),
          description: child.description(),
        })),
        options: options.map(optionFacts),
        choices: command.registeredArguments[0]?.argChoices ?? [],
      },
      ...children
        .filter((child) => child.name() !== 'help')
        .flatMap((child) => visit(child, `${path} ${child.name()}`.trim())),
    ];
  };
  return visit(program, '');
}

function optionFacts(option: Option): OptionFacts {
  const placeholder = /<(\w+)>/.exec(option.flags)?.[1];
  return {
    flags: [option.short, option.long].filter((flag) => flag !== undefined),
    description: option.description,
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
    completes: placeholder === 'file' ? 'file' : placeholder === 'folder' ? 'folder' : undefined,
  };
}
