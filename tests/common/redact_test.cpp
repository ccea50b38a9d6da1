// What looks like a secret is left out of texts that are shown.
#include "common/redact.hpp"

#include <catch2/catch.hpp>

using common::without_secrets;

TEST_CASE("lines that give a secret lose the rest of the line") {
  CHECK(without_secrets("a: 1\npassword: hunter2\nb: 2\n") == "a: 1\npassword: (left out)\nb: 2\n");
  CHECK(without_secrets("  wan: { vrid: 1, Password : \"a, b\", x: 1 }") == "  wan: { vrid: 1, Password : (left out)");
  CHECK(without_secrets("# the old secret=abc") == "# the old secret= (left out)");
  CHECK(without_secrets("key: AAAA=\n") == "key: (left out)\n");
  CHECK(without_secrets("\"sync_key\": AAAA") == "\"sync_key\": (left out)");
  CHECK(without_secrets("api-token: x\npassphrase: y\nPASSWD=z") ==
        "api-token: (left out)\npassphrase: (left out)\nPASSWD= (left out)");
}

TEST_CASE("names of files and other words stay") {
  for (const char* text : {"", "\n\n", "no newline", "key_file: /etc/steadynat/sync.key\n", "password_file: /etc/p\n",
                           "description: the monkey: a pet\n", "# keys: see the manual\n", "key\n", "the key of it\n"})
    CHECK(without_secrets(text) == text);
}
