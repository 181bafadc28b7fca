// Runs in a worker: it may read slices of a file while the checking core
// waits, which the page itself may not, and the page stays responsive.
onmessage = async ({ data }) => {
  const reader = new FileReaderSync();
  const bytes = (blob) => new Uint8Array(reader.readAsArrayBuffer(blob));
  let read = 0, told = 0;
  try {
    globalThis.guzheng = {
      size: data.package.size,
      buffer: new Uint8Array(1 << 20),
      read(offset, length) {
        const b = bytes(data.package.slice(offset, offset + length));
        globalThis.guzheng.buffer.set(b);
        read += b.length;
        if (performance.now() - told > 100) {
          told = performance.now();
          postMessage({ read });
        }
        return b.length;
      },
      seal: data.seal && bytes(data.seal),
      trust: data.trust && bytes(data.trust),
      tell(text) { postMessage({ result: JSON.parse(text) }); },
    };
    const go = new Go();
    await go.run(await WebAssembly.instantiate(data.core, go.importObject));
    postMessage({ ended: true });
  } catch (e) {
    postMessage({ error: String(e) });
  }
};
