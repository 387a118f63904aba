// The cases of tests/operator/api/cases, shown to an API server: it must refuse what the product
// refuses, at the same fields, and what is a CEL rule of the CRD in the same words as its twin.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "operator/api/crd.h"
#include "operator/api/json.h"
#include "operator/api/schema.h"
#include "tests/operator/api/cases.h"
#include "tests/operator/kube/api_server_contract.h"

namespace backfill::kube {
namespace {

using api::Node;
using api::ObjectCase;

struct Said {
  std::string path, message;
};

void CollectMessages(const api::Schema& schema, std::set<std::string>& messages) {
  for (const api::CelRule& rule : schema.rules) messages.insert(rule.message);
  for (const auto& [name, property] : schema.properties) CollectMessages(property, messages);
  if (schema.items != nullptr) CollectMessages(*schema.items, messages);
  if (schema.additional != nullptr) CollectMessages(*schema.additional, messages);
}

// Of the rules; of a messageExpression what comes before the value.
bool IsOfARule(const std::string& message) {
  static const std::set<std::string> messages = [] {
    std::set<std::string> collected;
    CollectMessages(api::BackfillCrd().schema, collected);
    return collected;
  }();
  return messages.contains(message) || message.find("must repeat the name, ") != std::string::npos;
}

class ValidationCasesTest : public ApiServerContractTest {
 protected:
  // In the namespace of this test, as JSON; without a status, which a create does not take.
  nlohmann::json Mine(const Node& object) const {
    nlohmann::json json =
        nlohmann::json::parse(api::WriteJson(object, -1, api::MemberOrder::kAsGiven));
    if (json.contains("metadata") && json["metadata"].is_object()) {
      json["metadata"]["namespace"] = ns_;
    }
    return json;
  }

  static std::vector<Said> CausesOf(const Reply& reply) {
    std::vector<Said> causes;
    if (!reply.Has("/details/causes")) return causes;
    for (const nlohmann::json& cause : reply.body["details"]["causes"]) {
      // "some validation rules were not checked because the object was invalid" is about no field.
      if (cause.value("field", "") == "<nil>") continue;
      causes.push_back({cause.value("field", ""), cause.value("message", "")});
    }
    return causes;
  }
  static std::vector<Said> ProblemsOf(const ObjectCase& one) {
    std::vector<Said> problems;
    for (const std::string& text : one.problems) {
      const std::size_t colon = text.find(": ");
      problems.push_back({text.substr(0, colon), text.substr(colon + 2)});
    }
    return problems;
  }
  // The server's path may lie deeper (an item of a list) or say less.
  static bool SamePlace(const std::string& a, const std::string& b) {
    return a.starts_with(b) || b.starts_with(a);
  }

  void Compare(const ObjectCase& one, const Reply& reply) {
    SCOPED_TRACE(one.name);
    if (one.server == "Accepts") {
      EXPECT_EQ(reply.status / 100, 2) << reply.body.dump();
      return;
    }
    EXPECT_EQ(one.server, "Refuses");
    EXPECT_THAT(reply.status, ::testing::AnyOf(400, 422)) << reply.body.dump();
    const std::vector<Said> causes = CausesOf(reply);
    const std::vector<Said> problems = ProblemsOf(one);
    for (const Said& cause : causes) {
      EXPECT_TRUE(std::ranges::any_of(
          problems, [&](const Said& problem) { return SamePlace(problem.path, cause.path); }))
          << "only the server says: " << cause.path << ": " << cause.message;
    }
    // The rules are not asked where the structure is wrong.
    const bool structure = std::ranges::any_of(
        problems, [](const Said& problem) { return !IsOfARule(problem.message); });
    for (const Said& problem : problems) {
      if (!IsOfARule(problem.message) || structure) continue;
      EXPECT_TRUE(std::ranges::any_of(causes,
                                      [&](const Said& cause) {
                                        return cause.path == problem.path &&
                                               cause.message.find(problem.message) !=
                                                   std::string::npos;
                                      }))
          << "the server does not say: " << problem.path << ": " << problem.message << "; it says "
          << reply.body.dump();
    }
  }
};

TEST_P(ValidationCasesTest, ObjectsAreJudgedAlike) {
  const auto cases = api::ReadObjectCases("objects.yaml");
  ASSERT_GT(cases.size(), 50U);
  for (const ObjectCase& one : cases) {
    Compare(one, Post(Path("backfills") + "?dryRun=All", Mine(one.next)));
  }
}

TEST_P(ValidationCasesTest, ChangesAreJudgedAlike) {
  const auto cases = api::ReadObjectCases("changes.yaml");
  ASSERT_GT(cases.size(), 15U);
  for (const ObjectCase& one : cases) {
    SCOPED_TRACE(one.name);
    const nlohmann::json current = Mine(one.current);
    const std::string name = current.at("metadata").at("name");
    Reply there = Create("backfills", current);
    ASSERT_EQ(there.status, 201) << there.body.dump();
    if (current.contains("status")) {
      there = MergeStatus(name, {{"status", current["status"]}});
      ASSERT_EQ(there.status, 200) << there.body.dump();
    }
    nlohmann::json next = Mine(one.next);
    next["metadata"]["resourceVersion"] = there.Text("/metadata/resourceVersion");
    Compare(one,
            Send(HttpMethod::kPut, Path("backfills", name) + "?dryRun=All", next.dump(), kJson));
    Delete("backfills", name);
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, ValidationCasesTest, ::testing::Values(ServerOfThisBinary()),
                         [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace backfill::kube
