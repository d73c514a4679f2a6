import { CircleAlert, Info, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';

const ICONS = { error: CircleAlert, warning: TriangleAlert, info: Info };

export function Notice({ kind, children }: { kind: keyof typeof ICONS; children: ReactNode }) {
  const Icon = ICONS[kind];
  return (
    <div className={`notice ${kind}`}>
      <Icon aria-hidden size={16} />
      <div>{children}</div>
    </div>
  );
}
