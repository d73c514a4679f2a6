import { useEffect, useState } from 'react';

type Highlight = typeof import('./highlight.js').highlightSql;

/** Loaded once; plain text of the same size stands there until then. */
let highlight: Highlight | undefined;

export function SqlText({ sql }: { sql: string }) {
  const [isLoaded, setLoaded] = useState(highlight !== undefined);
  useEffect(() => {
    if (isLoaded) return;
    void import('./highlight.js').then(({ highlightSql }) => {
      highlight = highlightSql;
      setLoaded(true);
    });
  }, [isLoaded]);
  return (
    <pre className="sql">
      <code>{highlight ? highlight(sql) : sql}</code>
    </pre>
  );
}
