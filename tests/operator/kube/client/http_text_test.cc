#include <string>
#include <vector>

#include "operator/kube/client/http_headers.h"
#include "operator/kube/client/line_splitter.h"
#include "operator/kube/client/server_url.h"

namespace backfill::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST(RetryAfterTest, R34_TakesSecondsAndDatesUpToAMinute) {
  const WallTime now = ParseWallTime("2026-11-23T03:28:59Z").value();
  const auto after = [&](std::string_view value) { return ParseRetryAfter(value, now); };
  EXPECT_EQ(after("0"), milliseconds(0));
  EXPECT_EQ(after("7"), seconds(7));
  EXPECT_EQ(after("61"), seconds(60));
  EXPECT_EQ(after("99999999999999999999"), seconds(60));
  EXPECT_EQ(after("Mon, 23 Nov 2026 03:29:09 GMT"), seconds(10));
  EXPECT_EQ(after("Mon, 23 Nov 2026 03:28:00 GMT"), milliseconds(0));
  EXPECT_EQ(after("Tue, 24 Nov 2026 03:28:00 GMT"), seconds(60));
  EXPECT_EQ(after("Mon, 23 Nov 9999 03:29:09 GMT"), seconds(60));
  EXPECT_EQ(after("Mon, 23 Nov 0001 03:29:09 GMT"), milliseconds(0));
  EXPECT_EQ(ParseRetryAfter("Mon, 23 Nov 2026 03:29:00 GMT", now + milliseconds(400)),
            milliseconds(600));
  for (const char* value : {"", " ", "-1", "1.5", "7s", "soon", "Mon, 23 Nov 2026 03:29:09 CET",
                            "Mon, 31 Feb 2026 03:29:09 GMT", "Mon, 23 Foo 2026 03:29:09 GMT",
                            "Mon, 23 Nov 2026 25:29:09 GMT", "Mon, 23 Nov 2026 03:29:09"}) {
    EXPECT_EQ(after(value), std::nullopt) << value;
  }
}

TEST(WarningsTest, R31_TakesTheTextOfEach) {
  EXPECT_THAT(ParseWarnings(R"(299 - "unknown field \"spec.x\"")"),
              ElementsAre("unknown field \"spec.x\""));
  EXPECT_THAT(ParseWarnings(R"(299 - "a, b" "Mon, 23 Nov 2026 03:29:09 GMT", 299 kube "c")"),
              ElementsAre("a, b", "c"));
  for (const char* value : {"", ",", "299 - ", "299 - \"\"", ",,,\"\""}) {
    EXPECT_THAT(ParseWarnings(value), IsEmpty()) << value;
  }
  EXPECT_THAT(ParseWarnings("299 - \"open"), ElementsAre("open"));
  EXPECT_THAT(ParseWarnings("\"open\\"), ElementsAre("open\\"));
  std::string many;
  for (int i = 0; i < 100; ++i) many += "299 - \"" + std::string(1000, 'x') + "\",";
  EXPECT_THAT(ParseWarnings(many), SizeIs(32));
  EXPECT_THAT(ParseWarnings(many).at(0), SizeIs(512));
}

std::vector<std::string> Split(const std::string& text, std::size_t piece, std::size_t max,
                               bool& too_long) {
  LineSplitter splitter(max);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < text.size(); i += piece) {
    splitter.Append(text.substr(i, piece));
    while (const auto line = splitter.Next()) lines.emplace_back(*line);
  }
  too_long = splitter.too_long();
  return lines;
}

TEST(LineSplitterTest, R7_LinesAreTheSameHoweverTheBytesCome) {
  const std::string text = "one\ntwo\r\n\n\xc3\xa4\nthree\ncut";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    bool too_long = false;
    EXPECT_THAT(Split(text, piece, 100, too_long),
                ElementsAre("one", "two", "", "\xc3\xa4", "three"));
    EXPECT_FALSE(too_long);
    EXPECT_THAT(Split(text, piece, 4, too_long), ElementsAre("one", "two", "", "\xc3\xa4"));
    EXPECT_TRUE(too_long);
  }
}

TEST(ServerUrlTest, TakesWhatIsAServer) {
  const auto url = ParseServerUrl("https://kubernetes.default.svc");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->Origin(), "https://kubernetes.default.svc:443");
  EXPECT_EQ(url->prefix, "");
  EXPECT_EQ(ParseServerUrl("http://127.0.0.1:8001/")->Origin(), "http://127.0.0.1:8001");
  EXPECT_EQ(ParseServerUrl("https://rancher/k8s/clusters/c-1//")->prefix, "/k8s/clusters/c-1");
}

TEST(ServerUrlTest, R36_RefusesWhatIsNone) {
  for (const std::string& text :
       {std::string(), std::string("kubernetes"), std::string("ftp://a"), std::string("https://"),
        std::string("https:///x"), std::string("https://a:0"), std::string("https://a:65536"),
        std::string("https://a:b"), std::string("https://a:"), std::string("https://[::1]:6443"),
        std::string("https://u:p@a"), std::string("https://a/x?y"), std::string("https://a/x#y"),
        std::string("https://a b"), std::string("https://a\r\n"), std::string("https://a/\x01"),
        "https://" + std::string(5000, 'a')}) {
    const auto url = ParseServerUrl(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_EQ(url.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(url.error().message.find("u:p"), std::string::npos);
  }
}

TEST(ServerUrlTest, KnowsWhatStaysInTheMachine) {
  EXPECT_TRUE(IsLoopback("127.0.0.1"));
  EXPECT_TRUE(IsLoopback("localhost"));
  EXPECT_FALSE(IsLoopback("127.0.0.1.evil.example"));
  EXPECT_FALSE(IsLoopback("10.0.0.1"));
}

}  // namespace
}  // namespace backfill::kube
