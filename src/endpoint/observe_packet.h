/* What tests watch: every packet, as the connection saw it. */
#ifndef ENDPOINT_OBSERVE_PACKET_H
#define ENDPOINT_OBSERVE_PACKET_H

#include "endpoint/endpoint.h"

#endif
