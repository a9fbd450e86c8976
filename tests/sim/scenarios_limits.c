#include "sim/scenario.h"
const struct scenario scenarios_limits[] = {{0}};
