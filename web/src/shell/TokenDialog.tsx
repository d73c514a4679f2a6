import { useState } from 'react';
import { keepToken } from '../api/token.js';
import { Dialog } from '../ui/Dialog.js';

/** This server wants to know who asks. */
export function TokenDialog() {
  const [token, setToken] = useState('');
  const signIn = () => {
    keepToken(token);
    // Everything that was refused is asked again.
    location.reload();
  };
  return (
    <Dialog title="Who are you?" submit="Continue" onSubmit={signIn}>
      <p>This server answers to those who show a token. It is kept until this tab is closed.</p>
      <label className="field">
        <span>Token</span>
        <input required type="password" autoComplete="off" value={token} onChange={(e) => setToken(e.target.value)} />
      </label>
    </Dialog>
  );
}
