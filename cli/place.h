#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace backfill::cli {

inline constexpr char kDefaultStateDir[] = ".backfill";
inline constexpr char kDefaultNamespace[] = "default";

// Where a command looks for backfills: the options that all commands share.
struct Place {
  std::string state_dir = kDefaultStateDir;
  std::optional<std::string> ns;  // absent: not said

  [[nodiscard]] std::string Namespace() const { return ns.value_or(kDefaultNamespace); }
  // The same place, with the namespace that a file or an object turned out to have.
  [[nodiscard]] Place In(std::string_view other_ns) const {
    Place p = *this;
    p.ns = std::string(other_ns);
    return p;
  }
};

// A command that the reader can copy: "backfill resume reprice -n shop --state-dir '/my state'".
// Options at their defaults are left out, values are quoted for a shell where they need it.
std::string CommandFor(std::string_view verb, std::string_view name, const Place& place);
// Likewise "backfill run -f reprice.yaml ...".
std::string CommandForFile(std::string_view verb, std::string_view file, const Place& place);

}  // namespace backfill::cli
