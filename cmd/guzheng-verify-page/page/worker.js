// Runs in a worker, so that the page stays responsive. Slices are read without
// blocking: a worker that never returns to its event loop keeps what the
// browser needed for every one of them until the end.
onmessage = async ({ data }) => {
  const bytes = async (blob) => new Uint8Array(await blob.arrayBuffer());
  const buffer = new Uint8Array(1 << 20);
  let read = 0, told = 0;
  try {
    globalThis.guzheng = {
      size: data.package.size,
      buffer,
      read(offset, length, done) {
        bytes(data.package.slice(offset, offset + length)).then((b) => {
          buffer.set(b);
          read += b.length;
          if (performance.now() - told > 100) {
            told = performance.now();
            postMessage({ read });
          }
          done(b.length);
        }, () => done(-1));
      },
      seal: data.seal && await bytes(data.seal),
      trust: data.trust && await bytes(data.trust),
      tell(text) { postMessage({ result: JSON.parse(text) }); },
    };
    const go = new Go();
    await go.run(await WebAssembly.instantiate(data.core, go.importObject));
    postMessage({ ended: true });
  } catch (e) {
    postMessage({ error: String(e) });
  }
};
