#include "natctl/io/completion.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace natctl::io {
namespace {

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

/// The long options of one command, each with its dashes.
std::string options_of(const CLI::App& app) {
  std::string words;
  for (const CLI::Option* option : app.get_options({}))
    for (const std::string& name : option->get_lnames()) words += " --" + name;
  return words;
}

/// One line of the script's table for this command and for each below it. `path` is what has been typed, without
/// options.
void add_cases(const CLI::App& app, const std::string& path, std::string& cases) {
  std::string words;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    words += " " + sub->get_name();
    add_cases(*sub, path + " " + sub->get_name(), cases);
  }
  cases += fmt::format("    '{}') words='{}' options='{}' ;;\n", path, words.empty() ? "" : words.substr(1),
                       options_of(app).substr(1));
}

/// "--config|--node": what stands before a value.
std::string valued_options(const CLI::App& app) {
  std::string names;
  for (const CLI::Option* option : app.get_options({}))
    for (const std::string& name : option->get_lnames())
      if (takes_value(*option)) names += (names.empty() ? "--" : "|--") + name;
  return names;
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
  std::string cases;
  add_cases(app, app.get_name(), cases);
  return fmt::format(R"(# bash completion of natctl; made by `natctl completion bash`.
_natctl() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} path=natctl words='' options='' global='{1}' i
  case ${{COMP_WORDS[COMP_CWORD - 1]}} in
    --run-dir) COMPREPLY=($(compgen -d -- "$word")); return ;;
    {2}) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case ${{COMP_WORDS[i]}} in
      {2}) ((++i)) ;;
      -*) ;;
      *) path+=" ${{COMP_WORDS[i]}}" ;;
    esac
  done
  case $path in
{0}  esac
  [[ $word == -* ]] && words="$options $global"
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _natctl natctl
)",
                     cases, options_of(app).substr(1), valued_options(app));
}

}  // namespace natctl::io
