#include "operator/api/cel_twins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "operator/api/crd.h"

namespace backfill::api {
namespace {

void CollectRules(const Schema& schema, std::multiset<std::string>& rules) {
  for (const CelRule& rule : schema.rules) rules.insert(rule.rule);
  for (const auto& [name, property] : schema.properties) CollectRules(property, rules);
  if (schema.items != nullptr) CollectRules(*schema.items, rules);
  if (schema.additional != nullptr) CollectRules(*schema.additional, rules);
}

std::multiset<std::string> RulesOfTheCrd() {
  std::multiset<std::string> rules;
  CollectRules(BackfillCrd().schema, rules);
  return rules;
}

TEST(CelTwinsTest, EveryRuleOfTheCrdHasATwinAndEveryTwinARule) {
  const auto crd = RulesOfTheCrd();
  std::set<std::string> twins;
  for (const auto rule : TwinRules()) twins.emplace(rule);
  EXPECT_EQ(std::set<std::string>(crd.begin(), crd.end()), twins);
  EXPECT_GE(crd.size(), 14U);
}

// Transition rules are looked for at the root only, where they can see fields come and go.
TEST(CelTwinsTest, TransitionRulesStandAtTheRoot) {
  const Schema& root = BackfillCrd().schema;
  std::multiset<std::string> below;
  for (const auto& [name, property] : root.properties) CollectRules(property, below);
  for (const std::string& rule : below) EXPECT_EQ(rule.find("oldSelf"), std::string::npos) << rule;
}

TEST(CelTwinsTest, TwinsPassOverWhatTheSchemaRefuses) {
  Problems problems;
  CheckRules(BackfillCrd().schema, Node::Map(), problems);
  // What is absent is the schema's business; only the source knows that nothing is too little.
  EXPECT_TRUE(problems.empty());
  Node root = Node::Map();
  root.Add("metadata", Node::List());
  Node& spec = root.Add("spec", Node::Map());
  spec.Add("dryRun", Node::String("false"));
  spec.Add("throttle", Node::Bool(true));
  spec.Add("source", Node::Map()).Add("range", Node::Map()).Add("start", Node::String("x"));
  Node& http = spec.Add("target", Node::Map()).Add("http", Node::Map());
  http.Add("timeout", Node::Int(5));
  http.Add("dryRun", Node::Map());
  CheckRules(BackfillCrd().schema, root, problems);
  EXPECT_TRUE(problems.empty());
}

}  // namespace
}  // namespace backfill::api
