// `natctl show sync` and its words.
#include "natctl/sync_view.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace natctl;

namespace {

const char* const kBody =
    R"({"state":"synced","peer":"R2","link":"up","lag_ms":1.5,"backlog":3,"config_differs":false,"reasons":[],)"
    R"("counters":{"flows_excluded":7,"filtered_young":1,)"
    R"("commit_failed":0,"datagrams_sent":12,"hello_wrong_key":0,"record_truncated":2,)"
    R"("events":9,"flows_sent":4}})";

}  // namespace

TEST_CASE("show sync: the words and what they ask for") {
  CHECK(sync_question({}).view.empty());
  for (const char* view : {"status", "statistics", "link", "queue"}) CHECK(sync_question({view}).view == view);
  CHECK(sync_question({"cache", "internal"}).filter == std::vector<std::string>{"own"});
  CHECK(sync_question({"cache", "external", "tcp", "443"}).filter == std::vector<std::string>{"peer", "tcp", "443"});
  CHECK(sync_question({"q"}).view == "queue");
  CHECK(sync_question({"statu"}).view == "status");
  CHECK(sync_question({"stat"}).mistake.starts_with("show sync: stat is none of"));  // which of two?
  CHECK(sync_question({"c", "ext", "tcp"}).filter == std::vector<std::string>{"peer", "tcp"});
  CHECK(sync_question({"cache"}).mistake ==
        "show sync cache: say internal (this router's connections) or external (the peer's)");
  CHECK(sync_question({"links"}).mistake == "show sync: links is none of status, statistics, link, queue and cache");
  CHECK(sync_question({"link", "up"}).mistake == "show sync link: takes no more words");
}

TEST_CASE("show sync status, link, queue: their fields and counters") {
  const std::string status = sync_view(kBody, "status", false);
  CHECK(status.find("synced") != std::string::npos);
  CHECK(status.find("events") == std::string::npos);
  const auto link = nlohmann::json::parse(sync_view(kBody, "link", true));
  CHECK(link["link"] == "up");
  CHECK(link["counters"] == nlohmann::json{{"datagrams_sent", 12}, {"hello_wrong_key", 0}});
  const auto queue = nlohmann::json::parse(sync_view(kBody, "queue", true));
  CHECK(queue["backlog"] == 3);
  CHECK(queue["lag_ms"] == 1.5);
  CHECK(queue["counters"] == nlohmann::json{{"flows_sent", 4}});
}

TEST_CASE("show sync statistics: every counter under what it is about, also those at 0") {
  const std::string text = sync_view(kBody, "statistics", false);
  const auto after = [&](const char* heading, const char* counter) {
    const auto at = text.find(heading);
    REQUIRE(at != std::string::npos);
    const auto next = text.find("\n", text.find("\n", at) + 1);
    return text.substr(at, next - at).find(counter) != std::string::npos;
  };
  CHECK(after("not replicated\n", "flows_excluded"));
  const auto filtered = text.find("filtered_young");
  CHECK(filtered > text.find("not replicated\n"));
  CHECK(filtered < text.find("not taken from the peer\n"));
  CHECK(after("not taken from the peer\n", "record_truncated"));
  CHECK(after("not committed\n", "commit_failed"));
  CHECK(after("link\n", "datagrams_sent"));
  CHECK(after("everything else\n", "events"));
  CHECK(nlohmann::json::parse(sync_view(kBody, "statistics", true))["counters"].size() == 8);
  CHECK(sync_view("no json", "statistics", false) == "no json\n");
}

TEST_CASE("show sync queue: the lag for people, and what is not known yet") {
  CHECK(sync_view(R"({"lag_ms":12.346,"backlog":2,"link":"up","state":"synced"})", "queue", false)
            .starts_with("backlog             2\nlag_ms              12.3\n"));
  CHECK(sync_view(R"({"link":"down","config_differs":null})", "link", false).find("config_differs      -\n") !=
        std::string::npos);
}

TEST_CASE("show sync link: a line for each link") {
  const std::string body =
      R"({"state":"synced","link":"up","links":[{"interface":"eth1","usable":true,"heard_ms":12.4,"trouble":""},)"
      R"({"interface":"eth3","usable":true,"heard_ms":null,"trouble":""},)"
      R"({"interface":"eth4","usable":false,"heard_ms":7000,"trouble":"eth4 is down or has no carrier"}],)"
      R"("counters":{}})";
  const std::string text = sync_view(body, "link", false);
  INFO(text);
  CHECK(text.find("links\n  eth1: heard 0.012 s ago\n  eth3: nothing heard yet\n"
                  "  eth4: eth4 is down or has no carrier\n") != std::string::npos);
  CHECK(nlohmann::json::parse(sync_view(body, "link", true))["links"].size() == 3);
}
