const BLOCK = 512;

/** The largest size that fits eleven octal digits. */
export const TAR_LIMIT = 8 ** 11 - 1;

/** A tar archive of one file that everybody may read (POSIX.1-1988, "ustar"): what the Docker Engine takes. */
export async function* tarOf(name: string, size: number, content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield headerOf(name, size);
  yield* content;
  yield Buffer.alloc(((BLOCK - (size % BLOCK)) % BLOCK) + 2 * BLOCK);
}

function headerOf(name: string, size: number): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`;
  header.write(name, 0);
  header.write(octal(0o644, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(size, 11), 124);
  header.write(octal(0, 11), 136);
  // The checksum is taken with spaces in its own place.
  header.write(' '.repeat(8), 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  header.write(
    octal(
      header.reduce((sum, byte) => sum + byte),
      6,
    ),
    148,
  );
  return header;
}
