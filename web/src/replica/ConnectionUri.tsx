import { useApolloClient } from '@apollo/client/react';
import { Eye, EyeOff, Plug } from 'lucide-react';
import { useState } from 'react';
import { type Problem, problemOf } from '../api/problem.js';
import { CopyButton } from '../ui/CopyButton.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import { ReplicaCredentialsDocument } from './operations.js';

/** Asked for on request and kept nowhere but here. */
export function ConnectionUri({ chatId }: { chatId: string }) {
  const client = useApolloClient();
  const [credentials, setCredentials] = useState<{ uri: string; password: string }>();
  const [visible, setVisible] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const ask = async () => {
    try {
      const { data } = await client.query({
        query: ReplicaCredentialsDocument,
        variables: { chatId },
        fetchPolicy: 'no-cache',
      });
      setCredentials(data?.credentials);
      setProblem(undefined);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  if (!credentials) {
    return (
      <>
        <button type="button" onClick={ask}>
          <Plug aria-hidden size={14} />
          Connect with a PostgreSQL client
        </button>
        <ProblemNotice problem={problem} />
      </>
    );
  }
  const { uri, password } = credentials;
  const Icon = visible ? EyeOff : Eye;
  return (
    <div className="command">
      <code>{visible ? uri : uri.replace(`:${encodeURIComponent(password)}@`, ':••••••@')}</code>
      <button
        type="button"
        className="quiet"
        aria-label={visible ? 'Hide the password' : 'Show the password'}
        title={visible ? 'Hide the password' : 'Show the password'}
        onClick={() => setVisible(!visible)}
      >
        <Icon aria-hidden size={15} />
      </button>
      <CopyButton text={uri} label="Copy the URI with the password" />
    </div>
  );
}
