#include "syncd/retention.hpp"

#include "syncd/record.hpp"

namespace syncd {

void Retention::begin() {
  receiver_.review_kept_out();
  working_ = true;
  cursor_ = 0;
}

void Retention::tick(common::Time now) {
  if (!working_) return;
  for (std::size_t looked_at = 0; cursor_ < store_.table.end(); ++cursor_) {
    if (++looked_at > kRetentionSlice) return;
    const Entry& e = store_[cursor_];
    if (e.used() && !e.is(entry::gone | entry::sentinel)) review(cursor_, now);
  }
  working_ = false;
}

void Retention::review(Slot slot, common::Time now) {
  Entry& e = store_[slot];
  const Flow flow = decode(store_.table.record(slot));
  if (store_.group_of(e).role != Role::master) {
    // What the groups cover is the master's to say; only this router's addresses it cannot know.
    if (ownership_.stays_here(flow)) receiver_.let_go(slot);
    return;
  }
  if (ownership_.group_of(flow)) return;
  store_.set_in_kernel(e, false);
  store_.unqueue_write(slot);
  sender_.ended(slot, now);
}

}  // namespace syncd
