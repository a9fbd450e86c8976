/* Deep copies of configurations: a connection or an endpoint outlives the caller's. */
#ifndef CONN_CONFIG_COPY_H
#define CONN_CONFIG_COPY_H

#include <roam/config.h>

#include "base/alloc.h"

/* NULL without memory. */
roam_config *config_copy(const roam_allocator *allocator, const roam_config *config);
void config_copy_free(const roam_allocator *allocator, roam_config *config);

/* A server with this configuration asks its clients to another address. */
bool config_offers_preferred(const roam_config *config);

/* ROAM_OK or ROAM_ERR_CONFIG. */
roam_result config_check(const roam_config *config);

#endif
