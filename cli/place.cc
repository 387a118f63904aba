#include "cli/place.h"

#include <algorithm>

#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

std::string Quoted(std::string_view word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./:@%+=,").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(word);
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return Printable(out + "'");
}

std::string OptionsOf(const Place& place) {
  std::string out;
  if (place.Namespace() != kDefaultNamespace) out += " -n " + Quoted(place.Namespace());
  if (place.state_dir != kDefaultStateDir) out += " --state-dir " + Quoted(place.state_dir);
  return out;
}

}  // namespace

std::string CommandFor(std::string_view verb, std::string_view name, const Place& place) {
  return "backfill " + std::string(verb) + " " + Quoted(name) + OptionsOf(place);
}

std::string CommandForFile(std::string_view verb, std::string_view file, const Place& place) {
  // With the namespace also where the file names it: they agree, and not every file does.
  return "backfill " + std::string(verb) + " -f " + Quoted(file) + OptionsOf(place);
}

}  // namespace backfill::cli
