/* Fields of HTTP/3 messages, by name. */
#ifndef CLI_H3_FIELD_H
#define CLI_H3_FIELD_H

#include <roam/h3.h>
#include <string.h>

/* The value of the first field of that name (in lower case), valid as long as the event; NULL where there is none. */
static inline const char *h3_field_value(const roam_h3_event *event, const char *name)
{
    for (size_t i = 0; i < event->field_count; i++)
        if (strcmp(event->fields[i].name, name) == 0)
            return event->fields[i].value;
    return NULL;
}

#endif
