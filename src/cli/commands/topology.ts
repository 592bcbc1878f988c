import { Command, Option } from 'commander';
import {
  printTopologies,
  TOPOLOGY_FORMATS,
  type TopologyFormat,
} from '../../app/operations/topology.ts';
import { type Context, pipelineDirOf } from '../context.ts';
import { withExamples } from '../examples.ts';

type Flags = Readonly<{ format: TopologyFormat }>;

export function topologyCommand(context: Context): Command {
  const command = new Command('topology')
    .description('print what processors do: stages, operators, topics and served keys')
    .argument('[processor]', 'only this one')
    .addOption(
      new Option('--format <format>', 'how it is printed')
        .choices(TOPOLOGY_FORMATS)
        .default('text'),
    )
    .action(async (processor: string | undefined, { format }: Flags) => {
      const { terminal } = context;
      const place = { pipelineDir: pipelineDirOf(context, command), env: context.environment() };
      await terminal.printAll(await printTopologies(place, processor, format));
    });
  return withExamples(
    command,
    'millrace topology',
    'millrace topology stream-processor --format mermaid',
  );
}
