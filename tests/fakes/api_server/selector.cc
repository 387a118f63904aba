#include "tests/fakes/api_server/selector.h"

#include <algorithm>

namespace backfill::fakes {
namespace {

std::string Trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(' ') - begin + 1));
}

// At commas that stand in no brackets.
std::vector<std::string> SplitTerms(std::string_view text) {
  std::vector<std::string> terms(1);
  int depth = 0;
  for (const char c : text) {
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if (c == ',' && depth == 0) {
      terms.emplace_back();
    } else {
      terms.back() += c;
    }
  }
  return terms;
}

std::string FieldOf(const Json& object, const std::string& path) {
  const std::size_t dot = path.find('.');
  return TextAt(object, {path.substr(0, dot).c_str(), path.substr(dot + 1).c_str()});
}

// key=value, key==value, key!=value; absent: none of these.
struct Comparison {
  std::string key, value;
  bool equal = true;
};
std::optional<Comparison> ParseComparison(const std::string& text) {
  const std::size_t at = text.find('=');
  if (at == std::string::npos) return std::nullopt;
  const bool unequal = at > 0 && text[at - 1] == '!';
  const std::size_t value = at + (text.compare(at, 2, "==") == 0 ? 2 : 1);
  return Comparison{.key = Trimmed(text.substr(0, unequal ? at - 1 : at)),
                    .value = Trimmed(text.substr(value)),
                    .equal = !unequal};
}

}  // namespace

Answer<Selector::LabelTerm> Selector::ParseLabelTerm(const std::string& text) {
  if (const auto comparison = ParseComparison(text)) {
    return LabelTerm{.key = comparison->key,
                     .test = comparison->equal ? Test::kIn : Test::kNotIn,
                     .values = {comparison->value}};
  }
  const std::string term = Trimmed(text);
  const std::size_t open = term.find('(');
  if (open != std::string::npos && term.back() == ')') {
    std::string head = Trimmed(term.substr(0, open));
    const std::size_t blank = head.find(' ');
    const std::string word = blank == std::string::npos ? "" : Trimmed(head.substr(blank));
    if (word == "in" || word == "notin") {
      LabelTerm parsed{.key = head.substr(0, blank),
                       .test = word == "in" ? Test::kIn : Test::kNotIn,
                       .values = {}};
      for (const std::string& value :
           SplitTerms(std::string_view(term).substr(open + 1, term.size() - open - 2))) {
        parsed.values.push_back(Trimmed(value));
      }
      return parsed;
    }
  }
  if (term.empty() || term.find_first_of(" ()") != std::string::npos) {
    return BadRequest("unable to parse requirement: " + text);
  }
  if (term.front() == '!')
    return LabelTerm{.key = term.substr(1), .test = Test::kMissing, .values = {}};
  return LabelTerm{.key = term, .test = Test::kExists, .values = {}};
}

Answer<Selector> Selector::Parse(const ApiCall& call, const FakeKind& kind) {
  Selector selector;
  if (const std::string text = call.Option("labelSelector"); !text.empty()) {
    for (const std::string& term : SplitTerms(text)) {
      selector.labels_.push_back(TRY(ParseLabelTerm(term)));
    }
  }
  if (const std::string text = call.Option("fieldSelector"); !text.empty()) {
    for (const std::string& term : SplitTerms(text)) {
      const auto comparison = ParseComparison(term);
      if (!comparison) return BadRequest("invalid field selector: " + term);
      const std::string& key = comparison->key;
      const bool known = key == "metadata.name" || key == "metadata.namespace" ||
                         (kind.kind == "Pod" && (key == "spec.nodeName" || key == "status.phase"));
      if (!known) return BadRequest("field label not supported: " + key);
      selector.fields_.push_back({key, comparison->equal, comparison->value});
    }
  }
  return selector;
}

bool Selector::Matches(const Json& object) const {
  const Json* labels = At(object, {"metadata", "labels"});
  const auto holds = [&](const LabelTerm& term) {
    const bool there = labels != nullptr && labels->is_object() && labels->contains(term.key);
    const std::string value = there ? TextAt(*labels, {term.key.c_str()}) : "";
    const bool listed = there && std::ranges::count(term.values, value) > 0;
    switch (term.test) {
      case Test::kIn:
        return listed;
      case Test::kNotIn:
        return !listed;
      case Test::kExists:
        return there;
      case Test::kMissing:
        return !there;
    }
    return false;
  };
  return std::ranges::all_of(labels_, holds) &&
         std::ranges::all_of(fields_, [&](const FieldTerm& term) {
           return (FieldOf(object, term.path) == term.value) == term.equal;
         });
}

}  // namespace backfill::fakes
