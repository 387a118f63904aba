#include "operator/kube/client/wire.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

namespace backfill::kube {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Keeps what it was given, to look at.
struct Raw final : ApiObject {
  json value;
};

Result<ApiObjectPtr> DecodeRaw(const json& object) {
  auto out = std::make_shared<Raw>();
  out->meta = TRY(DecodeMeta(object));
  out->value = object;
  return ApiObjectPtr(std::move(out));
}

// What a hasty decoder does.
Result<ApiObjectPtr> DecodeHastily(const json& object) {
  static_cast<void>(object.at("spec").at("replicas").get<int>());
  return DecodeMetaOnly(object);
}

const json& ValueOf(const ApiObjectPtr& object) { return dynamic_cast<const Raw&>(*object).value; }

std::string Deep(int levels) {
  std::string text;
  for (int i = 0; i < levels; ++i) text += R"({"x":)";
  return text + "1" + std::string(static_cast<std::size_t>(levels), '}');
}

std::string Item(std::string_view name, std::string_view rest = "") {
  return fmt::format(R"({{"metadata":{{"namespace":"shop","name":"{}","resourceVersion":"3"}}{}}})",
                     name, rest);
}

std::string List(std::string_view items, std::string_view meta = R"({"resourceVersion":"9"})") {
  return fmt::format(R"({{"kind":"PodList","apiVersion":"v1","metadata":{},"items":{}}})", meta,
                     items);
}

std::vector<std::string> Names(const ListPage& page) {
  std::vector<std::string> names;
  for (const auto& item : page.items) names.push_back(item->meta.name);
  return names;
}

TEST(ParseListTest, GivesItemsVersionAndTheWayOn) {
  const auto page =
      ParseList(List(fmt::format("[{},{}]", Item("a"), Item("b")),
                     R"({"resourceVersion":"9","continue":"next","remainingItemCount":7})"),
                DecodeMetaOnly);
  ASSERT_TRUE(page.ok()) << page.error().message;
  EXPECT_THAT(Names(*page), ElementsAre("a", "b"));
  EXPECT_EQ(page->resource_version, "9");
  EXPECT_EQ(page->next, "next");
  EXPECT_EQ(page->broken, 0u);
}

TEST(ParseListTest, AnEmptyListMayBeNull) {
  for (const char* items : {"[]", "null"}) {
    const auto page = ParseList(List(items), DecodeMetaOnly);
    ASSERT_TRUE(page.ok()) << items;
    EXPECT_TRUE(page->items.empty());
    EXPECT_EQ(page->next, "");
  }
}

TEST(ParseListTest, ABrokenItemDoesNotLoseThePage) {
  const auto page =
      ParseList(List(fmt::format(R"([{},{},7,{},{}])", Item("a"),
                                 R"({"metadata":{"name":"b","labels":3}})", Item(""), Item("z"))),
                DecodeMetaOnly);
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(Names(*page), ElementsAre("a", "z"));
  EXPECT_EQ(page->broken, 3u);
  EXPECT_THAT(page->unreadable, ElementsAre(ObjectKey{.ns = "", .name = "b"}));
  EXPECT_EQ(page->problem, "item 1 (b): metadata.labels: must be an object of strings");
}

// Users can nest as deep as they like in fields that the schema leaves open.
TEST(ParseListTest, AnItemThatNestsTooDeepHidesNoOther) {
  const auto page =
      ParseList(List(fmt::format("[{},{},{},{}]", Item("a"), Item("deep", R"(,"spec":)" + Deep(64)),
                                 Item("most", R"(,"spec":)" + Deep(63)), Item("z"))),
                DecodeMetaOnly);
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(Names(*page), ElementsAre("a", "most", "z"));
  EXPECT_EQ(page->problem, "item 1 (shop/deep): nests too deep");
}

TEST(ParseListTest, TheSameDepthIsTooMuchEverywhere) {
  const auto takes = [](int levels) {
    const std::string object = Item("a", R"(,"spec":)" + Deep(levels));
    const bool alone = ParseObject(object, DecodeMetaOnly).ok();
    EXPECT_EQ(ParseList(List("[" + object + "]"), DecodeMetaOnly)->items.size(), alone ? 1u : 0u);
    EXPECT_EQ(std::holds_alternative<Change>(
                  ParseWatchLine(R"({"type":"ADDED","object":)" + object + "}", DecodeMetaOnly)),
              alone);
    return alone;
  };
  EXPECT_TRUE(takes(63));
  EXPECT_FALSE(takes(64));
  EXPECT_FALSE(takes(65));
  EXPECT_FALSE(takes(66));
  EXPECT_FALSE(takes(10'000));
}

TEST(ParseListTest, WhatIsNoListIsRefused) {
  for (const auto& body :
       {std::string(), std::string("null"), std::string("[]"), std::string("<html>"),
        std::string("{}"), std::string(R"({"kind":"Status","metadata":{},"status":"Failure"})"),
        List("{}"), List("[]", "{}"), List("[]", "7"), List("[]", R"({"resourceVersion":9})"),
        List("[]").substr(0, 40), std::string(100'000, '['), R"({"x":)" + Deep(100) + "}"}) {
    const auto page = ParseList(body, DecodeMetaOnly);
    ASSERT_FALSE(page.ok()) << body;
    EXPECT_EQ(page.error().code, ErrorCode::kInvalid);
  }
}

TEST(ParseListTest, ADecoderThatThrowsLosesOneItem) {
  const auto page =
      ParseList(List(fmt::format("[{},{},{}]", Item("a", R"(,"spec":{"replicas":1})"), Item("b"),
                                 Item("c", R"(,"spec":{"replicas":"x"})"))),
                DecodeHastily);
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(Names(*page), ElementsAre("a"));
  EXPECT_EQ(page->broken, 2u);
}

TEST(ParseObjectTest, R11_DropsManagedFieldsOfMetadataAndNothingElse) {
  constexpr std::string_view kFields = R"([{"manager":"kubectl","fieldsV1":{"f:spec":{}}}])";
  const std::string object = fmt::format(
      R"({{"metadata":{{"name":"a","managedFields":{0},"resourceVersion":"3"}},"managedFields":{0},)"
      R"("data":{{"managedFields":"kept","metadata":"x","y":{{"managedFields":1}}}},)"
      R"("template":{{"metadata":{{"managedFields":{0},"labels":{{"l":"1"}}}}}}}})",
      kFields);
  const json want = json::parse(
      fmt::format(R"({{"metadata":{{"name":"a","resourceVersion":"3"}},"managedFields":{0},)"
                  R"("data":{{"managedFields":"kept","metadata":"x","y":{{"managedFields":1}}}},)"
                  R"("template":{{"metadata":{{"labels":{{"l":"1"}}}}}}}})",
                  kFields));
  EXPECT_EQ(ValueOf(ParseObject(object, DecodeRaw).value()), want);
  EXPECT_EQ(ValueOf(ParseList(List("[" + object + "]"), DecodeRaw)->items.at(0)), want);
  const auto event = ParseWatchLine(R"({"type":"ADDED","object":)" + object + "}", DecodeRaw);
  EXPECT_EQ(ValueOf(std::get<Change>(event).object), want);
}

TEST(ParseObjectTest, NeedsNoMetadata) {
  EXPECT_TRUE(ParseObject(R"({"status":{"allowed":true}})", DecodeMetaOnly).ok());
  EXPECT_FALSE(ParseObject("7", DecodeMetaOnly).ok());
  EXPECT_FALSE(ParseObject("", DecodeMetaOnly).ok());
}

TEST(ParseWatchLineTest, GivesChanges) {
  const std::pair<const char*, ChangeType> types[] = {{"ADDED", ChangeType::kAdded},
                                                      {"MODIFIED", ChangeType::kModified},
                                                      {"DELETED", ChangeType::kDeleted}};
  for (const auto& [name, type] : types) {
    const auto event = ParseWatchLine(
        fmt::format(R"({{"type":"{}","object":{}}})", name, Item("a")), DecodeMetaOnly);
    const Change* change = std::get_if<Change>(&event);
    ASSERT_NE(change, nullptr) << name;
    EXPECT_EQ(change->type, type);
    EXPECT_EQ(change->object->meta.name, "a");
    EXPECT_EQ(change->object->meta.resource_version, "3");
  }
}

TEST(ParseWatchLineTest, R6_GivesBookmarks) {
  const auto bookmark = [](std::string_view meta) {
    return ParseWatchLine(
        fmt::format(R"({{"type":"BOOKMARK","object":{{"kind":"Pod","metadata":{}}}}})", meta),
        DecodeMetaOnly);
  };
  const auto plain = bookmark(R"({"resourceVersion":"12","creationTimestamp":null})");
  EXPECT_EQ(std::get<Bookmark>(plain).resource_version, "12");
  EXPECT_FALSE(std::get<Bookmark>(plain).initial_events_end);
  const auto end =
      bookmark(R"({"resourceVersion":"12","annotations":{"k8s.io/initial-events-end":"true"}})");
  EXPECT_TRUE(std::get<Bookmark>(end).initial_events_end);
  EXPECT_TRUE(std::holds_alternative<Broken>(bookmark("{}")));
  EXPECT_TRUE(std::holds_alternative<Broken>(bookmark("null")));
}

TEST(ParseWatchLineTest, R3_GivesTheErrorInsideOfA200) {
  const auto event = ParseWatchLine(
      R"x({"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
          "message":"too old resource version: 1 (5)","reason":"Expired","code":410}
})x",
      DecodeMetaOnly);
  const auto* error = std::get_if<ApiError>(&event);
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->kind, ApiErrorKind::kGone);
  EXPECT_EQ(error->message, "410 Expired: too old resource version: 1 (5)");
  EXPECT_TRUE(std::holds_alternative<Broken>(
      ParseWatchLine(R"({"type":"ERROR","object":7})", DecodeMetaOnly)));
  EXPECT_TRUE(
      std::holds_alternative<Broken>(ParseWatchLine(R"({"type":"ERROR"})", DecodeMetaOnly)));
}

TEST(ParseWatchLineTest, R7_ABrokenLineIsSaidWithItsVersionIfItHasOne) {
  const std::pair<std::string, std::string> cases[] = {
      {"", ""},
      {"{", ""},
      {"7", ""},
      {"[]", ""},
      {"{}", ""},
      {R"({"type":7,"object":{}})", ""},
      {R"({"type":"ADDED"})", ""},
      {R"({"type":"ADDED","object":[]})", ""},
      {R"({"type":"ADDED","object":{"metadata":{"name":"a"}}})", ""},
      {R"({"type":"ADDED","object":{"metadata":{"resourceVersion":"3"}}})", "3"},
      {R"({"type":"SOMETHING","object":)" + Item("a") + "}", "3"},
      {R"({"type":"ADDED","object":)" + Item("a", R"(,"spec":)" + Deep(70)) + "}", "3"},
      {R"({"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"3","labels":[]}}})",
       "3"},
  };
  for (const auto& [line, version] : cases) {
    const auto event = ParseWatchLine(line, DecodeMetaOnly);
    const Broken* broken = std::get_if<Broken>(&event);
    ASSERT_NE(broken, nullptr) << line;
    EXPECT_EQ(broken->resource_version, version) << line;
    EXPECT_FALSE(broken->problem.empty()) << line;
  }
  EXPECT_THAT(std::get<Broken>(ParseWatchLine(cases[10].first, DecodeMetaOnly)).problem,
              HasSubstr("SOMETHING shop/a: of no known type"));
}

}  // namespace
}  // namespace backfill::kube
