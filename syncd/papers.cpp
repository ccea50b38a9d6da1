#include "syncd/papers.hpp"

#include <algorithm>
#include <utility>

namespace syncd {

using common::Time;

// --- asking
// -----------------------------------------------------------------------------------------------------------

void Papers::start(std::uint64_t client, std::uint64_t id, std::uint64_t run, bool link_up, Time now, Actions& out) {
  if (run_ || !link_up) {
    const std::string why =
        run_ ? "somebody asks for the same at this moment: try again"
             : (config_.peer.empty() ? "the other router" : config_.peer) + " is not heard on the sync link";
    out.push_back(SendReply{client, {.id = id, .ok = false, .error = why, .body = {}}});
    return;
  }
  run_ = Run{.client = client, .id = id, .run = run, .parts = {}, .ask_at = now, .heard = now};
}

void Papers::finish(bool ok, std::string text, Actions& out) {
  over_ = PartAsk{run_->run, 0, 0};
  common::Reply reply{.id = run_->id, .ok = ok, .error = {}, .body = {}};
  (ok ? reply.body : reply.error) = std::move(text);
  out.push_back(SendReply{run_->client, std::move(reply)});
  run_.reset();
}

void Papers::advance(bool link_up, Time now, Actions& out) {
  if (std::exchange(wanted_, false)) out.push_back(CollectPapers{});
  if (!run_) return;
  if (whole()) {
    std::string text;
    for (const common::Bytes& part : run_->parts) text.append(reinterpret_cast<const char*>(part.data()), part.size());
    return finish(true, std::move(text), out);
  }
  if (!link_up) return finish(false, "the sync link went down meanwhile: try again", out);
  if (run_->heard + kPapersPatience <= now)
    finish(false, config_.peer + " does not answer: its syncd may be of an older release", out);
}

common::Deadline Papers::deadline() const {
  if (!run_) return std::nullopt;
  return std::min(run_->ask_at, run_->heard + kPapersPatience);
}

void Papers::on_part(const Part& part, Time now) {
  if (!run_ || part.run != run_->run || part.chunks > kPapersParts || part.bytes.empty()) return;
  Run& r = *run_;
  if (r.parts.empty()) r.parts.resize(part.chunks);
  if (part.chunk >= r.parts.size() || !r.parts[part.chunk].empty()) return;
  r.heard = now;
  r.parts[part.chunk].assign(part.bytes.begin(), part.bytes.end());
  while (r.missing < r.parts.size() && !r.parts[r.missing].empty()) ++r.missing;
  if (r.missing >= r.asked_to) r.ask_at = now;
}

// --- showing
// ----------------------------------------------------------------------------------------------------------

void Papers::on_ask(const PartAsk& ask) {
  to_send_.clear();
  if (ask.count == 0 || ask.run != shown_run_) shown_ = {};
  if (ask.count == 0) return;
  if (ask.run != shown_run_) {
    shown_run_ = ask.run;
    wanted_ = true;
  }
  const std::size_t parts = (shown_.size() + kPapersPart - 1) / kPapersPart;
  const std::uint64_t end =
      std::min<std::uint64_t>(std::uint64_t{ask.chunk} + std::min(ask.count, kPapersWindow), parts);
  for (std::uint64_t i = end; i > ask.chunk; --i) to_send_.push_back(static_cast<std::uint32_t>(i - 1));
}

void Papers::collected(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  shown_.assign(bytes.begin(), bytes.end());
  // It is waited for: the first parts go without being asked for again.
  on_ask({shown_run_, 0, kPapersWindow});
}

// --- over the link
// ----------------------------------------------------------------------------------------------------

bool Papers::has_to_say(Time now) const {
  return !to_send_.empty() || over_ || (run_ && !whole() && run_->ask_at <= now);
}

std::optional<PartAsk> Papers::poll_ask(Time now) {
  if (over_) return std::exchange(over_, std::nullopt);
  if (!run_ || whole() || run_->ask_at > now) return std::nullopt;
  run_->ask_at = now + kPapersAskAgain;
  run_->asked_to = run_->missing + kPapersWindow;
  return PartAsk{run_->run, run_->missing, kPapersWindow};
}

std::optional<Part> Papers::poll_part() {
  if (to_send_.empty()) return std::nullopt;
  const std::uint32_t chunk = to_send_.back();
  to_send_.pop_back();
  const std::size_t begin = chunk * kPapersPart;
  return Part{shown_run_, chunk, static_cast<std::uint32_t>((shown_.size() + kPapersPart - 1) / kPapersPart),
              common::ByteView(shown_).subspan(begin, std::min(kPapersPart, shown_.size() - begin))};
}

}  // namespace syncd
