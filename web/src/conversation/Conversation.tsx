import { useEffect, useLayoutEffect, useRef } from 'react';
import { problemOf } from '../api/problem.js';
import type { Chat } from '../chat/operations.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import { MessageView } from './MessageView.js';
import { Suggestions } from './Suggestions.js';
import { useMessages } from './use-messages.js';
import './conversation.css';

/** How far from the end still counts as being at it. */
const AT_END_PX = 80;

export function Conversation({ chat, onEdit }: { chat: Chat; onEdit: (sql: string) => void }) {
  const { messages, hasOlder, loadOlder, loading, error } = useMessages(chat.id);
  const { scroller, content, top } = useScroll(messages, hasOlder ? loadOlder : undefined);
  return (
    <section ref={scroller} className="conversation" aria-label="Conversation">
      <div ref={content} className="messages" role="log" aria-busy={loading}>
        <div ref={top} className="older muted">
          {hasOlder && 'Loading earlier messages…'}
        </div>
        {error && <ProblemNotice problem={problemOf(error)} />}
        {messages.map((message) => (
          <MessageView key={message.id} message={message} chatId={chat.id} onEdit={onEdit} />
        ))}
        {!loading && messages.length === 0 && <Suggestions chat={chat} onAsk={onEdit} />}
      </div>
    </section>
  );
}

/** Stays at the end while things are added there, and in place while older messages are put above. */
function useScroll(messages: readonly { id: string }[], loadOlder: (() => void) | undefined) {
  const scroller = useRef<HTMLElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const top = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const before = useRef({ first: '', height: 0 });

  useLayoutEffect(() => {
    const { current: element } = scroller;
    if (!element) return;
    const first = messages[0]?.id ?? '';
    const { first: earlier, height } = before.current;
    const isPrepended = earlier !== '' && earlier !== first && messages.some(({ id }) => id === earlier);
    if (isPrepended) element.scrollTop += element.scrollHeight - height;
    else if (atEnd.current) element.scrollTop = element.scrollHeight;
    before.current = { first, height: element.scrollHeight };
  }, [messages]);

  useEffect(() => {
    const { current: element } = scroller;
    const { current: inside } = content;
    if (!element || !inside) return;
    let earlier = 0;
    const onScroll = () => {
      const { scrollTop, scrollHeight, clientHeight } = element;
      // Only a reader goes up; the end goes down by itself when a picture has been loaded.
      if (scrollHeight - scrollTop - clientHeight < AT_END_PX) atEnd.current = true;
      else if (scrollTop < earlier) atEnd.current = false;
      earlier = scrollTop;
      before.current.height = element.scrollHeight;
    };
    const observer = new ResizeObserver(() => {
      if (atEnd.current) element.scrollTop = element.scrollHeight;
      before.current.height = element.scrollHeight;
    });
    observer.observe(inside);
    observer.observe(element);
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', onScroll);
    };
  }, []);

  useEffect(() => {
    if (!loadOlder || !top.current) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && loadOlder(), {
      root: scroller.current,
      rootMargin: '200px 0px 0px 0px',
    });
    observer.observe(top.current);
    return () => observer.disconnect();
  }, [loadOlder]);

  return { scroller, content, top };
}
