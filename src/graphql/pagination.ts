import type { ClassType } from 'type-graphql';
import { Field, Int, ObjectType } from 'type-graphql';
import { cursorOf, type Page } from '../domain/pagination.js';

@ObjectType({ description: "Where a page lies in its list (Relay's cursor connections specification)." })
export class PageInfo {
  @Field({ description: 'Whether the list goes on after this page.' })
  hasNextPage!: boolean;

  @Field({ description: 'Whether the list begins before this page.' })
  hasPreviousPage!: boolean;

  @Field(() => String, { nullable: true, description: 'Cursor of the first item; null on an empty page.' })
  startCursor!: string | null;

  @Field(() => String, { nullable: true, description: 'Cursor of the last item; null on an empty page.' })
  endCursor!: string | null;
}

export interface Connection<T> {
  edges: { cursor: string; node: T }[];
  nodes: T[];
  pageInfo: PageInfo;
  totalCount: number;
}

/** The connection and edge types of a node type. */
export function connectionOf<T extends object>(name: string, node: ClassType<T>): ClassType<Connection<T>> {
  @ObjectType(`${name}Edge`, { description: `A ${name.toLowerCase()} and its place in the list.` })
  class Edge {
    @Field({
      description: 'Its place: pass it as `after` or `before`. Opaque, and stays the same while the list grows.',
    })
    cursor!: string;

    @Field(() => node, { description: `The ${name.toLowerCase()}.` })
    node!: T;
  }

  @ObjectType(`${name}Connection`, { description: `A page of ${name.toLowerCase()}s.` })
  class ConnectionType implements Connection<T> {
    @Field(() => [Edge], { description: 'The items with their cursors.' })
    edges!: Edge[];

    @Field(() => [node], { description: 'The items alone.' })
    nodes!: T[];

    @Field(() => PageInfo, { description: 'Where the page lies in the list.' })
    pageInfo!: PageInfo;

    @Field(() => Int, { description: 'Items in the whole list.' })
    totalCount!: number;
  }
  return ConnectionType;
}

export function toConnection<N, T>(page: Page<N>, toType: (node: N) => T): Connection<T> {
  const edges = page.items.map(({ node, position }) => ({ cursor: cursorOf(position), node: toType(node) }));
  return {
    edges,
    nodes: edges.map((edge) => edge.node),
    pageInfo: {
      hasNextPage: page.hasNextPage,
      hasPreviousPage: page.hasPreviousPage,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    totalCount: page.totalCount,
  };
}
