#include "worker/target/renderer.h"

#include "worker/target/escape.h"

namespace backfill::worker {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class RendererTest : public ::testing::Test {
 protected:
  RendererTest() {
    request_.method = "POST";
    request_.url = "http://orders:8080/v1/{{key}}";
    names_ = {.backfill_name = "re\"price",
              .backfill_uid = "u-1",
              .fields = {"total", "na\"me"},
              .numeric_keys = false};
  }
  std::string Render(const std::vector<Record>& records = {Simple()}) {
    const auto r = Renderer::Compile(request_, names_);
    if (!r.ok()) return "compile: " + r.error().message;
    std::string out;
    const Status s = r->Append(records, out);
    return s.ok() ? out : "render: " + s.error().message;
  }
  std::string Problem() { return Render(); }
  static Record Simple() { return {.position = 0, .key = "a b/ü\"", .fields = {"1\n", "x"}}; }

  RequestTemplate request_;
  TemplateNames names_;
};

TEST_F(RendererTest, EscapesAValueForThePlaceWhereItStands) {
  request_.headers = {{"X-Key", "<{{fields.total}}>"}};
  request_.body = R"({"k":"{{key}}","j":{{key|json}},"name":"{{backfill.name}}"})";
  const std::string out = Render({{.position = 0, .key = "a b/ü\"\x01", .fields = {"9", "x"}}});
  EXPECT_THAT(out, StartsWith("POST /v1/a%20b%2F%C3%BC%22%01 HTTP/1.1\r\nHost: orders:8080\r\n"));
  EXPECT_THAT(out, HasSubstr("\r\nX-Key: <9>\r\n"));
  EXPECT_THAT(out, EndsWith("\r\n\r\n{\"k\":\"a b/ü\\\"\\u0001\",\"j\":\"a "
                            "b/ü\\\"\\u0001\",\"name\":\"re\\\"price\"}"));
}

TEST_F(RendererTest, AValueCannotBreakOutOfAHeader) {
  request_.headers = {{"X-Total", "{{fields.total}}"}};
  EXPECT_THAT(Render(), StartsWith("render: header X-Total: "));
  for (const auto& bad : {std::string("a\rb"), std::string("a\nb"), std::string("a\0b", 3)}) {
    EXPECT_THAT(Render({{.position = 0, .key = "1", .fields = {bad, ""}}}), StartsWith("render: "));
  }
}

TEST_F(RendererTest, AValueCannotMakeASegmentThatMeansAnotherPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"http://o/v1/{{key}}", "."},           {"http://o/v1/{{key}}", ".."},
      {"http://o/v1/{{key}}/reprice", ".."},  {"http://o/v1/.{{key}}?x=1", "."},
      {"http://o/v1/.{{key}}", ""},           {"http://o/v1/%2e{{key}}/x", "."},
      {"http://o/v1/%2E{{key}}", ""},         {"http://o/{{key}}{{key}}", "."},
      {"http://o/v1/{{key}}", "../../admin"}, {"http://o/v1/{{key}}", "a/./b"},
      {"http://o/v1/{{key}}", "..\\x"},
  };
  names_.fields.clear();
  for (const auto& [url, key] : cases) {
    request_.url = url;
    EXPECT_THAT(Render({{.position = 0, .key = key}}), StartsWith("render: url: ")) << url << key;
  }
  const std::pair<const char*, const char*> fine[] = {
      {"http://o/v1/{{key}}", "..."},     {"http://o/v1/{{key}}", ".a"},
      {"http://o/v1/{{key}}", "a..b/c."}, {"http://o/v1?k={{key}}", ".."},
      {"http://o/../{{key}}", "a"},  // the user's own
      {"http://o/./x?k={{key}}", "/../"},
  };
  for (const auto& [url, key] : fine) {
    request_.url = url;
    EXPECT_THAT(Render({{.position = 0, .key = key}}), StartsWith("POST ")) << url << key;
  }
}

TEST_F(RendererTest, KeysOfARangeAreNumbersInJson) {
  names_.numeric_keys = true;
  names_.fields.clear();
  request_.body = "[{{record}},{{key|json}}]";
  EXPECT_THAT(Render({{.position = -5, .key = "-5"}}), EndsWith("\r\n\r\n[{\"key\":-5},-5]"));
}

TEST_F(RendererTest, RendersBatchesAsArrayOrLines) {
  names_.fields.clear();
  request_.url = "http://orders/batch";
  const std::vector<Record> two = {{.position = 0, .key = "1"}, {.position = 1, .key = "2"}};
  request_.body = "{{records}}";
  EXPECT_THAT(Render(two), EndsWith("\r\n\r\n[{\"key\":\"1\"},{\"key\":\"2\"}]"));
  EXPECT_THAT(Render(two), HasSubstr("\r\nIdempotency-Key: u-1/1..2/2-40e56fed1ecb4a6a\r\n"));
  request_.body = "{{ndjson}}";
  EXPECT_THAT(Render(two), EndsWith("\r\n\r\n{\"key\":\"1\"}\n{\"key\":\"2\"}\n"));
}

TEST_F(RendererTest, AnotherSelectionOfTheSameSpanHasAnotherIdempotencyKey) {
  names_.fields.clear();
  request_.url = "http://orders/batch";
  request_.body = "{{records}}";
  EXPECT_THAT(
      Render(
          {{.position = 1, .key = "1"}, {.position = 2, .key = "2"}, {.position = 4, .key = "4"}}),
      HasSubstr("u-1/1..4/3-95936bdec63b7c3f\r\n"));
  EXPECT_THAT(
      Render(
          {{.position = 1, .key = "1"}, {.position = 3, .key = "3"}, {.position = 4, .key = "4"}}),
      HasSubstr("u-1/1..4/3-c0116bd37cd2cc8e\r\n"));
}

TEST_F(RendererTest, ARecordHasItsFields) {
  request_.body = "{{record|json}}";
  EXPECT_THAT(Render(),
              EndsWith("{\"key\":\"a b/ü\\\"\",\"total\":\"1\\u000A\",\"na\\\"me\":\"x\"}"));
  request_.url = "http://orders/?r={{record}}&n={{fields.total|json}}";
  request_.body = "";
  EXPECT_THAT(Render(), HasSubstr("/?r=%7B%22key%22%3A"));
}

TEST_F(RendererTest, TheLengthIsThatOfTheBody) {
  request_.url = "http://orders/x";
  for (const std::size_t n : {1U, 9U, 10U, 99U, 12345U}) {
    request_.body = "\"" + std::string(n, 'x') + "\"";
    const std::string out = Render();
    const std::size_t at = out.find("Content-Length:");
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(std::stoul(out.substr(at + 15)), n + 2);
    EXPECT_EQ(out.size() - out.find("\r\n\r\n") - 4, n + 2);
  }
}

TEST_F(RendererTest, WithoutABodyAPostSaysSoAndAGetIsSilent) {
  EXPECT_THAT(Render(), HasSubstr("0\r\n\r\n"));
  EXPECT_THAT(Render(), Not(HasSubstr("Content-Type")));
  request_.method = "GET";
  EXPECT_THAT(Render(), Not(HasSubstr("Content-Length")));
}

TEST_F(RendererTest, ATextBodyIsNotJsonEscaped) {
  request_.headers = {{"Content-Type", "text/plain"}};
  request_.body = "key={{key}}";
  EXPECT_THAT(Render(), EndsWith("\r\n\r\nkey=a b/ü\""));
  EXPECT_THAT(Render(), Not(HasSubstr("application/json")));
}

TEST_F(RendererTest, AValueAddsNoFieldToAForm) {
  request_.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  request_.body = "id={{key}}&note=a+b";
  EXPECT_THAT(Render({{.position = 0, .key = "7&admin=1 +", .fields = {"", ""}}}),
              EndsWith("\r\n\r\nid=7%26admin%3D1%20%2B&note=a+b"));
}

TEST_F(RendererTest, TheContentTypeOfTheUserHolds) {
  request_.headers = {{"content-type", "application/vnd.orders+json"}};
  request_.body = "\"{{key}}\"";
  EXPECT_THAT(Render(), EndsWith("\"a b/ü\\\"\""));
  EXPECT_THAT(Render(), Not(HasSubstr("application/json")));
}

TEST_F(RendererTest, RefusesUrlsThatItCannotServe) {
  const std::pair<const char*, const char*> cases[] = {
      {"ftp://orders/x", "must begin with http:// or https://"},
      {"ftp://orders/x", "must begin with http://"},
      {"orders/x", "must begin with http://"},
      {"http:///x", "no host"},
      {"http://{{key}}/x", "host cannot hold a placeholder"},
      {"http://user:pass@orders/", "use a header"},
      {"http://orders:99999/", "port"},
      {"http://orders:x/", "port"},
      {"http://orders/a b", "need escaping"},
      {"http://orders/x#y", "fragment"},
      {"http://orders/\r\nX: y", "need escaping"},
      {"http://orders/{{nope}}", "unknown name \"nope\""},
      {"http://orders/{{fields.nope}}", "no field \"nope\""},
      {"http://orders/{{key|upper}}", "unknown filter \"upper\""},
      {"http://orders/{{key", "closed"},
  };
  for (const auto& [url, problem] : cases) {
    request_.url = url;
    EXPECT_THAT(Problem(), StartsWith("compile: url: ")) << url;
    EXPECT_THAT(Problem(), HasSubstr(problem)) << url;
  }
}

TEST_F(RendererTest, ASecretHeaderIsNotItsOwnAndShownByItsNameOnly) {
  request_.secret_headers = {{.name = "Authorization", .prefix = "Bearer ", .file = "/token"}};
  const auto r = Renderer::Compile(request_, names_);
  ASSERT_TRUE(r.ok()) << r.error().message;
  const std::vector<Record> records = {Simple()};
  EXPECT_THAT(r->Describe(records, 1000), HasSubstr("\nAuthorization: (left out)\n"));
  std::string out;
  ASSERT_TRUE(r->Append(records, out, "Authorization: Bearer x\r\n").ok());
  EXPECT_THAT(out, HasSubstr("\r\nAuthorization: Bearer x\r\nIdempotency-Key: "));
}

TEST_F(RendererTest, ASecretHeaderThatIsSetElsewhereIsRefused) {
  request_.headers = {{"X-Key", "a"}};
  for (const char* name : {"Host", "content-length", "x-key", "Content-Type", "X Y", ""}) {
    request_.secret_headers = {{.name = name, .file = "/token"}};
    EXPECT_THAT(Problem(), HasSubstr("secretHeaders: ")) << name;
  }
  request_.secret_headers = {{.name = "X-A", .file = "/a"}, {.name = "x-a", .file = "/b"}};
  EXPECT_THAT(Problem(), HasSubstr("x-a is set twice"));
}

TEST_F(RendererTest, HttpsIsKnownByTheUrl) {
  request_.url = "HTTPS://orders/v1/{{key}}";
  const auto r = Renderer::Compile(request_, names_);
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_TRUE(r->https());
  EXPECT_EQ(r->host(), "orders");
  EXPECT_EQ(r->port(), "443");
  EXPECT_THAT(r->Describe({{.position = 0, .key = "1"}}, 1000),
              StartsWith("POST https://orders/v1/1"));
}

TEST_F(RendererTest, AddressesMayBeIpv6AndThePathMayBeEmpty) {
  request_.url = "http://[::1]:81?x={{key}}";
  const auto r = Renderer::Compile(request_, names_);
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(r->host(), "::1");
  EXPECT_EQ(r->port(), "81");
  EXPECT_THAT(Render(), StartsWith("POST /?x=a%20"));
  EXPECT_THAT(Render(), HasSubstr("\r\nHost: [::1]:81\r\n"));
}

TEST_F(RendererTest, RefusesHeadersThatWouldBreakTheFraming) {
  for (const char* name :
       {"Host", "content-length", "Transfer-Encoding", "Connection", "Idempotency-Key", "Expect"}) {
    request_.headers = {{name, "x"}};
    EXPECT_THAT(Problem(), StartsWith("compile: headers: ")) << name;
  }
  request_.headers = {{"X Y", "z"}};
  EXPECT_THAT(Problem(), HasSubstr("not a header name"));
  request_.headers = {{"X", "a\r\nY: b"}};
  EXPECT_THAT(Problem(), HasSubstr("CR, LF and NUL"));
  request_.headers.clear();
  request_.method = "GET /x HTTP/1.1\r\n";
  EXPECT_THAT(Problem(), HasSubstr("method"));
}

TEST_F(RendererTest, ShowsARequestWithoutCredentials) {
  request_.headers = {{"Authorization", "Bearer s3cret"},
                      {"Cookie", "s3cret"},
                      {"X-Api-Key", "s3cret"},
                      {"X-Auth-Token", "s3cret"},
                      {"X-Team", "payments"}};
  request_.body = "{{record}}";
  const auto r = Renderer::Compile(request_, names_);
  ASSERT_TRUE(r.ok());
  const std::string shown = r->Describe({Simple()}, 4096);
  EXPECT_THAT(shown, StartsWith("POST http://orders:8080/v1/a%20b"));
  EXPECT_THAT(shown, Not(HasSubstr("s3cret")));
  EXPECT_THAT(shown, HasSubstr("X-Team: payments"));
  EXPECT_THAT(shown, HasSubstr("{\"key\":"));
  EXPECT_LE(r->Describe({Simple()}, 100).size(), 100u);
}

TEST(EscapeTest, CutsToValidUtf8) {
  EXPECT_EQ(CutToUtf8("aü", 2), "a");
  EXPECT_EQ(CutToUtf8("aü", 3), "aü");
  EXPECT_EQ(CutToUtf8("a\xff\xc0\xaf\xed\xa0\x80z", 99), "a??????z");
  EXPECT_EQ(CutToUtf8("\xf0\x9f\x98\x80", 99), "\xf0\x9f\x98\x80");
  EXPECT_EQ(CutToUtf8("\xf0\x9f\x98", 99), "???");
}

TEST_F(RendererTest, ARecordThatIsJsonIsSentAsItStands) {
  names_.raw_records = true;
  request_.body = "{{record}}";
  const Record record{
      .position = 0, .key = "7", .fields = {"1", "x"}, .raw = "{\"id\": 7, \"n\": [ 1 ]}"};
  EXPECT_THAT(Render({record}), EndsWith("\r\n\r\n{\"id\": 7, \"n\": [ 1 ]}"));
  request_.body = "{{records}}";
  EXPECT_THAT(Render({record, record}),
              EndsWith("[{\"id\": 7, \"n\": [ 1 ]},{\"id\": 7, \"n\": [ 1 ]}]"));
  request_.body = "{{ndjson}}";
  EXPECT_THAT(Render({record}), EndsWith("\r\n\r\n{\"id\": 7, \"n\": [ 1 ]}\n"));
}

TEST_F(RendererTest, ARecordThatIsJsonCannotBreakOutOfAHeader) {
  names_.raw_records = true;
  request_.headers = {{"X-Record", "{{record}}"}};
  EXPECT_THAT(Render({{.position = 0, .key = "7", .fields = {"1", "x"}, .raw = "{\"id\":7,\r}"}}),
              StartsWith("render: header X-Record: "));
}

TEST_F(RendererTest, AFieldCalledKeyStandsOnceInARecord) {
  names_.fields = {"key", "a"};
  request_.body = "{{record}}";
  EXPECT_THAT(Render({{.position = 0, .key = "7", .fields = {"7", "x"}}}),
              EndsWith("\r\n\r\n{\"key\":\"7\",\"a\":\"x\"}"));
}

}  // namespace
}  // namespace backfill::worker
