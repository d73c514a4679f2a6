import { MemoryChatStore } from '../../src/stores/memory.js';
import { describeChatStore } from '../contracts/chat-store.js';

describeChatStore('MemoryChatStore', async () => new MemoryChatStore());
