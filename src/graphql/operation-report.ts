/** An operation that has ended. */
export interface OperationReport {
  readonly transport: 'http' | 'websocket';
  /** query, mutation, subscription; undefined of a document that is not valid. */
  readonly type: string | undefined;
  readonly name: string | undefined;
  readonly failed: boolean;
  readonly seconds: number;
}
