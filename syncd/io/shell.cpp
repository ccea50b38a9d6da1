#include "syncd/io/shell.hpp"

#include <sys/epoll.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <thread>
#include <utility>

#include "common/io/log.hpp"
#include "common/overload.hpp"
#include "syncd/io/own_papers.hpp"

namespace syncd::io {
namespace {

using common::io::log;
using common::io::LogLevel;
using namespace std::chrono_literals;

/// Entries written in one turn: one to two milliseconds of the kernel's work.
constexpr std::size_t kWritesPerTurn = 256;
/// Datagrams sent in one turn: about a millisecond with encryption, and a small part of a socket's buffer.
constexpr std::size_t kDatagramsPerTurn = 64;
/// How often is looked after what no notification tells of.
constexpr common::Duration kCheckEvery = 1s;
/// The drain is bounded by the engine; beyond this the process ends all the same.
constexpr common::Duration kStopWithin = 2s;
/// Between the agent and vrrpd. What the kernel reports must be at the peer before the power may go: a connection that
/// is known here only, because a busy router let us wait, is one that a failover breaks.
constexpr int kRealTimePriority = 9;

common::Result<Secrets> make_secrets(const std::vector<std::byte>& key) {
  Secrets secrets;
  secrets.key = key;
  // Up to 256 bytes come whole or not at all.
  if (getrandom(secrets.random.data(), secrets.random.size(), 0) < 0)
    return common::fail(std::string("no random bytes: ") + std::strerror(errno), errno);
  return secrets;
}

/// Reports that come fast (some thousand a second) are left to gather for this long.
constexpr common::Duration kGather = 1ms;
constexpr Gathering::Rule kStreamOfReports{.soon = 500us, .turns = 4, .portion = 4};

/// The kernel reports that a connection announces another one before it changes the packet that does so, and with it
/// the sequence numbers: within microseconds, on the same processor.
constexpr common::Duration kDetailsAfter = 2ms;
/// Read in one go: some milliseconds.
constexpr std::size_t kDetailsAtOnce = 256;

common::Duration used_by_thread() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

const char* const kNoReports =
    "the kernel does not report changes of connections: set net.netfilter.nf_conntrack_events=1 "
    "(natctl agent does so at its start)";

}  // namespace

Shell::Shell(common::io::Loop& loop, common::io::DaemonOptions options, common::Config config,
             std::vector<std::byte> key)
    : loop_(loop),
      options_(std::move(options)),
      config_(std::move(config)),
      key_(std::move(key)),
      gathering_(kStreamOfReports) {}

Shell::~Shell() {
  if (events_) loop_.unwatch(events_->fd());
}

common::Status Shell::start() {
  // First of all: it fails when another syncd serves this directory, before anything of that one is touched.
  if (auto opened = open_server(); !opened) return opened;
  if (auto opened = open_kernel(); !opened) return opened;
  auto secrets = make_secrets(key_);
  if (!secrets) return std::unexpected(secrets.error());
  // Memory is not locked: a table that is laid out in advance would all become resident.
  common::io::prefer_real_time(kRealTimePriority);
  timer_ = loop_.timer([this] { tick(); });
  // Of the same priority as the sockets: whoever became ready earlier is served first.
  more_ = loop_.timer([this] { turn(); }, common::io::Loop::Priority::normal);
  gather_timer_ = loop_.timer([this] { serve_reports(); }, common::io::Loop::Priority::normal);
  check_timer_ = loop_.timer([this] { check_now_and_then(); }, common::io::Loop::Priority::normal);
  exit_timer_ = loop_.timer([this] { loop_.stop(); });
  detail_timer_ = loop_.timer([this] { read_details(); }, common::io::Loop::Priority::normal);
  loop_.on_signals([this] { terminate(); }, [this] { reload(); });
  engine_.emplace(config_, std::move(*secrets), common::io::now());
  follow_config();
  connect();
  begin();
  return {};
}

common::Status Shell::open_server() {
  common::io::NotifyServer::Callbacks callbacks{
      .connected = {},
      .message = [this](std::uint64_t client, const common::NotifyMessage& m) { message(client, m); },
      .closed = [this](std::uint64_t client) { agents_.erase(client); }};
  auto server = common::io::NotifyServer::open(loop_, options_.run_dir + "/syncd.sock", std::move(callbacks));
  if (!server) return std::unexpected(server.error());
  server_ = std::move(*server);
  return {};
}

common::Status Shell::open_kernel() {
  auto writer = ConntrackWriter::open();
  if (!writer) return std::unexpected(writer.error());
  writer_.emplace(std::move(*writer));
  auto events = ConntrackEvents::open(writer_->port());
  if (!events) return std::unexpected(events.error());
  events_.emplace(std::move(*events));
  auto interfaces = Interfaces::open(loop_, counters_, [this] {
    follow_interfaces();
    turn();
  });
  if (!interfaces) return std::unexpected(interfaces.error());
  interfaces_ = std::move(*interfaces);
  auto reader = ConntrackReader::open();
  if (!reader) return std::unexpected(reader.error());
  reader_.emplace(std::move(*reader));
  dump_.emplace(loop_, decoder_, [this](const ConntrackDump::Piece& piece) {
    if (piece.failed) ++counters_.dumps_failed;
    feed(FlowsDumped{piece.dump, piece.flows, piece.last, piece.failed, piece.masters});
    turn();
  });
  links_.emplace(
      loop_, counters_,
      LinkSockets::Callbacks{.received = [this](const DatagramReceived& d) { feed(d); }, .turn = [this] { turn(); }});
  return {};
}

void Shell::connect() {
  vrrpd_ = std::make_unique<common::io::NotifyClient>(
      loop_, options_.run_dir + "/vrrpd.sock",
      common::io::NotifyClient::Callbacks{.connected =
                                              [this] {
                                                feed(NotifyConnected{});
                                                turn();
                                              },
                                          .message =
                                              [this](const common::NotifyMessage& received) {
                                                links_->poll();
                                                feed(NotifyReceived{received});
                                                turn();
                                              },
                                          .closed =
                                              [this] {
                                                feed(NotifyDisconnected{});
                                                turn();
                                              }});
}

/// The kernel's reports are subscribed to by now; the own addresses start the engine, which asks for a dump.
void Shell::begin() {
  loop_.watch(events_->fd(), EPOLLIN, [this](std::uint32_t) { serve_reports(); });
  for (const LinkChanged& change : links_->follow(*interfaces_)) feed(change);
  own_addresses_ = interfaces_->addresses();
  feed(OwnAddresses{own_addresses_});
  if (const auto table = measure_table()) feed(TableMeasured{*table});
  turn();
  check_timer_->set(common::io::now() + kCheckEvery);
}

// --- events ------------------------------------------------------------------------

/// Actions never lead back here: what the engine asks for is answered by a later turn.
void Shell::feed(const Event& event) {
  common::check(!std::exchange(stepping_, true), "an event is not delivered within another");
  actions_.clear();
  engine_->step(event, common::io::now(), actions_);
  for (const Action& action : actions_) {
    if (options_.debug) log(LogLevel::debug, "action", to_string(action));
    perform(action);
  }
  stepping_ = false;
}

/// After whatever has been delivered: the requests and a portion of the bulk, and when to come again.
void Shell::turn() {
  if (!syncs_.empty()) read_events();
  if (std::exchange(papers_wanted_, false)) feed(PapersCollected{collect_papers(options_, config_)});
  const bool datagrams_left = move_datagrams();
  const bool writes_left = move_writes();
  timer_->set(engine_->deadline());
  if (datagrams_left || writes_left || !syncs_.empty() || !flushes_.empty())
    more_->set(common::io::now());
  else
    more_->set(std::nullopt);
  if (!engine_->taking_over() && breather_.tired(common::io::now(), used_by_thread()))
    std::this_thread::sleep_for(Breather::kRest);
}

/// What has arrived before the time was up counts as arrived in time, however late we were scheduled: a peer
/// must not be taken for dead while its datagrams wait in our socket.
void Shell::tick() {
  links_->poll();
  feed(Tick{});
  turn();
}

void Shell::check_now_and_then() {
  const bool on = conntrack_events_enabled();
  if (kernel_reports_ && !on) log(LogLevel::warning, "kernel_reports_off", kNoReports);
  if (!std::exchange(kernel_reports_, on) && on) {
    log(LogLevel::info, "kernel_reports_on", "the kernel reports changes of connections again");
    feed(EventsLost{});
  }
  if (deaf_) {
    hear_packets(true);
    if (!deaf_) feed(EventsLost{});
  }
  // A socket that could not be opened (its port in use, say) is tried again without anything of the network
  // changing.
  follow_interfaces();
  if (const auto table = measure_table()) feed(TableMeasured{*table});
  turn();
  check_timer_->set(common::io::now() + kCheckEvery);
}

/// The first of a few reports is read at once; those of a stream wait for each other.
void Shell::serve_reports() {
  const common::Time now = common::io::now();
  const auto read = read_events();
  turn();
  const bool before = gathering_.on();
  const bool gather = gathering_.served(now, read.count);
  if (gather != before) loop_.change(events_->fd(), gather ? 0u : std::uint32_t{EPOLLIN});
  // What was left over is not waited for.
  gather_timer_->set(gather ? common::Deadline(read.emptied ? now + kGather : now) : std::nullopt);
}

Shell::Portion Shell::read_events() {
  // Requests made while this portion is delivered begin after it.
  const std::size_t waiting = syncs_.size();
  const auto read = events_->read(decoder_);
  const std::size_t count = events_->changes().size();
  if (count != 0) feed(FlowsChanged{events_->changes()});
  read_soon(events_->take_masters());
  if (read.lost) feed(EventsLost{});
  for (std::size_t i = 0; i < waiting; ++i) syncs_[i].read += count;
  // More than this cannot have been waiting when the request was made, even if reports come faster than we
  // read.
  const auto done = [&](const Sync& sync) { return read.emptied || sync.read >= ConntrackEvents::kMostWaiting; };
  std::vector<Sync> finished;
  for (std::size_t i = 0; i < waiting; ++i)
    if (done(syncs_[i])) finished.push_back(syncs_[i]);
  // They are in the order of the requests, and a later one is never done before an earlier one.
  syncs_.erase(syncs_.begin(), syncs_.begin() + static_cast<std::ptrdiff_t>(finished.size()));
  for (const Sync& sync : finished) feed(EventsSynced{sync.request});
  return {count, read.emptied};
}

void Shell::read_soon(const std::vector<FlowKey>& masters) {
  if (masters.empty()) return;
  if (masters_.empty()) detail_timer_->set(common::io::now() + kDetailsAfter);
  masters_.insert(masters_.end(), masters.begin(), masters.end());
}

/// A flow that announces and is called in turn is told of twice.
void Shell::read_details() {
  auto masters = std::exchange(masters_, {});
  std::ranges::sort(masters);
  const auto twice = std::ranges::unique(masters);
  masters.erase(twice.begin(), twice.end());
  if (masters.size() > kDetailsAtOnce) {
    masters_.assign(masters.begin() + kDetailsAtOnce, masters.end());
    masters.resize(kDetailsAtOnce);
    detail_timer_->set(common::io::now() + kDetailsAfter);
  }
  const auto found = reader_->read(masters, decoder_);
  if (!found.empty()) feed(FlowsChanged{found});
  turn();
}

void Shell::follow_config() {
  links_->configure(*config_.sync);
  decoder_.set_masks(config_.sync->masks);
  writer_->set_masks(config_.sync->masks);
}

void Shell::follow_interfaces() {
  for (const LinkChanged& change : links_->follow(*interfaces_)) feed(change);
  auto addresses = interfaces_->addresses();
  if (addresses == own_addresses_) return;
  own_addresses_ = std::move(addresses);
  feed(OwnAddresses{own_addresses_});
}

/// True when there is more to send now.
bool Shell::move_datagrams() {
  Datagram datagram;
  std::size_t moved = 0;
  bool more = true;
  while (moved < kDatagramsPerTurn && links_->ready()) {
    more = engine_->poll_datagram(common::io::now(), datagram);
    if (!more) break;
    links_->queue(datagram);
    ++moved;
  }
  links_->flush();
  // A full socket reports by itself when it takes more.
  return more && links_->ready();
}

/// True when there is more to write now.
bool Shell::move_writes() {
  writes_.clear();
  engine_->poll_kernel(common::io::now(), kWritesPerTurn, writes_);
  if (writes_.empty()) {
    for (const std::uint64_t request : std::exchange(flushes_, {})) feed(KernelFlushed{request});
    return engine_->kernel_pending();
  }
  refused_.clear();
  writer_->write(writes_, refused_);
  if (!refused_.empty()) feed(KernelRefused{refused_});
  return engine_->kernel_pending();
}

void Shell::message(std::uint64_t client, const common::NotifyMessage& message) {
  std::visit(common::Overload{[&](const common::Hello& hello) {
                                if (hello.role != common::Role::agent) return;
                                agents_.insert(client);
                                if (report_) server_->send(client, *report_);
                              },
                              [&](const common::Request& request) { answer(client, request); },
                              // The rest of the protocol is spoken with vrrpd only.
                              [](const auto&) {}},
             message);
}

void Shell::answer(std::uint64_t client, const common::Request& request) {
  if (request.verb == "status") return answer_status(client, request.id);
  // Whoever may open the socket may look on; to make routers work takes more.
  if (!server_->trusted(client)) {
    const char* const why = "not permitted: run it as root or as the user of syncd";
    return server_->send(client, common::Reply{.id = request.id, .ok = false, .error = why, .body = {}, .more = false});
  }
  feed(RequestReceived{client, request});
  turn();
}

void Shell::answer_status(std::uint64_t client, std::uint64_t id) {
  Status status = engine_->status(common::io::now());
  counters_.add_to(status.counters);
  decoder_.add_to(status.counters);
  status.counters["io_event_overruns"] = events_->overruns();
  const ConntrackWriter::Counters& writer = writer_->counters();
  status.counters["io_kernel_written"] = writer.written;
  status.counters["io_kernel_refused"] = writer.refused;
  status.counters["io_kernel_existed"] = writer.existed;
  status.counters["io_kernel_status_kept"] = writer.status_kept;
  status.counters["io_kernel_labels_kept"] = writer.labels_kept;
  status.counters["io_kernel_untied"] = writer.untied;
  status.counters["io_kernel_answers_lost"] = writer.answers_lost;
  status.counters["io_notify_decode_errors"] = server_->decode_errors();
  status.counters["io_notify_slow_clients"] = server_->slow_clients();
  status.counters["io_notify_crowded_out"] = server_->crowded_out();
  status.counters["io_notify_socket_lost"] = server_->socket_lost();
  if (!kernel_reports_) status.reasons.emplace_back(kNoReports);
  if (!reload_fault_.empty()) status.reasons.push_back(reload_fault_);
  server_->send(client, common::Reply{.id = id, .ok = true, .error = {}, .body = to_json(status), .more = false});
}

void Shell::terminate() {
  if (stopping_) return loop_.stop();  // asked twice
  stopping_ = true;
  common::io::notify_stopping();
  exit_timer_->set(common::io::now() + kStopWithin);
  feed(Stop{});
  turn();
}

void Shell::reload() {
  if (stopping_) return;
  auto config = common::io::load_config(options_);
  if (config && !config->sync) {
    log(LogLevel::error, "reload_refused", options_.config + ": has no section `sync`");
    config.reset();
  }
  if (!config) {
    log(LogLevel::error, "reload_refused", "the configuration stays as it was");
    reload_fault_ =
        "the file was refused when syncd read it anew, and the configuration stays as it was: correct what "
        "`natctl check` says, and reload syncd";
    return;
  }
  reload_fault_.clear();
  auto key = changed_key(*config->sync);
  config_ = std::move(*config);
  follow_config();
  // In one step: a link that only stands elsewhere in the list now has not been down.
  feed(Reload{config_, std::move(key), links_->follow(*interfaces_)});
  follow_interfaces();
  turn();
  log(LogLevel::info, "reloaded", "the configuration has been read anew");
}

/// Empty: it is the same, or cannot be used.
std::vector<std::byte> Shell::changed_key(const common::SyncConfig& config) {
  if (config.key_file.empty() != key_.empty()) {
    reload_fault_ = "`security: none` and a key do not mix: restart syncd on both routers";
    log(LogLevel::warning, "security_kept", reload_fault_);
    return {};
  }
  if (key_.empty()) return {};
  auto read = common::io::read_key_file(config.key_file);
  if (!read) {
    reload_fault_ = read.error().text + "; the sync key stays as it was";
    log(LogLevel::warning, "key_unreadable", reload_fault_);
    return {};
  }
  if (*read == key_) return {};
  log(LogLevel::info, "key_changes",
      "the sync key is another one now; the old one is accepted until the peer has it too");
  key_ = *read;
  return std::move(*read);
}

// --- actions ------------------------------------------------------------------------

/// A kernel that refuses is asked again every second; what was missed until then is read from its table. Who need not
/// hear of packets is a standby, and has time for what its peer tells.
void Shell::hear_packets(bool on) {
  const auto done = events_->hear_packets(on);
  if (!done && !deaf_) log(LogLevel::error, "kernel_reports_refused", done.error().text + "; it is tried again");
  deaf_ = on && !done;
  links_->be_patient(!on);
}

void Shell::perform(const Action& action) {
  std::visit(common::Overload{
                 [&](const SendNotify& a) { vrrpd_->send(a.message); },
                 [&](const Publish& a) {
                   report_ = a.report;
                   for (const std::uint64_t client : agents_) server_->send(client, a.report);
                 },
                 [&](const StartDump& a) { dump_->start(a.dump); },
                 [&](const SyncEvents& a) { syncs_.push_back({.request = a.request}); },
                 [&](const ReadFlows& a) { read_soon(a.keys); }, [&](const HearPackets& a) { hear_packets(a.on); },
                 [&](const FlushKernel& a) { flushes_.push_back(a.request); },
                 [&](const CollectPapers&) { papers_wanted_ = true; },
                 [&](const SendReply& a) { server_->send(a.client, a.reply); },
                 [&](const Log& a) { log(a.level, a.name, a.text); }, [&](const Finished&) { loop_.stop(); }},
             action);
}

}  // namespace syncd::io
