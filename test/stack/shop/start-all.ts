/** All at once; what has started goes with the stack, also when another did not. */
export async function startAll<const Starting extends readonly Promise<AsyncDisposable>[]>(
  stack: AsyncDisposableStack,
  starting: Starting,
): Promise<{ [at in keyof Starting]: Awaited<Starting[at]> }> {
  for (const result of await Promise.allSettled(starting))
    if (result.status === 'fulfilled') stack.use(result.value);
  return Promise.all(starting) as never;
}
