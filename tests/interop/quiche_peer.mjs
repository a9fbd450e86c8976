// Cloudflare's quiche as a peer for roam: a small HTTP/0.9 ("hq-interop") client and server over its Node binding.
//
//   quiche_peer.mjs server --port P --host H --cert C --key K --dir DIR [--retry] [--once]
//   quiche_peer.mjs client URL... --out FILE | --download DIR [--ca CA] [--rebind-at BYTES] [--migrate-at BYTES] [--version-negotiation]
//
// common   --alpn NAME (hq-interop), --cid-length N (16), --keylog FILE (or SSLKEYLOGFILE), --bound SECONDS (60)
// client   --server-name NAME, --second-host HOST (where a rebind or a migration goes; default: same host, new port),
//          --rebind-hard (the old port dies at once, and all that is under way to it),
//          --session-file FILE (a session is taken from there where it exists, and put there), --early (0-RTT),
//          --handshake-only (success is a confirmed handshake; nothing is requested)
//
// HTTP/0.9: the client opens a bidirectional stream, sends "GET /path\r\n" and FIN; the server answers with the bytes
// of the file and FIN. --rebind-at replaces the UDP socket behind quiche's back, as a NAT would: quiche goes on
// believing in its first address. --migrate-at does what RFC 9000 section 9 asks: probePath from a second socket,
// wait for the validation, then migrate.
//
// Every fact is one JSON line on stdout. The exit code is 0 for success, 1 for failure, 2 for bad usage, 3 when the
// total bound was reached. Nothing else is bounded by time.

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import dgram from 'node:dgram';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = path.dirname(fileURLToPath(import.meta.url));
const installed = process.env.ROAM_INTEROP_DIR ?? path.join(here, '../../build/interop');
const quiche = createRequire(path.join(path.resolve(installed), 'peer.js'))('@matrixai/quic-linux-x64');

const DATAGRAM_SIZE = 1350;
const RESERVED_VERSION = 0x1a2a3a4a; // RFC 9000 section 15: of the form 0x?a?a?a?a, never a real version

const started = process.hrtime.bigint();

function log(event, facts = {}) {
    const ms = Number((process.hrtime.bigint() - started) / 1000n) / 1000;
    const plain = (key, value) => (typeof value === 'bigint' ? Number(value) : value);
    fs.writeSync(1, JSON.stringify({ ms, event, ...facts }, plain) + '\n');
}

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const show = (at) => (at.host.includes(':') ? `[${at.host}]:${at.port}` : `${at.host}:${at.port}`);

function parseCommand() {
    const text = { type: 'string' };
    const flag = { type: 'boolean' };
    return parseArgs({
        allowPositionals: true,
        options: {
            port: { ...text, default: '0' }, host: { ...text, default: '127.0.0.1' }, cert: text, key: text, dir: text,
            retry: flag, once: flag,
            out: text, download: text, 'session-file': text, early: flag, ca: text, 'rebind-at': text, 'migrate-at': text, 'version-negotiation': flag,
            'server-name': text, 'second-host': text, 'handshake-only': flag,
            'rebind-hard': flag,
            alpn: { ...text, default: 'hq-interop' }, 'cid-length': { ...text, default: '16' }, keylog: text,
            bound: { ...text, default: '60' },
        },
    });
}

function makeConfig(options) {
    const config = new quiche.Config();
    config.setApplicationProtos([options.alpn]);
    config.setMaxIdleTimeout(30000);
    config.setMaxRecvUdpPayloadSize(DATAGRAM_SIZE);
    config.setMaxSendUdpPayloadSize(DATAGRAM_SIZE);
    config.setInitialMaxData(4 << 20);
    config.setInitialMaxStreamDataBidiLocal(1 << 20);
    config.setInitialMaxStreamDataBidiRemote(1 << 20);
    config.setInitialMaxStreamDataUni(1 << 20);
    config.setMaxConnectionWindow(8 << 20);
    config.setMaxStreamWindow(2 << 20);
    config.setInitialMaxStreamsBidi(100);
    config.setInitialMaxStreamsUni(100);
    config.setActiveConnectionIdLimit(4);
    if (options.keylog ?? process.env.SSLKEYLOGFILE) {
        config.logKeys();
    }
    return config;
}

function logKeys(connection, options) {
    const file = options.keylog ?? process.env.SSLKEYLOGFILE;
    if (file) {
        connection.setKeylog(file);
    }
}

// One bound UDP socket. `local` is the address quiche is told, which a rebinding leaves as it was.
async function openSocket(host, port = 0) {
    const socket = dgram.createSocket({ type: host.includes(':') ? 'udp6' : 'udp4' });
    await new Promise((resolve, reject) => {
        socket.once('error', reject);
        socket.bind(port, host, resolve);
    });
    socket.on('error', (error) => log('socket_error', { message: error.message }));
    socket.setRecvBufferSize(2 << 20);
    socket.setSendBufferSize(2 << 20);
    return { socket, local: { host, port: socket.address().port }, received: 0, sent: 0 };
}

// Gives the peer as many of our connection IDs as it asked for. quiche never invents any by itself, and a peer
// without a spare one cannot answer on, or move to, a new path (RFC 9000 section 9.5).
function offerCids(connection, length, onNew = () => {}) {
    while (length > 0 && connection.sourceCidsLeft() > 0) {
        const cid = randomBytes(length);
        const sequence = connection.newSourceCid(cid, BigInt('0x' + hex(randomBytes(16))), false);
        onNew(cid);
        log('new_cid', { sequence, cid: hex(cid) });
    }
}

function pathFacts(event) {
    const facts = {};
    for (const [name, value] of Object.entries(event)) {
        if (name === 'type') continue;
        if (Array.isArray(value)) facts[name] = value.map(show);
        else facts[name] = value?.host === undefined ? value : show(value);
    }
    return facts;
}

function logPathEvents(connection, onEvent = () => {}) {
    for (let event; (event = connection.pathEventNext()) !== null && event !== undefined; ) {
        log('path', { type: event.type, ...pathFacts(event) });
        onEvent(event);
    }
}

function logHandshake(connection) {
    const facts = { alpn: Buffer.from(connection.applicationProto()).toString(), scid: hex(connection.sourceId()),
        dcid: hex(connection.destinationId()) };
    for (const [name, value] of Object.entries(connection.stats())) {
        if (name.startsWith('peer')) facts[name] = value;
    }
    log('handshake', facts);
}

function errorFacts(error) {
    return error && { application: error.isApp, code: error.errorCode, reason: Buffer.from(error.reason).toString() };
}

function logClosed(connection, facts = {}) {
    for (const stats of connection.pathStats()) {
        const { localHost, peerHost, ...rest } = stats;
        log('path_stats', { local: show(localHost), peer: show(peerHost), ...rest });
    }
    const { recv, sent, lost, retrans, sentBytes, recvBytes, pathsCount } = connection.stats();
    log('closed', { ...facts, recv, sent, lost, retrans, sentBytes, recvBytes, pathsCount,
        timedOut: connection.isTimedOut(), peerError: errorFacts(connection.peerError()),
        localError: errorFacts(connection.localError()) });
}

// Hands every datagram that quiche wants sent to send(bytes, from, to).
function flush(connection, send) {
    const buffer = Buffer.allocUnsafe(DATAGRAM_SIZE);
    for (let result; (result = connection.send(buffer)) !== null; ) {
        const [length, info] = result;
        send(Buffer.from(buffer.subarray(0, length)), info.from, info.to);
    }
}

// Runs act once after all datagrams that are waiting now, so that quiche acknowledges and sends in batches.
function soon(holder, act) {
    if (holder.pending) return;
    holder.pending = setImmediate(() => { holder.pending = null; act(); });
}

// Re-arms the connection's one timer; fire() runs after quiche was told.
function arm(holder, connection, fire) {
    clearTimeout(holder.timer);
    const timeout = connection.timeout();
    if (timeout !== null) {
        holder.timer = setTimeout(() => { connection.onTimeout(); fire(); }, timeout);
    }
}

// ---------------------------------------------------------------------------------------------------- the server

const tokenSecret = randomBytes(32);

// token = HMAC(client address, original DCID), original DCID; it says the client is where it says it is.
function sealToken(rinfo, odcid) {
    const mac = createHmac('sha256', tokenSecret).update(`${rinfo.address}|${rinfo.port}|`).update(odcid).digest();
    return Buffer.concat([mac, odcid]);
}

// Returns the original DCID, or null when the token is not ours or not this client's.
function openToken(token, rinfo) {
    const bytes = Buffer.from(token);
    if (bytes.length < 40) return null;
    const odcid = bytes.subarray(32);
    return timingSafeEqual(sealToken(rinfo, odcid).subarray(0, 32), bytes.subarray(0, 32)) ? odcid : null;
}

class Server {
    constructor(options, bound) {
        this.options = options;
        this.config = makeConfig(options);
        this.config.loadCertChainFromPemFile(options.cert);
        this.config.loadPrivKeyFromPemFile(options.key);
        this.config.enableEarlyData();
        this.cidLength = Number(options['cid-length']);
        this.bound = bound;
        this.byCid = new Map();
        this.seen = new Set(); // every client address, to tell a new one as it happens
        bound.socket.on('message', (message, rinfo) => this.receive(message, rinfo));
    }

    reply(bytes, rinfo) {
        this.bound.socket.send(bytes, rinfo.port, rinfo.address);
    }

    receive(message, rinfo) {
        let header;
        try {
            header = quiche.Header.fromSlice(Buffer.from(message), this.cidLength);
        } catch (error) {
            log('drop', { from: show({ host: rinfo.address, port: rinfo.port }), reason: error.message });
            return;
        }
        const session = this.byCid.get(hex(header.dcid)) ?? this.admit(header, rinfo, message.length);
        if (!session) return;
        try {
            session.connection.recv(message,
                { from: { host: rinfo.address, port: rinfo.port }, to: this.bound.local });
        } catch (error) {
            log('recv_error', { reason: error.message });
        }
        soon(session, () => this.step(session));
    }

    // A datagram of no known connection: version negotiation, Retry, or a new connection.
    admit(header, rinfo, length) {
        const from = show({ host: rinfo.address, port: rinfo.port });
        if (header.ty === quiche.Type.Short) {
            log('drop', { from, reason: 'unknown connection ID', dcid: hex(header.dcid) });
            return null;
        }
        const out = Buffer.allocUnsafe(DATAGRAM_SIZE);
        if (!quiche.versionIsSupported(header.version)) {
            if (header.version === 0 || length < 1200) return null;
            this.reply(out.subarray(0, quiche.negotiateVersion(header.scid, header.dcid, out)), rinfo);
            log('version_negotiation_sent', { to: from, version: '0x' + header.version.toString(16) });
            return null;
        }
        if (header.ty !== quiche.Type.Initial) return null;
        if (!this.options.retry) return this.accept(randomBytes(this.cidLength), null, header, rinfo);
        if (!header.token?.length) {
            const token = sealToken(rinfo, Buffer.from(header.dcid));
            const scid = randomBytes(this.cidLength);
            const size = quiche.retry(header.scid, header.dcid, scid, token, header.version, out);
            this.reply(out.subarray(0, size), rinfo);
            log('retry_sent', { to: from, scid: hex(scid) });
            return null;
        }
        const odcid = openToken(header.token, rinfo);
        if (!odcid) {
            log('drop', { from, reason: 'token not valid' });
            return null;
        }
        log('token_accepted', { from });
        return this.accept(Buffer.from(header.dcid), odcid, header, rinfo);
    }

    accept(scid, odcid, header, rinfo) {
        const remote = { host: rinfo.address, port: rinfo.port };
        const connection = quiche.Connection.accept(scid, odcid, this.bound.local, remote, this.config);
        logKeys(connection, this.options);
        const session = { connection, cids: [hex(scid), hex(header.dcid)], requests: new Map(), answers: new Map() };
        session.cids.forEach((cid) => this.byCid.set(cid, session));
        log('accepted', { from: show(remote), scid: hex(scid), client_cid: hex(header.scid) });
        return session;
    }

    step(session) {
        const { connection } = session;
        if (connection.isEstablished()) {
            if (!session.established) {
                session.established = true;
                logHandshake(connection);
            }
            offerCids(connection, this.cidLength, (cid) => {
                session.cids.push(hex(cid));
                this.byCid.set(hex(cid), session);
            });
            if (this.options.alpn === 'hq-interop') this.serve(session);
        }
        for (let cid; (cid = connection.retiredScidNext()); ) {
            this.byCid.delete(hex(cid));
            log('cid_retired', { cid: hex(cid) });
        }
        logPathEvents(connection);
        try {
            flush(connection, (bytes, from, to) => {
                if (!this.seen.has(show(to))) {
                    this.seen.add(show(to));
                    log('first_sent_to', { to: show(to) });
                }
                this.bound.socket.send(bytes, to.port, to.host);
            });
        } catch (error) {
            log('send_error', { reason: error.message });
        }
        arm(session, connection, () => this.step(session));
        if (!session.done && (connection.isDraining() || connection.isClosed())) this.finish(session);
        // quiche gives up a connection whose first packet is junk; the client's next Initial has the same DCID, and is a new one.
        if (connection.isClosed()) session.cids.forEach((cid) => this.byCid.delete(cid));
    }

    serve(session) {
        const { connection, requests, answers } = session;
        const chunk = Buffer.allocUnsafe(65536);
        for (const id of connection.readable()) {
            for (let result; (result = connection.streamRecv(id, chunk)) !== null; ) {
                const [length, fin] = result;
                const text = (requests.get(id) ?? '') + chunk.toString('latin1', 0, length);
                requests.set(id, text);
                if (fin) {
                    answers.set(id, { bytes: this.read(text), sent: 0 });
                    break;
                }
            }
        }
        for (const [id, answer] of answers) {
            const rest = answer.bytes.subarray(answer.sent);
            const taken = connection.streamSend(id, rest, true);
            answer.sent += taken ?? 0;
            if (answer.sent === answer.bytes.length && taken !== null) {
                const sha256 = createHash('sha256').update(answer.bytes).digest('hex');
                log('answered', { stream: id, bytes: answer.bytes.length, sha256 });
                answers.delete(id);
            }
        }
    }

    read(request) {
        const name = /^GET \/(\S*)/.exec(request)?.[1] ?? '';
        log('request', { line: request.trim() });
        const file = path.join(this.options.dir ?? '.', path.normalize('/' + name));
        try {
            return fs.readFileSync(file);
        } catch (error) {
            log('no_such_file', { name, reason: error.message });
            return Buffer.alloc(0);
        }
    }

    finish(session) {
        session.done = true;
        logClosed(session.connection);
        if (this.options.once) {
            const failed = session.connection.isTimedOut() || session.connection.localError() !== null;
            setTimeout(() => process.exit(failed ? 1 : 0), 50);
        }
    }
}

// ---------------------------------------------------------------------------------------------------- the client

// Sends one datagram of a version nobody has and waits for the list of versions the server has (RFC 9000 section 6).
// The binding can only make version 1 connections, so this one is written by hand: a long header and padding.
async function askForVersions(bound, remote) {
    const dcid = randomBytes(8);
    const scid = randomBytes(8);
    const datagram = Buffer.alloc(1200);
    datagram[0] = 0xc0;
    datagram.writeUInt32BE(RESERVED_VERSION, 1);
    Buffer.concat([Buffer.of(8), dcid, Buffer.of(8), scid]).copy(datagram, 5);
    for (;;) {
        bound.socket.send(datagram, remote.port, remote.host);
        const answer = await new Promise((resolve) => {
            const timer = setTimeout(resolve, 500, null);
            bound.socket.once('message', (message) => { clearTimeout(timer); resolve(message); });
        });
        if (!answer) continue;
        const header = quiche.Header.fromSlice(answer, 8);
        const right = header.ty === quiche.Type.VersionNegotiation && header.version === 0 &&
            hex(header.dcid) === hex(scid) && hex(header.scid) === hex(dcid) &&
            header.versions.includes(1) && !header.versions.includes(RESERVED_VERSION);
        log('version_negotiation', { versions: header.versions?.map((v) => '0x' + v.toString(16)), right });
        return right;
    }
}

class Client {
    constructor(options, urls, bound, remote) {
        const [url] = urls;
        this.options = options;
        this.urls = urls;
        this.fetches = new Map(); // stream ID -> the file that its octets go to
        this.asked = this.fetched = 0;
        this.remote = remote;
        this.cidLength = Number(options['cid-length']);
        this.sockets = new Map(); // the local address quiche believes in -> the socket that is really used
        this.bytes = 0;
        this.hash = createHash('sha256');
        this.rebindAt = Number(options['rebind-at'] ?? Infinity);
        this.migrateAt = Number(options['migrate-at'] ?? Infinity);
        this.paused = false;
        this.finished = new Promise((resolve) => { this.resolve = resolve; });
        const config = makeConfig(options);
        if (options.ca) config.loadVerifyLocationsFromFile(options.ca);
        config.verifyPeer(Boolean(options.ca));
        const host = url.hostname.replace(/^\[|\]$/g, '');
        const name = options['server-name'] ?? (/^[\d.]+$|:/.test(host) ? 'localhost' : host);
        if (options.early) config.enableEarlyData();
        this.connection = quiche.Connection.connect(name, randomBytes(this.cidLength), bound.local, remote, config);
        if (options['session-file'] && fs.existsSync(options['session-file'])) {
            this.connection.setSession(fs.readFileSync(options['session-file']));
        }
        logKeys(this.connection, options);
        log('connecting', { local: show(bound.local), remote: show(remote), name });
        this.use(bound.local, bound);
    }

    // From now on what quiche knows as `local` is this socket.
    use(local, bound) {
        this.sockets.set(show(local), bound);
        bound.socket.on('message', (message, rinfo) => {
            if (bound.received++ === 0) log('first_received_on', { socket: show(bound.local), size: message.length });
            const datagram = { message, info: { from: { host: rinfo.address, port: rinfo.port }, to: local } };
            if (bound === this.handover?.old) this.handover.busy = true;
            if (this.handover && bound !== this.handover.old) this.postpone(datagram);
            else this.receive(datagram);
        });
    }

    receive({ message, info }) {
        if (this.over) return;
        try {
            this.connection.recv(message, info);
        } catch (error) {
            log('recv_error', { reason: error.message });
        }
        soon(this, () => this.step());
    }

    // After a move two sockets are read, in any order, and quiche takes a packet number that is 128 behind the highest
    // for a duplicate. So what comes to the new socket waits until the event loop has gone round once with nothing
    // read from the old one, which is the order in which the network delivered them.
    handOver(old) {
        this.handover = { old, waiting: [], busy: true };
    }

    postpone(datagram) {
        const { handover } = this;
        if (handover.waiting.push(datagram) > 1) return;
        const look = () => {
            if (handover.busy) {
                handover.busy = false;
                setImmediate(look);
                return;
            }
            this.handover = null;
            handover.waiting.forEach((each) => this.receive(each));
        };
        handover.busy = true; // the round that is under way may have passed the old socket by
        setImmediate(look);
    }

    // Opens a stream for each file, as far as the server allows. The files' names are the last parts of the paths.
    ask() {
        const { connection, options } = this;
        while (!options['handshake-only'] && this.asked < this.urls.length && connection.peerStreamsLeftBidi() > 0) {
            const url = this.urls[this.asked];
            const id = 4 * this.asked++;
            const file = options.download ? path.join(options.download, path.basename(url.pathname)) : options.out;
            this.fetches.set(id, file ? fs.openSync(file, 'w') : null);
            connection.streamSend(id, Buffer.from(`GET ${url.pathname}\r\n`), true);
        }
    }

    step() {
        if (this.over) return;
        const { connection } = this;
        if (connection.isEstablished()) {
            if (!this.established) {
                this.established = true;
                logHandshake(connection);
            }
            this.ask();
            offerCids(connection, this.cidLength);
            this.read();
        }
        logPathEvents(connection, (event) => this.onPathEvent(event));
        this.send();
        // It is in early data once its ClientHello was sent.
        if (connection.isInEarlyData() && this.asked < this.urls.length) {
            this.ask();
            this.send();
        }
        arm(this, connection, () => this.step());
        if (connection.isDraining() || connection.isClosed()) this.finish(false);
        else if (this.complete) this.finish(true);
    }

    send() {
        flush(this.connection, (bytes, from, to) => {
            const bound = this.sockets.get(show(from));
            bound.sent++;
            bound.socket.send(bytes, to.port, to.host);
        });
    }

    read() {
        const { connection } = this;
        // The binding does not tell when the handshake is confirmed, but the server's spare connection IDs come in
        // 1-RTT packets, so having one shows that the handshake is through.
        if (this.options['handshake-only']) {
            this.complete = connection.availableDcids() > 0;
            return;
        }
        const chunk = Buffer.allocUnsafe(65536);
        for (const [id, file] of this.fetches) this.readOne(id, file, chunk);
        if (this.fetched === this.urls.length) this.complete = true;
        else this.ask();
    }

    readOne(id, file, chunk) {
        const { connection } = this;
        while (!this.paused && connection.streamReadable(id)) {
            const result = connection.streamRecv(id, chunk);
            if (result === null) break;
            const [length, fin] = result;
            this.bytes += length;
            this.hash.update(chunk.subarray(0, length));
            if (file !== null) fs.writeSync(file, chunk, 0, length);
            if (fin) {
                this.fetches.delete(id);
                this.fetched++;
                if (file !== null) fs.closeSync(file);
                return;
            }
            if (this.bytes >= this.rebindAt) this.rebind();
            if (this.bytes >= this.migrateAt) this.probe();
        }
    }

    // A NAT's new mapping: another port, and neither end told. Nothing would bring the server to the new port if all
    // that is under way is coming down, so one PING goes out, as a keep-alive would. What is under way to the old port
    // still arrives, unless --rebind-hard. (quiche's own server does not live through the hard case with much under
    // way: it looks for losses on a path only when something sent on that path is newly acknowledged, so a flight
    // that is lost whole on the old path comes back at one or two packets for each PTO, the PTO doubling.)
    async rebind() {
        this.rebindAt = Infinity;
        const [[key, old]] = this.sockets;
        const local = { host: key.slice(0, key.lastIndexOf(':')).replace(/^\[|\]$/g, ''),
            port: Number(key.slice(key.lastIndexOf(':') + 1)) };
        const bound = await openSocket(this.options['second-host'] ?? old.local.host);
        if (this.options['rebind-hard']) old.socket.close();
        this.use(local, bound);
        this.old = old;
        if (!this.options['rebind-hard']) this.handOver(old);
        log('rebound', { from: show(old.local), to: show(bound.local), at_bytes: this.bytes });
        this.connection.sendAckEliciting();
        this.step();
    }

    // RFC 9000 section 9.1: probe first. Reading stops meanwhile, so that flow control keeps the transfer from
    // ending before there is a path to move to.
    async probe() {
        this.migrateAt = Infinity;
        this.paused = true;
        const [first] = this.sockets.values();
        const bound = await openSocket(this.options['second-host'] ?? first.local.host);
        this.use(bound.local, bound);
        log('probing', { local: show(bound.local), available_dcids: this.connection.availableDcids(),
            at_bytes: this.bytes });
        try {
            const sequence = this.connection.probePath(bound.local, this.remote);
            log('probe_sent', { dcid_sequence: sequence });
        } catch (error) {
            log('probe_failed', { reason: error.message });
            this.finish(false);
            return;
        }
        this.probed = bound;
        this.step();
    }

    onPathEvent(event) {
        if (!this.probed || event.local?.port !== this.probed.local.port) return;
        if (event.type === 'Validated' && !this.migrated) {
            this.migrated = true;
            this.handOver([...this.sockets.values()][0]);
            const sequence = this.connection.migrate(this.probed.local, this.remote);
            log('migrated', { to: show(this.probed.local), dcid_sequence: sequence });
            this.paused = false;
            setImmediate(() => { this.read(); this.step(); });
        } else if (event.type === 'FailedValidation') {
            this.finish(false);
        }
    }

    finish(ok) {
        if (this.over) return;
        this.over = true;
        clearTimeout(this.timer);
        const { connection } = this;
        const session = this.options['session-file'] && connection.session();
        if (session) fs.writeFileSync(this.options['session-file'], session);
        if (!connection.isDraining() && !connection.isClosed()) {
            connection.close(true, 0, Buffer.from('done'));
            this.send();
        }
        const wanted = !this.options['migrate-at'] || Boolean(this.migrated);
        const moved = !this.options['rebind-at'] || Boolean(this.old);
        for (const bound of [...(this.old ? [this.old] : []), ...this.sockets.values()]) {
            log('socket', { local: show(bound.local), received: bound.received, sent: bound.sent });
        }
        logClosed(connection);
        const success = ok && wanted && moved;
        log('result', { success, bytes: this.bytes, sha256: this.hash.digest('hex') });
        setTimeout(() => this.resolve(success), 20); // the closing packet leaves first
    }
}

// -------------------------------------------------------------------------------------------------------- main

async function runServer(options) {
    if (!options.cert || !options.key) throw new TypeError('server needs --cert and --key');
    const bound = await openSocket(options.host, Number(options.port));
    new Server(options, bound);
    log('listening', { address: show(bound.local) });
    process.on('SIGTERM', () => process.exit(0));
}

async function runClient(options, targets) {
    const urls = targets.map((target) => new URL(target));
    const [url] = urls;
    const host = url.hostname === 'localhost' ? '127.0.0.1' : url.hostname.replace(/^\[|\]$/g, '');
    const remote = { host, port: Number(url.port || 443) };
    const bound = await openSocket(host.includes(':') ? '::1' : '127.0.0.1');
    if (options['version-negotiation'] && !(await askForVersions(bound, remote))) process.exit(1);
    const client = new Client(options, urls, bound, remote);
    client.step();
    process.exit((await client.finished) ? 0 : 1);
}

async function main() {
    const { values, positionals } = parseCommand();
    setTimeout(() => { log('bound_reached', { seconds: Number(values.bound) }); process.exit(3); },
        Number(values.bound) * 1000).unref();
    const [role, ...targets] = positionals;
    if (role === 'server') await runServer(values);
    else if (role === 'client' && targets.length) await runClient(values, targets);
    else throw new TypeError('usage: quiche_peer.mjs server|client ... (see the head of this file)');
}

main().catch((error) => {
    log('fatal', { message: error.message, stack: error.stack });
    process.exit(error instanceof TypeError ? 2 : 1);
});
