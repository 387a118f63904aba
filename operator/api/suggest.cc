#include "operator/api/suggest.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <utility>

#include "operator/api/yaml_scalar.h"

namespace backfill::api {
namespace {

constexpr std::size_t kMaxWordBytes = 64;

std::string Lower(std::string_view word) {
  std::string lower(word);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

// Letters to insert, remove, replace or swap with their neighbour (Damerau-Levenshtein, of adjacent
// letters).
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    next[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      next[j + 1] = std::min({row[j] + (a[i] == b[j] ? 0U : 1U), row[j + 1] + 1, next[j] + 1});
      if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j]) {
        next[j + 1] = std::min(next[j + 1], before[j - 1] + 1);
      }
    }
    std::swap(before, row);
    std::swap(row, next);
  }
  return row[b.size()];
}

void Collect(const Schema& schema, const std::string& path, std::string_view name,
             std::vector<std::string>& found) {
  for (const auto& [key, property] : schema.properties) {
    const std::string below = Join(path, key);
    if (key == name) found.push_back(path);
    if (below != "status") Collect(property, below, name, found);
  }
}

}  // namespace

std::optional<std::string> Nearest(std::string_view word,
                                   const std::vector<std::string>& candidates) {
  if (word.empty() || word.size() > kMaxWordBytes) return std::nullopt;
  const std::string lower = Lower(word);
  std::size_t best = std::max<std::size_t>(1, word.size() / 3) + 1;
  std::optional<std::string> nearest;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = Distance(lower, Lower(candidate));
    if (distance < best) best = distance, nearest = candidate;
  }
  return nearest;
}

std::optional<std::string> FindField(const Schema& root, std::string_view name) {
  std::vector<std::string> found;
  Collect(root, "", name, found);
  if (found.size() != 1 || found.front().empty()) return std::nullopt;
  return found.front();
}

std::string HowToWrite(const Schema& schema, std::string_view text) {
  const Node plain = PlainScalar(std::string(text));
  const std::string lower = text.size() <= kMaxWordBytes ? Lower(text) : "";
  bool fits = false;
  switch (schema.type) {
    case Schema::Type::kBoolean:
      if (lower == "yes" || lower == "on" || lower == "y") return "; write true";
      if (lower == "no" || lower == "off" || lower == "n") return "; write false";
      fits = plain.Is(Node::Kind::kBool);
      break;
    case Schema::Type::kInteger:
      fits = plain.Is(Node::Kind::kInteger);
      break;
    case Schema::Type::kNumber:
      fits = plain.Is(Node::Kind::kInteger) || plain.Is(Node::Kind::kFloat);
      break;
    case Schema::Type::kObject:
    case Schema::Type::kArray:
    case Schema::Type::kString:
      break;
  }
  return fits ? "; remove the quotes" : "";
}

}  // namespace backfill::api
