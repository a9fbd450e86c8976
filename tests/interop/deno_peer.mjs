// Deno (quinn) as a peer, over HTTP/0.9 on QUIC streams:
//
//   deno run -A --unstable-net deno_peer.mjs server HOST PORT CERT KEY WWW [PREFERRED]
//   deno run -A --unstable-net deno_peer.mjs client all|again|early CA DOWNLOADS URL...
//
// again: the first file, and the others over another connection; early: those in 0-RTT. The server says "listening".
const ALPN = ["hq-interop"];
const PATIENCE_MS = 60000;
const read = (name) => Deno.readTextFileSync(name);
const name = (url) => new URL(url).pathname.split("/").pop();

async function answer(stream, www) {
  try {
    const request = await new Response(stream.readable).text();
    const wanted = request.trim().split(/\s+/)[1].split("/").pop();
    await (await Deno.open(`${www}/${wanted}`)).readable.pipeTo(stream.writable);
  } catch (error) {
    console.error(`${error}`);
  }
}

async function attend(incoming, www, options) {
  try {
    const conn = incoming.accept({ zeroRtt: true, ...options });
    for await (const stream of (await conn).incomingBidirectionalStreams) answer(stream, www);
  } catch (error) {
    console.error(`${error}`);
  }
}

async function server(host, port, cert, key, www, preferred) {
  const endpoint = new Deno.QuicEndpoint({ hostname: host, port: Number(port) });
  const options = { maxIdleTimeout: PATIENCE_MS, maxConcurrentBidirectionalStreams: 100 };
  if (preferred) options.preferredAddressV4 = preferred;
  const listener = endpoint.listen({ cert: read(cert), key: read(key), alpnProtocols: ALPN, ...options });
  console.log("listening");
  for await (const incoming of listener) attend(incoming, www, options);
}

async function get(conn, downloads, url) {
  const stream = await conn.createBidirectionalStream({ waitUntilAvailable: true });
  const writer = stream.writable.getWriter();
  await writer.write(new TextEncoder().encode(`GET ${new URL(url).pathname}\r\n`));
  await writer.close();
  const file = await Deno.open(`${downloads}/${name(url)}`, { create: true, truncate: true, write: true });
  await stream.readable.pipeTo(file.writable);
}

async function connect(url, ca, endpoint, zeroRtt) {
  const { hostname, port } = new URL(url);
  return await Deno.connectQuic({
    hostname: hostname.replace(/[[\]]/g, ""), port: Number(port), caCerts: [read(ca)], alpnProtocols: ALPN,
    maxIdleTimeout: PATIENCE_MS, endpoint, zeroRtt,
  });
}

async function client(how, ca, downloads, ...urls) {
  const host = new URL(urls[0]).hostname;
  const endpoint = new Deno.QuicEndpoint({ hostname: host.startsWith("[") ? "::" : "0.0.0.0" });
  if (how !== "all") {
    const first = await connect(urls[0], ca, endpoint, false);
    await get(first, downloads, urls.shift());
    // rustls counts the age of a ticket in whole seconds, and no server believes a ticket to be older than it is: so it is
    // used late in the second after the one in which it came.
    await new Promise((resolve) => setTimeout(resolve, 1950 - Date.now() % 1000));
    first.close({ closeCode: 0, reason: "" });
  }
  const conn = await connect(urls[0], ca, endpoint, how === "early");
  await Promise.all(urls.map((url) => get(conn, downloads, url)));
  conn.close({ closeCode: 0, reason: "" });
  await new Promise((resolve) => setTimeout(resolve, 50));
  Deno.exit(0);
}

const [role, ...words] = Deno.args;
await (role === "server" ? server : client)(...words);
