/*
 * See signer.h. A signer is an EVP_PKEY_CTX that is ready to sign and never signs itself: each signature is made by a
 * duplicate, so that nothing is looked up again and threads share what is only read.
 */
#include "crypto/signer.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdbool.h>

/* What TLS 1.3 signs with, RFC 8446 section 4.2.3, and what GnuTLS tries when it compares a key with its certificate:
 * ECDSA with SHA-256, or an RSA signature over a DigestInfo that is made already. */
static const struct scheme {
    gnutls_sign_algorithm_t algorithm;
    int type;                          /* of the key, EVP_PKEY_... */
    const EVP_MD *(*pss_digest)(void); /* RSA-PSS; NULL: what is given is signed as it is */
} schemes[] = {
    {GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, EVP_PKEY_EC, NULL},
    {GNUTLS_SIGN_ECDSA_SHA256, EVP_PKEY_EC, NULL},
    {GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, EVP_PKEY_RSA, EVP_sha256},
    {GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, EVP_PKEY_RSA, EVP_sha384},
    {GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, EVP_PKEY_RSA, EVP_sha512},
    {GNUTLS_SIGN_RSA_RAW, EVP_PKEY_RSA, NULL},
};

static const struct scheme *scheme_of(const EVP_PKEY *key, gnutls_sign_algorithm_t algorithm)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (schemes[i].algorithm == algorithm && schemes[i].type == EVP_PKEY_get_base_id(key))
            return &schemes[i];
    return NULL;
}

static int info(gnutls_privkey_t key, unsigned flags, void *opaque)
{
    const EVP_PKEY *own = EVP_PKEY_CTX_get0_pkey((EVP_PKEY_CTX *)opaque);
    (void)key;
    if ((flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) != 0)
        return scheme_of(own, (gnutls_sign_algorithm_t)GNUTLS_FLAGS_TO_SIGN_ALGO(flags)) != NULL;
    if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) != 0)
        return EVP_PKEY_get_base_id(own) == EVP_PKEY_EC ? GNUTLS_PK_ECDSA : GNUTLS_PK_RSA;
    return (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) != 0 ? EVP_PKEY_get_bits(own) : -1;
}

static bool choose_scheme(EVP_PKEY_CTX *signing, const struct scheme *scheme)
{
    if (scheme->type != EVP_PKEY_RSA)
        return true;
    if (scheme->pss_digest == NULL)
        return EVP_PKEY_CTX_set_rsa_padding(signing, RSA_PKCS1_PADDING) > 0;
    /* RFC 8446 section 4.2.3: the salt is as long as the digest. */
    return EVP_PKEY_CTX_set_rsa_padding(signing, RSA_PKCS1_PSS_PADDING) > 0 &&
           EVP_PKEY_CTX_set_signature_md(signing, scheme->pss_digest()) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(signing, RSA_PSS_SALTLEN_DIGEST) > 0;
}

static int sign(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *opaque, unsigned flags,
                const gnutls_datum_t *hash, gnutls_datum_t *ret)
{
    EVP_PKEY_CTX *own = opaque;
    const struct scheme *scheme = scheme_of(EVP_PKEY_CTX_get0_pkey(own), algorithm);
    (void)key, (void)flags;
    if (scheme == NULL)
        return GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
    const size_t most = (size_t)EVP_PKEY_get_size(EVP_PKEY_CTX_get0_pkey(own));
    size_t len = most;
    unsigned char *signature = gnutls_malloc(most);
    EVP_PKEY_CTX *signing = EVP_PKEY_CTX_dup(own);
    /* Without memory for its octets libcrypto 3.0 calls an ECDSA signature made, and its length -1. */
    bool done = signature != NULL && signing != NULL && choose_scheme(signing, scheme) &&
                EVP_PKEY_sign(signing, signature, &len, hash->data, hash->size) > 0 && len <= most;
    EVP_PKEY_CTX_free(signing);
    if (!done) {
        gnutls_free(signature);
        return GNUTLS_E_PK_SIGN_FAILED;
    }
    *ret = (gnutls_datum_t){.data = signature, .size = (unsigned)len};
    return 0;
}

static void release(gnutls_privkey_t key, void *opaque)
{
    (void)key;
    EVP_PKEY_CTX_free(opaque);
}

static bool is_ours(gnutls_x509_privkey_t key)
{
    gnutls_ecc_curve_t curve;
    int algorithm = gnutls_x509_privkey_get_pk_algorithm(key);
    return algorithm == GNUTLS_PK_RSA ||
           (algorithm == GNUTLS_PK_ECDSA && gnutls_x509_privkey_export_ecc_raw(key, &curve, NULL, NULL, NULL) >= 0 &&
            curve == GNUTLS_ECC_CURVE_SECP256R1);
}

static EVP_PKEY_CTX *context_of(gnutls_x509_privkey_t key)
{
    gnutls_datum_t der;
    if (!is_ours(key) || gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN, &der) < 0)
        return NULL;
    const unsigned char *at = der.data;
    EVP_PKEY *own = d2i_AutoPrivateKey(NULL, &at, (long)der.size);
    gnutls_memset(der.data, 0, der.size);
    gnutls_free(der.data);
    EVP_PKEY_CTX *context = own != NULL ? EVP_PKEY_CTX_new(own, NULL) : NULL;
    EVP_PKEY_free(own); /* the context holds it */
    if (context != NULL && EVP_PKEY_sign_init(context) <= 0) {
        EVP_PKEY_CTX_free(context);
        return NULL;
    }
    return context;
}

gnutls_privkey_t signer_new(gnutls_x509_privkey_t key)
{
    gnutls_privkey_t signer;
    EVP_PKEY_CTX *context = context_of(key);
    if (context == NULL)
        return NULL;
    if (gnutls_privkey_init(&signer) < 0) {
        EVP_PKEY_CTX_free(context);
        return NULL;
    }
    if (gnutls_privkey_import_ext4(signer, context, NULL, sign, NULL, release, info, 0) >= 0)
        return signer;
    EVP_PKEY_CTX_free(context);
    gnutls_privkey_deinit(signer);
    return NULL;
}
