import {
  Background,
  BaseEdge,
  Controls,
  type Edge,
  type EdgeProps,
  Handle,
  MarkerType,
  MiniMap,
  type Node,
  type NodeProps,
  Panel,
  Position,
  ReactFlow,
} from '@xyflow/react';
import { KeyRound, Link2 } from 'lucide-react';
import { useMemo, useState } from 'react';
import { formatCount } from '../ui/format.js';
import { type Link, layOut, type Place, TABLE_WIDTH, tablesToDraw } from './layout.js';
import type { Table } from './use-tables.js';
import '@xyflow/react/dist/style.css';
import './diagram.css';

type KeyEdge = Edge<{ points: Link['points'] }, 'key'>;
type TableNode = Node<{ place: Place; marked: boolean }, 'table'>;

const MANY_TABLES = 12;
const NODE_TYPES = { table: TableBox };
const EDGE_TYPES = { key: KeyLine };

/** Tables and foreign keys, to pan and zoom; the one that is selected shows what it has to do with the others. */
export default function Diagram({ tables }: { tables: readonly Table[] }) {
  const drawn = useMemo(() => tablesToDraw(tables), [tables]);
  const { places, links } = useMemo(() => layOut(drawn), [drawn]);
  const [selected, setSelected] = useState<string>();
  const isMarked = (from: string, to: string) => selected === from || selected === to;
  const near = new Set(links.filter(({ from, to }) => isMarked(from, to)).flatMap(({ from, to }) => [from, to]));

  const nodes: TableNode[] = places.map((place) => ({
    id: place.id,
    type: 'table',
    position: { x: place.x, y: place.y },
    width: TABLE_WIDTH,
    height: place.height,
    selected: place.id === selected,
    ariaLabel: `Table ${place.table.name}`,
    data: { place, marked: near.has(place.id) },
  }));
  const edges: KeyEdge[] = links.map(({ id, from, to, label, points }) => ({
    id,
    type: 'key',
    data: { points },
    source: from,
    target: to,
    ariaLabel: label,
    className: isMarked(from, to) ? 'marked' : '',
    markerEnd: { type: MarkerType.ArrowClosed, color: isMarked(from, to) ? 'var(--accent)' : 'var(--line-strong)' },
  }));

  return (
    <section className="diagram" aria-label="Diagram of tables and foreign keys">
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        edgeTypes={EDGE_TYPES}
        onNodesChange={(changes) => {
          for (const change of changes) if (change.type === 'select' && change.selected) setSelected(change.id);
        }}
        onPaneClick={() => setSelected(undefined)}
        nodesDraggable={false}
        nodesConnectable={false}
        deleteKeyCode={null}
        onlyRenderVisibleElements={places.length > 10 * MANY_TABLES}
        minZoom={0.05}
        fitView
        fitViewOptions={{ padding: 0.08, maxZoom: 1 }}
      >
        <Background gap={24} />
        {drawn.length < tables.filter(({ kind }) => kind.endsWith('TABLE')).length && (
          <Panel position="top-left" className="muted">
            The {formatCount(drawn.length)} tables with the most foreign keys
          </Panel>
        )}
        <Controls showInteractive={false} />
        {places.length > MANY_TABLES && <MiniMap pannable zoomable ariaLabel="The whole diagram" />}
      </ReactFlow>
    </section>
  );
}

/** From the right of one table to the left of the other, on the way that the layout has left free. */
function KeyLine({ id, data, sourceX, sourceY, targetX, targetY, markerEnd }: EdgeProps<KeyEdge>) {
  // Between neighbours there is nothing to go around.
  const around = data && data.points.length > 3 ? data.points.slice(1, -1) : [];
  const corners = [...around, { x: targetX, y: targetY }];
  let { x, y } = { x: sourceX, y: sourceY };
  let path = `M ${x} ${y}`;
  for (const corner of corners) {
    const middle = (x + corner.x) / 2;
    path += ` C ${middle} ${y} ${middle} ${corner.y} ${corner.x} ${corner.y}`;
    ({ x, y } = corner);
  }
  return <BaseEdge id={id} path={path} markerEnd={markerEnd} />;
}

function TableBox({ data: { place, marked } }: NodeProps<TableNode>) {
  const { table, columns, hidden } = place;
  const referring = new Set(table.foreignKeys.flatMap((key) => key.columns));
  return (
    <div className={`table-box ${marked ? 'marked' : ''}`} title={table.comment ?? undefined}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <header className="ellipsis">
        {table.schema !== 'public' && <span className="schema">{table.schema}.</span>}
        {table.name}
      </header>
      <ul>
        {columns.map(({ name, type, primaryKey }) => (
          <li key={name}>
            <span className="mark">
              {primaryKey ? <KeyRound aria-hidden size={11} /> : referring.has(name) && <Link2 aria-hidden size={11} />}
            </span>
            <span className="ellipsis name">{name}</span>
            <span className="ellipsis type">{type}</span>
          </li>
        ))}
        {hidden > 0 && <li className="type">and {hidden} more</li>}
      </ul>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}
