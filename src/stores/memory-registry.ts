import type { Inheritance, Living, Registry } from '../ports.js';

/** A Registry of the one server that there is. */
export class MemoryRegistry implements Registry {
  async renew(): Promise<boolean> {
    return true;
  }

  async claim(): Promise<boolean> {
    return true;
  }

  async release(): Promise<void> {}

  async takeOver(): Promise<Inheritance[]> {
    return [];
  }

  async living(): Promise<Living> {
    return { instances: new Set(), servers: new Set() };
  }

  async close(): Promise<void> {}
}
