import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { Argument, Command } from 'commander';
import { bashCompletion } from './bash.ts';
import { commandTree } from './command-tree.ts';

const program = new Command('tool').option('--data-dir <folder>', 'a folder');
program.addCommand(
  new Command('store')
    .addCommand(new Command('get').option('--json', 'as JSON'))
    .helpCommand(false),
);
program.addCommand(new Command('status'));
program.addCommand(
  new Command('completion').addArgument(new Argument('<shell>').choices(['bash', 'fish'])),
);
program.helpCommand(false);

/** What bash would offer after these words, the last of which is being typed. */
function offered(...words: string[]): string[] {
  const script = `${bashCompletion('tool', commandTree(program))}
COMP_WORDS=(tool "$@"); COMP_CWORD=$#; COMPREPLY=(); _tool; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', ...words], {
    encoding: 'utf8',
    cwd: import.meta.dirname,
  });
  assert.equal(stderr, '');
  return stdout.split('\n').filter((line) => line !== '');
}

test('bash is offered the commands that begin as typed', () => {
  assert.deepEqual(offered('st'), ['store', 'status']);
});

test('bash is offered the commands and options below a command', () => {
  assert.deepEqual(offered('store', ''), ['get', '--help', '--data-dir']);
  assert.deepEqual(offered('store', 'get', '--j'), ['--json']);
});

test('the value of an option is no command', () => {
  assert.deepEqual(offered('--data-dir', 'status', 'store', 'g'), ['get']);
});

test('bash is offered the values that an argument may have', () => {
  assert.deepEqual(offered('completion', 'b'), ['bash']);
});

test('bash is offered folders where an option takes one', () => {
  assert.deepEqual(offered('--data-dir', '../comp'), ['../completion']);
});
