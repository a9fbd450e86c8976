/* One connection and its timeline: see top_model.h. */
#include <stdio.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/top_model.h"

void top_detail_open(struct top_model *model, const struct top_row *row)
{
    model->detail = (struct top_detail){.row = *row};
    model->page = TOP_DETAIL;
    model->subscribe = true;
    model->ask_detail = true;
}

void top_detail_close(struct top_model *model)
{
    model->page = TOP_TABLE;
    model->subscribe = true;
    model->stale = true;
}

void top_detail_not_found(struct top_model *model)
{
    struct top_detail *detail = &model->detail;
    model->ask_detail = !detail->gone && !detail->by_id;
    detail->gone = detail->gone || detail->by_id;
    detail->by_id = true;
}

void top_detail_add(struct top_detail *detail, double unix_ms, bool is_move, const char *text)
{
    if (detail->entry_count == TOP_TIMELINE_MAX) {
        detail->first = (detail->first + 1) % TOP_TIMELINE_MAX;
        detail->entry_count--;
    }
    struct top_entry *entry = &detail->entries[(detail->first + detail->entry_count++) % TOP_TIMELINE_MAX];
    entry->unix_ms = unix_ms;
    entry->is_move = is_move;
    snprintf(entry->text, sizeof(entry->text), "%s", text);
    /* Who looks at older ones goes on to see the same. */
    if (detail->back > 0)
        top_detail_scroll(detail, -1);
}

const struct top_entry *top_detail_entry(const struct top_detail *detail, size_t i)
{
    return &detail->entries[(detail->first + i) % TOP_TIMELINE_MAX];
}

void top_detail_scroll(struct top_detail *detail, int64_t by)
{
    if (by > 0)
        detail->back = (size_t)saturating_sub(detail->back, (uint64_t)by);
    else
        detail->back = (size_t)min_u64(detail->back + (uint64_t)-by, saturating_sub(detail->entry_count, 1));
}
