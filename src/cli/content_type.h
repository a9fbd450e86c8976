/* What a file is, by the end of its name. */
#ifndef CLI_CONTENT_TYPE_H
#define CLI_CONTENT_TYPE_H

/* A media type, "application/octet-stream" where the name tells nothing: never NULL, static. */
const char *content_type_of(const char *name);

#endif
