#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/fakes/api_server/call.h"

namespace backfill::fakes {

// labelSelector and fieldSelector of a list or a watch.
class Selector {
 public:
  // Fields: metadata.name and metadata.namespace, of pods also spec.nodeName and status.phase.
  static Answer<Selector> Parse(const ApiCall& call, const FakeKind& kind);

  [[nodiscard]] bool Matches(const Json& object) const;
  [[nodiscard]] bool empty() const { return labels_.empty() && fields_.empty(); }

 private:
  enum class Test { kIn, kNotIn, kExists, kMissing };
  struct LabelTerm {
    std::string key;
    Test test = Test::kIn;
    std::vector<std::string> values;
  };
  struct FieldTerm {
    std::string path;
    bool equal = true;
    std::string value;
  };
  static Answer<LabelTerm> ParseLabelTerm(const std::string& text);

  std::vector<LabelTerm> labels_;
  std::vector<FieldTerm> fields_;
};

}  // namespace backfill::fakes
