#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

// What one has to know beyond single commands, for `backfill help TOPIC`.
namespace backfill::cli {

struct HelpTopic {
  std::string_view name;
  std::string_view about;  // a line
};

std::span<const HelpTopic> HelpTopics();

// Lines of at most 80 columns, each with its line feed; nullopt: there is no such topic.
std::optional<std::string> HelpText(std::string_view topic);

}  // namespace backfill::cli
