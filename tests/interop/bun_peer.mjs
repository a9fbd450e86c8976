// Bun as a peer, over HTTP/3:
//
//   bun bun_peer.mjs server HOST PORT CERT KEY WWW
//   bun bun_peer.mjs client all|again DOWNLOADS URL...       again: the first file, and the others over another connection
//
// The server says "listening"; the client trusts $NODE_EXTRA_CA_CERTS.
import { basename, join } from "node:path";

function serve(host, port, cert, key, www) {
  Bun.serve({
    hostname: host,
    port: Number(port),
    http3: true,
    idleTimeout: 60,
    tls: { cert: Bun.file(cert), key: Bun.file(key) },
    async fetch(request) {
      const file = Bun.file(join(www, basename(new URL(request.url).pathname)));
      return (await file.exists()) ? new Response(file) : new Response(null, { status: 404 });
    },
  });
  console.log("listening");
}

async function get(downloads, url, more) {
  const response = await fetch(url, { protocol: "http3", ...more });
  if (response.status !== 200) throw new Error(`${url}: ${response.status}`);
  await Bun.write(join(downloads, basename(new URL(url).pathname)), await response.arrayBuffer());
}

async function client(how, downloads, ...urls) {
  if (how === "again") {
    await get(downloads, urls.shift(), { keepalive: false });
    await Bun.sleep(1000);
  }
  await Promise.all(urls.map((url) => get(downloads, url)));
  process.exit(0);
}

const [role, ...words] = process.argv.slice(2);
await (role === "server" ? serve : client)(...words);
