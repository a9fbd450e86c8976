#!/usr/bin/env node
// A browser that others wrote, Debian's Chromium, against `roam serve`: it loads a page over HTTP/3, and downloads 100 MB
// while `roam natbox` between them changes its port and its address; then it speaks WebTransport with
// examples/webtransport_server.c, and opens the dashboard of the first server, where it finds the row of its own connection,
// and how it moved.
//
//     tests/browser/run.mjs [--keep DIR]     with DIR, the screenshots stay there
//
// roam is the command at $ROAM, else build/roam; playwright-core stands in $ROAM_INTEROP_DIR, where tests/interop/install
// puts it. Nothing here asserts a time; the patience only keeps a hung browser from hanging the suite.

import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes, X509Certificate } from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const TOP = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const ROAM = process.env.ROAM ?? path.join(TOP, "build/roam");
const INSTALLED = process.env.ROAM_INTEROP_DIR ?? path.join(TOP, "build/interop");
const ECHO = path.join(path.dirname(ROAM), "examples/example-webtransport_server");
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((name) => fs.existsSync(name));
const MEGABYTES = 100;
const PATIENCE_MS = 60000;

const require = createRequire(path.join(INSTALLED, "package.json"));
const children = [];
let passed = 0;

function check(fact, message) {
  if (!fact) throw new Error(message);
}

function start(...argv) {
  return startProgram(ROAM, ...argv);
}

function startProgram(program, ...argv) {
  const child = spawn(program, argv, { stdio: ["ignore", "pipe", "pipe"] });
  child.said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (child.said += data));
  children.push(child);
  return child;
}

async function said(child, pattern) {
  for (const until = Date.now() + PATIENCE_MS; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const match = pattern.exec(child.said);
    if (match) return match;
    check(child.exitCode === null && Date.now() < until, `never said ${pattern}: ${child.said}`);
  }
}

async function eventually(what, holds) {
  for (const until = Date.now() + PATIENCE_MS; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    if (await holds()) return;
    check(Date.now() < until, `it never came to pass: ${what}`);
  }
}

// The rows of the server's table, from its control socket.
async function table() {
  const socket = net.connect(control);
  let text = "";
  socket.setEncoding("utf8");
  socket.write('{"request":"table"}\n');
  for await (const part of socket) {
    text += part;
    if (text.includes('"type":"end"')) break;
  }
  const answers = text.split("\n").filter((line) => line.includes('"type":"rows"')).map((line) => JSON.parse(line));
  return answers.flatMap((answer) => answer.rows);
}

async function test(name, run) {
  await run();
  passed++;
  console.log(`ok   ${name}`);
}

// ---- What the tests stand on

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "roam-browser-"));
const keep = process.argv[2] === "--keep" ? process.argv[3] : scratch;
const site = path.join(scratch, "site");
const control = path.join(scratch, "control");
const payload = randomBytes(MEGABYTES * 1000000);
fs.mkdirSync(site);
fs.mkdirSync(keep, { recursive: true });
fs.writeFileSync(path.join(site, "index.html"), "<!doctype html><title>served by roam</title><p id=hello>Hello over HTTP/3.");
fs.writeFileSync(path.join(site, "large"), payload);

let browser, server, natbox, echo;

async function open() {
  server = start("serve", "--control", control, "--dashboard", "127.0.0.1:0", site, "127.0.0.1:0");
  const port = Number((await said(server, /listening on 127\.0\.0\.1:(\d+)/))[1]);
  const dashboard = Number((await said(server, /dashboard at https:\/\/127\.0\.0\.1:(\d+)/))[1]);
  const pin = Buffer.from((await said(server, /--pin sha256:([0-9a-f]{64})/))[1], "hex").toString("base64");
  natbox = start("natbox", "--rebind", "both", "--address", "127.0.0.2,127.0.0.3,127.0.0.4", "--old-mapping", "until-uplink",
    "127.0.0.1:0", `127.0.0.1:${port}`);
  const nat = Number((await said(natbox, /listening on=127\.0\.0\.1:(\d+)/))[1]);
  browser = await require("playwright-core").chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--enable-quic",
    `--origin-to-force-quic-on=localhost:${nat},localhost:${dashboard}`, `--ignore-certificate-errors-spki-list=${pin}`,
    "--host-resolver-rules=MAP localhost 127.0.0.1"] });
  return { nat, dashboard };
}

// A certificate as browsers want it where they are told its hash: ECDSA, and valid for two weeks at most.
async function openEcho() {
  const [chain, key] = [path.join(scratch, "chain"), path.join(scratch, "key")];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "10",
    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", chain],
    { stdio: "ignore" });
  const hash = createHash("sha256").update(new X509Certificate(fs.readFileSync(chain)).raw).digest();
  echo = startProgram(ECHO, chain, key);
  return { port: Number((await said(echo, /127\.0\.0\.1 (\d+)/))[1]), hash: [...hash] };
}

// What the page does. Whatever it sends in a session comes back.
async function speakWebTransport({ port, hash }) {
  const open = (where) => new WebTransport(`https://127.0.0.1:${port}${where}`,
    { serverCertificateHashes: [{ algorithm: "sha-256", value: new Uint8Array(hash) }] });
  const session = open("/echo");
  await session.ready;
  const sent = crypto.getRandomValues(new Uint8Array(60000));
  const whole = async (readable) => new Uint8Array(await new Response(readable).arrayBuffer());
  const same = (a, b) => a.length === b.length && a.every((octet, i) => octet === b[i]);
  const write = async (writable) => {
    const writer = writable.getWriter();
    for (let round = 0; round < 10; round++) await writer.write(sent.subarray(round * 6000, (round + 1) * 6000));
    await writer.close();
  };
  const found = {};

  const both = await session.createBidirectionalStream();
  const [octets] = await Promise.all([whole(both.readable), write(both.writable)]);
  found.bidirectional = same(octets, sent);

  await write(await session.createUnidirectionalStream());
  const { value: back } = await session.incomingUnidirectionalStreams.getReader().read();
  found.unidirectional = same(await whole(back), sent);

  const datagrams = session.datagrams.writable.getWriter();
  const reader = session.datagrams.readable.getReader();
  let came;
  reader.read().then(({ value }) => (came = value));
  while (!came) { // each may be lost
    await datagrams.write(sent.subarray(0, 500));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  found.datagram = same(came, sent.subarray(0, 500));

  const aborted = await session.createBidirectionalStream();
  const writer = aborted.writable.getWriter();
  await writer.write(sent.subarray(0, 10));
  const rest = aborted.readable.getReader();
  await rest.read();
  await writer.abort(new WebTransportError({ message: "enough", streamErrorCode: 77 })).catch(() => {});
  found.code = await rest.read().then(() => null, (error) => error.streamErrorCode);

  found.other = await open("/closed").closed;
  const greeting = open("/greeting");
  const { value: theirs } = await greeting.incomingBidirectionalStreams.getReader().read();
  found.greeting = await new Response(theirs.readable).text();
  session.close({ closeCode: 4711, reason: "seen enough" });
  await session.closed;
  return found;
}

// ---- The tests

async function main() {
  check(CHROMIUM !== undefined, "Debian's chromium is missing");
  const { nat, dashboard } = await open();
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(PATIENCE_MS);

  await test("chromium loads a page over HTTP/3", async () => {
    await page.goto(`https://localhost:${nat}/`);
    check(await page.locator("#hello").innerText() === "Hello over HTTP/3.", "the page is another one");
    const protocol = await page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
    check(protocol === "h3", `it came over ${protocol}`);
  });

  await test("a download survives changes of port and address, on one connection", async () => {
    const before = await table();
    check(before.length === 1, `${before.length} connections`);
    const rebinding = setInterval(() => natbox.kill("SIGUSR1"), 60);
    const hash = await page.evaluate(async () => {
      const response = await fetch("/large", { cache: "no-store" });
      const digest = await crypto.subtle.digest("SHA-256", await response.arrayBuffer());
      return [...new Uint8Array(digest)].map((octet) => octet.toString(16).padStart(2, "0")).join("");
    });
    clearInterval(rebinding);
    check(hash === createHash("sha256").update(payload).digest("hex"), "the octets are others");
    const after = await table();
    check(after.length === 1 && after[0].id === before[0].id, `${after.length} connections, ${JSON.stringify(after)}`);
    check(after[0].moves >= 2, `${after[0].moves} moves`);
  });

  await test("chromium speaks WebTransport: streams of both kinds, datagrams, and the session's end", async () => {
    const found = await page.evaluate(speakWebTransport, await openEcho());
    check(found.bidirectional && found.unidirectional && found.datagram && found.code === 77 &&
      found.greeting === "hello" && found.other.closeCode === 42 && found.other.reason === "as you asked", JSON.stringify(found));
    await said(echo, /closed 4711 seen enough/);
  });

  for (const [name, width, height, colorScheme] of [["wide-light", 1280, 1000, "light"], ["wide-dark", 1280, 1000, "dark"],
    ["narrow-light", 390, 1200, "light"], ["narrow-dark", 390, 1200, "dark"]]) {
    await test(`the dashboard shows the browser its own connection: ${name}`, async () => {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: "no-preference" });
      const view = await context.newPage();
      const faults = [];
      view.setDefaultTimeout(PATIENCE_MS);
      view.on("pageerror", (error) => faults.push(error.message));
      view.on("console", (message) => message.type() === "error" && faults.push(message.text()));
      await view.goto(`https://localhost:${dashboard}/`);
      await eventually("live over HTTP/3", async () => await view.locator("#status").innerText() === "live over HTTP/3");
      await eventually("a row", async () => await view.locator("#rows tr").count() === 1);
      const row = view.locator("#rows tr").first();
      const cell = (key) => row.locator(`td.${key}`).innerText();
      const [moves, address] = [Number(await cell("moves")), await cell("address")];
      check(moves >= 2, `it shows ${moves} moves`);
      natbox.kill("SIGUSR1");
      await page.evaluate(() => fetch("/", { cache: "no-store" }).then((response) => response.text()));
      await eventually("the row moves", async () => Number(await cell("moves")) > moves && await cell("address") !== address);
      await eventually("the move is listed", async () => await view.locator("#moves li").count() >= 1);
      check(await cell("cid") !== "" && (await cell("state")) === "established", "the row is another one");
      await view.screenshot({ path: path.join(keep, `dashboard-${name}.png`) });
      await row.locator("td.cid button").click();
      await eventually("the paths are shown", async () => await view.locator("#detail-body table").count() >= 2);
      check(faults.length === 0, faults.join("\n"));
      await context.close();
    });
  }
}

let failed = 0;
try {
  await main();
} catch (error) {
  failed = 1;
  console.log(`FAIL ${error.stack ?? error}`);
  for (const child of children) console.log(`--- ${child.spawnargs.slice(1).join(" ")}\n${child.said.slice(-2000)}`);
}
await browser?.close();
for (const child of children) child.kill("SIGTERM");
fs.rmSync(scratch, { recursive: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed);
