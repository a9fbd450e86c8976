/*
 * Who we are and whom we trust. Credentials are configured by one thread and afterwards only read, by any number of
 * connections on any number of threads; the one thing that happens late, loading the system's authorities, is locked.
 *
 * A peer is accepted when anyone is; or its key is pinned; or its chain leads to an authority that we trust, it is
 * valid today, serves the purpose, and bears the name. Verification is never off unless roam_credentials_trust_anyone
 * was called.
 */
#include "crypto/credentials.h"

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/minmax.h"
#include "base/rng.h"
#include "crypto/hash.h"
#include "crypto/signer.h"
#include "crypto/tls.h"

/* Certificates in a chain: with a longer one of ours GnuTLS signs, one of a peer's is not looked at by itself. */
#define CHAIN_MAX 16

/* RFC 8446 section 6.2. */
enum {
    ALERT_BAD_CERTIFICATE = 42,
    ALERT_UNSUPPORTED_CERTIFICATE = 43,
    ALERT_CERTIFICATE_REVOKED = 44,
    ALERT_CERTIFICATE_EXPIRED = 45,
    ALERT_CERTIFICATE_UNKNOWN = 46,
    ALERT_UNKNOWN_CA = 48,
};

roam_credentials *roam_credentials_new(void)
{
    roam_allocator allocator = roam_allocator_default();
    struct roam_credentials *credentials = (struct roam_credentials *)mem_zalloc(&allocator, sizeof(*credentials));
    if (credentials == NULL)
        return NULL;
    if (gnutls_certificate_allocate_credentials(&credentials->x509) < 0) {
        mem_free(&allocator, credentials, sizeof(*credentials));
        return NULL;
    }
    gnutls_certificate_set_flags(credentials->x509, GNUTLS_CERTIFICATE_API_V2);
    credentials->allocator = allocator;
    atomic_init(&credentials->references, 1);
    pthread_mutex_init(&credentials->system_lock, NULL);
    return credentials;
}

roam_credentials *credentials_ref(roam_credentials *credentials)
{
    if (credentials != NULL)
        atomic_fetch_add_explicit(&credentials->references, 1, memory_order_relaxed);
    return credentials;
}

void roam_credentials_free(roam_credentials *credentials)
{
    if (credentials == NULL || atomic_fetch_sub_explicit(&credentials->references, 1, memory_order_acq_rel) != 1)
        return;
    roam_allocator allocator = credentials->allocator;
    gnutls_certificate_free_credentials(credentials->x509);
    pthread_mutex_destroy(&credentials->system_lock);
    mem_free(&allocator, credentials->pins, credentials->pin_count * ROAM_FINGERPRINT_BYTES);
    mem_free(&allocator, credentials, sizeof(*credentials));
}

/* SHA-256 of the SubjectPublicKeyInfo, RFC 7469 section 2.4. */
static bool fingerprint_of(gnutls_x509_crt_t certificate, uint8_t ret[ROAM_FINGERPRINT_BYTES])
{
    gnutls_pubkey_t key;
    gnutls_datum_t spki;
    if (gnutls_pubkey_init(&key) < 0)
        return false;
    bool ok = gnutls_pubkey_import_x509(key, certificate, 0) >= 0 &&
              gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &spki) >= 0;
    if (ok) {
        sha256(spki.data, spki.size, ret);
        gnutls_free(spki.data);
    }
    gnutls_pubkey_deinit(key);
    return ok;
}

/* ---- Our own certificate ---- */

static void free_chain(gnutls_x509_crt_t *chain, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(chain[i]);
    gnutls_free(chain);
}

/* The chain that became number `index` of x509 is ours. */
static roam_result take_certificate(struct roam_credentials *credentials, int index)
{
    gnutls_x509_crt_t *chain;
    unsigned count = 0;
    if (index < 0 || gnutls_certificate_get_x509_crt(credentials->x509, (unsigned)index, &chain, &count) < 0)
        return ROAM_ERR_CREDENTIALS;
    bool ok = count > 0 && fingerprint_of(chain[0], credentials->fingerprint);
    free_chain(chain, count);
    credentials->has_certificate = credentials->has_certificate || ok;
    return ok ? ROAM_OK : ROAM_ERR_CREDENTIALS;
}

/* Puts the chain and its key into x509, where libcrypto signs with it if it can. Returns its number there. */
static int add_identity(struct roam_credentials *credentials, gnutls_x509_crt_t *chain, unsigned count,
                        gnutls_x509_privkey_t key)
{
    gnutls_pcert_st certificates[CHAIN_MAX];
    gnutls_privkey_t signer = count <= CHAIN_MAX ? signer_new(key) : NULL;
    if (signer == NULL)
        return gnutls_certificate_set_x509_key(credentials->x509, chain, (int)count, key);
    int result = gnutls_pcert_import_x509_list(certificates, chain, &count, 0);
    unsigned imported = result >= 0 ? count : 0;
    if (result >= 0)
        result = gnutls_certificate_set_key(credentials->x509, NULL, 0, certificates, (int)count, signer);
    if (result >= 0)
        return result; /* all of them belong to x509 now */
    for (unsigned i = 0; i < imported; i++)
        gnutls_pcert_deinit(&certificates[i]);
    gnutls_privkey_deinit(signer);
    return result;
}

/* GnuTLS reads the files, whatever they are. */
static int load(struct roam_credentials *credentials, const char *chain_file, const char *key_file)
{
    gnutls_certificate_credentials_t read;
    gnutls_x509_crt_t *chain;
    gnutls_x509_privkey_t key;
    unsigned count = 0;
    if (gnutls_certificate_allocate_credentials(&read) < 0)
        return GNUTLS_E_MEMORY_ERROR;
    int result = gnutls_certificate_set_x509_key_file2(read, chain_file, key_file, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (result >= 0)
        result = gnutls_certificate_get_x509_crt(read, 0, &chain, &count);
    if (result >= 0) {
        if (gnutls_certificate_get_x509_key(read, 0, &key) >= 0) {
            result = add_identity(credentials, chain, count, key);
            gnutls_x509_privkey_deinit(key);
        } else { /* one that stays in a token */
            result = gnutls_certificate_set_x509_key_file2(credentials->x509, chain_file, key_file, GNUTLS_X509_FMT_PEM,
                                                           NULL, 0);
        }
        free_chain(chain, count);
    }
    gnutls_certificate_free_credentials(read);
    return result;
}

roam_result roam_credentials_load(roam_credentials *credentials, const char *chain_file, const char *key_file)
{
    return take_certificate(credentials, load(credentials, chain_file, key_file));
}

static int add_name(gnutls_x509_crt_t certificate, const char *name)
{
    roam_address address;
    if (roam_address_parse(&address, name)) {
        unsigned bytes = address.family == ROAM_FAMILY_IPV4 ? 4 : 16;
        return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, address.ip, bytes,
                                                    GNUTLS_FSAN_APPEND);
    }
    return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name),
                                                GNUTLS_FSAN_APPEND);
}

/* 13 months; the hour before now is for peers whose clocks are late. */
static int set_validity(gnutls_x509_crt_t certificate, time_t now)
{
    const time_t hour = 3600, day = 24 * hour;
    int result = gnutls_x509_crt_set_activation_time(certificate, now - hour);
    return result < 0 ? result : gnutls_x509_crt_set_expiration_time(certificate, now + 396 * day);
}

/* Everything in the certificate but its key and signature. */
static int describe(gnutls_x509_crt_t certificate, const char *const *names, time_t now, const roam_rng *rng)
{
    uint8_t serial[16];
    rng_fill(rng, serial, sizeof(serial));
    serial[0] = (serial[0] & 0x7f) | 0x40; /* a positive number in the fewest octets, RFC 5280 section 4.1.2.2 */
    int result = gnutls_x509_crt_set_version(certificate, 3);
    if (result >= 0)
        result = gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
    if (result >= 0)
        result = set_validity(certificate, now);
    if (result >= 0)
        result = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, names[0],
                                               (unsigned)strlen(names[0]));
    for (size_t i = 0; result >= 0 && names[i] != NULL; i++)
        result = add_name(certificate, names[i]);
    if (result >= 0)
        result = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
    if (result >= 0)
        result = gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (result >= 0)
        result = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (result >= 0)
        result = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0);
    return result;
}

roam_result credentials_generate(roam_credentials *credentials, const char *const *names, time_t now,
                                 const roam_rng *rng)
{
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t certificate = NULL;
    roam_result result = ROAM_ERR_CREDENTIALS;

    if (names == NULL || names[0] == NULL)
        return ROAM_ERR_CONFIG;
    if (gnutls_x509_privkey_init(&key) >= 0 && gnutls_x509_crt_init(&certificate) >= 0 &&
        gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) >= 0 &&
        describe(certificate, names, now, rng) >= 0 && gnutls_x509_crt_set_key(certificate, key) >= 0 &&
        gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0) >= 0)
        result = take_certificate(credentials, add_identity(credentials, &certificate, 1, key));
    if (certificate != NULL)
        gnutls_x509_crt_deinit(certificate);
    if (key != NULL)
        gnutls_x509_privkey_deinit(key);
    return result;
}

roam_result roam_credentials_fingerprint(const roam_credentials *credentials, uint8_t ret[ROAM_FINGERPRINT_BYTES])
{
    if (!credentials->has_certificate)
        return ROAM_ERR_CREDENTIALS;
    memcpy(ret, credentials->fingerprint, ROAM_FINGERPRINT_BYTES);
    return ROAM_OK;
}

/* ---- Whom to trust ---- */

roam_result roam_credentials_trust_file(roam_credentials *credentials, const char *ca_file)
{
    if (gnutls_certificate_set_x509_trust_file(credentials->x509, ca_file, GNUTLS_X509_FMT_PEM) <= 0)
        return ROAM_ERR_CREDENTIALS;
    credentials->trust = TRUST_FILE;
    return ROAM_OK;
}

roam_result roam_credentials_trust_pin(roam_credentials *credentials, const uint8_t fingerprint[ROAM_FINGERPRINT_BYTES])
{
    size_t bytes = credentials->pin_count * ROAM_FINGERPRINT_BYTES;
    void *pins = mem_resize(&credentials->allocator, credentials->pins, bytes, bytes + ROAM_FINGERPRINT_BYTES);
    if (pins == NULL)
        return ROAM_ERR_MEMORY;
    credentials->pins = (uint8_t(*)[ROAM_FINGERPRINT_BYTES])pins;
    memcpy(credentials->pins[credentials->pin_count++], fingerprint, ROAM_FINGERPRINT_BYTES);
    return ROAM_OK;
}

void roam_credentials_trust_anyone(roam_credentials *credentials)
{
    credentials->trust = TRUST_ANYONE;
}

void roam_credentials_require_client(roam_credentials *credentials)
{
    credentials->require_client = true;
}

/* ---- The verdict on a peer ---- */

static bool reject(struct verdict *ret, unsigned alert, const char *text)
{
    ret->alert = alert;
    snprintf(ret->text, sizeof(ret->text), "%s", text);
    return false;
}

static bool is_pinned(const struct roam_credentials *credentials, gnutls_x509_crt_t leaf)
{
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    if (credentials->pin_count == 0 || !fingerprint_of(leaf, fingerprint))
        return false;
    for (size_t i = 0; i < credentials->pin_count; i++)
        if (memcmp(credentials->pins[i], fingerprint, sizeof(fingerprint)) == 0)
            return true;
    return false;
}

static bool load_system_trust(struct roam_credentials *credentials)
{
    pthread_mutex_lock(&credentials->system_lock);
    if (!credentials->system_loaded)
        credentials->system_loaded = gnutls_certificate_set_x509_system_trust(credentials->x509) >= 0;
    bool loaded = credentials->system_loaded;
    pthread_mutex_unlock(&credentials->system_lock);
    return loaded;
}

/* The first of these that is set is the one that is reported: what others are set besides follows from it. */
static bool accept_status(unsigned status, struct verdict *ret)
{
    static const struct {
        unsigned status, alert;
        const char *text;
    } reasons[] = {
        {GNUTLS_CERT_REVOKED, ALERT_CERTIFICATE_REVOKED, "the certificate was revoked"},
        {GNUTLS_CERT_SIGNATURE_FAILURE, ALERT_BAD_CERTIFICATE, "the certificate's signature is wrong"},
        {GNUTLS_CERT_SIGNER_NOT_FOUND, ALERT_UNKNOWN_CA, "the certificate's authority is not trusted"},
        {GNUTLS_CERT_SIGNER_NOT_CA, ALERT_UNKNOWN_CA, "the certificate was issued by one that is no authority"},
        {GNUTLS_CERT_EXPIRED, ALERT_CERTIFICATE_EXPIRED, "the certificate has expired"},
        {GNUTLS_CERT_NOT_ACTIVATED, ALERT_CERTIFICATE_EXPIRED, "the certificate is not valid yet"},
        {GNUTLS_CERT_PURPOSE_MISMATCH, ALERT_UNSUPPORTED_CERTIFICATE, "the certificate is for another purpose"},
        {GNUTLS_CERT_INSECURE_ALGORITHM, ALERT_BAD_CERTIFICATE, "the certificate is signed with a weak algorithm"},
    };
    if (status == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LENGTH(reasons); i++)
        if ((status & reasons[i].status) != 0)
            return reject(ret, reasons[i].alert, reasons[i].text);
    return reject(ret, ALERT_CERTIFICATE_UNKNOWN, "the certificate is not acceptable");
}

/* Where a chain that leads to an authority is looked at: in the session that it came in, or, where `session` is NULL,
 * by itself. */
struct chain {
    gnutls_session_t session;
    const gnutls_datum_t *certificates; /* DER, leaf first */
    unsigned count;
};

static int verify_by_itself(struct roam_credentials *credentials, const struct chain *chain,
                            gnutls_typed_vdata_st *wanted, unsigned *ret_status)
{
    gnutls_x509_crt_t certificates[CHAIN_MAX];
    gnutls_x509_trust_list_t authorities;
    unsigned n = 0;
    int result = chain->count <= CHAIN_MAX ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
    while (result >= 0 && n < chain->count) {
        result = gnutls_x509_crt_init(&certificates[n]);
        if (result < 0)
            break;
        result = gnutls_x509_crt_import(certificates[n], &chain->certificates[n], GNUTLS_X509_FMT_DER);
        n++;
    }
    gnutls_certificate_get_trust_list(credentials->x509, &authorities);
    if (result >= 0)
        result = gnutls_x509_trust_list_verify_crt2(authorities, certificates, n, wanted, 1, 0, ret_status, NULL);
    while (n > 0)
        gnutls_x509_crt_deinit(certificates[--n]);
    return result;
}

static bool accept_chain(struct roam_credentials *credentials, const struct chain *chain, bool peer_is_server,
                         struct verdict *ret)
{
    const char *purpose = peer_is_server ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st wanted = {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)purpose, .size = 0};
    unsigned status = 0;
    if (credentials->trust == TRUST_SYSTEM && credentials->pin_count > 0)
        return reject(ret, ALERT_CERTIFICATE_UNKNOWN, "the certificate's key is not the pinned one");
    if (credentials->trust == TRUST_SYSTEM && !load_system_trust(credentials))
        return reject(ret, ALERT_UNKNOWN_CA, "the system's certificate authorities cannot be loaded");
    int result = chain->session != NULL ? gnutls_certificate_verify_peers(chain->session, &wanted, 1, &status)
                                        : verify_by_itself(credentials, chain, &wanted, &status);
    if (result < 0)
        return reject(ret, ALERT_BAD_CERTIFICATE, "the certificate cannot be verified");
    return accept_status(status, ret);
}

//= rfc9001#4.4 A client authenticates the identity of the server.
static bool accept_name(gnutls_x509_crt_t leaf, const char *name, struct verdict *ret)
{
    roam_address address;
    bool fits;
    if (name == NULL || name[0] == '\0')
        return reject(ret, ALERT_BAD_CERTIFICATE, "there is no name to hold the certificate against");
    if (roam_address_parse(&address, name))
        fits = gnutls_x509_crt_check_ip(leaf, address.ip, address.family == ROAM_FAMILY_IPV4 ? 4 : 16, 0) != 0;
    else
        fits = gnutls_x509_crt_check_hostname2(leaf, name, GNUTLS_VERIFY_DO_NOT_ALLOW_IP_MATCHES) != 0;
    if (fits)
        return true;
    ret->alert = ALERT_BAD_CERTIFICATE;
    snprintf(ret->text, sizeof(ret->text), "the certificate is not for '%s'", name);
    return false;
}

static bool accept(struct roam_credentials *credentials, const struct chain *chain, bool peer_is_server,
                   const char *name, struct verdict *ret)
{
    gnutls_x509_crt_t leaf;
    if (chain->certificates == NULL || chain->count == 0)
        return reject(ret, ALERT_BAD_CERTIFICATE, "the peer has no X.509 certificate");
    if (credentials->trust == TRUST_ANYONE)
        return true;
    if (gnutls_x509_crt_init(&leaf) < 0)
        return reject(ret, ALERT_BAD_CERTIFICATE, "no memory for the certificate");
    bool accepted;
    if (gnutls_x509_crt_import(leaf, &chain->certificates[0], GNUTLS_X509_FMT_DER) < 0)
        accepted = reject(ret, ALERT_BAD_CERTIFICATE, "the certificate is malformed");
    else
        accepted = is_pinned(credentials, leaf) || (accept_chain(credentials, chain, peer_is_server, ret) &&
                                                    (!peer_is_server || accept_name(leaf, name, ret)));
    gnutls_x509_crt_deinit(leaf);
    return accepted;
}

bool credentials_accept_peer(struct roam_credentials *credentials, gnutls_session_t session, bool peer_is_server,
                             const char *name, struct verdict *ret)
{
    struct chain chain = {.session = session};
    if (gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) == GNUTLS_CRT_X509)
        chain.certificates = gnutls_certificate_get_peers(session, &chain.count);
    return accept(credentials, &chain, peer_is_server, name, ret);
}

bool credentials_accept_again(struct roam_credentials *credentials, const gnutls_datum_t *certificates, unsigned count,
                              const char *name, struct verdict *ret)
{
    const struct chain chain = {.certificates = certificates, .count = count};
    return accept(credentials, &chain, true, name, ret);
}
