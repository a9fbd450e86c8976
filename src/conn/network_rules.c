/* Which networks an application lets its connection use: see roam/network.h. */
#include "conn/mobility.h"

static struct network_rule *find_rule(struct mobility *mobility, const char *network)
{
    for (size_t i = 0; i < mobility->rule_count; i++)
        if (strcmp(mobility->rules[i].network, network) == 0)
            return &mobility->rules[i];
    return NULL;
}

static bool names(const struct network_rule *rule, const roam_network *network)
{
    if (roam_address_is_set(&rule->address))
        return roam_address_same_ip(&rule->address, &network->local);
    return strcmp(rule->network, network->name) == 0;
}

static roam_result add_rule(struct mobility *mobility, const char *network, enum roam_network_rule rule)
{
    if (mobility->rule_count == ROAM_NETWORK_RULES_MAX)
        return ROAM_ERR_LIMIT;
    struct network_rule *entry = &mobility->rules[mobility->rule_count++];
    *entry = (struct network_rule){.rule = rule};
    memcpy(entry->network, network, strlen(network));
    roam_address_parse(&entry->address, network);
    return ROAM_OK;
}

roam_result roam_conn_network_rule(roam_conn *conn, roam_time now, const char *network, enum roam_network_rule rule)
{
    struct mobility *mobility = conn->mobility;
    roam_result result = ROAM_OK;
    conn->now = now;
    if (!conn_is_alive(conn))
        return ROAM_ERR_CLOSED;
    if (mobility == NULL)
        return ROAM_ERR_STATE;
    if (network[0] == '\0' || strlen(network) >= sizeof(mobility->rules[0].network))
        return ROAM_ERR_ADDRESS;
    struct network_rule *entry = find_rule(mobility, network);
    if (entry != NULL && rule == ROAM_NETWORK_NEUTRAL)
        *entry = mobility->rules[--mobility->rule_count];
    else if (entry != NULL)
        entry->rule = rule;
    else if (rule != ROAM_NETWORK_NEUTRAL)
        result = add_rule(mobility, network, rule);
    mobility_note(conn);
    return result;
}

enum roam_network_rule network_rule_of(const struct mobility *mobility, const roam_network *network)
{
    _Static_assert(ROAM_NETWORK_NEUTRAL < ROAM_NETWORK_PREFER && ROAM_NETWORK_PREFER < ROAM_NETWORK_FORBID &&
                       ROAM_NETWORK_FORBID < ROAM_NETWORK_FORCE,
                   "the strictest is the last");
    enum roam_network_rule strictest = ROAM_NETWORK_NEUTRAL;
    for (size_t i = 0; i < mobility->rule_count; i++)
        if (names(&mobility->rules[i], network) && mobility->rules[i].rule > strictest)
            strictest = mobility->rules[i].rule;
    return strictest;
}

bool network_rules_force(const struct mobility *mobility)
{
    for (size_t i = 0; i < mobility->rule_count; i++)
        if (mobility->rules[i].rule == ROAM_NETWORK_FORCE)
            return true;
    return false;
}
