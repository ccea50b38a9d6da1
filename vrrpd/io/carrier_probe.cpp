#include "vrrpd/io/carrier_probe.hpp"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

// <net/if.h> hides this one of the kernel's flags, and <linux/if.h> cannot be included beside it.
#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000
#endif

namespace vrrpd::io {
namespace {

/// A fraction of the 50 ms that a takeover after a lost carrier may take beyond the skew; 15 us of work each
/// time.
constexpr auto kEvery = std::chrono::milliseconds(15);

struct Question {
  nlmsghdr header;
  ifinfomsg link;
  rtattr mask_header;
  std::uint32_t mask;
};

struct Answer {
  nlmsghdr header;
  ifinfomsg link;
};

/// The usual 8 MB would be locked into memory whole.
constexpr std::size_t kStack = std::size_t{256} << 10;

void set_stack_of_threads() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStack);
  pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

/// A signal must reach the loop's thread, never this one.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

CarrierProbe::CarrierProbe(common::io::Loop& loop, Handler handler, common::io::UniqueFd route,
                           common::io::UniqueFd wakeup)
    : loop_(loop), handler_(std::move(handler)), route_(std::move(route)), wakeup_(std::move(wakeup)) {
  loop_.watch(wakeup_.get(), EPOLLIN, [this](std::uint32_t) { poll(); }, common::io::Loop::Priority::urgent);
  set_stack_of_threads();
  const SignalsBlocked blocked;
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

CarrierProbe::~CarrierProbe() {
  loop_.unwatch(wakeup_.get());
}

common::Result<std::unique_ptr<CarrierProbe>> CarrierProbe::open(common::io::Loop& loop, Handler handler) {
  common::io::UniqueFd route(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  common::io::UniqueFd wakeup(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!route || !wakeup) return common::fail(std::string("cannot watch the carrier: ") + std::strerror(errno), errno);
  return std::unique_ptr<CarrierProbe>(new CarrierProbe(loop, std::move(handler), std::move(route), std::move(wakeup)));
}

void CarrierProbe::watch(const std::set<int>& indexes) {
  const std::lock_guard lock(mutex_);
  const auto unwatched = [&](const auto& entry) { return !indexes.contains(entry.first); };
  std::erase_if(carriers_, unwatched);
  std::erase_if(changes_, unwatched);
  for (const int index : indexes) carriers_.try_emplace(index, true);
}

void CarrierProbe::poll() {
  std::map<int, bool> changes;
  {
    const std::lock_guard lock(mutex_);
    changes.swap(changes_);
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(wakeup_.get(), &count, sizeof count);
  }
  for (const auto& [index, carrier] : changes) handler_(index, carrier);
}

void CarrierProbe::work(const std::stop_token& stop) {
  std::vector<std::pair<int, bool>> found;
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, stop, kEvery, [&] { return stop.stop_requested(); })) {
    found.assign(carriers_.begin(), carriers_.end());
    lock.unlock();
    for (auto& [index, carrier] : found) probe(index, carrier);
    lock.lock();
    bool changed = false;
    for (const auto& [index, carrier] : found) {
      const auto known = carriers_.find(index);
      if (known == carriers_.end() || known->second == carrier) continue;
      known->second = carrier;
      changes_[index] = carrier;
      changed = true;
    }
    const std::uint64_t one = 1;
    if (changed) {
      [[maybe_unused]] const ssize_t put = write(wakeup_.get(), &one, sizeof one);
    }
  }
}

/// Leaves `carrier` alone when there is no answer: that an interface is gone is told by other means.
void CarrierProbe::probe(int index, bool& carrier) const {
  Question question{};
  question.header = {sizeof question, RTM_GETLINK, NLM_F_REQUEST, 0, 0};
  question.link.ifi_index = index;
  question.mask_header = {RTA_LENGTH(sizeof question.mask), IFLA_EXT_MASK};
  question.mask = RTEXT_FILTER_SKIP_STATS;
  if (send(route_.get(), &question, sizeof question, 0) < 0) return;
  Answer answer{};
  // The attributes behind it are cut off.
  const ssize_t got = recv(route_.get(), &answer, sizeof answer, MSG_TRUNC);
  if (got < static_cast<ssize_t>(sizeof answer) || answer.header.nlmsg_type != RTM_NEWLINK) return;
  if (answer.link.ifi_index != index) return;
  carrier = (answer.link.ifi_flags & IFF_LOWER_UP) != 0;
}

}  // namespace vrrpd::io
