/* A self-signed certificate that is valid from today: what the core does not know, the day, is asked for here. */
#include <time.h>

#include <roam/config.h>

#include "crypto/credentials.h"

roam_result roam_credentials_generate(roam_credentials *credentials, const char *const *names)
{
    roam_rng rng = roam_rng_default();
    return credentials_generate(credentials, names, time(NULL), &rng);
}
