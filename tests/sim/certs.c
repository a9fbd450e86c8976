/*
 * An Ed25519 certificate and its key, made for this simulator, known to everybody and worth nothing anywhere else.
 * Ed25519 because its signatures have one length: handshakes of one seed then have the same lengths in every run.
 */
#include "sim/certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Certificates in the large chain: some seven thousand octets, several times what 1200 octets of a client allow. */
#define LARGE_CHAIN 20

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

static void write_file(char *path, const char *text, unsigned copies)
{
    int fd = mkstemp(path);
    bool written = fd >= 0;
    for (unsigned i = 0; i < copies && written; i++)
        written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (!written) {
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

/* The certificate so many times in a row, each signed by the next. */
static roam_credentials *load(unsigned copies)
{
    roam_credentials *credentials = roam_credentials_new();
    char chain[] = "/tmp/roam-sim-chain-XXXXXX", key[] = "/tmp/roam-sim-key-XXXXXX";
    if (credentials == NULL)
        explain("new", ROAM_ERR_MEMORY);
    write_file(chain, chain_pem, copies);
    write_file(key, key_pem, 1);
    roam_result result = roam_credentials_load(credentials, chain, key);
    unlink(chain);
    unlink(key);
    if (result != ROAM_OK)
        explain("load", result);
    return credentials;
}

struct sim_certs sim_certs_new(void)
{
    struct sim_certs certs = {.server = load(1), .large_server = load(LARGE_CHAIN), .client = roam_credentials_new()};
    if (certs.client == NULL)
        explain("new", ROAM_ERR_MEMORY);
    roam_result result;
    uint8_t pin[ROAM_FINGERPRINT_BYTES];
    result = roam_credentials_fingerprint(certs.server, pin);
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
