#include "syncd/verify.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "syncd/older_record.hpp"

namespace syncd {
namespace {

using common::Bytes;
using common::ByteView;
using common::Time;

std::string_view text_of(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// `chunk` of the last word of a run: there were differences.
constexpr std::uint32_t kRepairWanted = 1;

/// The other side shows a dump, and none says what is expected. A peer that does not know expectations shows those that
/// it was told of, as it does whatever it does not know.
Record as_dumped(ByteView known) {
  Flow flow = decode(known);
  flow.extras = without_expectations(*flow.extras);
  Record record;
  encode(flow, nullptr, record);
  return record;
}

ByteView state_of(const Record& record) {
  return record.view().subspan(record.key_end, static_cast<std::size_t>(record.state_end - record.key_end));
}

/// Calls `each` with every record of a part. Parts of the peer are checked here, and only in those are some gone.
template <typename Each>
void for_records(ByteView part, Counters& counters, Each each) {
  while (!part.empty()) {
    const auto layout = inspect(part);
    if (!layout) return counters.add(layout.error());
    each(part.first(layout->size), *layout);
    part = part.subspan(layout->size);
  }
}

}  // namespace

// --- the run
// ----------------------------------------------------------------------------------------------------------

void Verify::start(std::uint64_t client, std::uint64_t id, std::uint64_t run, bool link_up, Time now, Actions& out) {
  if (run_ || !link_up) {
    const char* why = run_ ? "a comparison is running already: wait for it"
                           : "the peer is not reachable over the sync link: nothing to compare with";
    out.push_back(SendReply{client, {.id = id, .ok = false, .error = why, .body = {}}});
    return;
  }
  ++store_.counters[Counter::verify_runs];
  run_ = Run{};
  run_->client = client;
  run_->id = id;
  run_->run = run;
  begin_round(now);
}

void Verify::begin_round(Time now) {
  Run& r = *run_;
  r.stage = Stage::gathering;
  ++r.run;
  r.have_own = false;
  r.own.clear();
  r.peer.clear();
  r.missing = r.asked_to = 0;
  r.ask_at = r.heard = now;
  r.index.clear();
  r.before = std::move(r.differing);
  r.differing.clear();
  r.compared = 0;
  own_wanted_ = true;
}

void Verify::fail(const std::string& why, Actions& out) {
  out.push_back(SendReply{run_->client, {.id = run_->id, .ok = false, .error = why, .body = {}}});
  run_.reset();
  own_wanted_ = false;
}

void Verify::advance(bool link_up, Time now, Actions& out) {
  if (!run_) return;
  if (!link_up) return fail("the sync link went down during the comparison: try again", out);
  Run& r = *run_;
  switch (r.stage) {
    case Stage::pausing:
      if (r.resume_at <= now) begin_round(now);
      break;
    case Stage::gathering:
      if (r.heard + kVerifyPatience <= now) return fail("the peer does not answer the comparison: try again", out);
      if (!r.have_own || r.peer.empty() || r.missing < r.peer.size()) return;
      r.stage = Stage::indexing;
      r.at = 0;
      break;
    case Stage::indexing:
    case Stage::matching:
    case Stage::leftovers:
      work(now, out);
      break;
  }
}

common::Deadline Verify::deadline() const {
  if (!run_) return std::nullopt;
  switch (run_->stage) {
    case Stage::pausing:
      return run_->resume_at;
    case Stage::gathering: {
      const bool all_here = !run_->peer.empty() && run_->missing >= run_->peer.size();
      return all_here ? run_->heard + kVerifyPatience : std::min(run_->ask_at, run_->heard + kVerifyPatience);
    }
    case Stage::indexing:
    case Stage::matching:
    case Stage::leftovers:
      break;  // the engine steps on while working()
  }
  return std::nullopt;
}

// --- our side
// ---------------------------------------------------------------------------------------------------------

/// A standby that does not commit has its flows in the table alone.
bool Verify::from_kernel(std::size_t group) const {
  return store_.groups[group].role == Role::master || !config_.sync ||
         config_.sync->commit == common::CommitPolicy::continuous;
}

void Verify::append(Parts& parts, ByteView record) {
  if (parts.empty() || parts.back().size() + record.size() > kVerifyPart) {
    if (parts.size() >= kVerifyParts) return;
    parts.emplace_back();
    parts.back().reserve(kVerifyPart);
  }
  parts.back().insert(parts.back().end(), record.begin(), record.end());
}

void Verify::dump_started() {
  dump_running_ = true;
  dump_for_own_ = std::exchange(own_wanted_, false);
  dump_for_snapshot_ = std::exchange(snapshot_wanted_, false);
  dumping_.clear();
}

void Verify::take(const Flow& flow) {
  const auto group = ownership_.group_of(flow);
  if (!group || !store_.groups[*group].replicated || !from_kernel(*group)) return;
  if (selection_.withholds(flow)) return;
  Record record;
  encode(flow, nullptr, record);
  append(dumping_, record.view());
}

void Verify::take_table() {
  for (Slot slot = 0; slot < store_.table.end(); ++slot) {
    const Entry& e = store_.table[slot];
    if (!e.used() || e.is(entry::gone | entry::sentinel | entry::found | entry::withheld) || from_kernel(e.group))
      continue;
    const ByteView known = store_.table.record(slot);
    if (!expects(known)) {
      append(dumping_, known);
      continue;
    }
    append(dumping_, as_dumped(known).view());
  }
}

/// For the peer, who has sent them.
void Verify::name_kept_out() {
  bool first = true;
  receiver_.for_kept_out([&](ByteView key) {
    if (std::exchange(first, false) && dumping_.size() < kVerifyParts) dumping_.emplace_back();
    Bytes gone(key.begin(), key.end());
    gone.front() |= kGone;
    append(dumping_, gone);
  });
}

void Verify::on_dumped(std::span<const Flow> flows, bool last, bool failed) {
  if (!dump_running_) return;
  for (const Flow& flow : flows) take(flow);
  if (!last && !failed) return;
  dump_running_ = false;
  if (failed) {
    own_wanted_ = own_wanted_ || (dump_for_own_ && run_);
    snapshot_wanted_ = snapshot_wanted_ || dump_for_snapshot_;
    return;
  }
  take_table();
  if (dump_for_own_ && run_) {
    run_->own = dumping_;
    run_->have_own = true;
  }
  name_kept_out();
  if (dumping_.empty()) dumping_.emplace_back();  // "nothing" is an answer too
  if (dump_for_snapshot_) snapshot_ = std::move(dumping_);
  dumping_ = {};
}

// --- over the link
// ----------------------------------------------------------------------------------------------------

void Verify::on_ask(const PartAsk& ask) {
  if (ask.count == 0) {
    if (ask.run == snapshot_run_ && !snapshot_.empty() && ask.chunk == kRepairWanted) repair_ = true;
    snapshot_ = {};
    to_send_.clear();
    return;
  }
  if (ask.run != snapshot_run_) {
    snapshot_run_ = ask.run;
    snapshot_ = {};
    snapshot_wanted_ = true;
  }
  to_send_.clear();
  const std::uint64_t end =
      std::min<std::uint64_t>(std::uint64_t{ask.chunk} + std::min(ask.count, kVerifyWindow), snapshot_.size());
  for (std::uint64_t i = end; i > ask.chunk; --i) to_send_.push_back(static_cast<std::uint32_t>(i - 1));
}

void Verify::on_part(const Part& part, bool without_extras, Time now) {
  if (!run_ || run_->stage != Stage::gathering || part.run != run_->run || part.chunks > kVerifyParts) return;
  Run& r = *run_;
  if (part.bytes.empty() && part.chunks != 1) return;  // only an empty kernel has an empty part
  if (r.peer.empty()) r.peer.resize(part.chunks);
  if (part.chunk >= r.peer.size() || !r.peer[part.chunk].empty()) return;
  r.heard = now;
  r.without_extras = without_extras;
  r.peer[part.chunk].assign(part.bytes.begin(), part.bytes.end());
  if (r.peer[part.chunk].empty()) r.missing = static_cast<std::uint32_t>(r.peer.size());
  while (r.missing < r.peer.size() && !r.peer[r.missing].empty()) ++r.missing;
  if (r.missing >= r.asked_to) r.ask_at = now;
}

bool Verify::has_to_say(Time now) const {
  if (repairs_to_tell_ > 0) return true;
  if (!to_send_.empty() && !snapshot_.empty()) return true;
  return run_ && run_->stage == Stage::gathering && run_->ask_at <= now &&
         (run_->peer.empty() || run_->missing < run_->peer.size());
}

std::optional<PartAsk> Verify::poll_ask(Time now) {
  if (repairs_to_tell_ > 0) {
    --repairs_to_tell_;
    return PartAsk{ended_run_, kRepairWanted, 0};
  }
  if (!run_ || run_->stage != Stage::gathering || run_->ask_at > now) return std::nullopt;
  Run& r = *run_;
  if (!r.peer.empty() && r.missing >= r.peer.size()) {
    r.ask_at = now + kVerifyPatience;  // all is here; our own dump is what is waited for
    return std::nullopt;
  }
  r.ask_at = now + kVerifyAskAgain;
  r.asked_to = r.missing + kVerifyWindow;
  return PartAsk{r.run, r.missing, kVerifyWindow};
}

std::optional<Part> Verify::poll_part() {
  if (to_send_.empty() || snapshot_.empty()) return std::nullopt;
  const std::uint32_t chunk = to_send_.back();
  to_send_.pop_back();
  return Part{snapshot_run_, chunk, static_cast<std::uint32_t>(snapshot_.size()), snapshot_[chunk]};
}

// --- comparing
// --------------------------------------------------------------------------------------------------------

void Verify::note(ByteView record, std::string text) {
  const auto layout = inspect(record);
  if (layout) run_->differing.emplace(text_of(record.first(layout->key_end)), std::move(text));
}

void Verify::index_part(Bytes& part) {
  if (run_->without_extras) part = without_extras(part);
  for_records(part, store_.counters, [this](ByteView record, const RecordLayout& l) {
    const ByteView state = record.subspan(l.key_end, l.state_end - l.key_end);
    run_->index.insert_or_assign(text_of(record.first(l.key_end)), Mine{text_of(state), false});
  });
}

/// The peer keeps it out.
void Verify::set_aside(ByteView key) {
  std::string text(text_of(key));
  text.front() = static_cast<char>(std::byte(text.front()) & ~kGone);
  if (const auto it = run_->index.find(text); it != run_->index.end()) it.value().matched = true;
}

void Verify::match_part(const Bytes& part) {
  for_records(part, store_.counters, [this](ByteView record, const RecordLayout& l) {
    if (l.gone) return set_aside(record.first(l.key_end));
    const auto it = run_->index.find(text_of(record.first(l.key_end)));
    if (it == run_->index.end() && ownership_.stays_here(decode(record))) return;
    ++run_->compared;
    if (it == run_->index.end()) return note(record, "only on " + config_.peer + ": " + to_string(decode(record)));
    it.value().matched = true;
    const ByteView state = record.subspan(l.key_end, l.state_end - l.key_end);
    if (it->second.state == text_of(state)) return;
    if (expects(record) && it->second.state == text_of(state_of(as_dumped(record)))) return;
    Bytes mine;
    const auto add = [&mine](std::string_view v) {
      const auto bytes = std::as_bytes(std::span(v));
      mine.insert(mine.end(), bytes.begin(), bytes.end());
    };
    add(it->first);
    add(it->second.state);
    mine.push_back(std::byte{0});  // a timeout: records end with one
    note(record, "differs: " + config_.node + " " + to_string(decode(mine)) + "; " + config_.peer + " " +
                     to_string(decode(record)));
  });
}

void Verify::leftover_part(const Bytes& part) {
  for_records(part, store_.counters, [this](ByteView record, const RecordLayout& l) {
    const auto it = run_->index.find(text_of(record.first(l.key_end)));
    if (it == run_->index.end() || it->second.matched) return;
    ++run_->compared;
    note(record, "only on " + config_.node + ": " + to_string(decode(record)));
  });
}

void Verify::work(Time now, Actions& out) {
  Run& r = *run_;
  Parts& parts = r.stage == Stage::matching ? r.peer : r.own;
  for (std::size_t n = 0; n < kVerifySlice && r.at < parts.size(); ++n, ++r.at) {
    if (r.stage == Stage::indexing)
      index_part(parts[r.at]);
    else if (r.stage == Stage::matching)
      match_part(parts[r.at]);
    else
      leftover_part(parts[r.at]);
  }
  if (r.at < parts.size()) return;
  r.at = 0;
  if (r.stage == Stage::indexing)
    r.stage = Stage::matching;
  else if (r.stage == Stage::matching)
    r.stage = Stage::leftovers;
  else
    end_round(now, out);
}

void Verify::end_round(Time now, Actions& out) {
  Run& r = *run_;
  if (r.round > 0) std::erase_if(r.differing, [&r](const auto& d) { return !r.before.contains(d.first); });
  if (!r.differing.empty() && ++r.round < kVerifyRounds) {
    r.stage = Stage::pausing;
    r.resume_at = now + kVerifyPause;
    return;
  }
  nlohmann::ordered_json body{
      {"differ", r.differing.size()}, {"compared", r.compared}, {"flows", nlohmann::ordered_json::array()}};
  for (const auto& [key, text] : r.differing) {
    if (body["flows"].size() >= kVerifyNamed) break;
    body["flows"].push_back(text);
  }
  out.push_back(SendReply{r.client, {.id = r.id, .ok = true, .error = {}, .body = body.dump()}});
  repair_ = !r.differing.empty();
  repairs_to_tell_ = repair_ ? kVerifyTellRepair : 0;
  ended_run_ = r.run;
  run_.reset();
}

}  // namespace syncd
