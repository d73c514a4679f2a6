import dagre from '@dagrejs/dagre';
import type { Table } from './use-tables.js';

export const TABLE_WIDTH = 210;
const HEADER_HEIGHT = 30;
const COLUMN_HEIGHT = 20;
const PADDING = 6;
const GAP = 36;
/** Keys come first; the rest is in the list of tables. */
const MOST_COLUMNS = 9;

export interface Place {
  readonly id: string;
  readonly table: Table;
  readonly columns: readonly Table['columns'][number][];
  readonly hidden: number;
  readonly x: number;
  readonly y: number;
  readonly height: number;
}

export interface Link {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly label: string;
  /** Around the tables between. */
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export function idOf({ schema, name }: { schema: string; name: string }): string {
  return JSON.stringify([schema, name]);
}

/** A picture of more is no picture any more, and takes the browser long to make. */
const MOST_TABLES = 200;

export interface Layout {
  readonly places: readonly Place[];
  readonly links: readonly Link[];
}

/** The tables to draw: those with the most foreign keys, should there be too many. Views are left out. */
export function tablesToDraw(tables: readonly Table[]): readonly Table[] {
  const candidates = tables.filter(({ kind }) => kind.endsWith('TABLE'));
  if (candidates.length <= MOST_TABLES) return candidates;
  const degrees = new Map<string, number>();
  for (const id of linksOf(candidates).flatMap(({ from, to }) => [from, to]))
    degrees.set(id, (degrees.get(id) ?? 0) + 1);
  const degree = (table: Table) => degrees.get(idOf(table)) ?? 0;
  return candidates.toSorted((a, b) => degree(b) - degree(a)).slice(0, MOST_TABLES);
}

/** Tables that refer to each other as a graph from left to right, the others in rows below. */
export function layOut(tables: readonly Table[]): Layout {
  const links = linksOf(tables);
  const linked = new Set(links.flatMap(({ from, to }) => [from, to]));
  const boxes = tables.map(boxOf);
  const linkedBoxes = boxes.filter(({ id }) => linked.has(id));
  const graph = layOutGraph(linkedBoxes, links);
  const otherBoxes = boxes.filter(({ id }) => !linked.has(id));
  return { places: [...graph.places, ...layOutRows(otherBoxes, graph.places)], links: graph.links };
}

type Box = Omit<Place, 'x' | 'y'>;

function boxOf(table: Table): Box {
  const referring = new Set(table.foreignKeys.flatMap(({ columns }) => columns));
  const rank = ({ name, primaryKey }: Table['columns'][number]) => (primaryKey ? 0 : referring.has(name) ? 1 : 2);
  const columns = [...table.columns].sort((a, b) => rank(a) - rank(b)).slice(0, MOST_COLUMNS);
  const hidden = table.columns.length - columns.length;
  const lines = columns.length + (hidden > 0 ? 1 : 0);
  return { id: idOf(table), table, columns, hidden, height: HEADER_HEIGHT + lines * COLUMN_HEIGHT + PADDING };
}

function linksOf(tables: readonly Table[]): Omit<Link, 'points'>[] {
  const known = new Set(tables.map(idOf));
  return tables.flatMap((table) =>
    table.foreignKeys.flatMap(({ name, columns, referencedSchema, referencedTable, referencedColumns }) => {
      const to = idOf({ schema: referencedSchema, name: referencedTable });
      const label = `${table.name} (${columns.join(', ')}) → ${referencedTable} (${referencedColumns.join(', ')})`;
      return known.has(to) ? [{ id: `${idOf(table)} ${name}`, from: idOf(table), to, label }] : [];
    }),
  );
}

function layOutGraph(boxes: readonly Box[], links: readonly Omit<Link, 'points'>[]): Layout {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: 'LR', nodesep: GAP, ranksep: 2 * GAP });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, height } of boxes) graph.setNode(id, { width: TABLE_WIDTH, height });
  for (const { from, to, id } of links) graph.setEdge(from, to, {}, id);
  dagre.layout(graph);
  const places = boxes.map((box) => {
    const { x, y } = graph.node(box.id);
    return { ...box, x: x - TABLE_WIDTH / 2, y: y - box.height / 2 };
  });
  return { places, links: links.map((link) => ({ ...link, points: graph.edge(link.from, link.to, link.id).points })) };
}

function layOutRows(boxes: readonly Box[], above: readonly Place[]): Place[] {
  const width = Math.max(4 * (TABLE_WIDTH + GAP), ...above.map(({ x }) => x + TABLE_WIDTH));
  const perRow = Math.max(1, Math.floor((width + GAP) / (TABLE_WIDTH + GAP)));
  let y = Math.max(0, ...above.map((place) => place.y + place.height + 2 * GAP));
  const places: Place[] = [];
  for (let start = 0; start < boxes.length; start += perRow) {
    const row = boxes.slice(start, start + perRow);
    places.push(...row.map((box, index) => ({ ...box, x: index * (TABLE_WIDTH + GAP), y })));
    y += Math.max(...row.map(({ height }) => height)) + GAP;
  }
  return places;
}
