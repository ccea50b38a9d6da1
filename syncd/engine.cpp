#include "syncd/engine.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "common/overload.hpp"
#include "common/settings.hpp"
#include "syncd/engine_state.hpp"

namespace syncd {
namespace {

/// Within this time after the link has come up two masters settle who stays: heal_hold, and then some.
constexpr common::Duration kMeetingTime = std::chrono::seconds(5);

/// Each of them would be one line of thousands.
Log told(const Commit::Refusals& refusals) {
  const std::string others = refusals.count > 1 ? fmt::format(" and {} others", refusals.count - 1) : "";
  return {
      Log::Level::warning, "kernel_refuses",
      fmt::format("the kernel does not take {}{}: {}", to_string(refusals.first), others, refusal_text(refusals.code))};
}

Log told(const Commit::Clashes& clashes) {
  const std::string others = clashes.count > 1 ? fmt::format(" and {} others", clashes.count - 1) : "";
  return {Log::Level::warning, "translated_twice",
          fmt::format("both routers were master, and both gave a translation to {}{}: what was answered goes on, else "
                      "what is here",
                      to_string(clashes.first), others)};
}

}  // namespace

Engine::Engine(common::Config config, Secrets secrets, Time now)
    : state_(std::make_unique<State>(std::move(config), std::move(secrets), now)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;

void Engine::step(const Event& event, Time now, Actions& out) {
  state_->handle(event, now, out);
  state_->advance(now, out);
}

std::optional<Time> Engine::deadline() const {
  return state_->deadline();
}
bool Engine::taking_over() const {
  return state_->commit.walking();
}
bool Engine::kernel_pending() const {
  return state_->commit.pending();
}
Status Engine::status(Time now) const {
  return state_->status(now);
}

void Engine::poll_kernel(Time now, std::size_t most, std::vector<KernelWrite>& out) {
  state_->commit.poll(now, most, out);
}

bool Engine::poll_datagram(Time now, Datagram& out) {
  State& s = *state_;
  if (s.link.next_copy(out)) return true;
  common::Bytes greeting;
  if (s.link.poll_greeting(now, greeting)) {
    s.link.send_plainly(std::move(greeting));
    return s.link.next_copy(out);
  }
  if (!s.link.established() || !(s.compose_control(now) || s.compose_data(now))) return false;
  s.link.send(s.payload);
  return s.link.next_copy(out);
}

// --- events
// -----------------------------------------------------------------------------------------------------------

bool Engine::State::configure() {
  store.groups.configure(config);
  std::vector<std::size_t> numbers;
  if (config.vrrp)
    for (const auto& g : config.vrrp->groups) {
      const Group* group = store.groups.find(g.name);
      numbers.push_back(group ? store.groups.index(*group) : 0);
    }
  const bool others = ownership.configure(config, numbers);
  if (config.sync) {
    commit.set_policy(config.sync->commit);
    selection.configure(config.sync->filter);
  }
  peer.configure(config);
  return others;
}

/// What belongs to whom has changed.
void Engine::State::review_ownership(Time now) {
  retention.begin();
  observer.want_dump(now);
}

void Engine::State::handle(const Event& event, Time now, Actions& out) {
  const bool up = link.up(now);
  std::visit(common::Overload{
                 [](const Tick&) {},
                 [&](const DatagramReceived& e) { on_datagram(e, now); },
                 [&](const LinkChanged& e) { link.set_usable(e, now); },
                 [&](const FlowsChanged& e) { observer.on_changes(e.changes, now); },
                 [&](const FlowsDumped& e) { on_dumped(e, now); },
                 [&](const EventsLost&) { observer.on_lost(now); },
                 [&](const EventsSynced& e) { roles.on_synced(e.request, up, now, out); },
                 [&](const KernelRefused& e) {
                   for (const KernelResult& result : e.results) commit.refused(result);
                 },
                 [&](const KernelFlushed& e) {
                   if (!on_committed(e.request, out)) roles.on_flushed(e.request, now, out);
                 },
                 [&](const OwnAddresses& e) {
                   if (ownership.set_own_addresses(e.addresses)) review_ownership(now);
                   if (!std::exchange(addresses_known, true)) observer.want_dump(now);
                 },
                 [&](const NotifyReceived& e) { roles.on_message(e.message, up, now, out); },
                 [&](const NotifyConnected&) {
                   vrrpd_connected = true;
                   roles.on_connected(config.node, out);
                   peer.report_at_once();
                 },
                 [&](const NotifyDisconnected&) {
                   vrrpd_connected = false;
                   peer.forget_local(now);
                 },
                 [&](const RequestReceived& e) { on_request(e, now, out); },
                 [&](const PapersCollected& e) { papers.collected(e.text); },
                 [&](const TableMeasured& e) { on_measured(e.size, now, out); },
                 [&](const Stop&) { out.push_back(Finished{}); },
                 [&](const Reload& e) {
                   if (config.sync && e.config.sync && config.sync->masks != e.config.sync->masks)
                     observer.want_dump(now);
                   config = e.config;
                   if (configure()) review_ownership(now);
                   link.configure(config);
                   for (const LinkChanged& change : e.links) link.set_usable(change, now);
                   if (!e.key.empty()) link.change_key(e.key, now);
                   changing_key = link.changing_key();
                 },
             },
             event);
}

void Engine::State::on_datagram(const DatagramReceived& datagram, Time now) {
  const auto received = link.receive(datagram, now);
  if (!received) return;
  if (received->changed) on_session(now);
  if (!received->sealed) return;
  const auto frame = decode_frame(received->payload, {config.peer, config.node, received->protocol});
  if (!frame) return store.counters.add(frame.error());
  on_frame(*frame, now);
}

void Engine::State::on_session(Time now) {
  peer.tell_now(now);
  if (link.peer_incarnation() == peer_incarnation) return;
  if (peer_incarnation != 0) ++store.counters[Counter::peer_restarts];
  peer_incarnation = link.peer_incarnation();
  peer.forget_peer();
  link.expect_every(peer.keepalive());
  receiver.reset();
  sender.reset();
}

void Engine::State::on_frame(const Frame& frame, Time now) {
  store.counters[Counter::unknown_blocks] += frame.unknown_blocks;
  if (frame.untranslatable) store.counters.add(*frame.untranslatable);
  if (frame.ack) sender.on_ack(*frame.ack, now);
  if (frame.probe) peer.on_probe(now);
  if (frame.answer) peer.on_answer();
  if (frame.state) on_peer_state(*frame.state, now);
  if (frame.sequence != 0) receiver.on_data(frame, now);
  if (frame.verify_ask) verify.on_ask(*frame.verify_ask);
  if (frame.verify_part) verify.on_part(*frame.verify_part, frame.without_extras, now);
  if (frame.papers_ask) papers.on_ask(*frame.papers_ask);
  if (frame.papers_part) papers.on_part(*frame.papers_part, now);
  if (frame.digests) audit.on_digests(*frame.digests, now);
  if (frame.repair) audit.on_repair(*frame.repair);
}

void Engine::State::on_peer_state(const PeerState& state, Time now) {
  if (!peer.on_state(state)) return;
  link.expect_every(peer.keepalive());
  for (Group& group : store.groups) {
    const GroupState* said = peer.said(group);
    const std::uint32_t epoch = group.stream.epoch;
    sender.peer_follows(group, said ? said->following : 0, said ? said->released : 0);
    if (group.stream.epoch != epoch) peer.tell_now(now);
  }
  offers.review(true, now);  // before anything is followed
  consider_streams(now);
}

void Engine::State::consider_streams(Time now) {
  for (Group& group : store.groups) {
    const GroupState* said = peer.said(group);
    if (receiver.consider(group, said ? *said : GroupState{})) peer.tell_now(now);
  }
}

void Engine::State::on_dumped(const FlowsDumped& dumped, Time now) {
  if (dumped.dump != last_dump) return;
  switch (dump_for) {
    case DumpFor::nobody:
      return;
    case DumpFor::observer:
      observer.on_dumped(dumped.flows, dumped.last, dumped.failed, now);
      if (dumped.last && !dumped.failed) observer.on_masters(dumped.masters);
      break;
    case DumpFor::verify:
      verify.on_dumped(dumped.flows, dumped.last, dumped.failed);
      break;
  }
  if (dumped.last || dumped.failed) dump_for = DumpFor::nobody;
}

void Engine::State::on_request(const RequestReceived& event, Time now, Actions& out) {
  const common::Request& request = event.request;
  common::Reply reply{.id = request.id, .ok = true, .error = {}, .body = {}};
  if (request.verb == "status") {
    reply.body = to_json(status(now));
  } else if (request.verb == "sync.verify") {
    return verify.start(event.client, request.id, nonces.next_u64(), link.up(now), now, out);
  } else if (request.verb == "peer.papers") {
    return papers.start(event.client, request.id, nonces.next_u64(), link.up(now), now, out);
  } else if (request.verb == "connections") {
    return inquiries.list(event.client, request, out);
  } else if (request.verb == "sync.flush") {
    if (inquiries.forget(event.client, request, link.up(now), out)) resync(now);
    return;
  } else if (request.verb == "sync.resync" && link.up(now)) {
    resync(now);
  } else if (request.verb == "sync.resync") {
    reply.ok = false;
    reply.error = config.peer + " is not heard on the sync link: nothing could be fetched";
  } else if (request.verb == "sync.commit") {
    return start_commit(event.client, request.id, out);
  } else {
    reply.ok = false;
    reply.error = "syncd does not know the request \"" + common::printable(request.verb) + "\"";
  }
  out.push_back(SendReply{event.client, std::move(reply)});
}

void Engine::State::start_commit(std::uint64_t client, std::uint64_t id, Actions& out) {
  std::string why;
  if (std::ranges::none_of(store.groups, flow_of_peer))
    why = "this router is master of every group: its kernel has the connections already";
  else if (commits.size() >= kMostCommits)
    why = "too many are under way: try again";
  if (!why.empty()) return out.push_back(SendReply{client, {.id = id, .ok = false, .error = why, .body = {}}});
  for (Group& group : store.groups)
    if (flow_of_peer(group)) commit.commit_all(group);
  commits.push_back({.client = client, .id = id, .request = ++last_commit});
  out.push_back(FlushKernel{last_commit});
}

/// False: it was somebody else's request. What the kernel has refused is tried once more, in another round.
bool Engine::State::on_committed(std::uint64_t request, Actions& out) {
  const auto it = std::ranges::find(commits, request, &Committing::request);
  if (it == commits.end()) return false;
  if (commit.pending() && ++it->rounds < kFlushRounds) {
    out.push_back(FlushKernel{request});
    return true;
  }
  std::uint64_t flows = 0, in_kernel = 0, refused = 0;
  for (const Group& group : store.groups) {
    if (!flow_of_peer(group)) continue;
    flows += group.flows;
    in_kernel += group.in_kernel;
    refused += group.refused;
  }
  std::string body = fmt::format(R"({{"connections":{},"in_kernel":{},"refused":{}}})", flows, in_kernel, refused);
  out.push_back(SendReply{it->client, {.id = it->id, .ok = true, .error = {}, .body = std::move(body)}});
  commits.erase(it);
  return true;
}

/// What found no room is in our kernel, or the peer has it.
void Engine::State::on_measured(const TableSize& size, Time now, Actions& out) {
  peer.measured(size);
  switch (room.measured(size)) {
    case Room::News::none:
      return;
    case Room::News::full:
      return out.push_back(Log{Log::Level::error, "table_full", room.reason()});
    case Room::News::again:
      break;
  }
  out.push_back(Log{Log::Level::info, "table_has_room", "there is room for all connections again; they are read anew"});
  observer.want_dump(now);
  for (Group& group : store.groups)
    if (group.role != Role::master) receiver.stop_following(group);
  peer.tell_now(now);
}

/// Everything anew, both ways and from the kernel.
void Engine::State::resync(Time now) {
  observer.want_dump(now);
  for (Group& group : store.groups) {
    if (group.role == Role::master && group.replicated)
      sender.begin_stream(group, StreamKind::mastership);
    else
      receiver.stop_following(group);
  }
  peer.tell_now(now);
}

// --- time
// -------------------------------------------------------------------------------------------------------------

void Engine::State::advance_link(Time now, Actions& out) {
  if (std::exchange(changing_key, link.changing_key()) && !changing_key)
    out.push_back(
        Log{Log::Level::info, "key_changed", config.peer + " has the new sync key; the old one is forgotten"});
  for (const Link::News& news : link.take_news(now)) {
    if (news.heard)
      out.push_back(Log{Log::Level::info, "link_heard", config.peer + " is heard on the sync link " + news.interface});
    else
      out.push_back(Log{Log::Level::warning, "link_quiet",
                        config.peer + " is not heard on the sync link " + news.interface + "; another one is left"});
  }
  const common::LinkState state = link.state(now);
  if (state == link_was) return;
  const bool was_up = link_was == common::LinkState::up;
  link_was = state;
  switch (state) {
    case common::LinkState::up:
      out.push_back(Log{Log::Level::info, "link_up", config.peer + " is heard on the sync link"});
      if (link.protocol() < kProtocol)
        out.push_back(Log{Log::Level::info, "older_protocol",
                          config.peer + " runs an older release: what its protocol does not carry comes when it is "
                                        "upgraded"});
      break;
    case common::LinkState::refused:
      out.push_back(Log{Log::Level::error, "link_refused", link.refusal(now)});
      break;
    case common::LinkState::down:
      if (was_up)
        out.push_back(Log{Log::Level::warning, "link_down", config.peer + " is not heard on the sync link any more"});
      break;
    case common::LinkState::none:
      break;
  }
  if (was_up) sender.suspend();
  store.apart = state != common::LinkState::up;
  met_until.reset();
  for (Group& group : store.groups) {
    // Counted from now on; or, when the peer is back, what the meeting is about.
    if (store.apart && was_up) group.served_apart = 0;
    group.made_apart = store.apart ? 0 : group.unshared;
  }
  if (!store.apart) met_until = now + kMeetingTime;
}

/// Two masters that meet have settled by now who stays. A later claim beside a working link is another matter.
void Engine::State::end_meeting(Time now) {
  if (!met_until || now < *met_until) return;
  met_until.reset();
  for (Group& group : store.groups) group.made_apart = group.served_apart = 0;
}

/// A takeover does not share the kernel with the reading of a table that it is about to write.
bool Engine::State::may_dump() const {
  return dump_for == DumpFor::nobody && addresses_known && !commit.walking();
}

/// Nor does its walk over the table share the processor with another one.
bool Engine::State::may_select() const {
  return !commit.walking();
}

void Engine::State::start_dumps(Time now, Actions& out) {
  if (!may_dump()) return;
  if (observer.dump_due(now)) {
    dump_for = DumpFor::observer;
    observer.dump_started(now);
  } else if (verify.wants_dump()) {
    dump_for = DumpFor::verify;
    verify.dump_started();
  } else {
    return;
  }
  out.push_back(StartDump{++last_dump});
}

void Engine::State::advance(Time now, Actions& out) {
  stepped_at = now;
  advance_link(now, out);
  end_meeting(now);
  const bool up = link.up(now);
  if (may_select()) {
    selection.tick(now);
    retention.tick(now);
  }
  if (up) sender.tick(now);
  if (sender.take_news()) peer.tell_now(now);
  peer.expire(now);
  commit.tick(now);
  if (const auto refusals = commit.take_refusals(now)) out.push_back(told(*refusals));
  if (const auto clashes = commit.take_clashes(now)) out.push_back(told(*clashes));
  if (observer.sweeping()) observer.sweep(now);
  if (auto keys = observer.take_unread(); !keys.empty()) out.push_back(ReadFlows{std::move(keys)});
  // Not before our own kernel has been read once: what the sweep is to find may not be in the table yet.
  const bool may_sweep = observer.dumped_once() && receiver.sweeping();
  if (may_sweep && receiver.sweep()) peer.tell_now(now);
  start_dumps(now, out);
  for (const Sender::Mark mark : sender.take_passed()) {
    roles.on_passed(mark);
    audit.on_passed(mark);
  }
  roles.advance(up, now, out);
  if (offers.review(up, now)) consider_streams(now);
  verify.advance(up, now, out);
  if (verify.take_repair()) observer.want_repair(now);
  audit.advance(may_audit(now), now, out);
  inquiries.advance(out);
  papers.advance(up, now, out);
  auto report = peer.report(link.state(now), sender.backlog(), now);
  if (!report) return;
  if (vrrpd_connected) out.push_back(SendNotify{*report});
  out.push_back(Publish{std::move(*report)});
}

std::optional<Time> Engine::State::deadline() const {
  const bool may_sweep = observer.dumped_once() && receiver.sweeping();
  if (observer.sweeping() || may_sweep || verify.working() || inquiries.working() || audit.working() ||
      (may_select() && (selection.working() || retention.working())))
    return stepped_at;
  common::Deadline at = common::earliest(link.deadline(stepped_at), peer.deadline(link.established()));
  at = common::earliest(at, commit.deadline());
  if (may_select()) at = common::earliest(at, selection.deadline());
  if (may_dump()) at = common::earliest(at, observer.deadline());
  at = common::earliest(at, roles.deadline(stepped_at));
  at = common::earliest(at, verify.deadline());
  at = common::earliest(at, papers.deadline());
  if (may_audit(stepped_at)) at = common::earliest(at, audit.deadline());
  if (link.up(stepped_at)) at = common::earliest(at, offers.deadline());
  at = common::earliest(at, receiver.deadline());
  if (link.up(stepped_at)) at = common::earliest(at, sender.deadline());
  return at;
}

// --- datagrams
// --------------------------------------------------------------------------------------------------------

/// State, acknowledgements, and what verify, the papers and the audit have to say.
bool Engine::State::compose_control(Time now) {
  const bool tell = peer.tell_due(now), part = verify.has_to_say(now), paper = papers.has_to_say(now);
  const bool digests = may_audit(now) && audit.has_to_say();
  if (!tell && !part && !paper && !digests && !receiver.ack_due(now)) return false;
  FrameWriter frame(payload, names());
  if (receiver.ack_wanted()) frame.ack(receiver.take_ack());
  if (tell) {
    if (peer.take_probe()) frame.probe();
    if (peer.take_answer()) frame.answer();
    frame.state(peer.state_to_tell(now, link.protocol()));
    peer.told(now);
  } else if (part) {
    if (const auto ask = verify.poll_ask(now)) frame.verify_ask(*ask);
    if (const auto records = verify.poll_part()) frame.verify_part(*records);
  } else if (paper) {
    if (const auto ask = papers.poll_ask(now)) frame.papers_ask(*ask);
    if (const auto some = papers.poll_part()) frame.papers_part(*some);
  } else if (digests) {
    audit.say(frame);
  }
  return true;
}

bool Engine::State::compose_data(Time now) {
  if (!link.up(now) || !sender.ready(now)) return false;
  FrameWriter frame(payload, names());
  if (sender.waiting_for_marks()) frame.ack_now();
  const bool ack = receiver.ack_wanted();
  const Ack acknowledged = ack ? receiver.take_ack() : Ack{};
  if (ack) frame.ack(acknowledged);
  frame.data(sender.next_sequence(), sender.low());
  if (sender.pack(frame, link.payload_room(), now)) return true;
  if (!ack) return false;
  FrameWriter plain(payload, names());
  plain.ack(acknowledged);
  return true;
}

}  // namespace syncd
