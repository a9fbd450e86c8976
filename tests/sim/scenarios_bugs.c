#include "sim/scenario.h"
const struct scenario scenarios_bugs[] = {{0}};
