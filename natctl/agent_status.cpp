#include "natctl/agent_status.hpp"

#include <nlohmann/json.hpp>

namespace natctl {

std::string to_json(const AgentStatus& status) {
  using Json = nlohmann::ordered_json;
  const Json json{{"active", status.active}, {"gates_open", status.gates_open}, {"causes", status.causes},
                  {"rules", status.rules},   {"counters", status.counters},     {"error", status.error}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace natctl
