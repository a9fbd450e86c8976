/*
 * An Ed25519 certificate and its key, made for this simulator, known to everybody and worth nothing anywhere else.
 * Ed25519 because its signatures have one length: handshakes of one seed then have the same lengths in every run.
 */
#include "sim/certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/x509.h>

/* Names in the large certificate: some nine thousand octets, several times what 1200 octets of a client allow. */
#define LARGE_NAMES 200

/* When it begins to hold, and for how long. */
#define LARGE_FROM    1764000000
#define LARGE_SECONDS (100L * 365 * 24 * 3600)

static const char chain_pem[] = "-----BEGIN CERTIFICATE-----\n"
                                "MIIBTjCCAQCgAwIBAgIBATAFBgMrZXAwGDEWMBQGA1UEAwwNc2ltLnJvYW0udGVz\n"
                                "dDAgFw0yNjExMjMwMTM1MTZaGA8yMTI2MTAzMDAxMzUxNlowGDEWMBQGA1UEAwwN\n"
                                "c2ltLnJvYW0udGVzdDAqMAUGAytlcAMhAE1q0glurqhKTBidM4/2hnBEm83/nSRg\n"
                                "M33t3NwIw/4zo20wazAdBgNVHQ4EFgQUQXQGv+70jbRMplJNbafdCy1o4OcwHwYD\n"
                                "VR0jBBgwFoAUQXQGv+70jbRMplJNbafdCy1o4OcwDwYDVR0TAQH/BAUwAwEB/zAY\n"
                                "BgNVHREEETAPgg1zaW0ucm9hbS50ZXN0MAUGAytlcANBAM7i5n4F4d7uwOX3jdKW\n"
                                "169XL/OBw7MGK5OQqaNIP+xYgyZZMy++bK6dzLpZVuoCVYSQl+LNsVC2ioSg+uN0\n"
                                "zQ0=\n"
                                "-----END CERTIFICATE-----\n";

static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIGNvB9W7LM3wO9Wj5CrYtIfu8Nxcqr4LJNv6pRFv4w33\n"
                              "-----END PRIVATE KEY-----\n";

static void write_file(char *path, const void *text, size_t len)
{
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
        perror(path);
        exit(2);
    }
    close(fd);
}

static void explain(const char *what, roam_result result)
{
    fprintf(stderr, "certificate of the simulator: %s: %s\n", what, roam_result_name(result));
    exit(2);
}

static void must(int result)
{
    if (result < 0) {
        fprintf(stderr, "certificate of the simulator: %s\n", gnutls_strerror(result));
        exit(2);
    }
}

/* Signed by the same key, with so many names in it that it takes many datagrams; the same octets each time. */
static gnutls_datum_t large_certificate(void)
{
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
    gnutls_datum_t pem = {(unsigned char *)(uintptr_t)key_pem, sizeof(key_pem) - 1}, ret;
    must(gnutls_x509_privkey_init(&key));
    must(gnutls_x509_privkey_import(key, &pem, GNUTLS_X509_FMT_PEM));
    must(gnutls_x509_crt_init(&certificate));
    must(gnutls_x509_crt_set_version(certificate, 3));
    must(gnutls_x509_crt_set_serial(certificate, "\1", 1));
    must(gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, "sim.roam.test", 13));
    must(gnutls_x509_crt_set_activation_time(certificate, LARGE_FROM));
    must(gnutls_x509_crt_set_expiration_time(certificate, LARGE_FROM + LARGE_SECONDS));
    for (unsigned i = 0; i < LARGE_NAMES; i++) {
        char name[64];
        int len = snprintf(name, sizeof(name), "name-%u-of-a-large-certificate.sim.roam.test", i);
        must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, name, (unsigned)len,
                                                  GNUTLS_FSAN_APPEND));
    }
    must(gnutls_x509_crt_set_key(certificate, key));
    must(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA512, 0));
    must(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &ret));
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
    return ret;
}

static roam_credentials *load(const void *chain_text, size_t len)
{
    roam_credentials *credentials = roam_credentials_new();
    char chain[] = "/tmp/roam-sim-chain-XXXXXX", key[] = "/tmp/roam-sim-key-XXXXXX";
    if (credentials == NULL)
        explain("new", ROAM_ERR_MEMORY);
    write_file(chain, chain_text, len);
    write_file(key, key_pem, sizeof(key_pem) - 1);
    roam_result result = roam_credentials_load(credentials, chain, key);
    unlink(chain);
    unlink(key);
    if (result != ROAM_OK)
        explain("load", result);
    return credentials;
}

struct sim_certs sim_certs_new(void)
{
    gnutls_datum_t large = large_certificate();
    struct sim_certs certs = {.server = load(chain_pem, sizeof(chain_pem) - 1),
                              .large_server = load(large.data, large.size),
                              .client = roam_credentials_new()};
    gnutls_free(large.data);
    if (certs.client == NULL)
        explain("new", ROAM_ERR_MEMORY);
    uint8_t pin[ROAM_FINGERPRINT_BYTES];
    roam_result result = roam_credentials_fingerprint(certs.server, pin);
    if (result == ROAM_OK)
        result = roam_credentials_trust_pin(certs.client, pin);
    if (result != ROAM_OK)
        explain("pin", result);
    return certs;
}

void sim_certs_free(struct sim_certs *certs)
{
    roam_credentials_free(certs->server);
    roam_credentials_free(certs->large_server);
    roam_credentials_free(certs->client);
    certs->server = certs->large_server = certs->client = NULL;
}
