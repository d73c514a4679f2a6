/** Its message is for whoever runs the benchmark, and names the remedy where there is one. */
export class BenchError extends Error {
  override readonly name = 'BenchError';
}
