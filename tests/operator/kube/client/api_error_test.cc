#include "operator/kube/client/api_error.h"

#include <fmt/format.h>

#include <string>

namespace backfill::kube {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using enum ApiErrorKind;

std::string Status(int code, std::string_view reason, std::string_view message = "no",
                   std::string_view details = "{}") {
  return fmt::format(R"({{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure",)"
                     R"("message":"{}","reason":"{}","details":{},"code":{}}})",
                     message, reason, details, code);
}

ApiError Answer(int code, std::string body) {
  return ErrorOf(
      HttpResponse{.status = code, .body = std::move(body), .retry_after = {}, .warnings = {}});
}

struct Case {
  int code;
  std::string_view reason;
  ApiErrorKind kind;
};

TEST(ApiErrorTest, MeansWhatTheReasonSaysAndElseTheCode) {
  const Case cases[] = {
      {400, "BadRequest", kInvalid},
      {401, "Unauthorized", kUnauthenticated},
      {403, "Forbidden", kForbidden},
      {404, "NotFound", kNotFound},
      {405, "MethodNotAllowed", kInvalid},
      {406, "NotAcceptable", kInvalid},
      {409, "AlreadyExists", kAlreadyExists},
      {409, "Conflict", kConflict},
      {409, "", kConflict},
      {409, "SomethingLater", kConflict},
      {410, "Gone", kGone},
      {410, "Expired", kGone},  // R3
      {412, "", kConflict},
      {413, "RequestEntityTooLarge", kTooLarge},
      {413, "", kTooLarge},
      {415, "UnsupportedMediaType", kInvalid},
      {422, "Invalid", kInvalid},
      {429, "TooManyRequests", kTooManyRequests},
      {429, "", kTooManyRequests},
      {500, "InternalError", kUnavailable},
      {500, "ServerTimeout", kUnavailable},
      {500, "", kUnavailable},
      {502, "", kUnavailable},
      {503, "ServiceUnavailable", kUnavailable},
      {504, "Timeout", kDeadline},
      {504, "", kDeadline},
      {418, "", kInvalid},
      {599, "", kUnavailable},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(fmt::format("{} {}", c.code, c.reason));
    const ApiError e = Answer(c.code, Status(c.code, c.reason));
    EXPECT_EQ(ToString(e.kind), ToString(c.kind));
    EXPECT_EQ(e.http_status, c.code);
    EXPECT_EQ(e.reason, c.reason);
    // As an event of a watch the same means the same.
    EXPECT_EQ(ToString(ErrorOfStatus(Status(c.code, c.reason)).kind), ToString(c.kind));
  }
}

TEST(ApiErrorTest, TellsWhatWasRefusedAndWhere) {
  const ApiError e = Answer(422, Status(422, "Invalid", "Job \\\"a\\\" is invalid", R"({"causes":[
      {"reason":"FieldValueInvalid","message":"must be positive","field":"spec.parallelism"},
      {"reason":"FieldValueRequired","message":"Required value","field":"spec.template"}]})"));
  EXPECT_EQ(e.message, "422 Invalid: Job \"a\" is invalid");
  ASSERT_EQ(e.causes.size(), 2u);
  EXPECT_EQ(e.causes[0].field, "spec.parallelism");
  EXPECT_EQ(e.causes[1].message, "Required value");
  EXPECT_TRUE(e.HasCause("FieldValueRequired"));
  EXPECT_FALSE(e.HasCause("FieldValueForbidden"));
}

TEST(ApiErrorTest, R1_AServerBehindTheVersionMeansListAgain) {
  const auto status = Status(
      504, "Timeout", "Too large resource version: 9, current: 8",
      R"({"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],
                                 "retryAfterSeconds":1})");
  EXPECT_EQ(Answer(504, status).kind, kGone);
  EXPECT_TRUE(Answer(504, status).HasCause(kCauseVersionTooLarge));
  EXPECT_EQ(ErrorOfStatus(status).kind, kGone);
}

TEST(ApiErrorTest, R29_TooLargeIsToldByItsFirstWordsWhateverTheServersAre) {
  for (const ApiError& error :
       {Answer(413, Status(413, "RequestEntityTooLarge", "limit is 3145728")),
        Answer(413, "<html>Payload</html>"),
        Answer(500,
               Status(500, "InternalError", "trying to send message larger than max (2 vs. 1)"))})
    EXPECT_THAT(error.Annotate("writing the status").ToError().message, StartsWith("too large: "))
        << error.message;
}

TEST(ApiErrorTest, R29_TooLargeHasThreeFaces) {
  EXPECT_EQ(Answer(413, Status(413, "RequestEntityTooLarge", "limit is 3145728")).kind, kTooLarge);
  EXPECT_EQ(Answer(500, R"({"kind":"Status","status":"Failure",
                            "message":"etcdserver: request is too large","code":500})")
                .kind,
            kTooLarge);
  EXPECT_EQ(Answer(500, Status(500, "InternalError",
                               "rpc error: code = ResourceExhausted desc = trying to send message "
                               "larger than max (2100000 vs. 2097152)"))
                .kind,
            kTooLarge);
}

TEST(ApiErrorTest, R30_ForbiddenSaysWhetherByAQuotaOrByANamespaceThatEnds) {
  const ApiError quota = Answer(
      403, Status(403, "Forbidden", "jobs.batch is forbidden: exceeded quota: q, requested: 1"));
  EXPECT_EQ(quota.kind, kForbidden);
  EXPECT_TRUE(quota.HasCause(kCauseQuotaExceeded));
  const ApiError ending = Answer(
      403,
      Status(403, "Forbidden", "unable to create new content in namespace x",
             R"({"causes":[{"reason":"NamespaceTerminating","field":"metadata.namespace"}]})"));
  EXPECT_EQ(ending.kind, kForbidden);
  EXPECT_TRUE(ending.HasCause(kCauseNamespaceTerminating));
  EXPECT_FALSE(ending.HasCause(kCauseQuotaExceeded));
  EXPECT_FALSE(
      Answer(403, Status(403, "Forbidden", "User cannot get jobs")).HasCause("QuotaExceeded"));
}

TEST(ApiErrorTest, R34_KnowsWhenToTryAgain) {
  const auto status = Status(429, "TooManyRequests", "slow", R"({"retryAfterSeconds":7})");
  EXPECT_EQ(Answer(429, status).retry_after, std::chrono::seconds(7));
  const HttpResponse with_header{
      .status = 429, .body = status, .retry_after = std::chrono::seconds(3), .warnings = {}};
  EXPECT_EQ(ErrorOf(with_header).retry_after, std::chrono::seconds(3));
  EXPECT_EQ(Answer(429, Status(429, "", "", R"({"retryAfterSeconds":99999999999})")).retry_after,
            std::chrono::seconds(60));
  EXPECT_EQ(Answer(429, Status(429, "", "", R"({"retryAfterSeconds":-1})")).retry_after,
            std::nullopt);
}

TEST(ApiErrorTest, TakesWhatIsNoStatusByItsCode) {
  const std::string html = "<html>\r\n<body>502 Bad Gateway</body></html>";
  EXPECT_EQ(Answer(502, html).kind, kUnavailable);
  EXPECT_THAT(Answer(502, html).message, HasSubstr("not from the API server"));
  EXPECT_THAT(Answer(502, html).message, Not(HasSubstr("\n")));
  EXPECT_EQ(Answer(503, "").message, "503, without a word");
  EXPECT_EQ(Answer(401, "").kind, kUnauthenticated);
  EXPECT_EQ(Answer(429, "").kind, kTooManyRequests);
  EXPECT_EQ(Answer(302, "").kind, kInternal);
  EXPECT_THAT(Answer(302, "").message, HasSubstr("redirect"));
  EXPECT_EQ(Answer(200, "{}").kind, kInternal);
  EXPECT_EQ(Answer(500, "[1, 2").kind, kUnavailable);
  EXPECT_EQ(Answer(500, R"({"kind":"Pod"})").kind, kUnavailable);
  // Of a Status that is partly nonsense the rest counts.
  EXPECT_EQ(
      Answer(409, R"({"kind":"Status","reason":"AlreadyExists","details":7,"code":"x"})").kind,
      kAlreadyExists);
}

TEST(ApiErrorTest, BelievesOnlyTheApiServerThatAnObjectIsGone) {
  EXPECT_EQ(Answer(404, "404 page not found\n").kind, kNotFound);  // the kind does not exist
  EXPECT_EQ(Answer(404, "").kind, kNotFound);
  EXPECT_EQ(Answer(404, "\n<!doctype html><title>404</title>").kind, kUnavailable);
}

TEST(ApiErrorTest, IsOneShortLineWhateverWasSent) {
  const std::string noise = "a\x1b[31mb\r\nc\xff" + std::string(5000, 'x');
  EXPECT_EQ(Answer(500, noise).message, "500: a [31mb  c");
  const ApiError e = Answer(422, Status(422, "Invalid", std::string(100'000, 'y'),
                                        fmt::format(R"({{"causes":[{}{{}}]}})", [] {
                                          std::string many;
                                          for (int i = 0; i < 1000; ++i)
                                            many += R"({"field":"f"},)";
                                          return many;
                                        }())));
  EXPECT_LT(e.message.size(), 1100u);
  EXPECT_EQ(e.causes.size(), 32u);
}

TEST(ApiErrorTest, AnErrorEventThatIsNoStatusIsSaid) {
  EXPECT_EQ(ErrorOfStatus("{}").kind, kInternal);
  EXPECT_EQ(ErrorOfStatus("").kind, kInternal);
  EXPECT_EQ(ErrorOfStatus(R"({"kind":"Status","reason":"Expired"})").kind, kGone);
  EXPECT_EQ(ErrorOfStatus(R"({"kind":"Status"})").kind, kInternal);
}

TEST(ApiErrorTest, OfACallWithoutResponseKeepsWhatItWas) {
  EXPECT_EQ(ErrorOf(Error{ErrorCode::kUnavailable, "refused"}).kind, kUnavailable);
  EXPECT_EQ(ErrorOf(Error{ErrorCode::kDeadline, "late"}).kind, kDeadline);
  EXPECT_EQ(ErrorOf(Error{ErrorCode::kAborted, "stopped"}).kind, kAborted);
  EXPECT_EQ(ErrorOf(Error{ErrorCode::kUnavailable, "refused"}).http_status, 0);
}

TEST(ApiErrorTest, ReadsAsAPathAndBecomesAPlainError) {
  ApiError e = Answer(429, Status(429, "TooManyRequests", "slow", R"({"retryAfterSeconds":7})"))
                   .Annotate("creating Job shop/a-run");
  EXPECT_EQ(e.message, "creating Job shop/a-run: 429 TooManyRequests: slow");
  EXPECT_EQ(e.ToError().code, ErrorCode::kUnavailable);
  EXPECT_EQ(e.ToError().message, e.message);
  EXPECT_EQ(e.ToError().retry_after, std::chrono::seconds(7));
  const std::pair<ApiErrorKind, ErrorCode> codes[] = {
      {kNotFound, ErrorCode::kNotFound}, {kConflict, ErrorCode::kConflict},
      {kGone, ErrorCode::kExpired},      {kAlreadyExists, ErrorCode::kConflict},
      {kInvalid, ErrorCode::kInvalid},   {kForbidden, ErrorCode::kPermission},
      {kTooLarge, ErrorCode::kInvalid},  {kUnauthenticated, ErrorCode::kUnauthenticated},
      {kDeadline, ErrorCode::kDeadline}, {kUnavailable, ErrorCode::kUnavailable},
      {kAborted, ErrorCode::kAborted},   {kTooManyRequests, ErrorCode::kUnavailable},
      {kInternal, ErrorCode::kInternal},
  };
  for (const auto& [kind, code] : codes) {
    e.kind = kind;
    EXPECT_EQ(ToString(e.ToError().code), ToString(code)) << ToString(kind);
  }
}

}  // namespace
}  // namespace backfill::kube
