import type { Problem } from '../api/problem.js';
import { Notice } from './Notice.js';

export function ProblemNotice({ problem }: { problem?: Problem | null }) {
  if (!problem) return null;
  const { message, hint, detail, sqlstate } = problem;
  return (
    <div role="alert">
      <Notice kind="error">
        <p>
          {message}
          {sqlstate && <span className="muted"> ({sqlstate})</span>}
        </p>
        {detail && <p>{detail}</p>}
        {hint && <p>Hint: {hint}</p>}
      </Notice>
    </div>
  );
}
