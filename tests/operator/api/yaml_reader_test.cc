#include "operator/api/yaml_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "operator/api/json.h"
#include "operator/api/yaml_scalar.h"
#include "operator/api/yaml_writer.h"
#include "tests/operator/api/cases.h"

namespace backfill::api {
namespace {

using Kind = Node::Kind;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Refused(std::string_view text) {
  Problems problems;
  const auto node = ReadYaml(text, problems);
  std::vector<std::string> said;
  for (const Problem& problem : problems.Take("f", text)) said.push_back(ToString(problem));
  EXPECT_EQ(node.has_value(), said.empty());
  return said;
}
Node Read(std::string_view text) {
  Problems problems;
  auto node = ReadYaml(text, problems);
  for (const Problem& problem : problems.Take("f", text)) ADD_FAILURE() << ToString(problem);
  return node.value_or(Node{});
}

TEST(YamlScalarTest, PlainWordsAreReadByTheCoreSchema) {
  const std::pair<const char*, Kind> table[] = {
      {"null", Kind::kNull},      {"~", Kind::kNull},          {"true", Kind::kBool},
      {"FALSE", Kind::kBool},     {"yes", Kind::kAmbiguous},   {"no", Kind::kAmbiguous},
      {"on", Kind::kAmbiguous},   {"Off", Kind::kAmbiguous},   {"Y", Kind::kAmbiguous},
      {"nO", Kind::kString},      {"yes!", Kind::kString},     {"of", Kind::kString},
      {"tRue", Kind::kString},    {"0", Kind::kInteger},       {"-17", Kind::kInteger},
      {"+17", Kind::kInteger},    {"010", Kind::kAmbiguous},   {"-010", Kind::kAmbiguous},
      {"00", Kind::kAmbiguous},   {"0x1F", Kind::kAmbiguous},  {"0o17", Kind::kAmbiguous},
      {"0b11", Kind::kAmbiguous}, {"1_000", Kind::kAmbiguous}, {"1_0.5", Kind::kAmbiguous},
      {"0x", Kind::kString},      {"0xZZ", Kind::kString},     {"1.5", Kind::kFloat},
      {".5", Kind::kFloat},       {"5.", Kind::kFloat},        {"1e3", Kind::kFloat},
      {"-1.5E-3", Kind::kFloat},  {"1e", Kind::kString},       {".", Kind::kString},
      {"-", Kind::kString},       {"1.2.3", Kind::kString},    {"2026-01-01", Kind::kString},
      {"12:30", Kind::kString},   {".inf", Kind::kFloat},      {"-.INF", Kind::kFloat},
      {".nan", Kind::kFloat},     {"5s", Kind::kString},       {"1 000", Kind::kString},
      {"_1", Kind::kString},
  };
  for (const auto& [text, kind] : table) EXPECT_EQ(PlainScalar(text).kind, kind) << text;
}

TEST(YamlScalarTest, IntegersAreExactFarBeyondInt64AndSaturate) {
  EXPECT_EQ(ToString(PlainScalar("-9223372036854775809").integer), "-9223372036854775809");
  EXPECT_EQ(ToString(PlainScalar("18446744073709551616").integer), "18446744073709551616");
  EXPECT_EQ(ToString(PlainScalar(std::string(100, '9')).integer), std::string(38, '9'));
}

TEST(YamlReaderTest, QuotedScalarsAreStrings) {
  const Node list = Read("['1', \"true\", ! 5, !!str 6, '']");
  for (const Node& item : list.items) EXPECT_EQ(item.kind, Kind::kString) << item.text;
}

TEST(YamlReaderTest, ValuesKnowTheirPlaceAndMissingOnesThatOfTheirKey) {
  const Node root = Read("# c\na:\n  - x\n  -  {k:  5}\nb:\n");
  const Node* five = root.At("a");
  ASSERT_NE(five, nullptr);
  const Node& k = *five->items.at(1).Find("k");
  EXPECT_EQ(k.line, 4);
  EXPECT_EQ(k.column, 11);
  EXPECT_EQ(root.Find("b")->line, 5);
  EXPECT_EQ(root.Find("b")->column, 1);
}

TEST(YamlReaderTest, ReadsJsonWithTabsEscapesAndSurrogates) {
  const Node root = Read(
      "{\n\t\"a\":1,\n\t\"b\": [true, null, -1.5e3],\n\t\"c\": "
      "\"\\ud83d\\ude00\\/\\u00e4\\\\ud83d\"\n}");
  EXPECT_EQ(root.Find("c")->text, "😀/ä\\ud83d");
  EXPECT_EQ(root.Find("a")->integer, 1);
  EXPECT_EQ(root.Find("b")->items.at(2).number, -1500);
}

TEST(YamlReaderTest, SurrogatesOfATextThatIsNoJsonStayAsTheyAre) {
  EXPECT_EQ(Read("{a: '\\ud83d\\ude00'}").Find("a")->text, "\\ud83d\\ude00");
}

TEST(YamlReaderTest, RefusesBytesThatAreNoText) {
  EXPECT_THAT(Refused(std::string_view("a: b\nc: \0", 10)),
              ElementsAre(HasSubstr("f:2:4: a control character stands here")));
  EXPECT_THAT(Refused("a: \xff"), ElementsAre(HasSubstr("f:1:4: the text is not UTF-8")));
  EXPECT_THAT(Refused("\xFE\xFF\0a"), ElementsAre(HasSubstr("UTF-16")));
}

TEST(YamlReaderTest, SkipsAByteOrderMarkAndKnowsWindowsLineEnds) {
  const Node root = Read(
      "\xEF\xBB\xBF"
      "a: 1\r\nb: x\r\n");
  EXPECT_EQ(root.Find("a")->integer, 1);
  EXPECT_EQ(root.Find("b")->text, "x");
  EXPECT_EQ(root.Find("b")->line, 2);
}

TEST(YamlReaderTest, SizeDepthAndNodesAreBounded) {
  EXPECT_THAT(Refused(std::string(kMaxTextBytes + 1, ' ')),
              ElementsAre("f: the file is larger than 3 MiB"));
  EXPECT_EQ(Read(std::string(64, '[') + std::string(64, ']')).kind, Kind::kList);
  EXPECT_THAT(Refused(std::string(65, '[') + std::string(65, ']')),
              ElementsAre(HasSubstr("f:1:65: nested deeper than 64 levels")));
  std::string many = "[";
  for (std::size_t i = 0; i < kMaxNodes; ++i) many += "a,";
  EXPECT_THAT(Refused(many + "]"), ElementsAre(HasSubstr("more than 100000 values")));
}

// Inputs that cost other parsers minutes, gigabytes or the stack.
struct Held {
  std::size_t nodes = 0, bytes = 0;
};
void Weigh(const Node& node, Held& held) {
  ++held.nodes;
  held.bytes += node.text.size();
  for (const Node& item : node.items) Weigh(item, held);
  for (const Member& member : node.members) {
    held.bytes += member.key.size();
    Weigh(member.value, held);
  }
}

TEST(YamlReaderTest, WhatAliasesCopyIsBounded) {
  const std::string mib(std::size_t{1} << 20U, 'x');
  std::string aliases, nested = "a: ";
  for (int i = 0; i < 200; ++i) aliases += "- *a\n";
  for (int i = 0; i < 50; ++i)
    nested += "{k" + mib.substr(0, 1000) + ": &a" + std::to_string(i) + " ";
  nested += "\"" + mib + "\"" + std::string(50, '}');
  for (const std::string& bomb :
       {"a: &a " + mib + "\nl:\n" + aliases,
        "a: &a {" + mib.substr(0, 1000) + ": \"" + mib + "\"}\nl:\n" + aliases, nested}) {
    EXPECT_THAT(Refused(bomb), ElementsAre(HasSubstr("anchors and aliases copy more than 3 MiB")));
  }
  EXPECT_EQ(Read("a: &a " + mib + "\nb: *a\n").At("b")->text.size(), mib.size());
}

TEST(YamlReaderTest, HostileTextsEndQuickly) {
  static constexpr std::size_t kSize = 300'000;
  const auto repeated = [](std::string_view piece) {
    std::string text;
    while (text.size() + piece.size() <= kSize) text += piece;
    return text;
  };
  std::string nested_anchors;
  for (int i = 0; i < 60; ++i) nested_anchors += "{a: &a" + std::to_string(i) + " ";
  for (const std::string& text :
       {repeated("["),     repeated("{"),         repeated("- "),      repeated("? "),
        repeated("a: "),   repeated("- - - -\n"), repeated("&a "),     repeated("*a "),
        repeated("!"),     repeated("%"),         repeated("\""),      repeated("'"),
        repeated("\\"),    repeated("|\n"),       repeated("#"),       repeated("-"),
        repeated("---\n"), repeated("{}\n"),      repeated("{a: b},"), repeated("[[],"),
        repeated("\t"),    repeated("\n"),        repeated(" \n"),     repeated("x"),
        repeated("1"),     repeated("ä"),         repeated("a\n"),     repeated("{\"a\":"),
        nested_anchors}) {
    Problems problems;
    const auto node = ReadYaml(text, problems);
    EXPECT_NE(node.has_value(), !problems.empty()) << text.substr(0, 20);
    Held held;
    if (node) Weigh(*node, held);
    EXPECT_LE(held.nodes, kMaxNodes) << text.substr(0, 20);
    EXPECT_LE(held.bytes, kSize + kMaxCopiedBytes) << text.substr(0, 20);
  }
}

TEST(YamlReaderTest, LongTextsTakeTimeInProportion) {
  for (const char c : {'[', 'x', '\'', '\n'}) {
    Problems problems;
    const auto node = ReadYaml(std::string(kMaxTextBytes, c), problems);
    EXPECT_NE(node.has_value(), !problems.empty()) << c;
  }
}

TEST(YamlReaderTest, AMapOfManyKeysIsReadInTime) {
  std::string text;
  for (int i = 0; i < 49'000; ++i) text += "k" + std::to_string(i) + ": 1\n";
  EXPECT_EQ(Read(text).members.size(), 49'000U);
}

TEST(YamlReaderTest, RandomTextsGiveANodeOrAProblem) {
  EXPECT_TRUE(rc::check("no crash", [] {
    const auto pieces = *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
        "a", ": ", "\n", "  ", "- ", "{", "}", "[", "]", ", ", "\"", "'", "&x ", "*x", "!t ", "|\n",
        ">", "# ", "?", "---\n", "...\n", "%", "\t", "0", "\\", "ä", "<<", "~", "@"));
    std::string text;
    for (const auto& piece : pieces) text += piece;
    Problems problems;
    const auto node = ReadYaml(text, problems);
    if (!node) RC_ASSERT(!problems.empty());
  }));
}

rc::Gen<Node> AnyNode(int depth) {
  const auto text = rc::gen::container<std::string>(
      rc::gen::weightedOneOf<char>({{5, rc::gen::inRange<char>(0x20, 0x7E)},
                                    {1, rc::gen::element('\n', '\t', '\x01', '\x7F', '"', '\\')}}));
  const auto word = rc::gen::element<std::string>(
      "no", "Yes", "null", "~", "010", "1e3", "true", "", " a", "a ", "- a", "a: b", "#", "ä",
      "\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xAE", "\xEF\xBB\xBF", "<<", "=", "2026-01-01", "-",
      "😀");
  const auto strings = rc::gen::map(rc::gen::oneOf(text, word), Node::String);
  const auto numbers =
      rc::gen::map(rc::gen::arbitrary<std::int64_t>(), [](std::int64_t n) { return Node::Int(n); });
  const auto bools = rc::gen::map(rc::gen::arbitrary<bool>(), Node::Bool);
  if (depth == 0) return rc::gen::oneOf(strings, numbers, bools);
  const auto lists = rc::gen::exec([depth] {
    Node list = Node::List();
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i) list.items.push_back(*AnyNode(depth - 1));
    return list;
  });
  const auto maps = rc::gen::exec([depth, text, word] {
    Node map = Node::Map();
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
      const std::string key = *rc::gen::oneOf(text, word) + std::to_string(i);
      map.Add(key, *AnyNode(depth - 1));
    }
    return map;
  });
  return rc::gen::oneOf(strings, numbers, bools, lists, maps);
}

// The reader and both writers agree about every value there is.
TEST(YamlWriterTest, WhatIsWrittenIsReadAgain) {
  EXPECT_TRUE(rc::check("round trip", [] {
    Node root = Node::Map();
    root.Add("root", *AnyNode(3));
    for (const std::string& text : {WriteYaml(root), WriteJson(root, 2, MemberOrder::kAsGiven),
                                    WriteJson(root, -1, MemberOrder::kSorted)}) {
      Problems problems;
      const auto again = ReadYaml(text, problems);
      for (const Problem& problem : problems.Take("f", text)) RC_LOG() << ToString(problem) << text;
      RC_ASSERT(again.has_value());
      RC_ASSERT(SameValue(root, *again));
    }
  }));
}

TEST(YamlWriterTest, QuotesWhatAnyReaderCouldTakeForSomethingElse) {
  Node list = Node::List();
  for (const char* text : {"plain words", "no", "Y", "010", "1e3", "", " x", "x ", "a: b", "5s",
                           "~", "sha256-00", "two\nlines", "\xC2\x85"}) {
    list.items.push_back(Node::String(text));
  }
  EXPECT_EQ(WriteYaml(list),
            "- plain words\n- \"no\"\n- \"Y\"\n- \"010\"\n- \"1e3\"\n- \"\"\n- \" x\"\n- \"x \"\n"
            "- \"a: b\"\n- \"5s\"\n- \"~\"\n- sha256-00\n- \"two\\nlines\"\n- \"\\u0085\"\n");
}

}  // namespace
}  // namespace backfill::api
