#include "operator/observe/query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace backfill::observe {
namespace {

using testing::HasSubstr;

std::string Problem(const Query& query) {
  const Status checked = Check(query);
  return checked.ok() ? "" : checked.error().message;
}

const PrometheusQuery kPrometheus{.addresses = {"http://prometheus:9090"}, .query = "up"};
const ScrapeQuery kScrape{.url = "http://orders:9090/metrics", .series = "queue"};
const JsonQuery kJson{.url = "http://lag/api?x=1", .pointer = "/seconds"};

TEST(QueryTest, TakesWhatMakesSense) {
  EXPECT_EQ(Problem(kPrometheus), "");
  EXPECT_EQ(Problem(kScrape), "");
  EXPECT_EQ(Problem(kJson), "");
  EXPECT_EQ(Problem(WorkersQuery{.owner = "a/b"}), "");
}

TEST(QueryTest, SaysWhatIsWrong) {
  const auto prometheus = [](auto change) {
    PrometheusQuery q = kPrometheus;
    change(q);
    return Problem(q);
  };
  EXPECT_THAT(prometheus([](auto& q) { q.query = " \n"; }), HasSubstr("query: is empty"));
  EXPECT_THAT(prometheus([](auto& q) { q.query = std::string(9000, 'x'); }), HasSubstr("longer"));
  EXPECT_THAT(prometheus([](auto& q) { q.addresses = {}; }), HasSubstr("address"));
  EXPECT_THAT(prometheus([](auto& q) { q.addresses = {"prometheus"}; }), HasSubstr("http"));
  EXPECT_THAT(prometheus([](auto& q) { q.addresses = {"http://u:p@prometheus"}; }),
              HasSubstr("user"));
  EXPECT_THAT(prometheus([](auto& q) { q.timeout = 10ms; }), HasSubstr("timeout"));
  EXPECT_THAT(prometheus([](auto& q) { q.credentials = "../etc"; }), HasSubstr("credentials"));
  const auto scrape = [](auto change) {
    ScrapeQuery q = kScrape;
    change(q);
    return Problem(q);
  };
  EXPECT_THAT(scrape([](auto& q) { q.series = "rate(x[1m])"; }), HasSubstr("function"));
  EXPECT_THAT(scrape([](auto& q) { q.url = "ftp://x"; }), HasSubstr("url"));
  EXPECT_THAT(scrape([](auto& q) { q.as = ScrapeAs::kQuantile, q.quantile = 99; }),
              HasSubstr("quantile"));
  EXPECT_THAT(scrape([](auto& q) { q.as = ScrapeAs::kRate, q.window = 0s; }), HasSubstr("window"));
  JsonQuery json = kJson;
  json.pointer = "seconds";
  EXPECT_THAT(Problem(json), HasSubstr("pointer"));
  EXPECT_THAT(Problem(WorkersQuery{.owner = "a", .window = 10min}), HasSubstr("window"));
}

TEST(QueryTest, CredentialNamesAreNoPaths) {
  for (const char* bad : {"..", "a/b", ".", "-a", "a-", "A", "a b", "a.b"}) {
    JsonQuery json = kJson;
    json.credentials = bad;
    EXPECT_NE(Problem(json), "") << bad;
  }
  JsonQuery json = kJson;
  json.credentials = "prometheus-1";
  EXPECT_EQ(Problem(json), "");
}

TEST(QueryTest, EqualQueriesAndNoOthersHaveEqualKeys) {
  std::set<std::string> keys;
  const auto add = [&](const Query& query) { return keys.insert(KeyOf(query)).second; };
  EXPECT_TRUE(add(kPrometheus));
  EXPECT_FALSE(add(kPrometheus));
  const auto other = [](const auto& base, auto change) {
    auto q = base;
    change(q);
    return Query(q);
  };
  EXPECT_TRUE(add(other(kPrometheus, [](auto& q) { q.query = "up "; })));
  EXPECT_TRUE(add(other(kPrometheus, [](auto& q) { q.freshness_query = "time()"; })));
  EXPECT_TRUE(add(other(kPrometheus, [](auto& q) { q.credentials = "a"; })));
  EXPECT_TRUE(add(other(kPrometheus, [](auto& q) { q.reduce = Reduce::kMax; })));
  EXPECT_TRUE(add(other(kPrometheus, [](auto& q) { q.addresses.push_back("http://b"); })));
  EXPECT_TRUE(add(kScrape));
  EXPECT_TRUE(add(other(kScrape, [](auto& q) { q.as = ScrapeAs::kRate; })));
  EXPECT_TRUE(add(other(kScrape, [](auto& q) { q.window = 30s; })));
  EXPECT_TRUE(add(other(kScrape, [](auto& q) { q.quantile = 0.95; })));
  EXPECT_TRUE(add(kJson));
  EXPECT_TRUE(add(WorkersQuery{.owner = "a"}));
  EXPECT_TRUE(add(WorkersQuery{.owner = "b"}));
  EXPECT_TRUE(add(WorkersQuery{.owner = "a", .signal = WorkerSignal::kLatencyP99}));
}

TEST(QueryTest, QueriesToOneServerHaveOneProvider) {
  PrometheusQuery other = kPrometheus;
  other.query = "down";
  EXPECT_EQ(ProviderOf(kPrometheus), ProviderOf(other));
  ScrapeQuery path = kScrape;
  path.url = "http://orders:9090/other";
  EXPECT_EQ(ProviderOf(kScrape), ProviderOf(path));
  EXPECT_NE(ProviderOf(kScrape), ProviderOf(kJson));
}

TEST(QueryTest, TakesUrlsApart) {
  const auto split = [](std::string_view url) {
    const auto s = Split(url);
    return s.ok() ? s->server + " " + s->target : "error: " + s.error().message;
  };
  EXPECT_EQ(split("http://orders:9090/metrics"), "http://orders:9090 /metrics");
  EXPECT_EQ(split("https://lag/api?x=1&y=%20"), "https://lag:443 /api?x=1&y=%20");
  EXPECT_EQ(split("http://lag"), "http://lag:80 /");
  EXPECT_EQ(split("http://lag?x=1"), "http://lag:80 /?x=1");
  for (const char* bad :
       {"", "lag", "http://", "http:///x", "http://a b/", "http://a/b c", "http://a/#f",
        "http://a/\n", "http://u@a/", "http://a//b", "file:///etc/passwd"}) {
    EXPECT_THAT(split(bad), testing::StartsWith("error: ")) << bad;
  }
}

TEST(QueryTest, ReducesSeveralNumbers) {
  const std::vector<double> values{1, 4, 1};
  EXPECT_EQ(Reduced(Reduce::kMax, values), 4);
  EXPECT_EQ(Reduced(Reduce::kMin, values), 1);
  EXPECT_EQ(Reduced(Reduce::kSum, values), 6);
  EXPECT_EQ(Reduced(Reduce::kAvg, values), 2);
  EXPECT_EQ(Reduced(Reduce::kNone, {3}), 3);
}

}  // namespace
}  // namespace backfill::observe
