// What anybody who may open a daemon's socket says there.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/notify.hpp"
#include "common/result.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  const auto message = common::decode_notify(packet);
  if (!message) {
    common::check(!message.error().text.empty(), "a refusal says why");
    return 0;
  }
  const auto again = common::decode_notify(common::encode(*message));
  common::check(again && *again == *message, "a message survives being sent on");
  return 0;
}
