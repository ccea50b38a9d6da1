#include "traffic/bulk.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace traffic {

class BulkTransfers::Transfer : public Watcher {
 public:
  Transfer(BulkTransfers& owner, bool upload_, std::uint16_t port_, Nanoseconds at)
      : upload(upload_),
        port(port_),
        started(at),
        owner_(owner),
        fd_(tcp_client(endpoint(owner.settings_.local, port_))) {}

  int begin() {
    const int result = start_connect(fd_, upload ? owner_.settings_.sink : owner_.settings_.source);
    if (result != 0 && result != EINPROGRESS) return result;
    owner_.loop_.add(fd_.get(), EPOLLOUT, *this);
    return 0;
  }

  void ready(std::uint32_t events, Nanoseconds at) override {
    if (!fd_) return;
    if (established == 0) {
      if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) connected(at);
      return;
    }
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 && !receive(at)) return;
    if (upload && (events & EPOLLOUT) != 0) upload_more(at);
  }

  void close() { fd_.close(); }
  bool open() const { return static_cast<bool>(fd_); }

  bool upload;
  std::uint16_t port;
  Nanoseconds started, established = 0, moved = 0;
  std::uint64_t intact = 0;  ///< bytes that the far end of the data has checked

 private:
  void connected(Nanoseconds at) {
    if (const int error = pending_error(fd_); error != 0) {
      owner_.lose(*this, failure_of(error), error, at);
      return;
    }
    established = moved = at;
    const std::uint64_t rate = owner_.settings_.bytes_per_second;
    if (upload) {
      set_pacing(fd_, rate);
      const int buffer = static_cast<int>(std::max<std::uint64_t>(rate / 4, 65536));
      setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    } else {
      const DownloadRequest request{.bytes_per_second = rate};
      send(fd_.get(), &request, sizeof request, MSG_NOSIGNAL);
    }
    owner_.loop_.modify(fd_.get(), upload ? EPOLLIN | EPOLLOUT : EPOLLIN, *this);
  }

  bool receive(Nanoseconds at) {
    const ssize_t got = recv(fd_.get(), owner_.buffer_.data(), owner_.buffer_.size(), 0);
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) {
      owner_.lose(*this, got == 0 ? Failure::closed : failure_of(errno), got == 0 ? 0 : errno, at);
      return false;
    }
    const std::span<const std::byte> data(owner_.buffer_.data(), static_cast<std::size_t>(got));
    const bool fits = upload ? accept_totals(data) : owner_.pattern_.matches(intact, data);
    if (!fits) {
      owner_.lose(*this, Failure::wrong_data, 0, at);
      return false;
    }
    if (!upload) intact += data.size();
    moved = at;
    return true;
  }

  /// The sink sends how much it has checked so far, eight bytes each time.
  bool accept_totals(std::span<const std::byte> data) {
    for (const std::byte b : data) {
      total_[total_length_++] = b;
      if (total_length_ < sizeof total_) continue;
      total_length_ = 0;
      std::uint64_t total = 0;
      std::memcpy(&total, total_, sizeof total);
      if (total < intact || total > sent_) return false;
      intact = total;
    }
    return true;
  }

  void upload_more(Nanoseconds at) {
    const auto piece = owner_.pattern_.at(sent_);
    const ssize_t sent = send(fd_.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      sent_ += static_cast<std::uint64_t>(sent);
    } else if (errno != EAGAIN) {
      owner_.lose(*this, failure_of(errno), errno, at);
    }
  }

  BulkTransfers& owner_;
  Fd fd_;
  std::uint64_t sent_ = 0;
  std::byte total_[8] = {};
  std::size_t total_length_ = 0;
};

BulkTransfers::BulkTransfers(Loop& loop, const Settings& settings, Nanoseconds start)
    : loop_(loop), settings_(settings), buffer_(256 * 1024) {
  for (std::uint64_t i = 0; i < settings.uploads + settings.downloads; ++i) {
    const auto port = static_cast<std::uint16_t>(settings.ports.first + i);
    transfers_.push_back(std::make_unique<Transfer>(*this, i < settings.uploads, port, start));
  }
}

BulkTransfers::~BulkTransfers() = default;

void BulkTransfers::tick(Nanoseconds at) {
  if (begun_) return;
  begun_ = true;
  for (const auto& transfer : transfers_) {
    if (const int error = transfer->begin(); error != 0) lose(*transfer, failure_of(error), error, at);
  }
}

void BulkTransfers::lose(Transfer& transfer, Failure failure, int error, Nanoseconds at) {
  transfer.close();
  failures_.add({transfer.port, failure, error, transfer.started, transfer.established, at});
}

std::uint64_t BulkTransfers::bytes() const {
  std::uint64_t result = 0;
  for (const auto& transfer : transfers_) result += transfer->intact;
  return result;
}

Json BulkTransfers::check(Nanoseconds at) const {
  std::uint64_t moving = 0;
  Nanoseconds oldest = at;
  for (const auto& transfer : transfers_) {
    if (!transfer->open()) continue;
    if (transfer->moved != 0 && at - transfer->moved < kMoving) ++moving;
    oldest = std::min(oldest, transfer->moved);
  }
  Json result;
  result.field("total", transfers_.size()).field("moving", moving).field("bytes", bytes());
  result.field("longest_still_ms", static_cast<double>(at - oldest) / kMillisecond);
  result.field("broken", failures_.total()).field("reasons", failures_.counts());
  return result;
}

}  // namespace traffic
