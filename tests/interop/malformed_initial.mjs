// Sends one client Initial to 127.0.0.1:PORT, properly protected by the keys of RFC 9001 section 5.2, whose frames
// are PING and PADDING ("whole") or end in a CRYPTO frame cut off in its length field ("truncated"). It lets the
// interop harness see that a malformed frame which tshark reports does make a case fail.
//
//   node malformed_initial.mjs PORT whole|truncated

import { createCipheriv, createHmac, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';

const INITIAL_SALT = Buffer.from('38762cf7f55934b34d179ae6a4c80cadccbb7f0a', 'hex');

const hmac = (key, data) => createHmac('sha256', key).update(data).digest();

function expandLabel(secret, label, length) {
    const name = Buffer.from('tls13 ' + label);
    const info = Buffer.concat([Buffer.of(0, length, name.length), name, Buffer.of(0, 1)]);
    return hmac(secret, info).subarray(0, length);
}

function protect(header, payload, secret, numberLength) {
    const iv = Buffer.from(expandLabel(secret, 'quic iv', 12)); // packet number 0 leaves it as it is
    const seal = createCipheriv('aes-128-gcm', expandLabel(secret, 'quic key', 16), iv);
    seal.setAAD(header);
    const sealed = Buffer.concat([seal.update(payload), seal.final(), seal.getAuthTag()]);
    const packet = Buffer.concat([header, sealed]);
    const at = header.length - numberLength;
    const mask = createCipheriv('aes-128-ecb', expandLabel(secret, 'quic hp', 16), null)
        .update(packet.subarray(at + 4, at + 20));
    packet[0] ^= mask[0] & 0x0f;
    for (let i = 0; i < numberLength; i++) packet[at + i] ^= mask[1 + i];
    return packet;
}

function initial(kind) {
    const dcid = randomBytes(8);
    const scid = randomBytes(8);
    const payload = Buffer.alloc(1162); // all PADDING
    payload[0] = 0x01; // PING
    // CRYPTO, offset 0, and the first byte of a length of four bytes: the packet ends inside the frame.
    if (kind === 'truncated') Buffer.of(0x06, 0x00, 0x80).copy(payload, payload.length - 3);
    const numberLength = 4;
    const length = numberLength + payload.length + 16;
    const header = Buffer.concat([Buffer.of(0xc3, 0, 0, 0, 1, 8), dcid, Buffer.of(8), scid, Buffer.of(0),
        Buffer.of(0x40 | (length >> 8), length & 0xff), Buffer.alloc(numberLength)]);
    const secret = expandLabel(hmac(INITIAL_SALT, dcid), 'client in', 32);
    return protect(header, payload, secret, numberLength);
}

const [port, kind] = process.argv.slice(2);
const socket = dgram.createSocket('udp4');
socket.send(initial(kind), Number(port), '127.0.0.1', () => socket.close());
