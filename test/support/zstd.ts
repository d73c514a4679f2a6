import { spawnSync } from 'node:child_process';

/** The zstd command. Without it, tests use frames made by hand. */
export const zstdAvailable = spawnSync('zstd', ['--version']).status === 0;

const BLOCK_BYTES = 128 * 1024;
/** A window of 128 KiB, no checksum, no size. */
const FRAME_HEADER = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];

enum BlockType {
  RAW = 0,
  RLE = 1,
}

function blockHeader(type: BlockType, bytes: number, isLast: boolean): Buffer {
  const header = Buffer.alloc(3);
  header.writeUIntLE((bytes << 3) | (type << 1) | (isLast ? 1 : 0), 0, 3);
  return header;
}

/** RFC 8878 without any compression. */
export function storedFrame(data: Buffer): Buffer {
  const blocks: Buffer[] = [Buffer.from(FRAME_HEADER)];
  for (let at = 0; at === 0 || at < data.length; at += BLOCK_BYTES) {
    const block = data.subarray(at, at + BLOCK_BYTES);
    blocks.push(blockHeader(BlockType.RAW, block.length, at + BLOCK_BYTES >= data.length), block);
  }
  return Buffer.concat(blocks);
}

/** The most that can be made of 4 bytes, again and again: 128 KiB of zeros each. */
export function rleFrame(blocks: number): Buffer {
  const block = (isLast: boolean) => Buffer.concat([blockHeader(BlockType.RLE, BLOCK_BYTES, isLast), Buffer.alloc(1)]);
  return Buffer.concat([Buffer.from(FRAME_HEADER), ...Array(blocks - 1).fill(block(false)), block(true)]);
}
